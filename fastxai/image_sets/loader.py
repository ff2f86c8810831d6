"""Images decoded by threads while the model is at work, no more of them than needed soon."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from ..errors import InvalidInputError
from .decoding import Sample
from .sources import Source

Span = tuple[int, int, int]
_MOST_WORKERS = 8


def default_workers() -> int:
    """As many threads as this process has cores, and at most 8."""
    if hasattr(os, "sched_getaffinity"):
        return min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
    return min(_MOST_WORKERS, os.cpu_count() or 1)


@contextmanager
def prefetch(
    source: Source, batches: Iterable[Span], workers: int | None = None, ahead: int = 2
) -> Iterator[Iterator[tuple[int, list[Sample]]]]:
    """Read batches of images in threads, ahead of the one that is asked for.

    At most ``ahead`` batches are decoded or being decoded beside the one that was handed out.
    When the block is left, in whatever way, no thread is left: images that are being decoded
    are finished, others not begun.

    Parameters
    ----------
    source : Source
        One that is not `concurrent` is read by a single thread, in order.
    batches : iterable of (number, start, stop)
        Which images make a batch.
    workers : int, optional
        Number of threads; see `default_workers`.  The result does not depend on it.
    ahead : int, default 2

    Yields
    ------
    iterator of (number, list of Sample)
        In the order of ``batches``.

    Raises
    ------
    InvalidInputError
        If ``workers`` or ``ahead`` is less than 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.image_sets.sources import read_source
    >>> source = read_source(np.zeros((5, 1, 8, 8), np.float32))
    >>> with prefetch(source, [(0, 0, 3), (1, 3, 5)], workers=2) as loaded:
    ...     [(number, len(samples)) for number, samples in loaded]
    [(0, 3), (1, 2)]
    """
    workers = default_workers() if workers is None else workers
    for name, value in (("workers", workers), ("ahead", ahead)):
        if value < 1:
            raise InvalidInputError(f"{name}={value}: 1 or more is expected")
    pool = ThreadPoolExecutor(workers if source.concurrent else 1, "fastxai-decode")
    try:
        yield _in_order(pool, source, iter(batches), ahead)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor, source: Source, batches: Iterator[Span], ahead: int
) -> Iterator[tuple[int, list[Sample]]]:
    waiting: deque[tuple[int, list[Future[Sample]]]] = deque()

    def submit() -> None:
        for number, start, stop in batches:
            waiting.append((number, [pool.submit(source.read, i) for i in range(start, stop)]))
            return

    for _ in range(ahead):
        submit()
    while waiting:
        number, futures = waiting.popleft()
        samples = [future.result() for future in futures]
        del futures  # they hold the images as well
        submit()
        yield number, samples
        del samples
