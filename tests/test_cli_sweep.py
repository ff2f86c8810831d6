"""The command sweep: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastxai
from fastxai import datasets
from fastxai.cli import run

X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
X[:30] += 5
CLASSES = np.repeat(["left", "right"], 30)
UMAP = ["sweep", "x.npy", "--method", "umap", "--n-neighbors", "5,9", "--n-epochs", "10"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with some points in it."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    return tmp_path


def table(*arguments: str) -> list[dict[str, Any]]:
    assert run([*arguments, "--json", "figures.json", "--quiet"]) == 0
    rows: list[dict[str, Any]] = json.loads(Path("figures.json").read_text())
    return rows


def test_it_writes_picture_figures_and_coordinates(folder: Path) -> None:
    outputs = ["--out", "y.png", "--json", "y.json", "--embeddings", "y.npz"]
    assert run([*UMAP, *outputs, "--quiet"]) == 0
    assert sorted(os.listdir(folder)) == ["x.npy", "y.json", "y.npz", "y.png"]
    assert Path("y.png").read_bytes().startswith(b"\x89PNG")
    found = fastxai.sweep(X, "umap", n_neighbors=[5, 9], n_epochs=10)
    maps = np.load("y.npz")
    assert sorted(maps) == ["null_0", "panel_0", "panel_1"]
    for name, embedding in found.arrays().items():
        np.testing.assert_array_equal(maps[name], embedding)
    rows = json.loads(Path("y.json").read_text())
    assert [row["preservation"] for row in rows] == [r["preservation"] for r in found.table()]


@pytest.mark.parametrize("ending", [".pdf", ".svg"])
def test_pictures(ending: str) -> None:
    assert run([*UMAP, "--out", f"y{ending}", "--quiet"]) == 0
    assert Path(f"y{ending}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "points"),
    [
        pytest.param([], ["data", "data", "noise"], id="one"),
        pytest.param(["--no-null"], ["data", "data"], id="none"),
        pytest.param(["--each-null"], ["data", "data", "noise", "noise"], id="each"),
        pytest.param(["--seeds", "0,1", "--no-null"], ["data"] * 4, id="seeds"),
        pytest.param(["--min-dist", "0,0.5,1", "--no-null"], ["data"] * 6, id="grid"),
    ],
)
def test_panels(options: list[str], points: list[str]) -> None:
    assert [row["points"] for row in table(*UMAP, *options)] == points


def test_tsne_with_several_scales() -> None:
    command = ["sweep", "x.npy", "--perplexity", "5,9.5,5+15", "--max-iter", "20", "--no-null"]
    rows = table(*command)
    assert [row["perplexity"] for row in rows] == [5, 9.5, [5, 15]]
    assert all("kl" in row for row in rows)


@pytest.mark.parametrize("where", ["file", "column"])
def test_labels(where: str) -> None:
    Path("classes.txt").write_text("\n".join(CLASSES) + "\n")
    lines = [",".join([c, *map(str, row)]) for c, row in zip(CLASSES, X, strict=True)]
    Path("x.csv").write_text("\n".join(["kind,a,b,c,d,e", *lines]) + "\n")
    source, labels = ("x.npy", "classes.txt") if where == "file" else ("x.csv", "kind")
    rows = table("sweep", source, *UMAP[2:], "--labels", labels, "--out", "y.png")
    assert all(("accuracy" in row) == (row["points"] == "data") for row in rows)


def test_many_numbers_are_values() -> None:
    Path("v.txt").write_text("\n".join(f"{v:.4f}" for v in X[:, 0]) + "\n")
    rows = table(*UMAP, "--labels", "v.txt", "--out", "y.png")
    assert "accuracy" not in rows[0]


def test_rows_at_random() -> None:
    command = [*UMAP, "--rows", "40", "--embeddings", "y.npz", "--quiet"]
    assert run(command) == 0
    first = np.load("y.npz")["panel_0"]
    assert first.shape == (40, 2)
    assert run([*command, "--seed", "1"]) == 0
    assert not np.array_equal(np.load("y.npz")["panel_0"], first)


def test_a_built_in_data_set_brings_its_classes() -> None:
    rows = table("sweep", "digits", "--rows", "200", *UMAP[2:], "--no-null")
    assert rows[0]["accuracy"] > 0.5


def test_a_missing_data_set_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(datasets.fashion_mnist, "__defaults__", (tmp_path / "nothing",))
    assert run(["sweep", "fashion-mnist", "--out", "y.png"]) == 2
    assert "apt-get install dataset-fashion-mnist" in capfd.readouterr().err


def test_it_prints_a_table_and_what_it_did(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*UMAP, "--out", "y.png"]) == 0
    shown = capfd.readouterr()
    heads, *rows = shown.out.splitlines()
    assert heads.split() == ["points", "n_neighbors", "min_dist", "seed", "preservation", "seconds"]
    assert [row.split()[:2] for row in rows] == [["data", "5"], ["data", "9"], ["noise", "9"]]
    assert "n_neighbors 5: " in shown.err
    assert "60 x 5: 3 panels in" in shown.err


def test_quiet_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*UMAP, "--out", "y.png", "--quiet"]) == 0
    assert capfd.readouterr().out == ""


OUT = ["--out", "y.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["x.npy"], "nothing to write", id="no output"),
        pytest.param(["no.npy", *OUT], "no such file", id="no input"),
        pytest.param(["x.npy", "--out", "y.npy"], "ending", id="picture ending"),
        pytest.param(["x.npy", "--json", "y.txt"], "ending", id="json ending"),
        pytest.param(["x.npy", "--embeddings", "x.npy"], "ending", id="coordinates' ending"),
        pytest.param(["x.npy", *OUT, "--n-neighbors", "5"], "--method umap only", id="umap's"),
        pytest.param(
            ["x.npy", *OUT, "--method", "umap", "--tol", "1"], "--method tsne only", id="tsne's"
        ),
        pytest.param(["x.npy", *OUT, "--perplexity", "5,b"], "numbers with commas", id="text"),
        pytest.param(["x.npy", *OUT, "--perplexity", "5,"], "numbers with commas", id="comma"),
        pytest.param(["x.npy", *OUT, "--perplexity", "5,60"], "perplexity=60", id="perplexity"),
        pytest.param(["x.npy", *OUT, "--perplexity", "5,5"], "twice", id="twice"),
        pytest.param(["x.npy", *OUT, "--seeds", "0.5"], "random_state=0.5", id="seed"),
        pytest.param(["x.npy", *OUT, "--metric", "manhattan"], "null=False", id="metric"),
        pytest.param(["x.npy", *OUT, "--method", "pca"], "tsne", id="method"),
        pytest.param(["x.npy", *OUT, "--no-null", "--each-null"], "one of them", id="null"),
        pytest.param(["x.npy", *OUT, "--labels", "kind"], "no such file", id="labels"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["sweep", *arguments, "--quiet"]) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert os.listdir(folder) == ["x.npy"]


INTERRUPT = """
import os, signal, threading
from contextlib import contextmanager
from fastxai import cli, progress
plain = progress.Progress.stage
@contextmanager
def stage(self, name, total=None):
    with plain(self, name, total) as advance:
        if name == "layout":
            print("begun", flush=True)
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        yield advance
progress.Progress.stage = stage
cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_it_without_output(folder: Path) -> None:
    np.save("x.npy", np.random.default_rng(0).normal(size=(3000, 10)).astype(np.float32))
    command = [sys.executable, "-c", INTERRUPT, *UMAP[:-1], "9000", "--out", "y.png"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "begun" in done.stdout, done.stderr
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "fastxai: interrupted"
    assert os.listdir(folder) == ["x.npy"]
