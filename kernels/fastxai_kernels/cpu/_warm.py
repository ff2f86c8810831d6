"""Compile every kernel ahead, in child processes side by side: one a core with its share.

    python -m fastxai_kernels.cpu._warm SHARE OF

compiles share number SHARE (from 0) of OF and prints the name of each kernel when done.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from . import _jit
from ._threads import available_threads

Report = Callable[[int, int], None]
_MOST_CHILDREN = 8  # each needs a second to start and some 200 MB
_compiled = False
_lock = threading.Lock()


def _begin_anew() -> None:
    global _lock
    _lock = threading.Lock()


# A forked child does not wait for a thread of its parent.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def all_kernels() -> list[_jit.Kernel]:
    """Every kernel of this backend, the longest source first."""
    package = Path(__file__).parent
    for module in iter_modules([str(package)]):
        if module.name not in ("_warm", "__main__"):
            import_module(f"{__package__}.{module.name}")
    ours = [kernel for kernel in _jit.kernels if kernel.module.startswith(f"{__package__}.")]
    return sorted(ours, key=lambda kernel: (-kernel.size, kernel.name))


def kernel_names() -> list[str]:
    """Names of all kernels, as ``file.function``."""
    return [kernel.name for kernel in all_kernels()]


def cached_names() -> list[str]:
    """Names of the kernels that this Python finds in the cache folder."""
    python = f"py{sys.version_info[0]}{sys.version_info[1]}"
    files = [file.name for file in _jit.cache_folder().glob(f"*.{python}.nbi")]
    return [name for name in kernel_names() if any(f.startswith(f"{name}-") for f in files)]


def share_of(share: int, of: int) -> list[_jit.Kernel]:
    """The kernels of one child: dealt out back and forth, so that the shares weigh the same."""
    dealt = []
    for place, kernel in enumerate(all_kernels()):
        row, column = divmod(place, of)
        if (column if row % 2 == 0 else of - 1 - column) == share:
            dealt.append(kernel)
    return dealt


def _marker() -> Path:
    """File that says that this Python on this kind of CPU has everything compiled."""
    from numba.core.registry import cpu_target

    machine = repr((cpu_target.target_context.codegen().magic_tuple(), sys.version_info[:2]))
    return _jit.cache_folder() / f"compiled-{hashlib.sha256(machine.encode()).hexdigest()[:12]}"


def is_compiled() -> bool:
    """True if every kernel can be read from the cache (or is in this process already)."""
    global _compiled
    if not _compiled:
        _compiled = _marker().is_file()
    return _compiled


def ensure_compiled(report: Report | None = None, *, again: bool = False) -> None:
    """Compile what is not in the cache, in children; ``report(done, total)`` after each kernel.

    Children that fail are no error: their kernels are compiled when first called.  On an
    exception (Ctrl-C) the children are killed.  ``again`` looks through all kernels even
    if the marker says that nothing is missing.
    """
    global _compiled
    if is_compiled() and not again:
        return
    with _lock:  # of two Python threads the second one finds the work done
        if is_compiled() and not again:
            return
        total = len(all_kernels())
        if report:
            report(0, total)
        done = _run_children(min(available_threads(), _MOST_CHILDREN, total), total, report)
        if done == total:
            try:
                _marker().touch()
            except OSError:
                pass
        _compiled = True  # what is missing now will not come by trying again


def _run_children(children: int, total: int, report: Report | None) -> int:
    """Start the children and count the kernels that they print; how many came."""
    if not sys.executable:
        return 0
    environment = dict(os.environ)
    # The folder chosen here, even a temporary one, is the children's too.
    environment["NUMBA_CACHE_DIR"] = str(_jit.cache_folder().parent)
    # ... and so is the package, however this process came to find it.
    path = [str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    reader, writer = os.pipe()
    started: list[subprocess.Popen[bytes]] = []
    done = 0
    with os.fdopen(reader, "r") as lines:
        try:
            try:
                for share in range(children):
                    command = [sys.executable, "-P", "-m", __name__, str(share), str(children)]
                    started.append(
                        subprocess.Popen(
                            command,
                            env=environment,
                            stdin=subprocess.DEVNULL,
                            stdout=writer,
                            stderr=subprocess.DEVNULL,
                        )
                    )
            except OSError:
                pass  # no more processes allowed: the rest is compiled when first called
            finally:
                os.close(writer)
            for _ in lines:
                done += 1
                if report:
                    report(done, total)
        finally:
            for child in started:
                if child.poll() is None and sys.exc_info()[0] is not None:
                    child.kill()
            for child in started:
                child.wait()
    return done


def main(arguments: list[str]) -> None:
    """Compile one share."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a child without a word
    share, of = map(int, arguments)
    for kernel in share_of(share, of):
        kernel.compile()
        print(kernel.name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
