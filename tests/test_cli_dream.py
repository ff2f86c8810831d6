"""`fastxai dream`: files, exit codes, messages."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from fastxai._cli_dream import read_classes, read_numbers, read_units  # noqa: E402
from fastxai.cli import run  # noqa: E402
from fastxai.errors import InvalidInputError  # noqa: E402

MODULE = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.Tanh(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )
"""
BASE = ["dream", "--model", "dreamnets:build", "--size", "24", "--steps", "2", "--quiet"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module and names of classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "dreamnets", raising=False)
    Path("dreamnets.py").write_text(MODULE)
    Path("names.txt").write_text("ant\nbee\ncat\ndog\nbee\n")
    return tmp_path


WANTED = {
    "classes by number": (["--classes", "0:2,4"], 3),
    "classes by name": (["--classes", "ant,dog", "--labels", "names.txt"], 2),
    "channels of a layer": (["--channels", "0:4,7", "--layer", "3"], 5),
    "all channels of the default layer": (["--channels", "all"], 8),
    "units in the middle": (["--units", "1,2", "--layer", "0"], 2),
    "units at places": (["--units", "1@0x5,2@7x7", "--layer", "0"], 2),
    "neurons": (["--units", "0:3", "--layer", "7"], 3),
    "copies": (["--classes", "1", "--copies", "3", "--diversity", "1"], 3),
}


@pytest.mark.parametrize(("wanted", "count"), WANTED.values(), ids=WANTED)
def test_images_as_arrays(wanted: list[str], count: int) -> None:
    assert run([*BASE, *wanted, "--out", "found.npz"]) == 0
    assert np.load("found.npz")["images"].shape == (count, 3, 24, 24)


def test_a_picture_and_what_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [a for a in BASE if a != "--quiet"]
    given = ["--classes", "cat", "--labels", "names.txt", "--total-variation", "1", "--l2", "1"]
    assert run([*arguments, *given, "--out", "found.png"]) == 0
    assert Image.open("found.png").width > 100
    said = capfd.readouterr().err
    assert "1 image made in" in said
    assert "found.png" in said


def test_the_seed_repeats_the_images() -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        given = ["--classes", "1", "--seed", str(seed), "--out", f"{name}.npz"]
        assert run([*BASE, *given]) == 0
    a, b, c = (np.load(f"{name}.npz")["images"] for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param([], "give one of --classes, --channels and --units", id="nothing wanted"),
        pytest.param(["--classes", "1", "--units", "1"], "give one of", id="two wanted"),
        pytest.param(["--classes", "1", "--layer", "3"], "--layer and --call", id="no layer"),
        pytest.param(["--classes", "9"], "5 channels and no 9", id="no such class"),
        pytest.param(["--classes", "newt"], "names of the classes are not known", id="no names"),
        pytest.param(
            ["--classes", "newt", "--labels", "names.txt"], "no class has this name", id="no name"
        ),
        pytest.param(
            ["--classes", "bee", "--labels", "names.txt"], "classes 1, 4 have", id="two names"
        ),
        pytest.param(["--channels", "0", "--layer", "nine"], "no layer 'nine'", id="no layer"),
        pytest.param(["--channels", "0-3"], "numbers as in 3,7 or 0:16", id="no range"),
        pytest.param(["--units", "3@4"], "a place as in 5@3x7", id="no place"),
        pytest.param(["--units", "3@9999x1"], "no place (9999, 1)", id="a place outside"),
        pytest.param(["--classes", "0", "--size", "big"], "--size", id="no size"),
        pytest.param(["--classes", "0", "--diversity", "1"], "copies=2", id="diversity of one"),
        pytest.param(["--classes", "0", "--weights", "dreamnets.py"], "damaged", id="no weights"),
    ],
)
def test_what_is_refused(given: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*BASE, *given, "--out", "found.png"]) == 2
    assert message in capfd.readouterr().err
    assert not Path("found.png").exists()


def test_a_file_of_another_kind(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*BASE, "--classes", "0", "--out", "found.jpg"]) == 2
    assert "unknown ending" in capfd.readouterr().err


def test_numbers() -> None:
    assert read_numbers("3, 7,0:3", "--channels") == [3, 7, 0, 1, 2]


@pytest.mark.parametrize("text", ["", ",", "5:5", "5:2"])
def test_no_numbers(text: str) -> None:
    with pytest.raises(InvalidInputError, match="names none"):
        read_numbers(text, "--channels")


def test_classes_whose_names_hold_commas() -> None:
    assert read_classes("ox, cart", ["ant", "ox, cart"]) == [1]
    assert read_classes("1,ant", ["ant", "ox, cart"]) == [1, 0]


def test_places_for_some_units_only() -> None:
    assert read_units("4@1x2,0:2@3x3") == ([4, 0, 1], [(1, 2), (3, 3), (3, 3)])
    with pytest.raises(InvalidInputError, match="all units a place, or none"):
        read_units("4@1x2,5")
