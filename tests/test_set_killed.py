"""Runs in processes of their own: killed at any moment, interrupted, two at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import killed_sets
import numpy as np
import pytest
from killed_sets import parts
from PIL import Image
from small_sets import digests
from small_sets import images as small_images

import fastxai
from fastxai import _cli_explain_set, cli

_HERE = Path(__file__).resolve().parent
_PATIENCE = 60  # seconds for what takes three
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that nobody interrupted."""
    return killed_sets.run(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def expected(whole: Any) -> dict[str, str]:
    return digests(whole.path)


_started: list[subprocess.Popen[str]] = []


@pytest.fixture(scope="module", autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    for process in _started:
        if process.poll() is None:
            process.kill()


def start(*words: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(_HERE.parent), str(_HERE.parent / "kernels"), str(_HERE)])
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    _started.append(process)
    return process


def begin(out: Path) -> subprocess.Popen[str]:
    """A process that explains a batch or two, and is stuck."""
    return start("-c", f"import killed_sets; killed_sets.stuck({str(out)!r})")


def wait_for(true: Callable[[], Any]) -> Any:
    until = time.monotonic() + _PATIENCE
    while not (found := true()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)
    return found


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=_PATIENCE)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """One process, held at a moment in each of many outputs, and killed: folder to moment."""
    root = tmp_path_factory.mktemp("killed")
    process = start(str(_HERE / "killed_sets.py"), str(root))
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    kill(process)
    return root, json.loads(line)


@pytest.mark.parametrize(
    "moment",
    [
        "open .manifest.tmp.json w",  # while it is being written
        "open maps.zarr/gradcam/c/0/0/.0.tmp r+",
        "os.remove maps.zarr/thumbnails/c/4/0/0/.0.tmp",  # chunks are there, their part is not
        "os.remove table/.part-000000.tmp.parquet",
        "open .table.tmp.parquet r+",  # while the parts are joined
        "os.rmdir table",
    ],
)
def test_processes_are_killed_at_this_moment(
    killed: tuple[Path, dict[str, str]], moment: str
) -> None:
    assert moment in killed[1].values()


def test_what_a_killed_process_left_can_be_read(
    whole: Any, killed: tuple[Path, dict[str, str]]
) -> None:
    root, moments = killed
    began = [name for name in moments if (root / name / "manifest.json").exists()]
    assert len(began) > len(moments) / 3
    for name in began:
        there = fastxai.open_results(root / name)
        rows = np.asarray(there.table.index)
        np.testing.assert_array_equal(there.take(rows), whole.take(rows), moments[name])
        assert there.table.equals(whole.table.loc[rows]), moments[name]


def test_killed_at_any_moment_a_run_continues_to_the_same_bytes(
    killed: tuple[Path, dict[str, str]], tmp_path: Path, expected: dict[str, str]
) -> None:
    root, moments = killed
    different = {}
    for name, moment in moments.items():
        shutil.copytree(root / name, tmp_path / name)
        killed_sets.run(tmp_path / name)
        found = digests(tmp_path / name)
        files = {f for f in found.keys() | expected.keys() if found.get(f) != expected.get(f)}
        if files:
            different[moment] = files
    assert not different


class Story(NamedTuple):
    """What became of two processes that were started on one output."""

    refused: str
    winner: int
    after_kill: int
    after_interrupt: int
    at_interrupt: int
    interrupted: int
    out: Path


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Two processes at once, of which one goes on and is killed; a third is interrupted."""
    out = tmp_path_factory.mktemp("story") / "run"
    both = [begin(out), begin(out)]
    wait_for(lambda: any(process.poll() is not None for process in both))
    loser, winner = sorted(both, key=lambda process: process.poll() is None)
    refused = loser.communicate()[1]
    assert winner.poll() is None, (refused, winner.communicate()[1])
    wait_for(lambda: parts(out) >= 1)
    kill(winner)
    after_kill = parts(out)
    third = begin(out)
    at_interrupt = wait_for(lambda: parts(out) > after_kill and parts(out))
    third.send_signal(signal.SIGINT)
    third.communicate(timeout=_PATIENCE)
    return Story(refused, winner.pid, after_kill, parts(out), at_interrupt, third.returncode, out)


def test_of_two_processes_at_once_one_is_refused_and_told_who_writes(story: Story) -> None:
    assert f"StorageError: {story.out}: process {story.winner} on " in story.refused


def test_a_killed_run_keeps_what_is_published(story: Story) -> None:
    assert 1 <= story.after_kill < 5


def test_ctrl_c_ends_within_a_batch(story: Story) -> None:
    assert story.interrupted in (-signal.SIGINT, 128 + signal.SIGINT)
    assert story.at_interrupt <= story.after_interrupt <= story.at_interrupt + 1


def test_killed_and_interrupted_a_run_continues_to_the_same_bytes(
    story: Story, tmp_path: Path, expected: dict[str, str]
) -> None:
    shutil.copytree(story.out, tmp_path / "run")
    killed_sets.run(tmp_path / "run")
    assert digests(tmp_path / "run") == expected


# --- the command ---------------------------------------------------------------------------


def command(photos: Path, out: Path) -> list[str]:
    words = ["explain", str(photos), "--model", "killed_sets:stuck_net", "--out", str(out)]
    return [*words, "--preprocess", "size=16,crop=1", "--batch-size", str(killed_sets.BATCH)]


def test_the_command_ends_at_ctrl_c_says_how_to_go_on_and_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "run"
    photos.mkdir()
    for i, pixels in enumerate(small_images(killed_sets.N)):
        Image.fromarray((pixels * 255).astype(np.uint8).transpose(1, 2, 0)).save(
            photos / f"{i}.png"
        )
    program = "import sys; from fastxai import cli; sys.exit(cli.run(sys.argv[1:]))"
    process = start("-c", program, *command(photos, out), "--threads", "1")
    wait_for(lambda: parts(out))
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=_PATIENCE)[1]
    assert process.returncode == 128 + signal.SIGINT
    assert f"the same command continues {out}" in said
    assert fastxai.open_results(out).done == killed_sets.BATCH
    monkeypatch.setenv("FASTXAI_TEST_STUCK_AFTER", "1000")
    monkeypatch.syspath_prepend(str(_HERE))
    monkeypatch.setattr(_cli_explain_set, "draw_sheets", lambda *_: [])  # takes its time
    for folder in (out, tmp_path / "again"):
        assert cli.run([*command(photos, folder), "--threads", "1", "--quiet"]) == 0
    assert digests(out) == digests(tmp_path / "again")
