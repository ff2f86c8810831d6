"""One decorator for every compiled loop: typed, cached, never stale.

A kernel states its signature once, so that exactly one machine-code version of it
exists: inputs are declared read-only (`array_in`), which a writable array satisfies too.
The cache lives in a folder named by a hash of all kernel sources and of the compiler's
versions: an edited helper or an upgrade can not meet old code.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

f32, f64, i32, i64, u64, b1 = (
    types.float32,
    types.float64,
    types.int32,
    types.int64,
    types.uint64,
    types.boolean,
)
# 'contract' alone keeps sums in the written order: the same bits whether the code was
# compiled in this process or loaded from the cache.  Speed comes from written-out lanes.
_OPTIONS = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}

kernels: list[Kernel] = []
_compiling = threading.RLock()


def _begin_anew() -> None:
    """A forked child does not wait for a thread of its parent to end compiling."""
    global _compiling
    _compiling = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def array_in(dtype: Any, ndim: int) -> types.Array:
    """A C-contiguous argument that the kernel only reads."""
    return types.Array(dtype, ndim, "C", readonly=True)


def array_out(dtype: Any, ndim: int) -> types.Array:
    """A C-contiguous argument that the kernel writes."""
    return types.Array(dtype, ndim, "C")


@cache
def source_hash() -> str:
    """Hash of all kernel sources, of numba, llvmlite and numpy: the name of the cache folder."""
    digest = hashlib.sha256()
    for text in (numba.__version__, llvmlite.__version__, np.__version__):
        digest.update(text.encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def cache_folder() -> Path:
    """Where compiled kernels are kept: the first place that can be written to.

    ``NUMBA_CACHE_DIR`` is taken even when it is read-only, so that an image can be built
    with a filled cache and run by another user.
    """
    name = f"fastxai-{source_hash()}"
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        folder = Path(given) / name
        if folder.is_dir() or _writable(folder):
            return folder
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    for place in (Path(home) / "fastxai", Path(__file__).parent / "__pycache__"):
        # A user without a home leaves "~" as it is: no folder of that name in the way.
        if place.is_absolute() and _writable(place / name):
            return place / name
    place = Path(tempfile.mkdtemp(prefix="fastxai-"))
    atexit.register(_remove, place, os.getpid())
    (place / name).mkdir()
    return place / name


def _remove(folder: Path, owner: int) -> None:
    """Take the temporary folder away, but not from under the parent of a forked child."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


class _Locator(_CacheLocator):
    """Tells numba to keep a kernel's machine code in `cache_folder`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._module = function.__module__

    def ensure_cache_path(self) -> None:
        """The folder was made, or found read-only, when it was chosen."""

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return source_hash()

    def get_disambiguator(self) -> str:
        return self._module.rpartition(".")[2]

    @classmethod
    def from_function(cls, function: Callable[..., Any], _file: str) -> _Locator:
        return cls(function)


class _Implementation(CompileResultCacheImpl):
    _locator_classes = [_Locator]


class _Cache(FunctionCache):
    _impl_class = _Implementation

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """A damaged entry (a full disk, a crash) is thrown away and compiled anew."""
        try:
            return super().load_overload(signature, target_context)
        except Exception:
            try:
                self.flush()
            except OSError:
                pass
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """A full disk or a read-only folder costs the cache, not the result.

        After a Ctrl-C in the middle of compiling there is nothing to save (RuntimeError).
        """
        try:
            super().save_overload(signature, data)
        except (OSError, RuntimeError):
            pass


class Kernel:
    """A compiled loop with one signature; compiled, or read from the cache, when first called."""

    def __init__(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        self.__doc__ = function.__doc__
        self.module = function.__module__
        self.size = len(function.__code__.co_code)
        self._arguments = arguments
        self._ready = False
        self._dispatcher = numba.njit(**_OPTIONS)(function)
        self._dispatcher._cache = _Cache(function)
        kernels.append(self)

    def compile(self) -> None:
        """Make the machine code, or read it from the cache."""
        if self._ready:
            return
        with _compiling:
            if not self._ready:
                self._dispatcher.compile(types.void(*self._arguments))
                self._dispatcher.disable_compile()
                self._ready = True

    @property
    def from_cache(self) -> bool:
        """True if the machine code came from the cache."""
        return bool(self._dispatcher.stats.cache_hits)

    def __call__(self, *arguments: Any) -> None:
        if not self._ready:
            self.compile()
        self._dispatcher(*arguments)


def kernel(*arguments: Any) -> Callable[[Callable[..., None]], Kernel]:
    """Decorator: a loop over rows that takes these argument types and returns nothing."""
    return lambda function: Kernel(function, arguments)


def inlined(function: Callable[..., Any]) -> Any:
    """Decorator: a helper that is copied into the kernels that call it."""
    return numba.njit(inline="always", **_OPTIONS)(function)


def helper(function: Callable[..., Any]) -> Any:
    """Decorator: a helper that kernels call; LLVM decides about inlining."""
    return numba.njit(**_OPTIONS)(function)
