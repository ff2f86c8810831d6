"""Memory that a batch gave back is kept for the next one, which asks for the same."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ..explain.threads import process_wide

# Of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
# What glibc arrives at by itself as soon as something as large was freed.
_USUAL_MMAP = 32 * 2**20
_TRIM = "MALLOC_TRIM_THRESHOLD_"
_SET_BY_THE_USER = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", _TRIM)
_SET_BY_DASK = "65536"  # what its workers find in _TRIM, unasked


def kept_memory() -> AbstractContextManager[None]:
    """Have the allocator keep what is freed inside the block, and give it back after.

    glibc asks the system for each block of more than 32 MB, and hands it back when it is freed.
    The layers of a network on a batch of photos are such blocks: every layer of every batch is
    then written to pages that the system must find, clear and enter first, one fault for each
    4 KiB, which can take longer than the network itself.  Kept, the same pages serve every
    batch; there are no more of them than the largest batch needs.

    Elsewhere than on glibc, and where the user has set the allocator up, nothing is changed.
    """
    return process_wide("kept memory", _kept)


@contextmanager
def _kept() -> Iterator[None]:
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(_MMAP_THRESHOLD, _NEVER)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP)
        libc.mallopt(_TRIM_THRESHOLD, int(os.environ.get(_TRIM, 2 * _USUAL_MMAP)))
        libc.malloc_trim(0)


def _glibc() -> Any:
    """The C library, if it is glibc and its allocator is as it came."""
    own = [name for name in _SET_BY_THE_USER if name in os.environ]
    if platform.libc_ver()[0] != "glibc" or (own and not _is_dask_worker(own)):
        return None
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
        libc.malloc_trim.argtypes = [ctypes.c_size_t]
    except (OSError, AttributeError):
        return None
    return libc


def _is_dask_worker(own: list[str]) -> bool:
    return own == [_TRIM] and os.environ[_TRIM] == _SET_BY_DASK
