"""BLAS with one thread: how it rounds depends on the number of its threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside = 0
_limits: Any = None


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
