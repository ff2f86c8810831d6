"""Pictures of examples and maps of sets: what is on them, and where they are written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
from example_banks import bank_of, dots  # noqa: E402
from matplotlib.offsetbox import AnnotationBbox  # noqa: E402
from small_sets import images  # noqa: E402
from torch import nn  # noqa: E402

from fastxai import FeatureBank, InvalidInputError, explain_by_example, prototypes  # noqa: E402
from fastxai.examples.feature_map import FeatureMap  # noqa: E402

RNG = np.random.default_rng(0)
PLACES = np.concatenate([RNG.normal((3, 0), 0.5, (20, 2)), RNG.normal((0, 3), 0.5, (20, 2))])
LABELS = [0] * 20 + [1] * 19 + [0]  # the last is not predicted so


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> FeatureBank:
    out = tmp_path_factory.mktemp("pictures") / "bank"
    return bank_of(np.abs(PLACES), out, labels=LABELS, names=["right", "above"])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> FeatureBank:
    """Without labels and pictures."""
    return bank_of(np.abs(PLACES), tmp_path_factory.mktemp("plain") / "bank", thumbnail=0)


@pytest.fixture(scope="module")
def map(bank: FeatureBank) -> FeatureMap:
    return bank.embed("pca")


def words(figure: Any) -> list[str]:
    """Everything that is written on a figure."""
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title() for axes in figure.axes]
    return [text for text in (*found, *(t.get_text() for t in figure.texts)) if text]


# --- examples ----------------------------------------------------------------------------


def test_two_rows_of_examples_with_labels_and_distances(bank: FeatureBank, tmp_path: Path) -> None:
    found = explain_by_example(bank, dots([[3, 0.2]])[0], 4)
    figure = found.plot(tmp_path / "a.png")
    said = words(figure)
    assert (tmp_path / "a.png").stat().st_size > 1000
    title = "Predicted right: 4 of the 4 nearest are labelled right (51% of all are)"
    assert title.replace("51%", f"{found.usual:.0%}") in said
    assert {"nearest labelled right", "nearest with another label"} <= set(said)
    assert said.count("right") == 4 and said.count("above") + said.count("→ above") >= 3
    for distance in (*found.same.distances, *found.other.distances):
        assert f"at {distance:#.3g}" in said
    assert len(figure.axes) == 1 + 4 + 4


def test_another_prediction_is_named(bank: FeatureBank) -> None:
    said = words(explain_by_example(bank, dots([np.abs(PLACES[39]) + 0.01])[0], 1).plot())
    assert "→ above" in said


def test_one_row_without_labels(tmp_path: Path) -> None:
    bank = bank_of(np.abs(PLACES), tmp_path / "bank")
    said = words(explain_by_example(bank, dots([[3, 0.2]])[0], 3).plot())
    assert "What the network takes to be like the image" in said and "nearest" in said
    assert sum(text.startswith("image ") for text in said) == 3


def test_a_row_that_is_empty_says_so(tmp_path: Path) -> None:
    bank = bank_of(np.abs(PLACES), tmp_path / "bank", labels=[0] * 40)
    assert "none in the bank" in words(explain_by_example(bank, 0).plot())


def test_rows_are_broken_where_they_are_long(bank: FeatureBank) -> None:
    figure = explain_by_example(bank, 0, 19).plot()
    assert len(figure.axes) == 1 + 19 + 19
    assert figure.get_size_inches()[0] < 12


def test_no_picture_without_pixels(plain: FeatureBank, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"no pictures, or .* thumbnail=0"):
        explain_by_example(plain, 0).plot()
    assert len(explain_by_example(plain, dots([[3, 0.2]])[0]).plot().axes) == 6
    with pytest.raises(InvalidInputError, match="unknown ending"):
        explain_by_example(plain, 0).plot(tmp_path / "a.txt")


# --- maps --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["umap", "tsne", "t-SNE", "PCA"])
def test_methods_of_maps(bank: FeatureBank, method: str) -> None:
    options = {"max_iter": 50, "perplexity": 5} if "sne" in method.lower() else {}
    found = bank.embed(method, **options)
    assert found.embedding.shape == (40, 2) and found.embedding.dtype == np.float32
    assert found.kind.replace("-", "").lower() == method.replace("-", "").lower()


def test_few_images_are_laid_out_by_pca(tmp_path: Path) -> None:
    bank = bank_of(np.abs(PLACES[:8]), tmp_path / "bank")
    assert bank.embed(n_neighbors=3).kind == "PCA"


def test_small_pictures_with_frames_and_crosses(map: FeatureMap, tmp_path: Path) -> None:
    figure = map.plot(tmp_path / "map.png")
    boxes = [one for one in figure.axes[0].get_children() if isinstance(one, AnnotationBbox)]
    said = words(figure)
    assert 2 <= len(boxes) <= 40
    assert len({tuple(box.patch.get_edgecolor()) for box in boxes}) == 2
    assert "How the network sees 40 images, 97.5% right" in said
    assert any("colours: label" in text and "1 not predicted as labelled" in text for text in said)


def test_no_picture_covers_another(map: FeatureMap) -> None:
    figure = map.plot()
    axes = figure.axes[0]
    boxes = [one for one in axes.get_children() if isinstance(one, AnnotationBbox)]
    spots = axes.transData.transform([box.xy for box in boxes]) / figure.dpi
    for k in range(len(spots)):
        away = np.abs(np.delete(spots, k, axis=0) - spots[k]).max(axis=1)
        assert away.min() > 0.25


def test_pictures_may_be_few_or_none(map: FeatureMap, plain: FeatureBank) -> None:
    for figure, count in (
        (map.plot(pictures=2), 2),
        (map.plot(pictures=0), 0),
        (plain.embed("pca").plot(), 0),
    ):
        boxes = [one for one in figure.axes[0].get_children() if isinstance(one, AnnotationBbox)]
        assert len(boxes) == count


def test_without_labels_predictions_are_the_colours(plain: FeatureBank) -> None:
    assert any("colours: prediction" in text for text in words(plain.embed("pca").plot()))


def test_labels_of_which_there_are_too_many_have_no_colours(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="labels are names"):
        bank = bank_of(np.abs(PLACES), tmp_path / "bank", labels=[f"n{k}" for k in range(40)])
    assert any("40 labels, without colours" in text for text in words(bank.embed("pca").plot()))


def test_the_page_holds_every_point_and_some_pictures(map: FeatureMap, tmp_path: Path) -> None:
    page = map.html(tmp_path / "map.html", pictures=7).read_text("utf-8")
    points = json.loads(re.search(r"const points = (\[.*?\]), groups", page)[1])  # type: ignore[index]
    assert len(points) == 40 and sum(bool(point["p"]) for point in points) == 7
    assert sum(point["x"] for point in points) == 1
    assert "label above" in points[25]["w"] and "http" not in page.replace("http://www.w3.org", "")


def test_the_page_draws_some_of_many_points(map: FeatureMap, tmp_path: Path) -> None:
    page = map.html(tmp_path / "map.html", points=9).read_text("utf-8")
    assert page.count('"w":') == 9 and "9 points, drawn at random" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"method": "lda"}, "'umap', 'tsne' or 'pca'", id="no such method"),
        pytest.param({"n_components": 3}, "in the plane", id="in space"),
        pytest.param({"perplexed": 3}, "perplexed", id="no such option"),
    ],
)
def test_maps_that_are_refused(bank: FeatureBank, options: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        bank.embed(**options)


def test_two_images_make_no_map(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="holds 2 images, and a map needs 3"):
        bank_of([[0, 1], [1, 0]], tmp_path / "bank").embed()


def test_one_feature_makes_no_plane(tmp_path: Path) -> None:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1), nn.Linear(1, 2))
    bank = FeatureBank.build(net, images(5), out=tmp_path / "bank")
    with pytest.raises(InvalidInputError, match="one feature"):
        bank.embed()


# --- prototypes --------------------------------------------------------------------------


def test_prototypes_are_rows_of_the_bank(bank: FeatureBank, tmp_path: Path) -> None:
    found = bank.prototypes(2, 1)
    assert sorted(row // 20 for row in found.indices.tolist()) == [0, 1]
    found.plot(path=tmp_path / "prototypes.png")
    assert (tmp_path / "prototypes.png").exists()


def test_rows_of_a_table_have_no_pictures() -> None:
    found = prototypes(np.eye(4), 2, 1)
    with pytest.raises(InvalidInputError, match="images= is missing"):
        found.plot()
