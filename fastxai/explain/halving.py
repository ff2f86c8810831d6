"""Work in batches, each half as large and done again where memory does not suffice."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from ..progress import Progress
from .forward import out_of_memory

T = TypeVar("T")


class Batches:
    """Numbers 0 to ``total`` in batches.

    Parameters
    ----------
    total : int
        How many there are.
    size : int
        How many run together.  Work that finds out what is best may set it.
    group : int, optional
        Batches do not go beyond multiples of it, within which they are shared out evenly.
    halve : bool, default True
        Whether to go on with half as many where memory does not suffice.

    Attributes
    ----------
    halved : bool
        Whether memory did not suffice once.
    """

    def __init__(
        self, total: int, size: int, group: int | None = None, *, halve: bool = True
    ) -> None:
        self.total, self.size, self.halved = total, size, False
        self._group, self._halve = group, halve

    def run(self, work: Callable[[int, int], T], progress: Progress, stage: str) -> list[T]:
        """What ``work(first, last)`` returns for each batch [first, last).

        It is called again for a part of the same batch where it runs out of memory, and must
        have changed nothing by then.  One alone that does not fit is an error.
        """
        found: list[T] = []
        first = 0
        with progress.stage(stage, self.total) as advance:
            while first < self.total:
                last = self._end(first)
                done = self._tried(work, first, last)
                if not done:
                    # Outside of the except block, whose error keeps all that the work had made.
                    gc.collect()
                    if torch.cuda.is_initialized():
                        torch.cuda.empty_cache()
                    progress.say(f"memory did not suffice: {self.size} images at a time")
                    continue
                found += done
                advance(last - first)
                first = last
        return found

    def _tried(self, work: Callable[[int, int], T], first: int, last: int) -> list[T]:
        """What the work returns, in a list; an empty one where the size was halved instead."""
        try:
            return [work(first, last)]
        except (RuntimeError, MemoryError) as error:
            if not (self._halve and out_of_memory(error)) or last - first == 1:
                raise
        self.size, self.halved = max(1, (last - first) // 2), True
        return []

    def _end(self, first: int) -> int:
        """Where the batch from ``first`` on ends."""
        if self._group is None:
            return min(first + self.size, self.total)
        left = min(self.total, (first // self._group + 1) * self._group) - first
        return first + -(-left // -(-left // self.size))
