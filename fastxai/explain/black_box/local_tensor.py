"""Tensors that differ from a known one in a small region only.

A window that covers a part of an image changes, layer by layer, what lies within its reach:
the rest of each feature map is that of the image as it is (Nakandala, Kumar and
Papakonstantinou 2019).  A `Patch` looks to the model like the whole batch of feature maps and
holds the changed regions.  Where they have grown too large, and before any operation that is
not known to be local, the whole is put together.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

Place = tuple[int, ...]
# By name: (function, positional arguments, keyword arguments) -> result, or None where only
# the whole will do.
Local = Callable[[Any, Any, Any], Any]
OPERATIONS: dict[str, Local] = {}


class Known:
    """What the model computes of the image as it is: each operation once an image."""

    def __init__(self, model: torch.nn.Module) -> None:
        tensors = itertools.chain(model.parameters(), model.buffers())
        self._fixed = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        self._results: dict[Any, Tensor] = {}
        self._kept: list[Any] = []  # so that no other tensor gets the identity of one that is gone

    def get(
        self, func: Any, bases: Sequence[Tensor], rest: Any, run: Callable[[], Tensor]
    ) -> Tensor:
        """The result of an operation on bases, with these other arguments."""
        key = (func, tuple(map(id, bases)), tuple(map(_key, rest)))
        if key not in self._results:
            self._results[key] = run()
            self._kept.append((bases, rest))
        return self._results[key]

    def is_fixed(self, value: Any) -> bool:
        """Whether a value is the same for every image: a number, a parameter or a buffer."""
        if not isinstance(value, Tensor):
            return not isinstance(value, (list, tuple)) or all(map(self.is_fixed, value))
        return not isinstance(value, Patch) and value.untyped_storage().data_ptr() in self._fixed


def _key(value: Any) -> Any:
    return id(value) if isinstance(value, Tensor) else repr(value)


class Patch(Tensor):
    """A batch (b, c, *s) of which each image differs from ``base`` (1, c, *s) in one region.

    Attributes
    ----------
    patch : Tensor or None
        The regions (b, c, *p), all of one size; None where the whole was put together and
        changed since.
    starts : list of tuple of int
        The first position of each region.
    """

    base: Tensor
    patch: Tensor | None
    starts: list[Place]
    known: Known
    whole: Tensor | None
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, base: Tensor, patch: Tensor, starts: list[Place], known: Known) -> Patch:
        """A tensor without memory of its own, of the shape of the whole batch."""
        size = (len(patch), *base.shape[1:])
        strides = torch.empty(size, device="meta", memory_format=form_of(base)).stride()
        made: Patch = Tensor._make_wrapper_subclass(
            cls, size, strides=strides, dtype=base.dtype, device=base.device
        )
        made.base, made.patch, made.starts, made.known = base, patch, starts, known
        made.whole = None
        return made

    @property
    def held(self) -> int:
        """Bytes that this tensor really takes."""
        part = self.whole if self.patch is None else self.patch
        return 0 if part is None else part.numel() * part.element_size()

    def together(self) -> Tensor:
        """The whole batch."""
        if self.whole is None:
            assert self.patch is not None
            whole = self._empty((len(self.patch), *self.base.shape[1:]))
            whole.copy_(self.base.expand_as(whole))
            origin, extent = (0,) * (whole.ndim - 2), self.patch.shape[2:]
            for image, patch, start in zip(whole, self.patch, self.starts, strict=True):
                image[_overlap(origin, whole.shape[2:], start, extent)[0]] = patch
            self.whole = whole
        return self.whole

    def crop(self, starts: list[Place], size: Place, outside: float) -> Tensor:
        """Regions (b, c, *size) at other places, with a value beyond the border."""
        assert self.patch is not None
        limits, extent = self.base.shape[2:], self.patch.shape[2:]
        found = self._empty((*self.patch.shape[:2], *size))
        origin = (0,) * len(size)
        for image, start, patch, at in zip(found, starts, self.patch, self.starts, strict=True):
            if any(a < 0 or a + n > m for a, n, m in zip(start, size, limits, strict=True)):
                image.fill_(outside)
            to, there = _overlap(start, size, origin, limits)
            image[to] = self.base[0][there]
            to, there = _overlap(start, size, at, extent)
            image[to] = patch[there]
        return found

    def _empty(self, shape: Place) -> Tensor:
        return torch.empty(
            shape, dtype=self.base.dtype, device=self.base.device, memory_format=form_of(self.base)
        )

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Locally where that is known to be right, else on the whole."""
        kwargs = kwargs or {}
        local = OPERATIONS.get(func._schema.name.partition("::")[2])
        found = None if local is None else local(func, args, kwargs)
        return _on_the_whole(func, args, kwargs) if found is None else found


def put_together(found: Any) -> Any:
    """The same with whole tensors for patches."""
    return tree_map(lambda x: x.together() if isinstance(x, Patch) else x, found)


def _on_the_whole(func: Any, args: Any, kwargs: Any) -> Any:
    result = func(*put_together(args), **put_together(kwargs))
    first = args[0] if args else None
    if isinstance(first, Patch) and func._schema.is_mutable:
        first.patch = None  # what it stands for now is the whole, changed in place
        return first
    return result


def form_of(tensor: Tensor) -> torch.memory_format:
    """Channels last where they are, in two axes."""
    if tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format


def regions(
    lows: Sequence[Sequence[int]], highs: Sequence[Sequence[int]], limits: Sequence[int]
) -> tuple[list[Place], Place]:
    """Regions of one size, within the limits, that hold all from low to high, which counts."""
    spans = [
        [last - first + 1 for first, last in zip(low, high, strict=True)]
        for low, high in zip(lows, highs, strict=True)
    ]
    size = tuple(min(m, max(1, *axis)) for m, *axis in zip(limits, *spans, strict=True))
    starts = [
        tuple(max(0, min(at, m - n)) for at, m, n in zip(low, limits, size, strict=True))
        for low in lows
    ]
    return starts, size


def _overlap(
    start: Place, size: Sequence[int], other: Place, extent: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where two regions overlap, in the coordinates of each, behind an axis of channels."""
    here, there = [slice(None)], [slice(None)]
    for a, n, b, m in zip(start, size, other, extent, strict=True):
        low = max(a, b)
        high = max(min(a + n, b + m), low)
        here.append(slice(low - a, high - a))
        there.append(slice(low - b, high - b))
    return tuple(here), tuple(there)
