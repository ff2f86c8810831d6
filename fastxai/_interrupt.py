"""Ctrl-C ends the command soon, whatever compiled code is running.

Python raises `KeyboardInterrupt` between two steps of its own.  A long call into BLAS or
LAPACK has none, so a thread hears of the signal at once, waits, and ends the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from .io import discard_unfinished

GRACE = 1.2  # seconds that the usual way out may take
EXIT_CODE = 130
hint = ""  # what to say with it: of work that can be continued


def end_soon_after_interrupt() -> None:
    """From now on a Ctrl-C ends this process within `GRACE`, output files whole or absent."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    except (AttributeError, OSError, ValueError):  # Windows, or not the main thread
        os.close(reader)
        os.close(writer)
        return
    threading.Thread(target=_watch, args=(reader,), name="fastxai-interrupt", daemon=True).start()


def _watch(reader: int) -> None:
    while os.read(reader, 1) != bytes([signal.SIGINT]):
        pass
    time.sleep(GRACE)
    discard_unfinished()
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")  # a progress bar hid the cursor
    os.write(2, f"fastxai: interrupted{hint}\n".encode())
    os._exit(EXIT_CODE)
