"""Scores of many changed images: batch by batch through one buffer, as the memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ... import system
from ...errors import InvalidInputError, ModelError
from ...progress import Progress
from ..halving import Batches
from ..inputs import Inputs
from ..kernels import room_for
from ..targets.targets import Targets

SCORES = ("logit", "probability")
Forward = Callable[[Inputs], Tensor]
Fill = Callable[[int, int, Tensor], Tensor]  # (first, last, buffer) -> rows

_FIRST = 4  # images of the batch that is measured
_MOST = {"cpu": 32, "cuda": 128}
# The largest tensor of a forward on the CPU: beyond it allocators ask the system for fresh
# pages every time, and it falls out of the caches between one layer and the next.
_LARGEST = 2**25
_LEAST = 8  # below it the work of a layer is too little, however large its maps


def check_score(score: Any) -> None:
    """Refuse an unknown kind of score."""
    if score not in SCORES:
        raise InvalidInputError(f"score={score!r} is unknown; choose 'logit' or 'probability'")


def score_of(targets: Targets, output: Tensor, score: str) -> Tensor:
    """(N, K) float64 on the CPU."""
    found = targets.scores(output) if score == "logit" else targets.probabilities(output)
    return found.detach().to("cpu", torch.float64)


def format_of(model: Any, images: Tensor) -> torch.memory_format:
    """How batches should lie in memory: channels last where images or convolutions do.

    Convolutions of two axes run faster on a CPU with the channels last, whatever the model's
    weights are like.
    """
    form = {4: torch.channels_last, 5: torch.channels_last_3d}.get(images.ndim)
    if form is None:
        return torch.contiguous_format
    filters = [p for p in model.parameters() if p.ndim == images.ndim] if _is_module(model) else []
    last = any(
        t.is_contiguous(memory_format=form) and not t.is_contiguous() for t in [images, *filters]
    )
    faster = bool(filters) and images.ndim == 4 and images.device.type == "cpu"
    return form if last or faster else torch.contiguous_format


def _is_module(model: Any) -> bool:
    return isinstance(model, nn.Module)


class Meter(TorchDispatchMode):
    """Bytes of what operations return: all of them, and the largest."""

    def __init__(self) -> None:
        super().__init__()
        self.total = self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(tensor, Tensor):
                size = getattr(tensor, "held", tensor.numel() * tensor.element_size())
                self.total += size
                self.largest = max(self.largest, size)
        return found


_assumed: ContextVar[int | None] = ContextVar("fastxai_assumed_memory", default=None)


@contextmanager
def memory_assumed(size: int) -> Iterator[None]:
    """Share out so many bytes inside the block, whatever is free: the same batches every time."""
    token = _assumed.set(size)
    try:
        yield
    finally:
        _assumed.reset(token)


def memory_of(device: Any) -> int:
    """Bytes that a device, or this machine, has in all."""
    if device is not None and device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return system.total_memory()


def available_memory(device: Any) -> int | None:
    """Bytes that tensors on a device may still take; None where nobody knows."""
    if (assumed := _assumed.get()) is not None:
        return assumed
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]  # torch keeps what it was given
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + held)
    return system.available_memory()


def place_of(images: Tensor) -> torch.device:
    """Where the kernels write changed images: beside the images where those of a GPU do."""
    return images.device if room_for(images).is_gpu else torch.device("cpu")


class Perturbed:
    """Runs changed images through a model.

    Parameters
    ----------
    forward : callable
        From `Inputs` to the selected output, without a graph.
    inputs : Inputs
        The images, and the inputs beside them, which each changed image keeps.
    targets : Targets
        What is scored of each image.
    score : {"logit", "probability"}
        Which of their numbers.
    batch_size : int, optional
        By default found by measuring the first batch: as many images as fit into the memory,
        at most 32 on a CPU, and no more (but 8, a power of two) than keep the largest
        activation in 32 MiB there.
    memory_format : memory_format
        Of the buffer; the plain one is taken where the model can not work with it.
    group : int, optional
        Batches do not go beyond multiples of it.
    """

    def __init__(
        self,
        forward: Forward,
        inputs: Inputs,
        targets: Targets,
        *,
        score: str = "logit",
        batch_size: int | None = None,
        memory_format: Any = torch.contiguous_format,
        group: int | None = None,
    ) -> None:
        check_score(score)
        self._forward, self._inputs, self._targets = forward, inputs, targets
        self._score, self._asked, self._format = score, batch_size, memory_format
        self._group = group
        self._buffer: Tensor | None = None

    def scores(self, total: int, fill: Fill, progress: Progress, stage: str) -> Tensor:
        """Scores (total, K) float64 of ``total`` changed images.

        ``fill(first, last, buffer)`` writes images [first, last) into a buffer (b, C, *spatial)
        in the memory of the kernels, `place_of`, and returns whose rows' they are.
        """
        batches = Batches(total, self._asked or _FIRST, self._group or total)

        def one(first: int, last: int) -> Tensor:
            return self._one(batches, first, last, fill)

        return torch.cat(batches.run(one, progress, stage))

    def _one(self, batches: Batches, first: int, last: int, fill: Fill) -> Tensor:
        images, rows = self._filled(batches.size, first, last, fill)
        measured = self._asked is not None or batches.halved or first > 0
        inputs = self._inputs.repeat(rows, images)
        with nullcontext() if measured else Meter() as meter:
            try:
                output = self._forward(inputs)
            except ModelError:
                if first > 0 or self._format is torch.contiguous_format:
                    raise
                # Such as one that calls view() on what its convolutions return.
                self._format, self._buffer = torch.contiguous_format, None
                return self._one(batches, first, last, fill)
        if meter is not None:
            batches.size = self._best(meter, last - first)
        return score_of(self._targets.repeat(rows), output, self._score)

    def _filled(self, size: int, first: int, last: int, fill: Fill) -> tuple[Tensor, Tensor]:
        """The changed images where the model wants them, and whose they are."""
        like = self._inputs.images
        if self._buffer is None or len(self._buffer) != size:
            self._buffer = None  # before there is another
            # Kernels write single precision; half can be had from it without loss.
            dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
            empty = torch.empty((size, *like.shape[1:]), dtype=dtype, device=place_of(like))
            self._buffer = empty.contiguous(memory_format=self._format)
        buffer = self._buffer[: last - first]
        rows = fill(first, last, buffer)
        return buffer.to(like.device, like.dtype), rows.to(like.device)

    def _best(self, meter: Meter, n: int) -> int:
        """Images a batch by what ``n`` of them took."""
        device = self._inputs.images.device
        best = _MOST.get(device.type, 32)
        if device.type != "cuda":
            fits = _LARGEST * n // max(1, meter.largest)
            best = min(best, max(_LEAST, 1 << fits.bit_length() >> 1))
        if (available := available_memory(device)) is not None:
            best = min(best, available * n // max(1, meter.total))
        return max(1, best)
