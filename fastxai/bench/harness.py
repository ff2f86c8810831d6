"""Fresh processes, timed from outside; results written whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ..io import atomic_write
from .child import STARTED

CHILD = Path(__file__).with_name("child.py")
# Not the caller's settings: a user's process has bytecode, all threads and the default cache.
_INHERITED = ("NUMBA_", "OMP_", "OPENBLAS_", "MKL_", "PYTHON")
_GRACE = 0.5  # seconds between asking a process to end and ending it


class ChildError(RuntimeError):
    """A measured process did not end well."""


class ChildTimeout(ChildError):
    """A measured process was ended because it took too long."""


def measure(
    python: str,
    tasks: str | Path,
    task: str,
    given: dict[str, Any],
    *,
    patience: float,
    env: dict[str, str] | None = None,
    cwd: str | Path | None = None,
) -> dict[str, Any]:
    """Run one task in a fresh process.

    Parameters
    ----------
    python : str
        The interpreter; any, for the child needs nothing of fastxai.
    tasks : str or Path
        The file with the tasks; see `fastxai.bench.child`.
    task : str
        Its name there.
    given : dict
        Its arguments, as JSON holds them.
    patience : float
        Seconds after which the process is ended.
    env : dict, optional
        Variables on top of the inherited ones, of which those that change how numerical
        libraries run are left out.
    cwd : str or Path, optional
        Where it runs.

    Returns
    -------
    dict
        ``wall``, the seconds of the whole process; ``stages``, ``peak`` (bytes) and ``cpu``
        (seconds) as the child saw them; ``said_compiling``; and what the task returned.

    Raises
    ------
    ChildTimeout
        If it took longer than ``patience``.
    ChildError
        If it failed; the message ends with what it wrote to stderr.
    """
    asked = {**clean_environment(python), **(env or {})}
    command = [python, str(CHILD), str(Path(tasks).resolve()), task, json.dumps(given)]
    name = f"{Path(tasks).stem} {task}"
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        begun = time.perf_counter()
        asked[STARTED] = repr(time.time())
        child = subprocess.Popen(
            command, cwd=cwd, env=asked, stdout=out, stderr=errors, start_new_session=True
        )
        try:
            code = child.wait(patience)
        except subprocess.TimeoutExpired:
            raise ChildTimeout(f"{name} took over {patience:g} s: ended") from None
        finally:
            end(child)
        wall = time.perf_counter() - begun
        out.seek(0)
        errors.seek(0)
        said = errors.read()
        lines = out.read().splitlines()
    if code != 0 or not lines:
        raise ChildError(f"{name} ended with {code}:\n{said[-3000:]}")
    result = {"wall": wall, **json.loads(lines[-1])}
    result["said_compiling"] = "compil" in said.lower()
    return result


def clean_environment(python: str) -> dict[str, str]:
    """The environment without what changes how numerical libraries run."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_INHERITED)}
    if python == sys.executable and "PYTHONPATH" in os.environ:
        kept["PYTHONPATH"] = os.environ["PYTHONPATH"]  # where this fastxai may come from
    return kept


def end(child: subprocess.Popen[Any]) -> None:
    """After Ctrl-C: the child's whole session, for it may have children of its own."""
    if child.poll() is not None:
        return
    if not hasattr(os, "killpg"):
        child.kill()
        child.wait()
        return
    for sign, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, 10)):
        try:
            os.killpg(child.pid, sign)
            child.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


def write_whole(path: Path, text: str) -> None:
    """The file is absent, old or complete; never half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
