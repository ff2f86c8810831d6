"""A run of the benchmarks: both interpreters, and what rows share."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastxai.bench import fits
from fastxai.bench.harness import ChildError, measure, write_whole

__all__ = ["Bench", "ChildError", "ROOT", "write_whole"]

ROOT = Path(__file__).resolve().parent.parent
_HERE = Path(__file__).resolve().parent
_PATIENCE = 2 * 3600  # four times what the slowest takes


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
    explain_python: str = ""
    started: float = field(default_factory=time.time)
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def trial(self) -> bool:
        return self.rows is not None

    def log(self, text: str) -> None:
        minutes, seconds = divmod(int(time.time() - self.started), 60)
        print(f"[{minutes:3d}:{seconds:02d}] {text}", file=sys.stderr, flush=True)

    def ours(
        self, task: str, env: dict[str, str] | None = None, tasks: str = "ours", **given: Any
    ) -> dict[str, Any]:
        return self._measure(self.python, _HERE / f"{tasks}.py", task, given, env)

    def theirs(
        self, task: str, env: dict[str, str] | None = None, tasks: str = "peers", **given: Any
    ) -> dict[str, Any]:
        return self._measure(self.peers_python, _HERE / f"{tasks}.py", task, given, env)

    def explanation(self, task: str, tasks: str = "both_explain", **given: Any) -> dict[str, Any]:
        """Both sides in one process, in the environment of the explanation peers."""
        path = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
        return self._measure(self.explain_python, _HERE / f"{tasks}.py", task, given, path)

    def evaluator(self, task: str, **given: Any) -> dict[str, Any]:
        return self._measure(self.python, _HERE / "evaluate.py", task, given, None)

    def fit(
        self, library: str, method: str, env: dict[str, str] | None = None, **given: Any
    ) -> dict[str, Any]:
        """The whole run of a library, by the code of ``fastxai bench``."""
        python = self.python if library == "fastxai" else self.peers_python
        given = {"library": library, "method": method, **given}
        return self._measure(python, Path(fits.__file__), "fit", given, env)

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
        self, python: str, tasks: Path, task: str, given: dict[str, Any], env: Any
    ) -> dict[str, Any]:
        self.log(f"  {tasks.stem} {task} {_short(given)}")
        result = measure(python, tasks, task, given, patience=_PATIENCE, env=env, cwd=ROOT)
        self.log(f"    {result['wall']:.1f} s, peak {result['peak'] / 1e9:.2f} GB")
        return result


def _short(given: dict[str, Any]) -> str:
    shown = {k: v for k, v in given.items() if not (isinstance(v, str) and os.sep in v)}
    text = ", ".join(f"{k}={v}" for k, v in shown.items())
    return text if len(text) < 120 else text[:117] + "..."
