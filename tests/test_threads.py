"""Chunks of rows, shared among threads: complete, deterministic, safe to enter from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastxai_kernels.cpu import _threads
from fastxai_kernels.cpu._threads import available_threads, parallel_for, thread_count, threads


def chunks_done(n: int, grain: int, count: int) -> list[tuple[int, int]]:
    done: list[tuple[int, int]] = []
    with threads(count):
        parallel_for(lambda start, stop: done.append((start, stop)), n, grain)
    return sorted(done)


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize(("n", "grain"), [(0, 4), (1, 4), (4, 4), (5, 4), (1000, 7)])
def test_chunks_cover_the_rows_once_whatever_the_threads(n: int, grain: int, count: int) -> None:
    expected = [(start, min(start + grain, n)) for start in range(0, n, grain)]
    assert chunks_done(n, grain, count) == expected


@pytest.mark.parametrize("count", [1, 2, 8])
def test_an_exception_reaches_the_caller_and_stops_the_rest(count: int) -> None:
    begun: list[int] = []

    def work(start: int, stop: int) -> None:
        begun.append(start)
        if start == 3:
            raise ZeroDivisionError

    with threads(count), pytest.raises(ZeroDivisionError):
        parallel_for(work, 1_000_000, 1)
    assert len(begun) < 1_000_000


def test_after_an_exception_the_threads_work_on() -> None:
    def fail(start: int, stop: int) -> None:
        raise ZeroDivisionError

    with threads(4), pytest.raises(ZeroDivisionError):
        parallel_for(fail, 100, 1)
    assert len(chunks_done(100, 1, 4)) == 100


def test_several_callers_at_once() -> None:
    def call(seed: int) -> float:
        values = np.random.default_rng(seed).random(10_000)
        out = np.empty_like(values)

        def work(start: int, stop: int) -> None:
            out[start:stop] = values[start:stop] * 2

        with threads(3):
            for _ in range(20):
                parallel_for(work, len(values), 100)
        return float(np.abs(out - 2 * values).max())

    with ThreadPoolExecutor(6) as callers:
        assert list(callers.map(call, range(12))) == [0.0] * 12


def test_nested_calls_do_not_wait_for_each_other() -> None:
    done: list[int] = []

    def outer(start: int, stop: int) -> None:
        parallel_for(lambda a, b: done.append(a), 5, 1)

    with threads(2):
        parallel_for(outer, 8, 1)
    assert len(done) == 40


def test_a_forked_child_works() -> None:
    program = """
import os
from fastxai_kernels.cpu._threads import parallel_for, threads
def total():
    done = []
    with threads(3):
        parallel_for(lambda start, stop: done.append(stop - start), 1000, 10)
    return sum(done)
assert total() == 1000
child = os.fork()
if child == 0:
    os._exit(0 if total() == 1000 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)


def test_the_number_holds_in_this_thread_only() -> None:
    seen: list[int] = []
    with threads(5):
        assert thread_count() == 5
        other = threading.Thread(target=lambda: seen.append(thread_count()))
        other.start()
        other.join()
    assert seen == [available_threads()]
    assert thread_count() == available_threads()


@pytest.mark.parametrize(
    ("affinity", "quota", "variable", "expected"),
    [
        pytest.param(8, float("inf"), None, 8, id="affinity"),
        pytest.param(8, 2.0, None, 2, id="quota"),
        pytest.param(8, 1.5, None, 2, id="quota rounded up"),
        pytest.param(8, 0.1, None, 1, id="at least one"),
        pytest.param(2, 16.0, None, 2, id="quota above affinity"),
        pytest.param(8, float("inf"), "3", 3, id="NUMBA_NUM_THREADS"),
    ],
)
def test_available_threads(
    monkeypatch: pytest.MonkeyPatch,
    affinity: int,
    quota: float,
    variable: str | None,
    expected: int,
) -> None:
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("NUMBA_NUM_THREADS", variable)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    monkeypatch.setattr(_threads, "_cgroup_quota", lambda: quota)
    assert available_threads() == expected
