"""The command: what it writes, its exit codes, one-line errors, and Ctrl-C in every stage."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fastxai import datasets
from fastxai.cli import run

X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
X[:30] += 5
CLASSES = np.repeat(["left", "right"], 30)
FAST = ["--n-neighbors", "5", "--n-epochs", "20", "--quiet"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with some points in it."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    return tmp_path


OPTIONS = {
    "umap": FAST,
    "tsne": ["--perplexity", "5+10", "--max-iter", "30", "--quiet"],
    "pca": ["--quiet"],
}


@pytest.mark.parametrize("method", OPTIONS)
def test_embed_writes_the_embedding_and_the_picture(folder: Path, method: str) -> None:
    options = OPTIONS[method]
    command = ["embed", "x.npy", "--method", method, "--out", "y.npy", "--plot", "y.png"]
    assert run([*command, *options]) == 0
    assert np.load("y.npy").shape == (60, 2)
    assert Path("y.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(os.listdir(folder)) == ["x.npy", "y.npy", "y.png"]


@pytest.mark.parametrize("ending", [".npz", ".csv", ".parquet"])
def test_output_formats_hold_the_same(ending: str) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    from fastxai.io import load_matrix

    for out in ("y.npy", f"y{ending}"):
        assert run(["embed", "x.npy", "--method", "pca", "--out", out, "--quiet"]) == 0
    np.testing.assert_array_equal(load_matrix(f"y{ending}").values, np.load("y.npy"))


def test_quiet_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["embed", "x.npy", "--out", "y.npy", *FAST]) == 0
    assert capfd.readouterr().out == ""


def test_progress_names_the_stages(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["embed", "x.npy", "--out", "y.npy", *FAST[:-1]]) == 0
    shown = capfd.readouterr().err
    for stage in ("neighbours", "fuzzy set", "spectral", "layout", "60 x 5 embedded in", "y.npy"):
        assert stage in shown


def test_the_seed_decides() -> None:
    for seed, out in (("1", "a.npy"), ("1", "b.npy"), ("2", "c.npy")):
        assert run(["embed", "x.npy", "--out", out, "--seed", seed, *FAST]) == 0
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    assert not np.array_equal(np.load("a.npy"), np.load("c.npy"))


def _csv_column() -> str:
    rows = [",".join([c, *(f"{v:.6g}" for v in row)]) for c, row in zip(CLASSES, X, strict=True)]
    Path("x.csv").write_text("\n".join(["kind,a,b,c,d,e", *rows]) + "\n")
    return "x.csv"


@pytest.mark.parametrize("where", ["file", "column"])
def test_labels(where: str) -> None:
    Path("classes.txt").write_text("\n".join(CLASSES) + "\n")
    source, labels = ("x.npy", "classes.txt") if where == "file" else (_csv_column(), "kind")
    command = ["embed", source, "--labels", labels, "--out", "y.npy", "--plot", "y.png"]
    assert run([*command, "--method", "pca", "--quiet"]) == 0
    assert np.load("y.npy").shape == (60, 2)


def _with_nan() -> None:
    bad = X.copy()
    bad[3, 1] = np.nan
    np.save("x.npy", bad)


def _truncated() -> None:
    Path("x.npy").write_bytes(Path("x.npy").read_bytes()[:-9])


def _short_labels() -> None:
    Path("classes.txt").write_text("a\nb\n")


OUT = ["--out", "y.npy"]


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        pytest.param(None, ["embed", "x.npy"], "nothing to write", id="no output"),
        pytest.param(None, ["embed", "no.npy", *OUT], "no such file", id="no input"),
        pytest.param(None, ["embed", "x.npy", "--out", "no/y.npy"], "no folder", id="no folder"),
        pytest.param(None, ["embed", "x.npy", "--out", "y.doc"], "ending", id="output ending"),
        pytest.param(None, ["embed", "x.npy", "--plot", "y.npy"], "ending", id="picture ending"),
        pytest.param(None, ["embed", "x.npy", "--nonsense"], "No such option", id="option"),
        pytest.param(None, ["nonsense"], "No such command", id="command"),
        pytest.param(
            None, ["embed", "x.npy", *OUT, "--metric", "nonsense"], "euclidean", id="metric"
        ),
        pytest.param(None, ["embed", "x.npy", *OUT, "--init", "nonsense"], "spectral", id="init"),
        pytest.param(
            None,
            ["embed", "x.npy", *OUT, "--method", "pca", "--min-dist", "1"],
            "umap only",
            id="pca with umap's options",
        ),
        pytest.param(
            None,
            ["embed", "x.npy", *OUT, "--method", "umap", "--perplexity", "9", "--tol", "1"],
            "--perplexity, --tol: for --method tsne only",
            id="umap with t-SNE's options",
        ),
        pytest.param(
            None,
            ["embed", "x.npy", *OUT, "--method", "tsne", "--perplexity", "9+b"],
            "'9+b' is no number",
            id="perplexity",
        ),
        pytest.param(
            None,
            ["embed", "x.npy", *OUT, "--method", "tsne", "--perplexity", "60"],
            "perplexity (60) must be less than n_samples (60)",
            id="perplexity of n",
        ),
        pytest.param(
            None,
            ["embed", "x.npy", "--plot", "y.png", "--n-components", "3"],
            "two components",
            id="picture of three components",
        ),
        pytest.param(_with_nan, ["embed", "x.npy", *OUT], "NaN", id="NaN"),
        pytest.param(_truncated, ["embed", "x.npy", *OUT], "truncated", id="truncated"),
        pytest.param(
            _short_labels,
            ["embed", "x.npy", "--plot", "y.png", "--labels", "classes.txt"],
            "2 labels for 60 points",
            id="mismatched labels",
        ),
        pytest.param(
            None,
            ["embed", "x.npy", "--plot", "y.png", "--labels", "kind"],
            "no such file",
            id="labels that are nowhere",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    prepare: Callable[[], None] | None,
    arguments: list[str],
    message: str,
) -> None:
    if prepare is not None:
        prepare()
    before = sorted(os.listdir(folder))
    assert run([*arguments, "--quiet"] if arguments[0] == "embed" else arguments) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(os.listdir(folder)) == before


def test_too_little_memory_is_refused_with_the_figure(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fastxai.system.available_memory", lambda: 1000)
    assert run(["embed", "x.npy", *OUT, *FAST]) == 1
    error = capfd.readouterr().err
    assert "GiB" in error
    assert not Path("y.npy").exists()


INTERRUPT = """
import os, signal, threading
from contextlib import contextmanager
from fastxai import cli, progress
plain = progress.Progress.stage
@contextmanager
def stage(self, name, total=None):
    with plain(self, name, total) as advance:
        if name == STAGE:
            print("begun", flush=True)
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        yield advance
progress.Progress.stage = stage
cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("stage", ["neighbours", "fuzzy set", "spectral", "layout"])
def test_ctrl_c_ends_it_without_output(folder: Path, stage: str) -> None:
    rows = np.random.default_rng(0).normal(size=(8000, 20)).astype(np.float32)
    np.save("big.npy", rows)
    program = INTERRUPT.replace("STAGE", repr(stage))
    command = [sys.executable, "-c", program, "embed", "big.npy", "--out", "y.npy"]
    done = subprocess.run(
        [*command, "--n-epochs", "2000"], capture_output=True, text=True, timeout=120
    )
    assert "begun" in done.stdout, done.stderr
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "fastxai: interrupted"
    assert sorted(os.listdir(folder)) == ["big.npy", "x.npy"]


LONG_CALL = """
import os, signal, threading
import numpy as np
from fastxai import _interrupt, io
matrix = np.random.default_rng(0).random((3000, 3000))
_interrupt.end_soon_after_interrupt()
with io.atomic_write("y.npy"):
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    np.linalg.eig(matrix)  # half a minute in LAPACK
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_a_long_call_of_compiled_code(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LONG_CALL], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 130
    assert done.stderr == "fastxai: interrupted\n"
    assert os.listdir(folder) == ["x.npy"]


def test_demo_of_the_digits(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", "digits.png", "--quiet"]) == 0
    assert Path("digits.png").stat().st_size > 10_000
    assert "1,797 x 64" in capfd.readouterr().out


def test_demo_says_how_to_install_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(datasets.fashion_mnist, "__defaults__", (tmp_path / "nothing",))
    assert run(["demo", "--data", "fashion-mnist"]) == 2
    assert "apt-get install dataset-fashion-mnist" in capfd.readouterr().err


def test_info(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["info"]) == 0
    shown = capfd.readouterr().out
    for name in ("fastxai:", "CPU:", "threads:", "memory:", "GPU:", "kernels:", "numba"):
        assert name in shown


def test_warmup_compiles_everything(capfd: pytest.CaptureFixture[str]) -> None:
    from fastxai_kernels.cpu import _warm

    assert run(["warmup"]) == 0
    assert f"{len(_warm.kernel_names())} kernels in" in capfd.readouterr().out
    assert _warm.cached_names() == _warm.kernel_names()


@pytest.mark.parametrize("arguments", [["--help"], ["embed", "--help"], ["--version"]])
def test_help(arguments: list[str]) -> None:
    assert run(arguments) == 0


def test_the_installed_command() -> None:
    command = Path(sys.executable).with_name("fastxai")
    if not command.exists():
        pytest.skip("the package was not installed as a command")
    done = subprocess.run([command, "embed", "no.npy"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(
    not datasets.FASHION_MNIST.is_dir(),
    reason="needs the Debian package dataset-fashion-mnist",
)
def test_fashion_mnist_and_its_crops(folder: Path) -> None:
    clothes = datasets.fashion_mnist()
    assert clothes.data.shape == (70_000, 784)
    assert np.bincount(clothes.target).tolist() == [7000] * 10
    crops = datasets.fashion_crops("crops.npy")
    assert crops.data.shape == (1_050_000, 196)
    image = clothes.data[1].reshape(28, 28)
    np.testing.assert_array_equal(crops.data[15 + 4].reshape(14, 14), image[4:18, 7:21])
    assert crops.target[15] == clothes.target[1]


@pytest.mark.parametrize(
    "labels, shown",
    [
        (["a", "b", "a"], "labels"),
        ([0, 1, 1], "labels"),
        ([0.0, 1.0, np.nan], "labels"),
        ([0.5, 1.0, 1.0], "values"),
        (list(range(60)), "values"),
    ],
    ids=["text", "whole numbers", "whole numbers, one missing", "decimals", "many"],
)
def test_what_labels_are_shown_as(labels: list[object], shown: str) -> None:
    from fastxai._cli_shared import colours

    assert list(colours(labels)) == [shown]
