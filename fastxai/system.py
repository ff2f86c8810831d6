"""What the machine grants this process: memory, threads, compiled kernels, a GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .progress import Progress

_GIB = 2**30
_UNLIMITED = 2**60  # cgroup v1 writes "no limit" as a number near 2^63


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _cgroup_folders() -> Iterator[tuple[Path, str, str]]:
    """Folders that may limit this process, with the names of their limit and usage files."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = Path("/sys/fs/cgroup"), ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            root = Path("/sys/fs/cgroup/memory")
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        # A limit of any folder on the way up holds for all below it.  In a container the
        # path may be the host's, and only the root is there.
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            if place == root or root in place.parents:
                yield place, *names


def _cgroup_memory() -> int | None:
    """Bytes that the container's limits leave; None without a limit."""
    left: list[int] = []
    for folder, limit_name, usage_name in _cgroup_folders():
        limit, usage = _number(folder / limit_name), _number(folder / usage_name)
        if limit is None or usage is None or limit > _UNLIMITED:
            continue
        left.append(limit - usage + _page_cache(folder))
    return min(left) if left else None


def _page_cache(folder: Path) -> int:
    """File pages counted as used that the kernel gives back when asked for memory."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    fields = dict(line.split() for line in lines if len(line.split()) == 2)
    return int(fields.get("total_inactive_file", fields.get("inactive_file", 0)))


def _free_memory() -> int | None:
    """Bytes that the operating system could hand out."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:  # elsewhere: what is built in, which at least refuses the hopeless
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _address_space() -> int | None:
    """Bytes left of the limit that ``ulimit -v`` set; None without one."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError, ValueError):
        return None
    if limit == resource.RLIM_INFINITY:
        return None
    return limit - pages * os.sysconf("SC_PAGE_SIZE")


def total_memory() -> int:
    """Bytes of memory that the machine has, or that the container was granted."""
    limits = [_number(folder / name) for folder, name, _ in _cgroup_folders()]
    known = [limit for limit in limits if limit is not None and limit <= _UNLIMITED]
    try:
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        pass
    return min(known, default=8 * _GIB)


def available_memory() -> int | None:
    """Bytes that this process may still take: free memory, container and ``ulimit`` limits.

    Returns
    -------
    int or None
        None where the system does not tell.
    """
    known = [m for m in (_free_memory(), _cgroup_memory(), _address_space()) if m is not None]
    return max(0, min(known)) if known else None


def require_memory(needed: float, what: str, advice: str) -> None:
    """Refuse work that can not fit into memory, before it begins.

    Parameters
    ----------
    needed : float
        Bytes that will be taken on top of what is in use.
    what : str
        The work, as the subject of the message: ``"UMAP of 1,000,000 x 784"``.
    advice : str
        What to change.

    Raises
    ------
    NotEnoughMemoryError
        With both figures and the advice.
    """
    available = available_memory()
    if available is not None and needed > available:
        from .errors import NotEnoughMemoryError

        raise NotEnoughMemoryError(
            f"{what} needs about {needed / _GIB:.1f} GiB of memory and "
            f"{available / _GIB:.1f} GiB are available; {advice}"
        )


def available_threads() -> int:
    """Threads that this process may really use (affinity mask, container quota)."""
    from fastxai_kernels.cpu._threads import available_threads as count

    return count()


def compile_kernels(progress: Progress, *, again: bool = False) -> None:
    """Have every kernel compiled, side by side; says so when there is something to do.

    Takes no time when all was compiled before, by this process or another.  ``again`` goes
    through all of them even then.
    """
    from fastxai_kernels.cpu import _warm

    if not again and _warm.is_compiled():
        return
    progress.notice("compiling kernels (once after install) ...")
    with progress.stage("compile", 1.0) as advance:
        done = 0.0

        def report(finished: int, total: int) -> None:
            nonlocal done
            advance(finished / total - done)
            done = finished / total

        _warm.ensure_compiled(report, again=again)


def cpu_name() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()


def gpu_line() -> str:
    """One line on the GPUs of this machine, found without loading anything heavy."""
    names: list[str] = []
    if tool := shutil.which("nvidia-smi"):
        command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
            names = answer.stdout.strip().splitlines() if answer.returncode == 0 else []
        except (OSError, subprocess.TimeoutExpired):
            pass
    torch = sys.modules.get("torch")
    if not names and torch is not None:
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if not names:
        return "none found"
    from fastxai_kernels._cuda import missing

    lacking = missing()
    return "; ".join(names) + (" (device='cuda')" if lacking is None else f" (not used: {lacking})")


def kernel_cache() -> Path:
    """Folder that the compiled kernels are kept in."""
    from fastxai_kernels.cpu._jit import cache_folder

    return cache_folder()


def describe() -> Iterator[tuple[str, str]]:
    """What ``fastxai info`` prints: names and lines."""
    import platform

    from llvmlite import binding

    from fastxai_kernels.cpu import _warm

    yield "fastxai", f"{_version('fastxai')} on Python {platform.python_version()}"
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "versions", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    wide = [
        name for name in ("avx2", "fma", "avx512f") if binding.get_host_cpu_features().get(name)
    ]
    yield "CPU", f"{cpu_name()} ({binding.get_host_cpu_name()}; {', '.join(wide) or 'baseline'})"
    yield "threads", _thread_line()
    yield "threading", "plain threads over serial kernels that release the GIL; no Numba layer"
    memory = available_memory()
    yield "memory", "unknown" if memory is None else f"{memory / _GIB:.1f} GiB available"
    yield "GPU", gpu_line()
    names, cached = _warm.kernel_names(), _warm.cached_names()
    yield "kernels", f"{len(cached)} of {len(names)} compiled, in {kernel_cache()}"
    if missing := sorted(set(names) - set(cached)):
        yield "missing", ", ".join(missing) + " (fastxai warmup compiles them)"


_PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "scikit-learn",
    "pynndescent",
    "matplotlib",
    "pyarrow",
    "torch",
    "triton",
)


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _thread_line() -> str:
    from fastxai_kernels.cpu import _threads

    affinity = getattr(os, "sched_getaffinity", None)
    quota = _threads._cgroup_quota()
    parts = [f"{os.cpu_count()} CPUs"]
    if affinity:
        parts.append(f"affinity to {len(affinity(0))}")
    parts.append("no container quota" if quota == float("inf") else f"container quota {quota:g}")
    if limit := os.environ.get("NUMBA_NUM_THREADS"):
        parts.append(f"NUMBA_NUM_THREADS={limit}")
    return f"{available_threads()} may be used ({', '.join(parts)})"
