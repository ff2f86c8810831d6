"""The batches of a run on their way to workers and back, whatever happens to these."""

from __future__ import annotations

import queue
import secrets
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import errors
from ..errors import FastxaiError, InvalidInputError, StorageError
from ..explain.model import place_of
from ..progress import open_progress
from . import worker
from .parcels import batch_of, setup_of
from .plan import Plan
from .store import Encoded
from .worker import Answer

_AHEAD = 2  # batches in flight for each thread of a worker
_DEATHS = 3  # times that workers may die of a batch, each as often as dask allows
_PATIENCE = 60.0  # seconds without any worker
_TOLD_AFTER = 2.0


class Dispatch:
    """The batches of one run on their way through the cluster."""

    def __init__(self, client: Any, plan: Plan, readers: int | None) -> None:
        from distributed import KilledWorker

        self._client, self._plan, self._killed = client, plan, KilledWorker
        self._name = secrets.token_hex(8)
        self._address = str(client.scheduler.address)
        self._setup = setup_of(plan, readers)
        self._flying: dict[str, tuple[int, Any]] = {}  # by the task's name: batch and future
        self._ready: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._deaths: Counter[int] = Counter()
        self._done = 0
        self._threads = 0  # of all workers, when they were last asked for
        self._asked = 0.0
        self._last_seen = time.monotonic()
        self._told = False

    def batches(self, todo: list[int]) -> Iterator[tuple[int, Encoded]]:
        """All batches; those that workers died of last, and each alone."""
        self._introduce()
        waiting, suspects = deque(todo), deque[int]()
        while waiting or suspects or self._flying:
            while waiting and len(self._flying) < self._window():
                self._send(waiting.popleft())
            if not self._flying:
                self._send(suspects.popleft())
            k, future = self._flying.pop(self._next())
            found = self._take(k, future)
            del future  # of what was handed out nothing stays on the cluster
            if found is not None:
                self._done += 1
                yield k, found
            elif not self._deaths[k]:
                waiting.append(k)
            elif self._deaths[k] < _DEATHS:
                suspects.append(k)
        self._check_deaths(at_end=True)

    def cancel(self) -> None:
        """Take back what is in flight; a batch that is being explained is finished first."""
        futures = [future for _, future in self._flying.values()]
        self._flying.clear()
        if futures and self._client.status == "running":
            try:
                self._client.cancel(futures, force=True)
            except Exception:  # the cluster is lost, and the reason is on its way already
                pass

    def end(self) -> None:
        """Let the workers forget the model."""
        try:
            self._client.run(worker.forget, self._name, on_error="ignore")
        except Exception:  # everything is done: nothing depends on it
            pass

    # --- workers -------------------------------------------------------------------------

    def _introduce(self, workers: list[str] | None = None) -> None:
        """Give workers the model, after they were found to be such that give the same bits."""
        device = place_of(self._plan.model.network)[0]
        device = None if device is None else str(device)
        mine = worker.versions(device)
        for address, theirs in self._run(workers, worker.versions, device).items():
            different = [
                f"{name} {theirs.get(name)} there and {value} here"
                for name, value in mine.items()
                if theirs.get(name) != value
            ]
            if different:
                raise InvalidInputError(
                    f"the worker {address} would give other bits than this process: "
                    f"{', '.join(different)}; give workers the same packages on the same kind of "
                    "machine, or do without this one"
                )
        self._run(workers, worker.receive, self._name, self._setup)

    def _run(self, workers: list[str] | None, function: Any, *args: Any) -> dict[str, Any]:
        """Call a function on workers; those that are gone meanwhile are left out."""
        with self._in_touch():
            found = self._client.run(function, *args, workers=workers, on_error="return")
        for address, value in found.items():
            if isinstance(value, Exception) and not isinstance(value, OSError):
                raise FastxaiError(
                    f"the worker {address} can not take part: {type(value).__name__}: {value} "
                    "(it needs the same packages as this process: fastxai[sets,cluster])"
                ) from value
        return {a: value for a, value in found.items() if not isinstance(value, Exception)}

    def _window(self) -> int:
        """How many batches may be in flight; more where the cluster has grown."""
        if time.monotonic() - self._asked > 1:
            self._watch()
        return max(1, self._threads) * _AHEAD

    def _watch(self) -> None:
        """See who is there; give up when nobody was for long."""
        with self._in_touch():
            self._threads = sum(self._client.nthreads().values())
        now = self._asked = time.monotonic()
        if self._threads:
            self._last_seen, self._told = now, False
            return
        if now - self._last_seen > _PATIENCE:
            raise FastxaiError(
                f"the scheduler {self._address} has had no worker for {_PATIENCE:.0f} s; what is "
                f"written so far is whole: start workers, dask worker {self._address}, and the "
                "same again to continue"
            )
        if now - self._last_seen > _TOLD_AFTER and not self._told:
            self._told = True
            with open_progress(False) as progress:
                progress.notice(f"waiting for workers of {self._address}")

    @contextmanager
    def _in_touch(self) -> Iterator[None]:
        """A talk with the scheduler; when it is gone, that is said."""
        try:
            yield
        except FastxaiError:
            raise
        except Exception as error:
            raise self._lost() from error

    def _lost(self) -> StorageError:
        return StorageError(
            f"the cluster at {self._address} is lost; what is written so far is whole: start the "
            "same again, on a cluster or without one, to continue"
        )

    # --- batches -------------------------------------------------------------------------

    def _send(self, k: int) -> None:
        content = batch_of(self._plan, k)
        name = f"explain-{self._name}-{k}-{secrets.token_hex(4)}"
        with self._in_touch(), _large_tasks():
            future = self._client.submit(
                worker.explained, self._name, content, key=name, pure=False
            )
        self._flying[name] = k, future
        future.add_done_callback(lambda done: self._ready.put(done.key))

    def _next(self) -> str:
        """The name of the next batch that is done, or given up by the cluster."""
        while True:
            try:
                name = self._ready.get(timeout=1)
            except queue.Empty:
                self._watch()
                continue
            if name in self._flying:
                return name

    def _take(self, k: int, future: Any) -> Encoded | None:
        """The content of a batch; None if it is to be done again."""
        from concurrent.futures import CancelledError

        try:
            answer = self._result(future)
        except self._killed as error:
            self._died(k, error)
            return None
        except CancelledError as error:  # by a restart of the workers, or of the scheduler
            if self._client.status != "running":
                raise self._lost() from error
            self._died(k, error)
            return None
        if answer.error is not None:
            start, stop = self._plan.layout.span(k)
            kind = getattr(errors, answer.error.kind, FastxaiError)
            raise kind(
                f"{answer.error.text} (images {start} to {stop - 1}, on the worker {answer.worker})"
            ) from OnWorker(answer.error.trace)
        if answer.batch is None:  # a worker that came later
            self._introduce([answer.worker])
            return None
        self._check_unread(answer)
        return answer.batch

    def _result(self, future: Any) -> Answer:
        """What a task returned; waits where its worker died before it could be fetched."""
        from concurrent.futures import CancelledError

        while True:
            try:
                found: Answer = future.result(timeout=60)
                return found
            except (self._killed, CancelledError):
                raise
            except TimeoutError:
                self._watch()
            except OSError as error:
                raise self._lost() from error
            except Exception as error:
                raise FastxaiError(
                    f"the cluster at {self._address} can not do the work: "
                    f"{type(error).__name__}: {error}"
                ) from error

    def _died(self, k: int, error: BaseException) -> None:
        """Count how often workers died of a batch."""
        self._deaths[k] += 1
        self._check_deaths(error)

    def _check_deaths(self, error: BaseException | None = None, at_end: bool = False) -> None:
        """Give up where workers die all the time; of a few batches, when the others are done."""
        hopeless = sorted(k for k, deaths in self._deaths.items() if deaths >= _DEATHS)
        if not self._done and self._deaths.total() >= _DEATHS:
            hopeless = hopeless or sorted(self._deaths)
        elif len(hopeless) < (1 if at_end else _DEATHS):
            return
        spans = (self._plan.layout.span(k) for k in hopeless)
        named = ", ".join(f"{start} to {stop - 1}" for start, stop in spans)
        raise FastxaiError(
            f"images {named} end the workers that explain them, perhaps for want of memory: see "
            "the workers' logs; what is written so far is whole, and the same call continues"
        ) from error

    def _check_unread(self, answer: Answer) -> None:
        """An image that only a worker can not read is no bad image."""
        for i, reason in answer.unread:
            if not self._plan.source.read(i).reason:
                name = self._plan.source.paths[i] or f"image {i}"
                raise InvalidInputError(
                    f"the worker {answer.worker} can not read {name}, and this process can: "
                    f"{reason}; files must lie under the same paths on every machine, on a "
                    "shared disk, or be given as an array, which is sent along"
                )


class OnWorker(Exception):
    """The stack of an error, as the worker saw it."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


@contextmanager
def _large_tasks() -> Iterator[None]:
    """Tasks that hold the images of their batch are no mistake, of which dask would warn."""
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
        yield
