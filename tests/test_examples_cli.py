"""`fastxai examples`: what it writes, says and refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("pyarrow")

from fastxai import FeatureBank
from fastxai.cli import run

MODULE = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 2),
    )
"""
BUILD = ["examples", "photos", "--model", "banknets:build", "--preprocess", "size=16,crop=1"]
BUILD += ["--truth", "folder", "--labels", "names.txt", "--out", "bank"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with 14 photos in two folders, one of them damaged."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "banknets", raising=False)
    Path("banknets.py").write_text(MODULE)
    Path("names.txt").write_text("ant\nbee\n")
    rng = np.random.default_rng(0)
    for k in range(14):
        group = Path("photos", "ant" if k % 2 else "bee")
        group.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(group / f"{k}.png")
    Path("photos/bee/4.png").write_bytes(b"no image")
    return tmp_path


def test_builds_a_bank_and_says_what_is_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(BUILD) == 0
    bank = FeatureBank.open("bank")
    assert len(bank) == 13 and set(bank.labels) == {"ant", "bee"}
    said = capsys.readouterr().err
    assert "13 images, 6 features of each at input of 4" in said
    assert "1 of 14 images failed" in said and "next: fastxai examples bank --map" in said


def test_pictures_of_a_bank_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*BUILD, "--quiet"]) == 0
    assert run(["examples", "bank", "--map", "map.html", "--method", "pca", "--quiet"]) == 0
    assert run(["examples", "bank", "--query", "2", "--picture", "a.png", "--k", "3"]) == 0
    assert "13.png: predicted" in capsys.readouterr().out
    model = ["--model", "banknets:build"]
    query = ["--query", "photos/ant/13.png", "--quiet"]
    assert run(["examples", "bank", *query, *model, "--class", "bee"]) == 0
    said = capsys.readouterr().out
    assert "are labelled bee" in said and "in the bank: 13.png" in said
    assert run(["examples", "bank", "--prototypes", "2", "--picture", "p.png", "--quiet"]) == 0
    assert all(Path(name).stat().st_size > 1000 for name in ("map.html", "a.png", "p.png"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["photos"], "give --model", id="no bank and no network"),
        pytest.param(["photos", "--model", "banknets:build"], "--out", id="nowhere to write"),
        pytest.param(["photos", "--query", "1", "--prototypes", "2"], "one at a time", id="both"),
        pytest.param(["photos", "--prototypes", "2"], "give --picture", id="no picture"),
        pytest.param(["photos", "--picture", "a.png"], "give one of them", id="picture of what"),
        pytest.param(["photos", "--map", "a.txt"], "unknown ending", id="no kind of picture"),
        pytest.param(["nowhere", "--model", "banknets:build", "--out", "b"], "no such", id="gone"),
        pytest.param([*BUILD[1:-4], "--layer", "9", "--out", "b"], "no layer", id="no layer"),
    ],
)
def test_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["examples", *words]) == 2
    assert message in capsys.readouterr().err


def test_options_of_building_are_refused_for_a_bank(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*BUILD, "--quiet"]) == 0
    assert run(["examples", "bank", "--layer", "0"]) == 2
    assert "--layer is for building a bank" in capsys.readouterr().err
    assert run(["examples", "bank", "--query", "photos/ant/13.png"]) == 2
    assert "give model=" in capsys.readouterr().err
