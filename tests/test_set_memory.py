"""Memory that is kept between batches, and given back at the end."""

from __future__ import annotations

import gc
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from fastxai.image_sets.memory import kept_memory

resource = pytest.importorskip("resource")
_LARGE = 64 * 2**20  # bytes
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc"),
]


def use() -> int:
    """Ask for much memory, write to it and let it go: the page faults of that."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(_LARGE, np.uint8).fill(1)
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_memory_that_was_let_go_serves_again_without_faults() -> None:
    with kept_memory():
        use()
        assert use() < 100  # of 16,384 pages


def test_memory_is_given_back_at_the_end() -> None:
    gc.collect()
    before = resident()
    with kept_memory():
        use()
        assert resident() > before + _LARGE / 2
    assert resident() < before + _LARGE / 2


def test_the_last_of_several_runs_gives_it_back() -> None:
    with kept_memory():
        with kept_memory():
            use()
        assert use() < 100


def test_what_the_user_has_set_up_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastxai.image_sets import memory

    assert memory._glibc() is not None
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")
    assert memory._glibc() is None
