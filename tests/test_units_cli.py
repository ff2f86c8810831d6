"""`fastxai units`: what it writes, says and refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fastxai
from fastxai.cli import run

pytest.importorskip("torch")

MODULE = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(6, 20, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 4), nn.ReLU(),
    )
    net[0].bias.data[2] = -100.0
    return net
"""
BASE = ["units", "photos", "--model", "unitnets:build", "--preprocess", "size=16,crop=1"]
BASE += ["--out", "found", "--images", "3"]
ALONE = ["units", "--model", "unitnets:build", "--out", "found"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with six photos, one of them damaged."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "unitnets", raising=False)
    Path("unitnets.py").write_text(MODULE)
    Path("photos").mkdir()
    rng = np.random.default_rng(0)
    for k in range(6):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(f"photos/{k}.png")
    Path("photos/4.png").write_bytes(b"no image")
    return tmp_path


def written() -> list[str]:
    """Files in the output that are not the scan's own."""
    files = (str(file.relative_to("found")) for file in Path("found").rglob("*.png"))
    return sorted(file for file in files if "unit-" not in file)


def test_a_scan_its_pictures_and_what_is_said(capsys: Any) -> None:
    assert run(BASE) == 0
    assert written() == ["pictures/00-1.png", "pictures/01-4.png"]
    said = capsys.readouterr().err
    assert "5 of 6 images scanned, 1 failed (the first, image 4:" in said
    assert "1: of 6 units 1 dead (2)" in said
    assert Path("found/units.csv").read_text().startswith("layer,unit,mean,minimum,maximum,")
    assert fastxai.open_units("found").complete


def test_many_units_make_pages() -> None:
    assert run([*BASE, "--layer", "4", "--units", "all", "--quiet"]) == 0
    assert written() == ["pictures/00-4-page-1.png", "pictures/00-4-page-2.png"]


def test_the_same_command_goes_on(capsys: Any) -> None:
    assert run([*BASE, "--units", "0"]) == 0
    assert written() == []
    capsys.readouterr()
    assert run([*BASE, "--units", "3,1"]) == 0
    assert "6 of 6 images were scanned" in capsys.readouterr().err
    assert fastxai.open_units("found").pictured("1") == [1, 3]


def test_filters_and_feature_maps_need_no_images() -> None:
    command = [*ALONE, "--filters", "--feature-maps", "photos/0.png", "--quiet"]
    assert run([*command, "--preprocess", "size=16"]) == 0
    assert written() == ["feature-maps-1.png", "feature-maps-4.png", "filters.png"]
    assert run([*BASE, "--layer", "1", "--units", "5,", "--quiet"]) == 0


def test_a_layer_without_space_has_no_feature_maps(capsys: Any) -> None:
    command = [*ALONE, "--feature-maps", "photos/0.png", "--layer", "8,1"]
    assert run([*command, "--preprocess", "size=16"]) == 0
    assert written() == ["feature-maps-1.png"]
    assert "layer '8' has no space" in capsys.readouterr().err


def test_all_activations(capsys: Any) -> None:
    assert run([*BASE, "--layer", "activations", "--units", "0", "--dead"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines if ": of " in line] == ["1", "4", "8"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (ALONE, "nothing to do"),
        ([*ALONE, "--filters", "--dead"], "--dead is about images"),
        ([*BASE, "--units", "some"], "give a number of units"),
        ([*BASE, "--units", "99,"], "unit 99"),
        ([*BASE, "--images", "0"], "--images"),
        ([*BASE, "--layer", "nothing"], "no layer 'nothing'"),
        ([*BASE, "--out", "found.png"], "is a picture, and a folder is written"),
        ([*BASE[:1], "nowhere", *BASE[2:]], "nowhere: no such file or folder"),
        (["units", "photos", "photos", *BASE[2:]], "is a folder, and 1 more are named"),
        ([*ALONE, "--feature-maps", "photos/4.png"], "4.png"),
    ],
    ids=[
        *("nothing", "dead-alone", "units", "no-unit", "no-images", "layer", "picture", "nowhere"),
        *("two-folders", "damaged-photo"),
    ],
)
def test_wrong_use_is_told(arguments: list[str], says: str, capsys: Any) -> None:
    assert run(arguments) == 2
    assert says in capsys.readouterr().err
