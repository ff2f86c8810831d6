"""``fastxai bench``: measured in fresh processes, shown side by side, nothing stops the rest."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastxai.bench import compare, contestants, tables
from fastxai.bench.child import load_tasks
from fastxai.bench.compare import Comparison
from fastxai.bench.contestants import Contestant, find
from fastxai.bench.harness import ChildError, ChildTimeout, measure
from fastxai.cli import run
from fastxai.errors import InvalidInputError

RNG = np.random.default_rng(0)
CLASSES = np.repeat(["left", "right"], 60)
X = (RNG.normal(size=(120, 5)) + 4 * (CLASSES == "left")[:, None]).astype(np.float32)

TASKS = """
import os, sys, time
def talk(stages, text):
    print("a library prints")
    os.write(1, b"and so does compiled code\\n")
    with stages("work"):
        time.sleep(0.05)
    return {"said": text, "path": sys.path[0], "threads": os.environ.get("OMP_NUM_THREADS")}
def fail(stages):
    raise ValueError("no good")
def sleep(stages, note):
    open(note, "w").write(str(os.getpid()))
    time.sleep(60)
TASKS = {"talk": talk, "fail": fail, "sleep": sleep}
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    file = tmp_path / "tasks.py"
    file.write_text(TASKS)
    return file


# --- processes ---------------------------------------------------------------------------


def test_a_task_answers_whatever_libraries_print(
    tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = measure(sys.executable, tasks, "talk", {"text": "ü"}, patience=60)
    assert found["said"] == "ü"
    assert found["wall"] > found["stages"]["work"] >= 0.05
    assert found["stages"]["start"] > 0
    assert found["peak"] > 1e6
    assert found["threads"] is None, "the caller's settings are not the user's"
    assert Path(found["path"]) != Path(compare.__file__).parent, "our files hide no library"


def test_a_task_that_fails_says_why(tasks: Path) -> None:
    with pytest.raises(ChildError, match="no good"):
        measure(sys.executable, tasks, "fail", {}, patience=60)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_task_that_takes_too_long_is_ended(tasks: Path, tmp_path: Path) -> None:
    note = tmp_path / "note"
    with pytest.raises(ChildTimeout, match="2 s"):
        measure(sys.executable, tasks, "sleep", {"note": str(note)}, patience=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_the_tasks_of_fits_need_no_fastxai() -> None:
    from fastxai.bench import fits

    program = (
        "import sys; sys.modules['fastxai'] = None\n"
        "import importlib.util as u\n"
        f"s = u.spec_from_file_location('tasks', {fits.__file__!r})\n"
        "m = u.module_from_spec(s); s.loader.exec_module(m); print(*m.TASKS)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "fit", done.stderr
    assert list(load_tasks(fits.__file__)) == ["fit"]


# --- who takes part ----------------------------------------------------------------------


def test_peers_are_found_here_and_those_absent_are_named() -> None:
    found, absent = find(["tsne", "pca"], ["sklearn", "umap-learn"])
    assert [(one.method, one.library) for one in found] == [
        ("tsne", "fastxai"),
        ("tsne", "sklearn"),
        ("pca", "fastxai"),
        ("pca", "sklearn"),
    ]
    assert all(one.python == sys.executable for one in found)
    assert len(absent) == 1
    assert absent[0].startswith("umap-learn")


def test_another_interpreter_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    have = {"there": {"openTSNE": "1.0"}, sys.executable: {"openTSNE": "0.5", "fastxai": "9"}}

    def versions(python: str, names: tuple[str, ...]) -> dict[str, str]:
        return {"python": "3", **{k: v for k, v in have[python].items() if k in names}}

    monkeypatch.setattr(contestants, "versions", versions)
    found, _ = find(["tsne"], ["openTSNE"], "there")
    assert [(one.python, one.version) for one in found] == [(sys.executable, "9"), ("there", "1.0")]


@pytest.mark.parametrize(
    ("methods", "against", "python", "message"),
    [
        (["lda"], ["sklearn"], None, "umap, tsne, pca"),
        (["pca"], ["cuml"], None, "openTSNE"),
        (["pca", "pca"], ["sklearn"], None, "at most once"),
        ([], ["sklearn"], None, "at most once"),
        (["pca"], ["sklearn"], "/no/python", "no Python"),
    ],
)
def test_unknown_names(
    methods: list[str], against: list[str], python: str | None, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        find(methods, against, python)


# --- the loop ----------------------------------------------------------------------------

PCA = [Contestant(name, "pca", sys.executable, "1") for name in ("fastxai", "sklearn")]


def _comparison(
    folder: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, seeds: int = 2
) -> Comparison:
    """One whose processes are answered for."""

    def measured(python: str, file: str, task: str, given: dict[str, Any], **_: Any) -> Any:
        answer(given)
        np.save(given["out"], X[:, :2])
        figures = {"wall": 2.0, "peak": 1e8, "cpu": 1.0, "said_compiling": False}
        calls = [1.0, 0.5] if given["again_within"] else [1.0]
        return {**figures, "calls": calls, "stages": {"import": 0.3}}

    monkeypatch.setattr(compare, "measure", measured)
    quiet: Any = lambda anything: None  # noqa: E731
    options = {"seeds": seeds, "timeout": 90, "folder": folder, "say": quiet, "keep": quiet}
    return Comparison(X, CLASSES, PCA, **options)


def test_contestants_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = _comparison(tmp_path, monkeypatch, lambda given: None)
    comparison.run()
    turns = [(run["seed"], run["library"], run["warm"]) for run in comparison.runs]
    assert turns == [
        (0, "fastxai", 0.5),
        (0, "sklearn", 0.5),
        (1, "fastxai", None),
        (1, "sklearn", None),
    ]
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == [
        f"pca-{library}-{seed}.npy" for library in ("fastxai", "sklearn") for seed in (0, 1)
    ]


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (ChildError("fits fit ended with 1:\nTraceback\nValueError: no"), "failed", "ValueError"),
        (ChildError("fits fit ended with -9:\n"), "failed", "memory"),
        (ChildTimeout("fits fit took over 90 s: ended"), "timeout", "over 90 s"),
    ],
    ids=["fails", "killed", "too slow"],
)
def test_one_that_fails_is_recorded_and_not_asked_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: ChildError,
    state: str,
    reason: str,
) -> None:
    def answer(given: dict[str, Any]) -> None:
        if given["library"] == "sklearn":
            raise error

    comparison = _comparison(tmp_path, monkeypatch, answer, seeds=3)
    comparison.run()
    runs = comparison.runs
    assert [run["library"] for run in runs] == ["fastxai", "sklearn", "fastxai", "fastxai"]
    assert runs[1]["state"] == state
    assert reason in runs[1]["reason"]
    page = tables.markdown(comparison.result("x.npy", "fastxai bench"))
    assert reason in page
    assert "| label accuracy | 1.000" in page


def test_an_interrupt_keeps_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(given: dict[str, Any]) -> None:
        if given["library"] == "sklearn":
            raise KeyboardInterrupt

    comparison = _comparison(tmp_path, monkeypatch, answer)
    with pytest.raises(KeyboardInterrupt):
        comparison.run()
    assert [run["state"] for run in comparison.runs] == ["done", "interrupted"]
    heads, rows = tables.table(comparison.result("x", "c"), "pca")
    assert heads == ["PCA", "fastxai 1", "sklearn 1"]
    assert ["first call", "1.00 s", "–"] in rows
    assert not (tmp_path / "maps" / ".data.npy").exists()


def test_the_table_has_medians_multiples_and_the_spread_of_seeds() -> None:
    def one(library: str, seed: int, first: float, value: float) -> dict[str, Any]:
        quality = {"trustworthiness": {"value": value, "low": value - 0.01, "high": value + 0.01}}
        times = {"first": first, "warm": None if seed else 0.05, "import": 1.0, "peak": 2e9}
        run = {"method": "umap", "library": library, "seed": seed, "state": "done"}
        return {**run, **times, "quality": quality}

    runs = [one("fastxai", s, f, v) for s, f, v in ((0, 1, 0.9), (1, 2, 0.8), (2, 9, 0.7))]
    runs.append(one("umap-learn", 0, 25, 0.8))
    result = {"runs": runs, "versions": {"fastxai": "1", "umap-learn": "0.5"}}
    _, rows = tables.table(result, "umap")
    assert ["first call", "2.00 s", "25.0 s (12.5×)"] in rows
    assert ["warm call", "50 ms", "50 ms (1.0×)"] in rows
    assert ["peak memory", "2.00 GB", "2.00 GB (1.0×)"] in rows
    assert ["trustworthiness", "0.800 ± 0.100", "0.800 ± 0.010"] in rows


@pytest.mark.parametrize("n", [20, 1000])
def test_the_perplexity_suits_few_points(n: int) -> None:
    params = Contestant("sklearn", "tsne", "python", "1").params(n)
    assert params == ({"perplexity": 19 / 3} if n == 20 else {})


# --- the command -------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    Path("classes.txt").write_text("\n".join(CLASSES) + "\n")
    return tmp_path


def test_the_command_measures_draws_and_writes(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "x.npy", "--method", "tsne,pca", "--against", "sklearn", "--seeds", "1"]
    assert run([*command, "--rows", "100", "--labels", "classes.txt", "--out", "found"]) == 0
    shown = capfd.readouterr()
    for text in ("t-SNE", "PCA", "sklearn", "first call", "KL divergence", "label accuracy"):
        assert text in shown.out
    assert "tsne sklearn, seed 0:" in shown.err
    result = json.loads(Path("found/bench.json").read_text())
    assert {run["state"] for run in result["runs"]} == {"done"}
    assert (result["data"]["points"], result["data"]["name"]) == (100, "x.npy")
    divergences = [r["quality"]["kl_divergence"]["value"] for r in result["runs"][:2]]
    assert divergences[0] == pytest.approx(divergences[1], abs=0.1)
    ours, theirs = (np.load(f"found/maps/pca-{name}-0.npy") for name in ("fastxai", "sklearn"))
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-3)
    assert Path("found/bench.png").read_bytes().startswith(b"\x89PNG")
    assert "![the maps side by side](bench.png)" in Path("found/bench.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["no.npy"], "no such file", id="no input"),
        pytest.param(["x.npy", "--method", "lda"], "umap, tsne, pca", id="method"),
        pytest.param(["x.npy", "--against", "cuml"], "openTSNE", id="peer"),
        pytest.param(["x.npy", "--out", "x.npy/found"], "x.npy/found", id="out"),
        pytest.param(["x.npy", "--labels", "kind"], "no such file", id="labels"),
    ],
)
def test_bad_input_is_one_line(
    folder: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["bench", *arguments]) == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert message in error


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_the_child_and_keeps_what_was_measured(folder: Path) -> None:
    psutil = pytest.importorskip("psutil")
    np.save("big.npy", RNG.normal(size=(2500, 10)).astype(np.float32))
    words = ["bench", "big.npy", "--method", "tsne", "--against", "sklearn", "--out", "found"]
    program = "import sys; from fastxai.cli import main; main()"
    command = [sys.executable, "-c", program, *words]
    parent = psutil.Popen(command, stderr=subprocess.DEVNULL)
    theirs = None
    while theirs is None and parent.is_running():
        time.sleep(0.05)
        for process in parent.children():
            with contextlib.suppress(psutil.Error):  # one that ends meanwhile
                # The measured run, and not the child that only asks for its version.
                words = " ".join(process.cmdline())
                fits = "fits.py" in words and '"library": "sklearn"' in words
                theirs = process if fits else theirs
    time.sleep(0.5)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(20) == 130
    assert theirs is not None
    assert not theirs.is_running()
    runs = json.loads(Path("found/bench.json").read_text())["runs"]
    assert [run["state"] for run in runs] == ["done", "interrupted"]
    assert not list(Path("found/maps").glob(".*"))


def test_other_work_on_the_machine_is_told() -> None:
    result: dict[str, Any] = {"runs": [{"busy_before": 0.1}, {"busy_before": None}, {}]}
    assert tables.disturbance(result) is None
    result["runs"].append({"busy_before": 1.4})
    assert "kept up to 1.4 cores at work" in str(tables.disturbance(result))


def test_cores_in_use_are_counted() -> None:
    from fastxai.bench.machine import cores_in_use

    found = cores_in_use(0.05)
    assert found is None or 0 <= found <= (os.cpu_count() or 1)
