"""What a batch is computed from, and what the methods made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decoding import Sample
from .labels import class_of


@dataclass(frozen=True)
class Job:
    """How every batch is explained.

    Attributes
    ----------
    methods : dict of str to dict
        Options by method.
    layer, output, task
        As of `fastxai.explain`.
    target : None, int or str
        What is explained of every image, where `Batch.targets` does not say.
    batch_size, top_k, dtype, thumbnail
        As of `fastxai.explain_dataset`.
    memory : int
        Bytes that black boxes share out among the images of their batches: what is free at the
        time would give other batches, and other bits, each time.
    threads : int
        Of torch, whose sums over parts of a layer depend on it.
    """

    methods: Mapping[str, Mapping[str, Any]]
    layer: Any
    output: Any
    task: str
    target: Any
    batch_size: int
    top_k: int
    dtype: str
    thumbnail: int
    memory: int
    threads: int


@dataclass(frozen=True)
class Batch:
    """The images of a batch and what is known of them before the network has seen them.

    Attributes
    ----------
    k, first, size : int
        Number of the batch, of its first image, and how many images run together.
    samples : sequence of Sample
    paths, labels, groups : lists
        A value an image; labels as given.
    label_classes : list of int
        -1 where it is not known.
    targets : ndarray of int64 or None
        (B,) or (B, K), where each image has its own.
    """

    k: int
    first: int
    size: int
    samples: Sequence[Sample]
    paths: list[str]
    labels: list[Any]
    groups: list[Any]
    label_classes: list[int]
    targets: NDArray[np.int64] | None = None

    def read(self, samples: Sequence[Sample], names: Sequence[str] | None) -> Batch:
        """The batch with its images, which may bring their labels."""
        labels, classes = list(self.labels), list(self.label_classes)
        for i, sample in enumerate(samples):
            if labels[i] is None and sample.label is not None:
                labels[i] = sample.label
                classes[i] = class_of(sample.label, names)
        return replace(self, samples=samples, labels=labels, label_classes=classes)


@dataclass
class Maps:
    """What the methods made of a batch, or of the image that was tried first."""

    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # (B, K, ...)
    status: dict[str, NDArray[Any]] = field(default_factory=dict)  # (B, K)
    low: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    high: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    scale: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # (B, K), of float16
    signed: dict[str, bool] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    classes: Any = None
    scores: Any = None
    single: bool = True
    answers: Any = None
    output: Any = None
