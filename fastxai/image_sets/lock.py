"""One writer an output: a second one is refused, a dead one's place is taken."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import StorageError
from ..io import atomic_write

LOCK, WRITER = ".lock", ".writer.json"


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Be the one process that writes into ``folder`` while the block runs.

    The operating system lets go of the lock of a process that dies, however it dies.

    Raises
    ------
    StorageError
        If another process writes there; the message tells which.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StorageError(
            f"{folder}: {_writer(folder)} writes there; wait for it or end it, or give another "
            "output"
        ) from None
    except OSError as error:
        raise StorageError(f"{folder} can not be written: {error.strerror or error}") from None
    try:
        me = {"process": os.getpid(), "host": socket.gethostname()}
        with atomic_write(folder / WRITER) as temporary:
            temporary.write_text(json.dumps(me))
        yield
    finally:
        (folder / WRITER).unlink(missing_ok=True)
        lock.release()


def _writer(folder: Path) -> str:
    """Who writes, in words."""
    try:
        who = json.loads((folder / WRITER).read_text())
        return f"process {who['process']} on {who['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"
