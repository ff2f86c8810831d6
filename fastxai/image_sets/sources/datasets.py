"""Images of a torch Dataset, or of anything that has a length and items."""

from __future__ import annotations

import hashlib
from typing import Any

from torch.utils import data

from ...errors import InvalidInputError
from ..decoding import NOWHERE, Prepare, Sample, describe_prepare, failed, from_item
from ..labels import Label
from .base import Source
from .paths import to_text


class DatasetSource(Source):
    """Items of a Dataset, read by one thread in their order: not every Dataset bears more.

    Labels that an item brings count where ``labelled``.
    """

    kind = "dataset"
    concurrent = False

    def __init__(
        self,
        dataset: Any,
        start: int,
        paths: list[str],
        labels: list[Label],
        groups: list[str | None],
        prepare: Prepare | None,
        labelled: bool,
    ) -> None:
        super().__init__(paths, labels, groups)
        self.dataset, self.start, self.prepare = dataset, start, prepare
        self.labelled = labelled

    def _read(self, i: int) -> Sample:
        try:
            item = self.dataset[self.start + i]
        except MemoryError:
            raise
        except Exception as error:
            return failed(f"the dataset raised {type(error).__name__}: {error}")
        sample = from_item(item, self.prepare)
        if self.paths[i]:  # what the Dataset did to its photo is not known
            sample = sample._replace(place=NOWHERE)
        return sample if self.labelled else sample._replace(label=None)

    def _part(self, start: int, stop: int) -> Source:
        rows = slice(start, stop)
        return DatasetSource(
            self.dataset,
            self.start + start,
            self.paths[rows],
            self.labels[rows],
            self.groups[rows],
            self.prepare,
            self.labelled,
        )

    def _details(self) -> dict[str, Any]:
        kind = type(self.dataset)
        name = f"{kind.__module__}.{kind.__qualname__}"
        digest = hashlib.sha256()
        for i in sorted({0, len(self) // 2, len(self) - 1}):
            sample = self.read(i)
            digest.update(
                sample.reason.encode() if sample.image is None else sample.image.tobytes()
            )
        return {
            "dataset": name,
            "items": f"sha256 {digest.hexdigest()}",
            "preprocess": describe_prepare(self.prepare),
        }


def of_loader(loader: data.DataLoader[Any]) -> Any:
    """The Dataset of a loader that reads it in its order.

    Raises
    ------
    InvalidInputError
        If it shuffles, is iterable, or makes batches in a way of its own.
    """
    if isinstance(loader.dataset, data.IterableDataset):
        raise InvalidInputError(_ITERABLE)
    own_batches = loader.batch_sampler is not None and (
        type(loader.batch_sampler) is not data.BatchSampler
    )
    if own_batches or type(loader.sampler) is not data.SequentialSampler:
        raise InvalidInputError(
            "the DataLoader shuffles, or draws its items in an order of its own, so that a run "
            "could not be continued: give DataLoader(..., shuffle=False), or its dataset"
        )
    if loader.batch_size is not None and loader.collate_fn is not data.default_collate:
        raise InvalidInputError(
            "the DataLoader has a collate_fn of its own, and images are read one by one: give "
            "its dataset, if the items alone are what the model sees"
        )
    return loader.dataset


def check_dataset(dataset: Any) -> int:
    """How many items there are.

    Raises
    ------
    InvalidInputError
        If that is not known, or they can not be asked for by number.
    """
    if isinstance(dataset, data.IterableDataset):
        raise InvalidInputError(_ITERABLE)
    try:
        return len(dataset)
    except (TypeError, NotImplementedError):
        raise InvalidInputError(
            f"{type(dataset).__name__} does not say how many items it has: give it __len__"
        ) from None


def paths_and_labels(dataset: Any, n: int) -> tuple[list[str], list[Label]]:
    """What an `ImageFolder` knows without reading: its list of (path, class)."""
    samples = getattr(dataset, "samples", None)
    known = (
        isinstance(samples, list)
        and len(samples) == n
        and all(
            isinstance(s, tuple) and len(s) == 2 and isinstance(s[0], str) and type(s[1]) is int
            for s in samples
        )
    )
    if not known or samples is None:
        return [""] * n, [None] * n
    paths = [to_text(path) for path, _ in samples]
    if getattr(dataset, "target_transform", None) is not None:  # its items know better
        return paths, [None] * n
    return paths, [label for _, label in samples]


_ITERABLE = (
    "the dataset is iterable, and its items can not be asked for by number, so that a run could "
    "not be continued: give a map-style Dataset, with __getitem__ and __len__"
)
