"""Fresh processes, timed from outside; results written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .child import STARTED

ROOT = Path(__file__).resolve().parent.parent
# Not the caller's settings: a user's process has bytecode, all threads and the default cache.
_INHERITED = ("NUMBA_", "OMP_", "OPENBLAS_", "MKL_", "PYTHON")

_PATIENCE = 2 * 3600  # four times what the slowest takes


class ChildError(RuntimeError):
    """A measured process did not end well."""


@dataclass
class Bench:
    """One run of the benchmarks: where things are, and what was asked."""

    python: str
    peers_python: str
    work: Path
    out: Path
    rows: int | None = None
    full: bool = False
    ours_only: bool = False
    command: str = ""
    started: float = field(default_factory=time.time)
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def trial(self) -> bool:
        return self.rows is not None

    def log(self, text: str) -> None:
        minutes, seconds = divmod(int(time.time() - self.started), 60)
        print(f"[{minutes:3d}:{seconds:02d}] {text}", file=sys.stderr, flush=True)

    def ours(self, task: str, env: dict[str, str] | None = None, **given: Any) -> dict[str, Any]:
        return self._measure(self.python, "ours", task, given, env)

    def theirs(self, task: str, env: dict[str, str] | None = None, **given: Any) -> dict[str, Any]:
        return self._measure(self.peers_python, "peers", task, given, env)

    def evaluator(self, task: str, **given: Any) -> dict[str, Any]:
        return self._measure(self.python, "evaluate", task, given, None)

    def file(self, name: str) -> str:
        return str(self.work / name)

    def once(self, name: str, make: Any) -> Any:
        """What several rows need is made when the first of them asks."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    @contextmanager
    def empty_folder(self) -> Iterator[str]:
        folder = tempfile.mkdtemp(dir=self.work)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _measure(
        self, python: str, module: str, task: str, given: dict[str, Any], env: Any
    ) -> dict[str, Any]:
        asked = {**_clean_environment(), **(env or {})}
        command = [python, "-m", f"benchmarks.{module}", task, json.dumps(given)]
        self.log(f"  {module} {task} {_short(given)}")
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            begun = time.perf_counter()
            asked[STARTED] = repr(time.time())
            child = subprocess.Popen(
                command, cwd=ROOT, env=asked, stdout=out, stderr=errors, start_new_session=True
            )
            try:
                code = child.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                raise ChildError(f"{module} {task} took over {_PATIENCE} s: ended") from None
            finally:
                _end(child)
            wall = time.perf_counter() - begun
            out.seek(0)
            errors.seek(0)
            said = errors.read()
            lines = out.read().splitlines()
        if code != 0 or not lines:
            raise ChildError(f"{module} {task} ended with {code}:\n{said[-3000:]}")
        result = {"wall": wall, **json.loads(lines[-1])}
        result["said_compiling"] = "compil" in said.lower()
        self.log(f"    {wall:.1f} s, peak {result['peak'] / 1e9:.2f} GB")
        return result


def _clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(_INHERITED)}


def _short(given: dict[str, Any]) -> str:
    shown = {k: v for k, v in given.items() if not (isinstance(v, str) and os.sep in v)}
    text = ", ".join(f"{k}={v}" for k, v in shown.items())
    return text if len(text) < 120 else text[:117] + "..."


def _end(child: subprocess.Popen[bytes]) -> None:
    """After Ctrl-C: the child's whole session, for it may have children of its own."""
    if child.poll() is not None:
        return
    for sign, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
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
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
