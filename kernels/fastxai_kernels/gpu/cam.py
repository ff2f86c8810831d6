"""Class activation maps at the size of the layer, and their upsampling.

    L_p = sum_c w_c A_cp                                       (Zhou et al. 2016; w given)
    gradcam:    w_c = mean_p G_cp                              (Selvaraju et al. 2017, eq. 1)
    gradcam++:  w_c = sum_p alpha_cp relu(G_cp),
                alpha_cp = G^2 / (2 G^2 + (sum_q A_cq) G^3)    (Chattopadhay et al. 2018, eq. 19)
    hirescam:   L_p = sum_c G_cp A_cp                          (Draelos and Carin 2020)
    layercam:   L_p = sum_c relu(G_cp) A_cp                    (Jiang et al. 2021)

A are activations and G the gradients of the score by them.  The maps come as they are, before
the rectifier.

The limit is memory: 8 bytes an activation, for A and G are read once.  A program sums some
channels of a block of pixels; where a channel fits into a block, its weight is computed from the
registers that hold it.  The channels of larger layers are weighed by a pass of their own, over G
(Grad-CAM++ reads A in it, too: twice in all).  How channels are cut depends on the layer alone,
so that no map depends on the others of its batch.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._triton import ceil_div, kernel

_METHODS = ("weighted", "gradcam", "gradcam++", "hirescam", "layercam")
_BY_CHANNEL = (1, 2)  # of these methods, whose weights need all pixels of a channel
_NARROW, _WIDE = 64, 256  # pixels of a block
_TILE = 2048  # activations that a program reads at a time
_TURNS = tl.constexpr(4)  # how often it does
_LANES = 1024
_SPILL = tl.constexpr(16)  # blocks of a row that are summed in float32


def _tile(method: int, size: int) -> dict[str, int]:
    """The constants for a layer of ``size`` pixels."""
    pixels = _NARROW if size <= _NARROW else _WIDE
    # Whole steps keep rows aligned to 16 bytes.
    step = 4 if pixels == _WIDE and method not in _BY_CHANNEL and size % 4 == 0 else 1
    return {"METHOD": method, "CHANNELS": _TILE // pixels, "PIXELS": pixels, "STEP": step}


_TILES = [_tile(method, size) for method in range(5) for size in (_NARROW, _WIDE - 1)]
_TILES += [_tile(method, _WIDE) for method in (0, 3, 4)]


@triton.jit
def _positive(x):
    """The positive part; NaN stays NaN."""
    return tl.where(x <= 0.0, 0.0, x)


@triton.jit
def _plus_plus(reach, g):
    """alpha relu(g), where alpha is 1 / (2 + reach g), and 0 where that has no value."""
    g = _positive(g)
    below = 2.0 + reach * g
    return tl.where(below == 0.0, 0.0, g / below)


@kernel("A:*fp32 other:*fp32 sums:*fp64 channels:i32 steps:i32", _TILES)
def _sum_maps(A, other, sums, channels, steps, METHOD: tl.constexpr, CHANNELS: tl.constexpr,
              PIXELS: tl.constexpr, STEP: tl.constexpr):  # fmt: skip
    """Sums over a part of the channels; ``other`` are gradients, or weights (METHOD 0)."""
    size = steps * STEP
    blocks = tl.cdiv(size, PIXELS)
    image = (tl.program_id(0) // blocks).to(tl.int64)
    p = (tl.program_id(0) % blocks) * PIXELS + tl.arange(0, PIXELS)
    part = tl.program_id(1)
    total = tl.zeros((CHANNELS, PIXELS), tl.float32)
    for turn in range(_TURNS):
        c = (part * _TURNS + turn) * CHANNELS + tl.arange(0, CHANNELS)
        rows = image * channels + c
        at = rows[:, None] * size + p[None, :]
        there = (c < channels)[:, None] & (p < size)[None, :]
        a = tl.load(A + at, mask=there, other=0.0)
        if METHOD == 0:
            weight = tl.load(other + rows, mask=c < channels, other=0.0)[:, None]
        else:
            weight = tl.load(other + at, mask=there, other=0.0)
        if METHOD == 1:
            weight = (tl.sum(weight, axis=1) / size)[:, None]
        if METHOD == 2:
            reach = tl.sum(a, axis=1)[:, None]
            weight = tl.sum(_plus_plus(reach, weight), axis=1)[:, None]
        if METHOD == 4:
            weight = _positive(weight)
        total += weight * a
    out = sums + (image * tl.num_programs(1) + part) * size + p
    tl.store(out, tl.sum(total.to(tl.float64), axis=0), mask=p < size)


@kernel("sums:*fp64 maps:*fp32 n:i32 size:i32 parts:i32", [{"PARTS": 16, "LANES": 64}])
def _total(sums, maps, n, size, parts, PARTS: tl.constexpr, LANES: tl.constexpr):
    """The sum over the parts of n numbers, ``size`` in a map."""
    at = tl.program_id(0) * LANES + tl.arange(0, LANES)
    there = at < n
    first = (at // size).to(tl.int64) * parts * size + at % size
    total = tl.zeros((LANES,), tl.float64)
    for begin in range(0, parts, PARTS):
        part = begin + tl.arange(0, PARTS)
        mask = (part < parts)[:, None] & there[None, :]
        places = first[None, :] + part.to(tl.int64)[:, None] * size
        total += tl.sum(tl.load(sums + places, mask=mask, other=0.0), axis=0)
    tl.store(maps + at, total.to(tl.float32), mask=there)


@triton.jit
def _sum_row(A, G, reach, size, METHOD: tl.constexpr, LANES: tl.constexpr):
    """The sum of a channel of A (METHOD 0), of G (1) or of alpha relu(G) (2)."""
    lanes = tl.arange(0, LANES)
    total = tl.zeros((LANES,), tl.float64)
    for first in range(0, size, _SPILL * LANES):
        part = tl.zeros((LANES,), tl.float32)
        for begin in range(first, tl.minimum(first + _SPILL * LANES, size), LANES):
            p = begin + lanes
            if METHOD == 0:
                part += tl.load(A + p, mask=p < size, other=0.0)
            else:
                g = tl.load(G + p, mask=p < size, other=0.0)
                part += g if METHOD == 1 else _plus_plus(reach, g)
        total += part.to(tl.float64)
    return tl.sum(total, axis=0)


@kernel(
    "A:*fp32 G:*fp32 weights:*fp32 steps:i32",
    [{"METHOD": m, "LANES": _LANES, "STEP": step} for m in _BY_CHANNEL for step in (1, 4)],
)
def _weigh(A, G, weights, steps, METHOD: tl.constexpr, LANES: tl.constexpr, STEP: tl.constexpr):
    """The weight of one channel of many pixels."""
    size = steps * STEP
    row = tl.program_id(0).to(tl.int64)
    A, G = A + row * size, G + row * size
    if METHOD == 1:
        weight = _sum_row(A, G, 0.0, size, 1, LANES) / size
    else:
        reach = _sum_row(A, G, 0.0, size, 0, LANES).to(tl.float32)
        weight = _sum_row(A, G, reach, size, 2, LANES)
    tl.store(weights + row, weight.to(tl.float32))


def _flat(values: Tensor) -> Tensor:
    """(n, c, pixels), copied only where channels do not lie one after the other."""
    return values.contiguous().reshape(*values.shape[:2], -1)


def _add_up(A: Tensor, other: Tensor, method: int) -> Tensor:
    """Maps (n, pixels) of A (n, c, pixels)."""
    n, channels, size = A.shape
    tile = _tile(method, size)
    parts = ceil_div(channels, tile["CHANNELS"] * _TURNS.value)
    sums = torch.empty((n, parts, size), dtype=torch.float64, device=A.device)
    maps = torch.empty((n, size), dtype=torch.float32, device=A.device)
    grid = (n * ceil_div(size, tile["PIXELS"]), parts)
    _sum_maps.launch(grid, A, other, sums, channels, size // tile["STEP"], **tile)
    _total.launch((ceil_div(n * size, 64),), sums, maps, n * size, size, parts, PARTS=16, LANES=64)
    return maps


def cam_maps(activations: Tensor, gradients: Tensor, method: str) -> Tensor:
    """Maps (n, *s) of one method before the rectifier, from A and G (n, c, *s)."""
    A, other, code = _flat(activations), _flat(gradients), _METHODS.index(method)
    n, channels, size = A.shape
    if code in _BY_CHANNEL and size > _WIDE:
        weights = torch.empty((n, channels), dtype=torch.float32, device=A.device)
        step = 1 if size % 4 else 4
        constants = {"METHOD": code, "LANES": _LANES, "STEP": step}
        _weigh.launch((n * channels,), A, other, weights, size // step, **constants)
        other, code = weights, 0
    return _add_up(A, other, code).reshape(n, *activations.shape[2:])


def weighted_sum(activations: Tensor, weights: Tensor) -> Tensor:
    """Maps (n, *s) = sum over c of weights (n, c) times A (n, c, *s)."""
    maps = _add_up(_flat(activations), weights.contiguous(), 0)
    return maps.reshape(len(activations), *activations.shape[2:])


@triton.jit
def _between(at, cells, pixels):
    """The two cells that pixels lie between, and the second's share: exact, in whole numbers."""
    unit = 2 * pixels.to(tl.int64)
    place = (2 * at.to(tl.int64) + 1) * cells - pixels  # in units of a half pixel
    place = tl.minimum(tl.maximum(place, 0), (cells - 1) * unit)
    low = place // unit
    left = place - low * unit
    # Where the other cell has no share, neither may its NaN have one.
    return low, tl.where(left > 0, low + 1, low), left.to(tl.float32) / unit.to(tl.float32)


@triton.jit
def _cells(row, columns, relu):
    """Cells (rows, lanes) of the coarse maps; what is not finite is NaN."""
    value = tl.load(row[:, None] + columns[None, :])
    value = tl.where((value <= 0.0) & (relu != 0), 0.0, value)
    return tl.where(tl.abs(value) < float("inf"), value, float("nan"))


@triton.jit
def _drawn_out(row, left, right, share, relu):
    """Rows of the coarse map, interpolated along them."""
    share = share[None, :]
    return _cells(row, left, relu) * (1.0 - share) + _cells(row, right, relu) * share


@triton.jit
def _plane(plane, top, bottom, by, width, left, right, share, relu):
    """Planes of the coarse map, interpolated along both axes."""
    above = _drawn_out(plane + top * width, left, right, share, relu)
    below = _drawn_out(plane + bottom * width, left, right, share, relu)
    return above * (1.0 - by[:, None]) + below * by[:, None]


@kernel(
    "coarse:*fp32 out:*fp32 rows:i32 slices:i32 height:i32 width:i32 "
    "to_slices:i32 to_height:i32 to_width:i32 relu:i32",
    [{"AXES": axes, "ROWS": 8, "LANES": 128} for axes in (2, 3)],
)
def _interpolate(coarse, out, rows, slices, height, width, to_slices, to_height, to_width, relu,
                 AXES: tl.constexpr, ROWS: tl.constexpr, LANES: tl.constexpr):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    x = tl.program_id(1) * LANES + tl.arange(0, LANES)
    there = (row < rows)[:, None] & (x < to_width)[None, :]
    to = out + row.to(tl.int64)[:, None] * to_width + x[None, :]
    row = tl.minimum(row, rows - 1)
    left, right, share = _between(x, width, to_width)
    top, bottom, by = _between(row % to_height, height, to_height)
    plane = row // to_height  # of all maps
    if AXES == 2:
        start = coarse + plane.to(tl.int64) * height * width
        value = _plane(start, top, bottom, by, width, left, right, share, relu)
    else:
        low, high, up = _between(plane % to_slices, slices, to_slices)
        first = (plane // to_slices).to(tl.int64) * slices
        start = coarse + (first + low) * height * width
        value = _plane(start, top, bottom, by, width, left, right, share, relu)
        start = coarse + (first + high) * height * width
        other = _plane(start, top, bottom, by, width, left, right, share, relu)
        value = value * (1.0 - up[:, None]) + other * up[:, None]
    tl.store(to, value, mask=there)


def upsample(coarse: Tensor, size: Sequence[int], relu: bool) -> Tensor:
    """Maps (n, *size) from (n, *s), one to three axes, linear; with ``relu`` rectified first.

    A NaN reaches every pixel that is interpolated from it.
    """
    n, axes = len(coarse), len(size)
    ones = (1,) * (3 - axes)
    given, to = (*ones, *coarse.shape[1:]), (*ones, *(int(pixels) for pixels in size))
    out = torch.empty((n, *to[3 - axes :]), dtype=torch.float32, device=coarse.device)
    rows = n * to[0] * to[1]
    _interpolate.launch(
        (ceil_div(rows, 8), ceil_div(to[2], 128)), coarse.contiguous(), out, rows, *given, *to,
        int(relu), AXES=max(axes, 2), ROWS=8, LANES=128,
    )  # fmt: skip
    return out
