"""What all sources of images have in common."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from itertools import islice
from typing import Any

from ...errors import InvalidInputError
from ..decoding import Sample, failed, of_shape, summary_of
from ..labels import Label


def _hash(values: list[Any]) -> str:
    digest = hashlib.sha256()
    some = iter(values)
    while part := list(islice(some, 1000)):  # one by one takes four times as long
        digest.update(json.dumps(part).encode() + b"\n")
    return f"sha256 {digest.hexdigest()}"


class Source(ABC):
    """Images in a fixed order, each with its label and group, read one by one.

    Attributes
    ----------
    kind : str
        "folder", "paths", "table", "array" or "dataset".
    concurrent : bool
        Whether several threads may read at once.
    paths : list of str
        "" where there is none.  Text that UTF-8 can hold; `from_text` makes it what `open` takes.
    labels : list of int, str or None
    groups : list of str or None
    shape : tuple of int, or None
        What all images must have, see `expect`.
    """

    kind: str
    concurrent = True

    def __init__(self, paths: list[str], labels: list[Label], groups: list[str | None]) -> None:
        self.paths, self.labels, self.groups = paths, labels, groups
        self.shape: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def expect(self, shape: tuple[int, ...]) -> None:
        """Give images of another shape than this, (C, *spatial), a reason from now on."""
        self.shape = tuple(shape)

    def read(self, i: int) -> Sample:
        """Read one image; what is wrong with it is its `Sample.reason`, never an exception."""
        if not 0 <= i < len(self):
            raise IndexError(f"image {i} of {len(self)}")
        try:
            return of_shape(self._read(i), self.shape)
        except MemoryError:
            return failed("does not fit into memory")
        except Exception as error:
            return failed(f"{type(error).__name__}: {error}")

    def first(self) -> tuple[int, Sample]:
        """The first image that can be read, and its number.

        Raises
        ------
        InvalidInputError
            If there is none.
        """
        reasons = []
        for i in range(len(self)):
            sample = self.read(i)
            if sample.image is not None:
                return i, sample
            reasons.append(sample.reason)
        raise InvalidInputError(
            f"none of the {len(self):,} images can be read: {summary_of(reasons)}"
        )

    def part(self, start: int, stop: int) -> Source:
        """Images [start, stop), such that they can be pickled and read in another process."""
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"images {start} to {stop} of {len(self)}")
        part = self._part(start, stop)
        part.shape = self.shape
        return part

    def describe(self) -> dict[str, Any]:
        """What tells this source from another, as JSON holds it."""
        hashes = {name: _hash(getattr(self, name)) for name in ("paths", "labels", "groups")}
        return {"kind": self.kind, "n": len(self), **hashes} | self._details()

    @abstractmethod
    def _read(self, i: int) -> Sample: ...

    @abstractmethod
    def _part(self, start: int, stop: int) -> Source: ...

    @abstractmethod
    def _details(self) -> dict[str, Any]: ...
