"""The page about a set: what it tells, of sets of every kind, in bounded size."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_sets import CLASSES, images, small_net

import fastxai
from fastxai.errors import FastxaiWarning, InvalidInputError
from fastxai.explain.networks.photos import Preprocess
from fastxai.metrics.maps import Trust, TrustRow
from fastxai.report.facts import by_group, difference

EVIL = '<script>alert("x")</script>'


def explained(out: Path, n: int = 12, **options: Any) -> Any:
    given: dict[str, Any] = {"methods": "gradcam", "batch_size": 8, "names": CLASSES}
    given |= {"labels": [i // 2 % 4 for i in range(n)]}
    given |= {"groups": ["train" if i % 2 else "new" for i in range(n)]}
    return fastxai.explain_dataset(small_net(), images(n), out=out, **{**given, **options})


def page_of(results: Any, **options: Any) -> str:
    return fastxai.report.write(results, **options).read_text("utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a set with labels, groups, two methods and figures of trust."""
    results = explained(tmp_path_factory.mktemp("set") / "run", methods=["gradcam", "saliency"])
    row = TrustRow("gradcam", "insertion", 0.612, 0.55, 0.67, 12, 12, "higher")
    return page_of(results, trust=Trust((row,), {"images": 12}), boxes=[[2, 2, 9, 9]] * 12)


@pytest.mark.parametrize("section", ["groups", "classes", "wrong", "sure", "trust", "made"])
def test_the_page_has_a_section(page: str, section: str) -> None:
    assert f'<section id="{section}">' in page


@pytest.mark.parametrize(
    "said",
    [
        "new against train",
        "Classes and groups",
        "0.61 ",
        "of the evidence lies in the boxes",
        "3 × 16 × 16",
        "gradcam; saliency",
        f"torch {__import__('torch').__version__}",
        *CLASSES,
    ],
)
def test_the_page_says(page: str, said: str) -> None:
    assert said in page


def test_accuracy_is_that_of_the_table_with_its_interval(tmp_path: Path) -> None:
    results = explained(tmp_path / "run")
    share = float(results.table["correct"].mean())
    assert f"<strong>{100 * share:.1f}%</strong>" in page_of(results)


def test_nothing_comes_from_elsewhere(page: str) -> None:
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not re.search(r"<script|<iframe|@import|url\(", page)


@pytest.mark.parametrize("where", ["names", "groups", "path"])
def test_words_of_others_are_escaped(tmp_path: Path, where: str) -> None:
    options: dict[str, Any] = {}
    if where == "names":
        options["names"] = (EVIL, *CLASSES[1:])
    elif where == "groups":
        options["groups"] = [EVIL] * 12
    else:
        folder = tmp_path / "photos"
        folder.mkdir()
        for i in range(3):
            Image.new("RGB", (20, 20), "red").save(folder / f"{i}<b>&.png")
        options = {"labels": None, "groups": None, "preprocess": Preprocess((16, 16), 1.0)}
        results = fastxai.explain_dataset(
            small_net(), folder, "gradcam", tmp_path / "run", **options
        )
        assert "0&lt;b&gt;&amp;.png" in page_of(results)
        return
    found = page_of(explained(tmp_path / "run", **options))
    assert EVIL not in found
    assert "&lt;script&gt;" in found


@pytest.mark.parametrize(
    "options",
    [
        {"labels": None},
        {"groups": None},
        {"labels": None, "groups": None},
        {"thumbnail": 0},
        {"n": 1},
        {"target": "top3"},
        {"dtype": "float16"},
        {"names": None},
        {"methods": ["saliency", "guided_backprop"], "target": "top2"},
        {"layer": ["0", "3"]},
        {"task": "regression", "target": 1, "labels": None},
        {"target": "label"},
    ],
    ids=lambda options: " ".join(f"{k}={v}" for k, v in options.items()),
)
def test_every_kind_of_set_has_a_page(tmp_path: Path, options: dict[str, Any]) -> None:
    found = page_of(explained(tmp_path / "run", **options))
    assert found.rstrip().endswith("</html>")
    assert "nan" not in re.sub(r"base64,[^\"]+", "", found)


@pytest.mark.parametrize("shape", [(1, 12), (2, 6, 6, 6)], ids=["1-D", "3-D"])
def test_images_that_are_no_pictures_have_a_page(tmp_path: Path, shape: tuple[int, ...]) -> None:
    import torch

    data = np.random.default_rng(0).random((5, *shape), np.float32)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(int(np.prod(shape)), 3))
    results = fastxai.explain_dataset(net, data, "saliency", tmp_path / "run")
    assert "images explained" in page_of(results)


def test_what_failed_is_listed_by_reason(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (20, 20), "red").save(folder / "good.png")
    for i in range(12):
        (folder / f"bad{i}.png").write_bytes(b"no image")
    results = fastxai.explain_dataset(
        small_net(), folder, "gradcam", tmp_path / "run", preprocess=Preprocess((16, 16), 1.0)
    )
    found = page_of(results)
    assert "12 images could not be explained" in found
    assert "bad0.png" in found
    assert "and 4 more" in found


def test_a_run_that_is_not_complete_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastxai.image_sets import run as module

    original = module._batches

    def one(*args: Any) -> Any:
        yield next(iter(original(*args)))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_batches", one)
    with pytest.raises(KeyboardInterrupt):
        explained(tmp_path / "run")
    found = page_of(fastxai.open_results(tmp_path / "run"))
    assert "8 of 12 images have been explained" in found


def test_many_classes_are_cut_off_and_counted(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 1000))
    labels = list(range(60))
    results = fastxai.explain_dataset(net, images(60), "saliency", tmp_path / "run", labels=labels)
    found = page_of(results)
    assert "and 36 more classes" in found
    assert "and 36 more: rows of the table" in found
    assert len(found) < 5_000_000


def test_a_sample_of_many_maps_is_drawn_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastxai.report import evidence, page

    monkeypatch.setattr(evidence, "SAMPLE", 5)
    monkeypatch.setattr(page, "SAMPLE", 5)
    results = explained(tmp_path / "run")
    assert "Mean maps are of 5 images" in page_of(results)


def test_the_same_set_has_the_same_page(tmp_path: Path) -> None:
    results = explained(tmp_path / "run")
    assert page_of(results, path=tmp_path / "a.html") == page_of(results, path=tmp_path / "b.html")


def test_boxes_of_another_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="3 for 12 images"):
        fastxai.report.write(explained(tmp_path / "run"), boxes=[[0, 0, 4, 4]] * 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trust": "auto"}, "trust= is a str"),
        ({"reference": "nobody"}, "is no group; there are new, train"),
        ({"path": "page.pdf"}, "unknown ending"),
        ({"path": "nowhere/page.html"}, "there is no folder"),
    ],
    ids=["trust", "reference", "ending", "folder"],
)
def test_what_can_not_be_written_is_refused(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        fastxai.report.write(explained(tmp_path / "run"), **options)


def test_damaged_figures_of_trust_are_told_and_left_out(tmp_path: Path) -> None:
    results = explained(tmp_path / "run")
    (results.path / "trust.json").write_text("{")
    with pytest.warns(FastxaiWarning, match=r"trust\.json"):
        assert "have not been put to the test" in page_of(results)


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (["b", "a", "a"], "a"),
        (["b", "c", "train"], "train"),
        (["b", "as in training", "b"], "as in training"),
    ],
    ids=["the largest", "train", "called after training"],
)
def test_groups_are_compared_with(names: list[str], first: str) -> None:
    import pandas as pd

    columns = {"group": names, "correct": [True] * 3, "score": [0.5] * 3, "predicted": [0] * 3}
    table = pd.DataFrame(columns)
    assert by_group(table)[0].name == first


def test_an_image_without_boxes_does_not_count(tmp_path: Path) -> None:
    results = explained(tmp_path / "run")
    boxes = [None, *[[[0, 0, 16, 16]]] * 11]
    assert "<strong>100%</strong><span>of the evidence lies in the boxes" in page_of(
        results, boxes=boxes
    )


def test_differences_have_newcombes_interval() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80.
    from fastxai.metrics._map_result import over_set

    one = over_set(np.repeat([1.0, 0.0], [48, 32]), 0, 1)
    other = over_set(np.repeat([1.0, 0.0], [56, 14]), 0, 1)
    found = difference(one, other)
    assert found is not None
    np.testing.assert_allclose([found, found.low, found.high], [0.2, 0.0524, 0.3339], atol=0.006)


def test_the_command_writes_the_page(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from fastxai.cli import run

    explained(tmp_path / "run")
    assert run(["report", str(tmp_path / "run"), "--quiet"]) == 0
    assert (tmp_path / "run" / "report.html").is_file()
    assert "report.html" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nowhere"], "no explained image set"), (["run", "--out", "page.pdf"], "unknown ending")],
)
def test_the_command_refuses(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from fastxai.cli import run

    monkeypatch.chdir(tmp_path)
    assert run(["report", *arguments]) == 2
    assert said in capfd.readouterr().err
