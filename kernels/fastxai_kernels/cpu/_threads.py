"""Fixed chunks of rows, shared among threads.

Every compiled loop here is serial, released from the GIL and works on rows
``[start, stop)``.  `parallel_for` cuts ``[0, n)`` into chunks whose borders do not depend
on the number of threads, so neither do the results.  Plain threads (and not Numba's
threading layers) keep compiling short, survive ``fork``, may be entered from several
Python threads at once, and let Ctrl-C fall between two chunks.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

_asked: ContextVar[int | None] = ContextVar("fastxai_threads", default=None)
_pools: dict[int, ThreadPoolExecutor] = {}
# A forked child has none of its parent's threads: it starts pools of its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)


@cache
def _cgroup_quota() -> float:
    """CPUs granted by the container's quota (cgroup v2 or v1); infinity without one."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    folder = Path("/sys/fs/cgroup/cpu")
    try:
        granted = int((folder / "cpu.cfs_quota_us").read_text())
        per = int((folder / "cpu.cfs_period_us").read_text())
        return granted / per if granted > 0 else math.inf
    except (OSError, ValueError):
        return math.inf


def available_threads() -> int:
    """Threads this process may really use: affinity mask, cgroup quota, ``NUMBA_NUM_THREADS``."""
    if limit := os.environ.get("NUMBA_NUM_THREADS"):
        return max(1, int(limit))
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(cpus, _cgroup_quota())))


def thread_count() -> int:
    """Threads that the kernels called from here will use."""
    asked = _asked.get()
    return available_threads() if asked is None else asked


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Within the block kernels use ``count`` threads (None: all that are available)."""
    token = _asked.set(count)
    try:
        yield
    finally:
        _asked.reset(token)


def _pool(workers: int) -> ThreadPoolExecutor:
    if workers not in _pools:
        _pools[workers] = ThreadPoolExecutor(workers, thread_name_prefix="fastxai")
    return _pools[workers]


def parallel_for(work: Callable[..., Any], n: int, grain: int, *arguments: Any) -> None:
    """Call ``work(*arguments, start, stop)`` for the chunks of ``grain`` rows of ``[0, n)``.

    The calling thread works too.  When a chunk raises, or Ctrl-C falls, no new chunk is
    begun, those under way are waited for, and the exception goes to the caller.
    """
    chunks = -(-n // grain)
    workers = min(thread_count(), chunks)
    if workers <= 1:
        for start in range(0, n, grain):
            work(*arguments, start, min(start + grain, n))
        return
    counter = itertools.count()
    stop = False

    def take_chunks() -> None:
        nonlocal stop
        try:
            while not stop and (chunk := next(counter)) < chunks:
                work(*arguments, chunk * grain, min((chunk + 1) * grain, n))
        except BaseException:
            stop = True  # the other threads need not finish what will be thrown away
            raise

    helpers: list[Future[None]] = []
    try:
        for _ in range(workers - 1):
            helpers.append(_pool(workers - 1).submit(take_chunks))
        take_chunks()
    finally:
        stop = True
        # One that has not begun has nothing to do: waiting for it would mean to wait for
        # another caller that keeps the pool busy, or, inside a chunk, for ourselves.
        running = [helper for helper in helpers if not helper.cancel()]
        wait(running)
    for helper in running:
        helper.result()
