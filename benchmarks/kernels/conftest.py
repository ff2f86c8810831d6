"""The machine's own limits, measured first: copy bandwidth and the GEMM rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastxai_kernels.cpu import _threads

Noter = Callable[..., Any]
_figures: list[tuple[str, str, float, float, str]] = []


def _best(call: Callable[[], Any], rounds: int = 7) -> float:
    call()
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


@pytest.fixture(scope="session")
def bandwidth() -> float:
    """Bytes a second, read and written, of a copy by all threads."""
    size, threads = 2**25, _threads.available_threads()
    source, target = np.ones(size, np.float32), np.empty(size, np.float32)

    def copy(start: int, stop: int) -> None:
        target[start:stop] = source[start:stop]

    with _threads.threads(threads):
        seconds = _best(lambda: _threads.parallel_for(copy, size, size // threads))
    return 2 * source.nbytes / seconds


@pytest.fixture(scope="session")
def gemm_rate() -> float:
    """Operations a second of BLAS, float32, on all threads."""
    A = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    return 2 * 2048**3 / _best(lambda: A @ A, 5)


@pytest.fixture
def measure(benchmark: Any, bandwidth: float, gemm_rate: float, request: Any) -> Noter:
    """Call ``measure(on, call, moved=bytes, operations=flops)``: the figure and its limit.

    ``moved`` counts every array once, what must come from and go to memory however well
    caches work; ``operations`` counts two a multiply-add.
    """

    def run(on: str, call: Callable[[], Any], moved: float, operations: float = 0.0) -> Any:
        by_bytes, by_operations = moved / bandwidth, operations / gemm_rate
        limit = "bytes" if by_bytes >= by_operations else "operations"
        seconds = max(by_bytes, by_operations)
        benchmark.extra_info.update(
            {"on": on, "limit": limit, "limit_s": seconds, "bandwidth": bandwidth}
            | {"gemm_rate": gemm_rate, "bytes": moved, "operations": operations}
        )
        result = benchmark.pedantic(call, rounds=5, warmup_rounds=1)
        name = request.node.name.removeprefix("test_")
        if benchmark.stats is not None:
            _figures.append((name, on, benchmark.stats.stats.min, seconds, limit))
        return result

    return run


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Each figure beside its limit."""
    if not _figures:
        return
    terminalreporter.section("kernels and the machine's limits")
    for name, on, seconds, limit, kind in _figures:
        terminalreporter.line(
            f"{name:28} {on:40} {seconds * 1e3:9.2f} ms   limit {limit * 1e3:8.2f} ms "
            f"({kind})  {limit / seconds:5.0%}"
        )
