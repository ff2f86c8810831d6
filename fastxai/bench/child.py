"""What a measured process does around its task: stage times, peak memory, one line of JSON.

Run by its path in any interpreter, ``python child.py TASKS.py TASK JSON``, so it needs
nothing but the standard library.  TASKS.py is loaded by its path too; its ``TASKS`` names
functions ``task(stages, **given)`` that return a dictionary or None.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STARTED = "BENCHMARK_STARTED"


class Stages:
    """Seconds by name; a stage entered twice is added up."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """Count seconds to a stage."""
        self.times[name] = self.times.get(name, 0.0) + seconds

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a block."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - begun)

    def watch(self, module: Any, function: str, name: str) -> None:
        """Time every call of a function of another package, where it is still there."""
        original = getattr(module, function, None)
        if original is None:
            return

        def timed(*arguments: Any, **named: Any) -> Any:
            with self(name):
                return original(*arguments, **named)

        setattr(module, function, timed)

    @staticmethod
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
    try:
        import resource
    except ImportError:  # Windows
        return 0
    largest: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def load_tasks(file: str) -> dict[str, Callable[..., Any]]:
    """The tasks of a file."""
    specification = importlib.util.spec_from_file_location("benchmark_tasks", file)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    tasks: dict[str, Callable[..., Any]] = module.TASKS
    return tasks


def main() -> None:
    """Run a task and print one line of JSON."""
    file, task, given = sys.argv[1:4]
    # Libraries may print: only the result goes to the true standard output.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    stages = Stages()
    begun = os.environ.get(STARTED)
    if begun:
        stages.add("start", max(0.0, time.time() - float(begun)))
    warnings.simplefilter("ignore")  # nobody reads them here
    del sys.path[0]  # the folder of this file: its neighbours must hide no library
    result = load_tasks(file)[task](stages, **json.loads(given)) or {}
    times = os.times()
    measured = {"stages": stages.times, "peak": peak_bytes(), "cpu": times.user + times.system}
    print(json.dumps({**measured, **result}), file=answer, flush=True)


if __name__ == "__main__":
    main()
