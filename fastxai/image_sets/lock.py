"""One writer an output: a second one is refused, a dead one's place is taken."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import StorageError
from ..io import atomic_write
from .store import told

LOCK, WRITER = ".lock", ".writer.json"
_PATIENCE = 2.0  # seconds, for a writer to say who it is


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
        with told(folder), atomic_write(folder / WRITER) as temporary:
            temporary.write_text(json.dumps(me))
        yield
    finally:
        with suppress(OSError):  # of a disk that fails, which is told already
            (folder / WRITER).unlink(missing_ok=True)
        lock.release()


def _writer(folder: Path) -> str:
    """Who writes, in words; one who has only just begun is given time to say so."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            who = json.loads((folder / WRITER).read_text())
            if who["host"] != socket.gethostname() or _lives(int(who["process"])):
                return f"process {who['process']} on {who['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            pass
        time.sleep(0.02)
    return "another process"


def _lives(process: int) -> bool:
    """Whether there is such a process; what one that was killed left is another's soon."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
