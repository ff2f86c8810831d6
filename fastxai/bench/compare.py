"""The comparison on a user's data: every contestant, some seeds, and how good the maps are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from . import fits
from .contestants import Contestant
from .harness import ChildError, ChildTimeout, measure
from .machine import cores_in_use, machine
from .tables import seconds

if TYPE_CHECKING:
    from ..embed.graph import NeighborGraph

_FEW = 500  # points of the unmeasured run that fills caches
_EXACT = 100_000  # of more points than this neighbours for the divergence are approximate
_KILLED = -9

Say = Callable[[str], None]
Run = dict[str, Any]


class Comparison:
    """All runs of all contestants on one data set, and what is known of each so far.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        The data.
    labels : ndarray of shape (n,), optional
        Classes of the points.
    contestants : sequence of Contestant
        Who embeds.
    seeds : int
        Runs of each.
    timeout : float
        Seconds after which a process is ended.
    folder : Path
        Where maps are kept, ``maps/METHOD-LIBRARY-SEED.npy``.
    say : callable
        Told of each step.
    keep : callable
        Called with this comparison whenever ``runs`` has changed, to write it down.  A run
        is written as interrupted before it starts, and overwritten when it ends.
    """

    def __init__(
        self,
        X: Any,
        labels: Any,
        contestants: Sequence[Contestant],
        *,
        seeds: int,
        timeout: float,
        folder: Path,
        say: Say,
        keep: Callable[[Comparison], None],
    ) -> None:
        from ..metrics.embedding import Evaluator

        if not isinstance(X, np.ndarray):
            raise InvalidInputError("bench takes dense data: not every peer takes sparse matrices")
        self.X: NDArray[np.float32] = np.ascontiguousarray(X, np.float32)
        if not np.isfinite(self.X).all():
            raise InvalidInputError("the data holds NaN or infinity: leave such rows out")
        self.labels, self.contestants = labels, list(contestants)
        self.seeds, self.timeout, self.folder = seeds, timeout, folder
        self.say, self._keep = say, keep
        self.runs: list[Run] = []
        self.date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        self._judge = Evaluator(self.X, labels)
        self._graph: NeighborGraph | None = None

    def map_file(self, run: Run) -> Path:
        """Where a run's embedding lies."""
        return self.folder / "maps" / f"{run['method']}-{run['library']}-{run['seed']}.npy"

    def run(self) -> None:
        """Measure everything, one run after another; what failed says why and stops nothing."""
        (self.folder / "maps").mkdir(parents=True, exist_ok=True)
        data = self.folder / "maps" / ".data.npy"
        try:
            np.save(data, self.X)
            self._fill_caches(data)
            # Seeds outside: a change of the machine meets all contestants.
            for seed in range(self.seeds):
                for one in self.contestants:
                    if not self._hopeless(one):
                        self._one(one, seed, data)
        finally:
            data.unlink(missing_ok=True)

    def _hopeless(self, one: Contestant) -> bool:
        """One that ran out of time or failed before is not asked again."""
        mine = (one.library, one.method)
        return any((r["library"], r["method"]) == mine and r["state"] != "done" for r in self.runs)

    def _fill_caches(self, data: Path) -> None:
        """A small unmeasured run of those that compile."""
        few = data.with_name(".few.npy")
        compiling = [one for one in self.contestants if one.compiles]
        try:
            np.save(few, self.X[:_FEW])
            for one in compiling:
                self.say(f"{one.method} {one.library}: compiled and cached by a small run")
                given = self._given(one, 0, few, few, again_within=0.0)
                given["params"] = one.params(min(_FEW, len(self.X)))
                try:
                    measure(one.python, fits.__file__, "fit", given, patience=self.timeout)
                except ChildError as error:  # the run itself will say so
                    self.say(f"  {_reason(error)}")
        finally:
            few.unlink(missing_ok=True)

    def _given(
        self, one: Contestant, seed: int, data: Path, out: Path, again_within: float
    ) -> dict[str, Any]:
        return {
            "library": one.library,
            "method": one.method,
            "data": str(data.resolve()),
            "out": str(out.resolve()),
            "seed": seed,
            "params": one.params(len(self.X)),
            "again_within": again_within,
        }

    def _one(self, one: Contestant, seed: int, data: Path) -> None:
        run: Run = {"method": one.method, "library": one.library, "seed": seed}
        self._record({**run, "state": "interrupted", "reason": "interrupted"}, new=True)
        # Only the first process makes the call twice: once more is enough for a warm time.
        again = self.timeout / 3 if seed == 0 else 0.0
        given = self._given(one, seed, data, self.map_file(run), again)
        run["busy_before"] = cores_in_use()
        self.say(f"{one.method} {one.library}, seed {seed} ...")
        try:
            found = measure(one.python, fits.__file__, "fit", given, patience=self.timeout)
        except ChildError as error:
            state = "timeout" if isinstance(error, ChildTimeout) else "failed"
            run |= {"state": state, "reason": _reason(error)}
            self.say(f"{one.method} {one.library}, seed {seed}: {run['reason']}")
            self._record(run)
            return
        run |= _figures(found)
        memory = f"{run['peak'] / 1e9:.2f} GB"
        self.say(f"{one.method} {one.library}, seed {seed}: {seconds(run['first'])}, {memory}")
        self._record({**run, "state": "measured", "quality": {}})
        self._record({**run, "state": "done", "quality": self._quality(run)})

    def _record(self, run: Run, new: bool = False) -> None:
        self.runs[len(self.runs) if new else -1 :] = [run]
        self._keep(self)

    def _quality(self, run: Run) -> dict[str, dict[str, float]]:
        from ..metrics.embedding import kl_divergence

        embedding = np.load(self.map_file(run))
        measured = self._judge(embedding)
        if run["method"] == "tsne" and np.isfinite(embedding).all():
            measured["kl_divergence"] = kl_divergence(
                embedding, self._neighbors(), self._perplexity()
            )
        return {
            name: {"value": float(figure), "low": figure.low, "high": figure.high}
            for name, figure in measured.items()
        }

    def _perplexity(self) -> float:
        few = next(one for one in self.contestants if one.method == "tsne").params(len(self.X))
        return float(few.get("perplexity", 30.0))

    def _neighbors(self) -> NeighborGraph:
        """One graph for the divergences of all, found when it is first needed."""
        from ..embed.neighbors import neighbors

        if self._graph is None:
            n = len(self.X)
            k = min(n - 1, int(3 * self._perplexity()))
            recall = 1.0 if n <= _EXACT else 0.99
            self.say(f"the {k} nearest neighbours of all points, for the divergence")
            self._graph = neighbors(self.X, k, recall=recall)
        return self._graph

    def result(self, name: str, command: str) -> dict[str, Any]:
        """All that was measured, as JSON holds it."""
        return {
            "data": {
                "name": name,
                "points": len(self.X),
                "features": self.X.shape[1],
                "labels": self.labels is not None,
            },
            "date": self.date,
            "command": command,
            "machine": machine(),
            "versions": {one.library: one.version for one in self.contestants},
            "neighbors_recall": None if self._graph is None else self._graph.recall,
            "runs": self.runs,
        }


def _figures(found: dict[str, Any]) -> Run:
    calls, stages = found["calls"], dict(found["stages"])
    return {
        "first": calls[0],
        "warm": calls[1] if len(calls) > 1 else None,
        "import": stages.pop("import", 0.0),
        "stages": stages,
        "wall": found["wall"],
        "peak": found["peak"],
        "cpu": found["cpu"],
    }


def _reason(error: ChildError) -> str:
    """One line of what a process said when it failed."""
    if isinstance(error, ChildTimeout):
        return str(error).rpartition("took ")[2]
    head, *lines = str(error).strip().splitlines()
    if f"with {_KILLED}:" in head:
        return "killed by the system, most likely for want of memory"
    return lines[-1].strip() if lines else head
