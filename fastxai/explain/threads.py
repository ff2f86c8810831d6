"""Several threads at once: one at a time for each model, and state of the process put back last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

_FREE = threading.Condition(threading.RLock())
_BUSY: dict[int, int] = {}  # id of what is in use: by which thread
_ENTERED: dict[Any, tuple[int, ExitStack]] = {}


@contextmanager
def exclusively(parts: Iterable[Any]) -> Iterator[None]:
    """Wait until no other thread uses any of the parts, and keep others waiting.

    A thread may enter again.  Parts are modules and parameters, so that models which share some
    wait for each other, too.
    """
    me = threading.get_ident()
    wanted = {id(part): me for part in parts}
    with _FREE:
        _FREE.wait_for(lambda: all(_BUSY.get(part, me) == me for part in wanted))
        mine = [part for part in wanted if part not in _BUSY]
        _BUSY.update(dict.fromkeys(mine, me))
    try:
        yield
    finally:
        with _FREE:
            for part in mine:
                del _BUSY[part]
            _FREE.notify_all()


@contextmanager
def process_wide(key: Any, make: Callable[[], AbstractContextManager[Any]]) -> Iterator[None]:
    """A context of the whole process: entered by the first that comes, left by the last."""
    with _FREE:
        count, stack = _ENTERED.get(key) or (0, ExitStack())
        if count == 0:
            stack.enter_context(make())
        _ENTERED[key] = (count + 1, stack)
    try:
        yield
    finally:
        with _FREE:
            count, stack = _ENTERED[key]
            if count > 1:
                _ENTERED[key] = (count - 1, stack)
            else:
                del _ENTERED[key]
                stack.close()
