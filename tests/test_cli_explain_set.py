"""`fastxai explain FOLDER --out run/`: what it writes, says and refuses."""

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
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )

def interrupted():
    class Interrupted(nn.Module):
        calls = 0
        def forward(self, x):
            Interrupted.calls += 1
            if Interrupted.calls > 2:
                raise KeyboardInterrupt
            return x.mean((2, 3))
    return Interrupted()
"""
NAMES = "ant\nbee\ncat\ndog\n"
BASE = ["explain", "photos", "--model", "setnets:build", "--preprocess", "size=16,crop=1"]
BASE += ["--method", "gradcam", "--labels", "names.txt", "--batch-size", "2"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with five photos in two folders, one of them damaged."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "setnets", raising=False)
    Path("setnets.py").write_text(MODULE)
    Path("names.txt").write_text(NAMES)
    rng = np.random.default_rng(0)
    for k in range(5):
        group = Path("photos", "ant" if k % 2 else "bee")
        group.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(group / f"{k}.png")
    Path("photos/bee/4.png").write_bytes(b"no image")
    return tmp_path


def test_a_folder_is_explained_into_a_folder() -> None:
    assert run([*BASE, "--out", "run", "--quiet"]) == 0
    results = fastxai.open_results("run")
    assert results.complete
    assert results.table["status"].value_counts().to_dict() == {"ok": 4, "failed": 1}


def test_the_summary_says_what_failed_and_how_often_it_was_right(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run([*BASE, "--out", "run", "--truth", "folder", "--groups", "folder"]) == 0
    said = capfd.readouterr().err
    assert "4 of 5 images explained, 1 failed:" in said
    assert "4.png" in said
    assert "of 4 with a true class are right" in said
    assert "next: fastxai report run" in said


def test_sheets_show_the_first_the_surest_the_least_sure_and_the_wrong() -> None:
    assert run([*BASE, "--out", "run", "--truth", "folder", "--quiet"]) == 0
    drawn = {file.name for file in Path("run/sheets").iterdir()}
    assert "first.png" in drawn
    assert drawn <= {"first.png", "wrong.png"}  # four images are all on the first


def test_without_sheets_none_are_drawn() -> None:
    assert run([*BASE, "--out", "run", "--no-sheets", "--quiet"]) == 0
    assert not Path("run/sheets").exists()


def test_the_same_command_again_changes_nothing() -> None:
    assert run([*BASE, "--out", "run", "--quiet"]) == 0
    before = Path("run/table.parquet").read_bytes()
    assert run([*BASE, "--out", "run", "--quiet"]) == 0
    assert Path("run/table.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("2", [2] * 4),
        ("cat", [2] * 4),
        ("label", [0, 0, 1, 1]),
        ("cat,0", [[2, 0]] * 4),
    ],
)
def test_targets_are_classes_names_or_the_true_class(target: str, expected: Any) -> None:
    assert run([*BASE, "--out", "run", "--truth", "folder", "--target", target, "--quiet"]) == 0
    table = fastxai.open_results("run").table
    found = table.loc[table["status"] == "ok", "target"]
    assert [np.asarray(one).tolist() for one in found] == expected


def test_a_table_of_paths_brings_labels_and_groups() -> None:
    rows = ["path,label,group", "photos/bee/0.png,bee,day", "photos/ant/1.png,dog,night"]
    Path("set.csv").write_text("\n".join(rows))
    assert run(["explain", "set.csv", *BASE[2:], "--out", "run", "--quiet"]) == 0
    table = fastxai.open_results("run").table
    assert table["label_class"].tolist() == [1, 3]
    assert table["group"].tolist() == ["day", "night"]


def test_photos_and_a_folder_to_write_to_are_a_set() -> None:
    photos = ["photos/bee/0.png", "photos/ant/1.png"]
    assert run(["explain", *photos, *BASE[2:], "--out", "run", "--quiet"]) == 0
    assert len(fastxai.open_results("run")) == 2


def test_other_settings_are_refused_on_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*BASE, "--out", "run", "--quiet"]) == 0
    capfd.readouterr()
    assert run([*BASE, "--out", "run", "--quiet", "--seed", "3"]) == 2
    said = capfd.readouterr().err
    assert "random_state was 0 and is 3" in said
    assert said.count("\n") == 1


def test_an_interrupted_run_says_that_the_same_command_continues(
    capfd: pytest.CaptureFixture[str],
) -> None:
    command = ["explain", "photos", "--model", "setnets:interrupted", "--method", "occlusion"]
    command += ["--preprocess", "size=16", "--batch-size", "1", "--out", "run", "--quiet"]
    assert run(command) == 130
    assert "interrupted: the same command continues run" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name it with --out"),
        (["--out", "sheet.png"], "is a picture, and a set"),
        (["--out", "run", "--maps", "maps.npz"], "--maps is for sheets"),
        (["--out", "run", "--scale", "set"], "--scale is for sheets"),
        (["photos", "--out", "run"], "give one folder, or files"),
        (["--out", "run", "--target", "bear"], "bear"),
        (["--out", "run", "--truth", "none.csv"], "none.csv"),
        (["--out", "run", "--labels", "short.txt"], "3 names of classes, and the model has 4"),
        (["--out", "names.txt/run"], "names.txt"),
        (["--out", "setnets.py"], "is a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("short.txt").write_text("a\nb\nc")
    code = run([*BASE, *arguments, "--quiet"])
    shown = capfd.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    assert code in (1, 2)


@pytest.mark.parametrize("content", [[], ["a.txt"]], ids=["empty", "no photo"])
def test_a_folder_without_photos_is_refused(
    content: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    Path("nothing").mkdir()
    for name in content:
        Path("nothing", name).write_text("")
    assert run(["explain", "nothing", *BASE[2:], "--out", "run", "--quiet"]) == 2
    assert "nothing" in capfd.readouterr().err


def test_options_of_sets_are_refused_for_a_sheet(capfd: pytest.CaptureFixture[str]) -> None:
    command = ["explain", "photos/bee/0.png", *BASE[2:], "--out", "sheet.png"]
    assert run(command) == 2
    assert "--batch-size is for whole sets" in capfd.readouterr().err
