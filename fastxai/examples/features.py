"""Features and answers of one batch of images: a pure function, the same bits every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import NotEnoughMemoryError
from ..explain.forward import out_of_memory, run_model
from ..explain.inputs import Inputs, read_inputs, spatial_axes
from ..explain.model import caller, place_of, plain_mode, untouched
from ..explain.outputs import select_output
from ..explain.threads import process_wide
from ..image_sets.answers import Answers, answers, classes_of
from .layer import FeatureLayer, find_layer, reading

_ONE = 1


class Seen(NamedTuple):
    """What a network made of a batch.

    Attributes
    ----------
    features : ndarray of shape (B, d), float32
    answers : Answers
        Best classes and scores, and which answers are finite.
    classes : int
        How many the network tells apart.
    size : int
        How many images ran together.
    """

    features: NDArray[np.float32]
    answers: Answers
    classes: int
    size: int


@dataclass
class Reader:
    """A network that is read at one layer; see `opened`."""

    model: Any
    layer: Any
    pool: str
    output: Any
    task: str
    top_k: int = 1
    at: FeatureLayer | None = None

    def __post_init__(self) -> None:
        self._call = caller(self.model)
        self._device, self._dtype = place_of(self.model)
        self._axes = spatial_axes(self.model)

    def see(self, images: NDArray[np.float32], size: int) -> Seen:
        """Run a batch, ``size`` images together, or half as many where memory does not suffice."""
        inputs = read_inputs(images, device=self._device, dtype=self._dtype, spatial=self._axes)
        if self.at is None:
            self.at = find_layer(self.model, self.layer, inputs, self.output, self.pool)
        while True:
            try:
                return self._seen(inputs, size)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if size == _ONE:
                    raise NotEnoughMemoryError(
                        f"memory does not suffice for one image at a time: {error}"
                    ) from error
            size = max(_ONE, size // 2)

    def _seen(self, inputs: Inputs, size: int) -> Seen:
        features, outputs = [], []
        for start in range(0, len(inputs), size):
            part = inputs.part(start, min(start + size, len(inputs)))
            assert self.at is not None
            with torch.no_grad(), reading(self.at, len(part)) as found:
                output = select_output(run_model(self._call, part), self.output, n=len(part))
            features.append(found.features.cpu())
            outputs.append(output.detach())
        output = torch.cat(outputs)
        values: NDArray[np.float32] = torch.cat(features).numpy().astype(np.float32, copy=False)
        told = answers(output, self.task, self.top_k)
        return Seen(values, told, classes_of(output, self.task), size)


@contextmanager
def opened(reader: Reader, threads: int | None = None) -> Iterator[Reader]:
    """The reader's model is in eval mode, and as it came after the block; see `untouched`."""
    with plain_mode(), untouched(reader.model), torch_threads(threads):
        yield reader


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """So many threads of torch, on whose number sums over parts of a layer depend."""
    if number is None:
        yield
        return
    with process_wide(("torch threads", number), lambda: _threads(number)):
        yield


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if before != number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        if before != number:
            torch.set_num_threads(before)
