"""Operations that take patches to patches: what depends on few positions around each one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .local_tensor import OPERATIONS, Patch, Place, regions

_WORTH = 0.7  # of a map's positions: beyond it the whole is computed

# One value from one value, whatever its place.
_POINTWISE = """abs alias clamp clamp_ clamp_max clamp_min clamp_min_ clone contiguous detach elu
    elu_ exp gelu hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_ leaky_relu
    leaky_relu_ log mish mish_ neg pow relu relu6 relu6_ relu_ rsqrt sigmoid sigmoid_ silu silu_
    softplus sqrt square tanh tanh_ threshold threshold_"""
_BINARY = "add add_ div maximum minimum mul mul_ rsub sub sub_"


def _live(value: Any) -> bool:
    return isinstance(value, Patch) and value.patch is not None


def _regions_of(x: Patch) -> Tensor:
    assert x.patch is not None
    return x.patch


def _pointwise(func: Any, args: Any, kwargs: Any) -> Patch | None:
    """The operation on the region and on the image as it is."""
    x, rest = args[0], (*args[1:], *kwargs.values())
    if not _live(x) or not x.known.is_fixed(rest):
        return None
    own = _in_place(func, x.base)
    patch: Tensor = func(x.patch, *args[1:], **kwargs)
    if not func._schema.is_mutable and patch.data_ptr() == _regions_of(x).data_ptr():
        same: Patch = x  # the same memory: what is done to the one is done to the other
        return same
    base = x.known.get(func, [x.base], rest, lambda: func(own(), *args[1:], **kwargs))
    return _become(func, x, base, patch, x.starts)


def _dropout(func: Any, args: Any, kwargs: Any) -> Patch | None:
    training = args[2] if len(args) > 2 else kwargs.get("train", True)
    return None if training else _pointwise(func, args, kwargs)


def _batch_norm(func: Any, args: Any, kwargs: Any) -> Patch | None:
    # With the batch's own statistics every position depends on all others.
    return _pointwise(func, args, kwargs) if len(args) > 5 and not args[5] else None


def _binary(func: Any, args: Any, kwargs: Any) -> Patch | None:
    """Two patches, or a patch and what is the same at every position."""
    if len(args) != 2 or kwargs or not _live(args[0]):
        return None
    x, other = args
    if not isinstance(other, Patch):
        spatial = other.shape[-(x.ndim - 2) :] if isinstance(other, Tensor) else ()
        return _pointwise(func, args, kwargs) if all(n == 1 for n in spatial) else None
    if not _live(other) or other.shape != x.shape:
        return None
    starts, (left, right) = _aligned([x, other])
    own = _in_place(func, x.base)
    base = x.known.get(func, [x.base, other.base], (), lambda: func(own(), other.base))
    return _become(func, x, base, func(left, right), starts)


def _cat(func: Any, args: Any, kwargs: Any) -> Patch | None:
    patches = args[0]
    if kwargs or len(args) < 2 or args[1] not in (1, 1 - patches[0].ndim):
        return None
    if not all(map(_live, patches)):
        return None
    starts, crops = _aligned(patches)
    known, bases = patches[0].known, [p.base for p in patches]
    base = known.get(func, bases, (), lambda: func(bases, 1))
    return Patch(base, func(crops, 1), starts, known)


def _pad(func: Any, args: Any, kwargs: Any) -> Patch | None:
    """A border of one value moves the regions."""
    x, pads, mode = args[0], list(args[1]), args[2] if len(args) > 2 else "constant"
    axes = x.ndim - 2
    of_one_value = not isinstance(mode, str) or mode == "constant"
    if not _live(x) or not of_one_value or min(pads) < 0 or len(pads) > 2 * axes:
        return None
    rest = (*args[1:], *kwargs.values())
    base = x.known.get(func, [x.base], rest, lambda: func(x.base, *args[1:], **kwargs))
    # Pairs begin with the last axis.
    before = [0] * (axes - len(pads) // 2) + pads[-2::-2]
    starts = [tuple(a + b for a, b in zip(at, before, strict=True)) for at in x.starts]
    return Patch(base, _regions_of(x).clone(), starts, x.known)


def _in_place(func: Any, base: Tensor) -> Callable[[], Tensor]:
    """The base, or what may be written to in its stead: others know it as it is."""
    return base.clone if func._schema.is_mutable else lambda: base


def _become(func: Any, x: Patch, base: Tensor, patch: Tensor, starts: list[Place]) -> Patch:
    if not func._schema.is_mutable:
        return Patch(base, patch, starts, x.known)
    x.base, x.patch, x.starts, x.whole = base, patch, starts, None
    return x


def _aligned(patches: Sequence[Patch]) -> tuple[list[Place], list[Tensor]]:
    """Regions that cover those of all patches, and what lies there."""
    first, sizes = patches[0], [_regions_of(p).shape[2:] for p in patches]
    if len(set(sizes)) == 1 and all(p.starts == first.starts for p in patches):
        return first.starts, [_regions_of(p) for p in patches]
    lows, highs = [], []
    for ats in zip(*(p.starts for p in patches), strict=True):
        ends = [
            [a + n - 1 for a, n in zip(at, size, strict=True)]
            for at, size in zip(ats, sizes, strict=True)
        ]
        lows.append([min(axis) for axis in zip(*ats, strict=True)])
        highs.append([max(axis) for axis in zip(*ends, strict=True)])
    starts, size = regions(lows, highs, first.base.shape[2:])
    return starts, [p.crop(starts, size, 0.0) for p in patches]


def _slide(
    func: Any,
    x: Patch,
    rest: tuple[Any, ...],
    steps: list[tuple[int, int, int, int]],
    outside: float,
    run: Callable[[Tensor, list[int]], Tensor],
) -> Patch | None:
    """A kernel that slides: the outputs that the region reaches, from the inputs they need.

    ``steps`` are kernel, stride, padding and dilation of each axis; ``run(input, padding)``.
    """
    if not x.known.is_fixed(rest):
        return None
    base = x.known.get(func, [x.base], rest, lambda: run(x.base, [p for _, _, p, _ in steps]))
    limits, extent = base.shape[2:], _regions_of(x).shape[2:]
    lows = [
        [max(0, -((d * (k - 1) - p - a) // s)) for a, (k, s, p, d) in zip(at, steps, strict=True)]
        for at in x.starts
    ]
    highs = [
        [
            min(m - 1, (a + n - 1 + p) // s)
            for a, n, m, (_, s, p, _) in zip(at, extent, limits, steps, strict=True)
        ]
        for at in x.starts
    ]
    starts, size = regions(lows, highs, limits)
    if math.prod(size) > _WORTH * math.prod(limits):
        return None
    inside = [0] * len(steps)
    if all((k, s, p) == (1, 1, 0) for k, s, p, _ in steps):
        return Patch(base, run(_regions_of(x), inside), x.starts, x.known)
    needed = tuple(
        (n - 1) * s + (k - 1) * d + 1 for n, (k, s, _, d) in zip(size, steps, strict=True)
    )
    places = [tuple(o * s - p for o, (_, s, p, _) in zip(at, steps, strict=True)) for at in starts]
    return Patch(base, run(x.crop(places, needed, outside), inside), starts, x.known)


def _axes(value: Any, n: int) -> list[int]:
    """One number an axis."""
    values = [value] if isinstance(value, int) else list(value)
    return values * n if len(values) == 1 else values


def _by_axis(given: dict[str, Any], n: int) -> None:
    for name in {"stride", "padding", "dilation"} & set(given):
        given[name] = _axes(given[name], n)


def _steps(kernel: Sequence[int], given: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    dilation = given.get("dilation", [1] * len(kernel))
    return list(zip(kernel, given["stride"], given["padding"], dilation, strict=True))


def _conv(func: Any, args: Any, kwargs: Any) -> Patch | None:
    given: dict[str, Any] = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    given |= dict(zip(given, args[2:], strict=False)) | kwargs
    x, weight = args[0], args[1]
    if not _live(x) or isinstance(given["padding"], str) or x.ndim != weight.ndim:
        return None

    def run(images: Tensor, padding: list[int]) -> Tensor:
        result: Tensor = func(images, weight, **{**given, "padding": padding})
        return result

    _by_axis(given, x.ndim - 2)
    steps = _steps(weight.shape[2:], given)
    return _slide(func, x, (weight, *given.values()), steps, 0.0, run)


def _pool(func: Any, args: Any, kwargs: Any) -> Patch | None:
    average = "avg" in func._schema.name
    given: dict[str, Any] = {"stride": (), "padding": 0}
    if average:
        given |= {"ceil_mode": False, "count_include_pad": True, "divisor_override": None}
    else:
        given |= {"dilation": 1, "ceil_mode": False}
    given |= dict(zip(given, args[2:], strict=False)) | kwargs
    x = args[0]
    if not _live(x):
        return None
    kernel = _axes(args[1], x.ndim - 2)
    given["stride"] = given["stride"] or kernel
    _by_axis(given, x.ndim - 2)
    # There the mean at the border is over fewer pixels.
    fewer = any(given["padding"]) and not given.get("count_include_pad", True)
    if average and (given["ceil_mode"] or fewer):
        return None

    def run(images: Tensor, padding: list[int]) -> Tensor:
        result: Tensor = func(images, kernel, **{**given, "padding": padding})
        return result

    steps = _steps(kernel, given)
    outside = 0.0 if average else -torch.inf
    return _slide(func, x, (kernel, *given.values()), steps, outside, run)


OPERATIONS.update(dict.fromkeys(_POINTWISE.split(), _pointwise))
OPERATIONS.update(dict.fromkeys(_BINARY.split(), _binary))
OPERATIONS.update(dict.fromkeys(["conv1d", "conv2d", "conv3d"], _conv))
OPERATIONS.update(dict.fromkeys(["max_pool1d", "max_pool2d", "max_pool3d"], _pool))
OPERATIONS.update(dict.fromkeys(["avg_pool2d", "avg_pool3d"], _pool))
OPERATIONS.update(dict.fromkeys(["dropout", "dropout_", "feature_dropout"], _dropout))
OPERATIONS.update({"batch_norm": _batch_norm, "cat": _cat, "constant_pad_nd": _pad, "pad": _pad})
