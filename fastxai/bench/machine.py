"""What the figures were measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

from ..system import cpu_name

_ASK = """
import importlib.metadata as m, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def cores() -> int:
    """Cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def memory_gib() -> float | None:
    """Memory of the machine."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system."""
    return {
        "cpu": cpu_name(),
        "cores": cores(),
        "memory_gib": memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def cores_in_use(during: float = 0.2) -> float | None:
    """Cores that are at work on anything, while this process waits; None where unknown."""
    before = _busy_and_all()
    time.sleep(during)
    after = _busy_and_all()
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1]) * (os.cpu_count() or 1)


def _busy_and_all() -> tuple[int, int] | None:
    """Ticks of all cores since the start of the machine: at work, and all (Linux)."""
    try:
        ticks = [int(t) for t in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


@cache
def versions(python: str, names: tuple[str, ...]) -> dict[str, str]:
    """Versions of Python and of those packages that an interpreter finds; empty if it fails."""
    try:
        said = subprocess.run(
            [python, "-c", _ASK, *names], capture_output=True, text=True, check=True
        )
        return dict(json.loads(said.stdout))
    except (OSError, subprocess.CalledProcessError, ValueError):
        return {}
