"""`fastxai explain` and the explaining half of `fastxai demo`: files, exit codes, messages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from fastxai import _cli_demo, _cli_explain  # noqa: E402
from fastxai.cli import run  # noqa: E402
from fastxai.errors import InvalidInputError  # noqa: E402

MODULE = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )

def broken():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("the cable is out")
    return Broken()

def endless():
    import os, signal, time
    class Endless(nn.Module):
        def forward(self, x):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
    return Endless()
"""
SIZE = ["--preprocess", "size=24,crop=1"]
BASE = ["--model", "shellnets:build", *SIZE, "--quiet"]
NAMES = "ant\nbee\ncat\ndog\nbee\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two photos, a module and names of classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "shellnets", raising=False)
    Path("shellnets.py").write_text(MODULE)
    Path("names.txt").write_text(NAMES)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg"):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(name)
    return tmp_path


def test_the_sheet_is_written_and_the_classes_are_listed(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(os.listdir(folder))
    command = ["explain", "a.png", "b.jpg", *BASE[:-1], "--labels", "names.txt"]
    assert run([*command, "--out", "sheet.png"]) == 0
    assert Path("sheet.png").read_bytes().startswith(b"\x89PNG")
    assert sorted({*os.listdir(folder)} - {"__pycache__"}) == sorted([*before, "sheet.png"])
    shown = capfd.readouterr().err
    assert "a.png: " in shown
    assert any(name in shown for name in NAMES.split())
    assert "2 photos explained in" in shown


def test_quiet_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "a.png", *BASE, "--method", "gradcam", "--out", "s.png"]) == 0
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err == ""


@pytest.mark.parametrize(
    ("target", "k"), [(None, None), ("3", None), ("ant", None), ("top2", 2), ("0,dog", 2)]
)
def test_maps_are_raw_and_whole(target: str | None, k: int | None) -> None:
    options = ["--labels", "names.txt", "--method", "gradcam,saliency,guided_backprop"]
    options += [] if target is None else ["--target", target]
    assert run(["explain", "a.png", "b.jpg", *BASE, *options, "--maps", "m.npz"]) == 0
    with np.load("m.npz") as found:
        several = () if k is None else (k,)
        assert found["gradcam"].shape == (2, *several, 24, 24)
        assert found["guided_backprop"].shape == (2, *several, 3, 24, 24)
        assert found["gradcam"].dtype == np.float32
        assert found["classes"].shape == found["scores"].shape == (2, k or 1)
        assert found["photos"].tolist() == ["a.png", "b.jpg"]
        assert found["gradcam:status"].shape == (2, *several)
        if target == "0,dog":
            assert found["classes"].tolist() == [[0, 3], [0, 3]]


def test_several_layers() -> None:
    options = ["--layer", "1,4", "--method", "gradcam,saliency"]
    command = ["explain", "a.png", *BASE, *options, "--maps", "m.npz", "--out", "s.svg"]
    assert run(command) == 0
    with np.load("m.npz") as found:
        assert {"gradcam:1", "gradcam:4", "saliency"} <= set(found.files)
        assert not np.array_equal(found["gradcam:1"], found["gradcam:4"])


def test_the_maps_are_those_of_the_function() -> None:
    import fastxai

    assert run(["explain", "a.png", *BASE, "--method", "gradcam", "--maps", "m.npz"]) == 0
    from shellnets import build  # type: ignore[import-not-found]

    from fastxai.explain.networks.photos import Preprocess as Default
    from fastxai.explain.networks.photos import parse_preprocess, read_photo

    images, _ = parse_preprocess(SIZE[1], Default())([read_photo("a.png")])
    expected = fastxai.GradCAM(build())(images)
    with np.load("m.npz") as found:
        np.testing.assert_allclose(found["gradcam"], expected, rtol=1e-5, atol=1e-7)


def test_the_same_command_writes_the_same_files() -> None:
    for name in ("a", "b"):
        files = ["--out", f"{name}-sheet.png", "--maps", f"{name}-maps.npz"]
        assert run(["explain", "a.png", *BASE, "--method", "gradcam", *files]) == 0
    for end in ("sheet.png", "maps.npz"):
        assert Path(f"a-{end}").read_bytes() == Path(f"b-{end}").read_bytes()


def test_the_seed_reaches_methods_that_draw_at_random() -> None:
    from fastxai import RISE, GradCAM

    assert _cli_explain.method_options(RISE, 3) == {"random_state": 3}
    assert _cli_explain.method_options(GradCAM, 3) == {}


def test_threads_and_random_numbers_are_as_before() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    options = ["--threads", "1", "--seed", "3", "--method", "saliency", "--maps", "m.npz"]
    assert run(["explain", "a.png", *BASE, *options]) == 0
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_of_a_file() -> None:
    sys.path.insert(0, os.getcwd())
    from shellnets import build

    model = build()
    with torch.no_grad():
        model[7].bias[2] += 100
    torch.save(model.state_dict(), "w.pt")
    options = ["--weights", "w.pt", "--method", "saliency", "--maps", "m.npz"]
    assert run(["explain", "a.png", *BASE, *options]) == 0
    with np.load("m.npz") as found:
        assert found["classes"].tolist() == [[2]]


def _damaged() -> None:
    Path("b.jpg").write_bytes(Path("b.jpg").read_bytes()[:300])


def _other_weights() -> None:
    torch.save({"1.weight": torch.zeros(1)}, "w.pt")


OUT = ["--out", "s.png"]


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        pytest.param(None, [], "nothing to write", id="no output"),
        pytest.param(None, ["--out", "s.doc"], "ending", id="output ending"),
        pytest.param(None, ["--maps", "m.npy"], "ending", id="maps ending"),
        pytest.param(None, ["--out", "a.png"], "is an input", id="the photo itself"),
        pytest.param(None, [*OUT, "no.png"], "no.png: no such file", id="no photo"),
        pytest.param(None, [*OUT, "."], "is a picture, and a set", id="a folder"),
        pytest.param(None, [*OUT, "names.txt"], "names.txt is no image", id="text"),
        pytest.param(_damaged, [*OUT, "b.jpg"], "b.jpg is damaged", id="damaged"),
        pytest.param(None, [*OUT, "--method", "gradcan"], "gradcam", id="method"),
        pytest.param(None, [*OUT, "--method", ","], "names none", id="no method"),
        pytest.param(None, [*OUT, "--layer", "nine"], "nine", id="layer"),
        pytest.param(None, [*OUT, "--target", "9"], "9", id="target out of range"),
        pytest.param(None, [*OUT, "--target", "cat"], "--labels FILE", id="name unknown"),
        pytest.param(
            None,
            [*OUT, "--target", "ban", "--labels", "names.txt"],
            "near it are",
            id="name misspelt",
        ),
        pytest.param(
            None,
            [*OUT, "--target", "bee", "--labels", "names.txt"],
            "classes 1, 4 have this name",
            id="name twice",
        ),
        pytest.param(None, [*OUT, "--labels", "none.txt"], "no such file", id="no labels"),
        pytest.param(None, [*OUT, "--labels", "a.png"], "no text", id="labels of pixels"),
        pytest.param(None, [*OUT, "--preprocess", "size=x"], "no number", id="preprocess"),
        pytest.param(_other_weights, [*OUT, "--weights", "w.pt"], "do not fit", id="weights"),
        pytest.param(None, [*OUT, "--model", "resnet"], "torchvision:NAME", id="model"),
        pytest.param(None, [*OUT, "--model", "shellnets:no"], "nothing named", id="callable"),
        pytest.param(None, [*OUT, *["a.png"] * 61], "fewer photos", id="too many"),
        pytest.param(
            None,
            [*OUT, "--layer", "0,1,2,3,4", "--method", "gradcam,cam,hirescam,layercam"],
            "would have 21 columns",
            id="too many layers",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    prepare: Any,
    arguments: list[str],
    message: str,
) -> None:
    if prepare is not None:
        prepare()
    before = sorted(os.listdir(folder))
    assert run(["explain", "a.png", *BASE, *arguments]) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted({*os.listdir(folder)} - {"__pycache__"}) == before


def test_a_network_that_raises_is_exit_code_1(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "a.png", *BASE, "--model", "shellnets:broken", *OUT]) == 1
    error = capfd.readouterr().err
    assert "the cable is out" in error
    assert error.count("\n") == 1
    assert not Path("s.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_it_without_output(folder: Path) -> None:
    before = sorted(os.listdir(folder))
    program = "from fastxai import cli; cli.main()"
    command = ["explain", "a.png", *BASE, "--model", "shellnets:endless", *OUT]
    done = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "fastxai: interrupted"
    assert sorted({*os.listdir(folder)} - {"__pycache__"}) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("none", None),
        ("Top5", "top5"),
        ("7", 7),
        ("-2", "-2"),
        ("CAT", 2),
        ("a, b", 5),
        ("cat,1", [[2, 1], [2, 1]]),
    ],
)
def test_targets(text: str | None, expected: Any) -> None:
    names = ["ant", "bee", "cat", "dog", "bee", "a, b"]
    assert _cli_explain.read_target(text, names, 2) == expected


def test_a_signed_target_stands_alone() -> None:
    with pytest.raises(InvalidInputError, match="alone"):
        _cli_explain.read_target("+1,2", None, 2)


def test_help_says_that_code_is_run(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "--help"]) == 0
    assert "that code is run" in " ".join(capfd.readouterr().out.split())


# The demo


def test_demo_explains_digits(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fastxai.cli._embed_demo", lambda *_: "embedded")
    assert run(["demo", "--out", "d.png", "--quiet"]) == 0
    shown = capfd.readouterr().out
    assert shown.startswith("embedded")
    assert "held-out digits: d-explained.png" in shown
    assert Path("d-explained.png").stat().st_size > 10_000


def test_photos_and_data_are_two_demos(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--photos", "--data", "digits"]) == 2
    assert "four demos" in capfd.readouterr().err


def without(*modules: str) -> str:
    """A program that begins without some modules."""
    return f"import sys; sys.modules.update(dict.fromkeys({modules!r})); "


def test_without_torch_the_demo_says_how_to_get_it() -> None:
    program = without("torch") + (
        "from pathlib import Path; from fastxai._cli_demo import explain_digits; "
        "print(explain_digits(Path('d.png'), 0, 1, True))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pip install 'fastxai[torch]'" in done.stdout


@pytest.mark.parametrize(
    ("missing", "arguments", "message"),
    [
        ("torch", ["explain", "a.png", *BASE, *OUT], "pip install 'fastxai[torch]'"),
        ("torch", ["demo", "--photos"], "pip install 'fastxai[torch]'"),
    ],
    ids=["explain", "photos"],
)
def test_without_torch(missing: str, arguments: list[str], message: str) -> None:
    program = without(missing) + f"from fastxai.cli import run; sys.exit(run({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_demo_of_photos(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    from fastxai.explain import networks

    try:
        networks.efficientnet_lite0()
        files = networks.photo_files()
    except ImportError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(networks, "photo_files", lambda: files[:1])
    monkeypatch.setitem(_cli_demo.PHOTO_METHODS, "occlusion", {"window": 112, "stride": 112})
    assert run(["demo", "--photos", "--quiet"]) == 0
    assert "1 by EfficientNet-Lite0 explained" in capfd.readouterr().out
    assert Path("demo-photos.png").stat().st_size > 10_000
