"""What the machine grants: the smallest of all limits counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fastxai import system
from fastxai.errors import NotEnoughMemoryError

GIB = 2**30


def cgroup(folder: Path, limit: str, usage: int, cache: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\n")
    return folder


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param(["max"], None, id="no limit"),
        pytest.param([str(8 * GIB)], 6 * GIB, id="limit"),
        pytest.param(["max", str(8 * GIB)], 6 * GIB, id="limit of a folder above"),
        pytest.param([str(4 * GIB), str(8 * GIB)], 2 * GIB, id="the smaller one"),
    ],
)
def test_container_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: list[str], expected: int | None
) -> None:
    names = ("memory.max", "memory.current")
    folders = [
        (cgroup(tmp_path / str(i), limit, 3 * GIB, GIB), *names) for i, limit in enumerate(limits)
    ]
    monkeypatch.setattr(system, "_cgroup_folders", lambda: iter(folders))
    assert system._cgroup_memory() == expected


def test_require_memory_names_both_figures_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "available_memory", lambda: 2 * GIB)
    system.require_memory(GIB, "UMAP", "use fewer points")
    with pytest.raises(NotEnoughMemoryError, match=r"UMAP .* 3\.0 GiB .* 2\.0 GiB .* fewer points"):
        system.require_memory(3 * GIB, "UMAP", "use fewer points")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_ulimit_counts() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30));"
        "from fastxai.system import available_memory; assert 0 < available_memory() < 2**30"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
