"""What a worker of a cluster does: the model loaded once, then batch after batch.

The scheduler imports this file, too, which is why it does without torch until it works.
"""

from __future__ import annotations

import pickle
import threading
import traceback
from collections import OrderedDict
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import FastxaiError, InvalidInputError, NotEnoughMemoryError

if TYPE_CHECKING:
    from .job import Batch, Job
    from .manifest import Layout
    from .sources import Source
    from .store import Encoded

_RUNS: OrderedDict[str, _Run] = OrderedDict()
_MOST_RUNS = 2  # whose models a worker keeps
_GUARD = threading.Lock()
# One batch at a time in a process, while other threads read images: the network belongs to one
# thread at a time, and the number of torch's threads, which the bits depend on, to the process.
_EXPLAINING = threading.Lock()


class Setup(NamedTuple):
    """What all batches of a run have in common.

    ``network`` is None where the model has a name, ``spec``; ``dataset`` is what parts of the
    source read from, where they share one.
    """

    job: Job
    layout: Layout
    names: tuple[str, ...] | None
    identity: dict[str, Any]
    spec: str | None
    weights: str | None
    network: Any
    dataset: Any
    readers: int | None


class Error(NamedTuple):
    """What went wrong, for the process that writes: a name of `fastxai.errors`, or ""."""

    kind: str
    text: str
    trace: str


class Answer(NamedTuple):
    """What became of a batch; neither ``batch`` nor ``error`` where the worker lacks the model.

    ``unread`` are the images that could not be read, and why.
    """

    worker: str
    batch: Encoded | None = None
    unread: tuple[tuple[int, str], ...] = ()
    error: Error | None = None


class _Run:
    """A run's model in this process."""

    def __init__(self, content: bytes) -> None:
        self.content: bytes | None = content
        self.loading, self.reading = threading.Lock(), threading.Lock()
        self.setup: Setup
        self.network: Any

    def load(self) -> None:
        """Make the model, unless it is there."""
        with self.loading:
            if self.content is None:
                return
            self.setup = _unpickled(self.content, "the model")
            self.network = _network(self.setup)
            self.content = None

    def explain(self, content: bytes, threads: int) -> Answer:
        """Read a batch and explain it."""
        from ..progress import silenced
        from .chunk import compute
        from .loader import prefetch
        from .memory import kept_memory

        self.load()
        source: Source
        batch: Batch
        setup = self.setup
        batch, source = _unpickled(content, "the images")
        if hasattr(source, "dataset"):
            source.dataset = setup.dataset
        readers = setup.readers or threads
        with (
            nullcontext() if source.concurrent else self.reading,
            prefetch(source, [(batch.k, 0, len(source))], readers) as loaded,
        ):
            samples = next(iter(loaded))[1]
        with _EXPLAINING, silenced(), kept_memory():
            batch = batch.read(samples, setup.names)
            found = compute(setup.job, setup.layout, self.network, batch)
        unread = ((batch.first + i, s.reason) for i, s in enumerate(samples) if s.reason)
        return Answer("", found, tuple(unread))


def _network(setup: Setup) -> Any:
    """The run's network; one that is built here is the same as where the run was started."""
    if setup.spec is None:
        return setup.network
    from ..explain.networks.loading import load_network
    from .settings import identity

    network = load_network(setup.spec, setup.weights).model
    if identity(network, setup.spec) != setup.identity:
        raise InvalidInputError(
            f"the model {setup.spec} is another one on this machine than where the run was "
            "started: its code or its file of weights differs"
        )
    return network


def _unpickled(content: bytes, what: str) -> Any:
    try:
        return pickle.loads(content)
    except Exception as error:
        raise InvalidInputError(
            f"{what} can not be unpickled ({type(error).__name__}: {error}): install the modules "
            "that they come from on the workers, or send them, client.upload_file(file)"
        ) from error


# --- called on the worker ----------------------------------------------------------------


def versions(device: str | None) -> dict[str, str]:
    """What gives this process the bits that it gives."""
    from .settings import versions_of

    return versions_of(device)


def receive(run: str, content: bytes) -> None:
    """Keep the `Setup` of a run, pickled, until a batch needs it."""
    with _GUARD:
        if run not in _RUNS:
            _RUNS[run] = _Run(content)
        while len(_RUNS) > _MOST_RUNS:
            _RUNS.popitem(last=False)


def forget(run: str) -> None:
    """Let go of a run's model."""
    with _GUARD:
        _RUNS.pop(run, None)


def explained(run: str, content: bytes) -> Answer:
    """Explain a batch: the task.  What goes wrong is part of the answer."""
    from distributed import get_worker

    worker = get_worker()
    found = _RUNS.get(run)
    if found is None:
        return Answer(worker.address)
    try:
        return found.explain(content, worker.state.nthreads)._replace(worker=worker.address)
    except Exception as error:
        return Answer(worker.address, error=_told(error))


def _told(error: Exception) -> Error:
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, FastxaiError):
        return Error(type(error).__name__, str(error), trace)
    kind = NotEnoughMemoryError.__name__ if isinstance(error, MemoryError) else ""
    return Error(kind, f"{type(error).__name__}: {error}", trace)
