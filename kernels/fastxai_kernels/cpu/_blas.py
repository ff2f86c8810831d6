"""BLAS with one thread: how it rounds depends on the number of its threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside = 0
_limits: Any = None


def _begin_anew() -> None:
    """A forked child has none of the threads that were inside, nor may it wait for them."""
    global _lock, _inside, _limits
    _lock = threading.Lock()
    if _inside:
        _limits.__exit__(None, None, None)
    _inside, _limits = 0, None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Within the block BLAS uses one thread; the last one to leave restores the setting."""
    global _inside, _limits
    with _lock:
        if _inside == 0:
            _limits = ThreadpoolController().limit(limits=1, user_api="blas")
            _limits.__enter__()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limits.__exit__(None, None, None)
                _limits = None
