"""What a measured process does around its task: stage times, peak memory, one line of JSON.

Runs in both environments, so it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STARTED = "BENCHMARK_STARTED"


class Stages:
    """Seconds by name; a stage entered twice is added up."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        self.times[name] = self.times.get(name, 0.0) + seconds

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - begun)

    def watch(self, module: Any, function: str, name: str) -> None:
        """Time every call of a function of another package."""
        original = getattr(module, function)

        def timed(*arguments: Any, **named: Any) -> Any:
            with self(name):
                return original(*arguments, **named)

        setattr(module, function, timed)


def repeat(call: Callable[[], Any], times: int) -> tuple[Any, list[float]]:
    """The last result, and the seconds of every call."""
    seconds, result = [], None
    for _ in range(times):
        result = None
        begun = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - begun)
    return result, seconds


def peak_bytes() -> int:
    """Largest resident size of this process.

    Linux hands ``ru_maxrss`` of the parent down through fork and exec; ``VmHWM`` is the
    same quantity of this program alone.
    """
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def main(tasks: dict[str, Callable[..., dict[str, Any] | None]]) -> None:
    """Run ``argv[1]`` with the JSON of ``argv[2]``; print one line of JSON."""
    # Libraries may print: only the result goes to the true standard output.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    stages = Stages()
    if begun := os.environ.get(STARTED):
        stages.add("start", max(0.0, time.time() - float(begun)))
    result = tasks[sys.argv[1]](stages, **json.loads(sys.argv[2])) or {}
    times = os.times()
    measured = {"stages": stages.times, "peak": peak_bytes(), "cpu": times.user + times.system}
    print(json.dumps({**measured, **result}), file=answer, flush=True)
