"""Runs on disks that are full, read-only or gone: told, and continued when they are mended."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import killed_sets
import pytest
from killed_sets import parts
from small_sets import digests, small_net

import fastxai
from fastxai.errors import StorageError

resource = pytest.importorskip("resource")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of a run that met with nothing."""
    return digests(killed_sets.run(tmp_path_factory.mktemp("whole") / "run").path)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process can grow beyond ``size`` bytes in the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A disk of its own in a folder; gives what changes its options.  Skips where not allowed."""

    def mount(*words: str) -> int:
        return subprocess.run(["mount", "-t", "tmpfs", *words, "none", folder], check=False,
                              capture_output=True).returncode  # fmt: skip

    if sys.platform != "linux" or os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root may make a disk")
    folder.mkdir()
    if mount("-o", f"size={size}"):
        pytest.skip("no disk can be made here")
    try:
        yield lambda options: subprocess.run(
            ["mount", "-o", f"remount,{options}", folder], check=True
        )
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize(
    "size",
    [0, 600, 1000, 1700, 3000, 9000],
    ids=["lock", "list of images", "manifest", "chunk", "part of the table", "whole table"],
)
def test_a_file_that_can_not_be_written_whole_ends_the_run_which_continues(
    expected: dict[str, str], tmp_path: Path, size: int
) -> None:
    with largest_file(size), pytest.raises(StorageError, match="no space left"):
        killed_sets.run(tmp_path / "run")
    killed_sets.run(tmp_path / "run")
    assert digests(tmp_path / "run") == expected


@pytest.mark.filterwarnings("ignore:.*GiB free:fastxai.FastxaiWarning")
def test_a_full_disk_ends_the_run_which_continues_when_there_is_room(
    expected: dict[str, str], tmp_path: Path
) -> None:
    with disk(tmp_path / "disk", "4k") as change:
        out, done, size = tmp_path / "disk" / "run", [], 4
        while not done or done[-1] < killed_sets.N:
            with pytest.raises(StorageError, match="no space left"):
                killed_sets.run(out)
            begun = (out / "manifest.json").exists()
            done.append(fastxai.open_results(out).done if begun else 0)
            size += 16
            change(f"size={size}k")
        assert len(set(done)) > 2  # it was full at many moments, the last while parts were joined
        change("size=1m")
        killed_sets.run(out)
        assert digests(out) == expected


@contextmanager
def protected(folder: Path) -> Iterator[None]:
    """Nothing can be written into a folder in the block."""
    if os.geteuid():
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    with disk(folder, "1m") as change:
        change("ro")
        yield


def test_a_folder_that_is_read_only_is_told_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    if os.geteuid():
        folder.mkdir()
    seen: list[Any] = []
    net = small_net()
    net.register_forward_pre_hook(lambda *_: seen.append(1))
    with protected(folder), pytest.raises(StorageError, match="can not be written") as error:
        killed_sets.run(folder / "run", net)
    assert str(folder / "run") in str(error.value)
    assert not seen


def after_a_batch(event: Callable[[], Any], out: Path) -> Any:
    """The network; something happens when a batch is on the disk and the next ones are not."""
    happened: list[bool] = []

    def hook(*_: Any) -> None:
        time.sleep(0.1)  # the writer has nothing left to do by now
        if parts(out) and not happened:
            happened.append(True)
            event()

    net = small_net()
    net.register_forward_pre_hook(hook)
    return net


def test_a_disk_that_turns_read_only_is_told(
    expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    def fail() -> None:
        for name in ("open", "replace", "unlink"):
            monkeypatch.setattr(os, name, refuse)

    with pytest.raises(StorageError, match="can not be written: Read-only"):
        killed_sets.run(out, after_a_batch(fail, out))
    monkeypatch.undo()
    assert fastxai.open_results(out).done >= killed_sets.BATCH
    killed_sets.run(out)
    assert digests(out) == expected


def test_a_folder_that_disappears_is_told(expected: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(StorageError, match="can not be written: No such file"):
        killed_sets.run(out, after_a_batch(lambda: shutil.rmtree(out), out))
    killed_sets.run(out)
    assert digests(out) == expected
