"""`fastxai explain --describe`: sentences on the standard output, and nothing else there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from fastxai.cli import run  # noqa: E402

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
"""
BASE = ["--model", "wordnets:build", "--preprocess", "size=24,crop=1", "--quiet"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two photos, a module and names of classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "wordnets", raising=False)
    Path("wordnets.py").write_text(MODULE)
    Path("names.txt").write_text("ant\nbee\ncat\ndog\nemu\n")
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(name)
    return tmp_path


def test_a_paragraph_a_map_below_the_name_of_its_photo(capfd: pytest.CaptureFixture[str]) -> None:
    command = ["explain", "a.png", "b.png", *BASE, "--method", "gradcam,saliency", "--describe"]
    assert run([*command, "--labels", "names.txt"]) == 0
    blocks = capfd.readouterr().out.strip().split("\n\n")
    assert [blocks[0], blocks[3]] == ["a.png", "b.png"]
    assert all(blocks[k].startswith("The network's answer is '") for k in (1, 2, 4, 5))
    assert "By saliency" in blocks[2]
    assert "Sanity check" in blocks[2]


def test_it_needs_no_other_output_and_leaves_none(folder: Path) -> None:
    before = sorted(os.listdir(folder))
    assert run(["explain", "a.png", *BASE, "--method", "gradcam", "--describe"]) == 0
    assert sorted({*os.listdir(folder)} - {"__pycache__"}) == before


def test_the_sentences_are_those_of_the_function(capfd: pytest.CaptureFixture[str]) -> None:
    import fastxai

    asked = ["--method", "gradcam,occlusion", "--target", "top2", "--seed", "3"]
    assert run(["explain", "a.png", *BASE, *asked, "--describe"]) == 0
    shown = capfd.readouterr().out
    from wordnets import build  # type: ignore[import-not-found]

    from fastxai.explain.networks.photos import Preprocess, parse_preprocess, read_photo

    net = build()
    images, _ = parse_preprocess("size=24,crop=1", Preprocess())([read_photo("a.png")])
    out = fastxai.explain(net, images, ["gradcam", "occlusion"], target="top2")
    assert shown.strip() == f"a.png\n\n{out.describe(net, random_state=3)}"


def test_it_stands_beside_a_sheet_and_maps() -> None:
    files = ["--out", "s.png", "--maps", "m.npz"]
    assert run(["explain", "a.png", *BASE, "--method", "gradcam", "--describe", *files]) == 0
    assert Path("s.png").exists() and Path("m.npz").exists()


def test_of_a_set_it_is_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(folder), *BASE, "--out", "run", "--describe"]) == 2
    assert "--describe is for sheets of some photos" in capfd.readouterr().err
