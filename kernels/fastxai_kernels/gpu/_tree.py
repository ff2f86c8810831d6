"""A quadtree or octree in depth-first order with skip pointers, from Morton-sorted points.

A cell is a run ``[begin, end)`` of the points, split at the first bits in which the codes of
its points differ, if it holds more than a leaf's: no cell has one child only, there are fewer
than 2n cells however deep a cluster lies, and coincident points end in one leaf.

All cells are found at once, without levels: two neighbours in the order are divided at the
level where their codes differ, by the cell of all points that agree above that level, a run
that a binary search finds.  Where that run is split, a leaf begins; the leftmost such place of
a cell stands for it.  Sorted by (begin, size), cells are in depth-first order, and what
follows a cell's subtree is the first cell that begins at its end.

Moments of a leaf come from its points, those of a cell above from the leaves below it, each
cell by a program of its own in an order of its own, in float64.  The limit is memory: the
binary searches (in cache), the sort of the codes and a dozen passes over the points.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._morton import cuts, morton_order
from ._triton import kernel

WORDS = 16  # of a cell's row: begin, end, what follows it, half its squared longest side, ..
_POINTS = 128  # of a leaf at a time
_LEAVES = 512  # of a cell at a time
_AXES = (2, 3)


class Tree(NamedTuple):
    """Points in Morton order and the cells over them, depth first.

    Attributes
    ----------
    order : Tensor
        int64 (n,): the row of each point.
    points : Tensor
        float32 (d, n).
    cells : Tensor
        int64 (cells, 8): pairs of words: begin, end; the cell that follows the subtree and half
        the squared longest side of the bounding box, float32 as all that follows; the mean, d
        words and d for what float32 leaves of it; the second moments times 2 (dof + 1) / dof,
        row by row of the lower half.
    """

    order: Tensor
    points: Tensor
    cells: Tensor


@triton.jit
def _points_mean(points, begin, end, BLOCK: tl.constexpr):
    """Mean and limits of a coordinate of a run of points."""
    total = tl.zeros([BLOCK], tl.float64)
    low = tl.full([BLOCK], float("inf"), tl.float32)
    high = tl.full([BLOCK], float("-inf"), tl.float32)
    for start in range(begin, end, BLOCK):
        j = start + tl.arange(0, BLOCK)
        y = tl.load(points + j, mask=j < end, other=0.0)
        total += y.to(tl.float64)
        low = tl.where(j < end, tl.minimum(low, y), low)
        high = tl.where(j < end, tl.maximum(high, y), high)
    return tl.sum(total, 0) / (end - begin).to(tl.float64), tl.min(low, 0), tl.max(high, 0)


@triton.jit
def _points_second(xs, ys, mean_x, mean_y, begin, end, BLOCK: tl.constexpr):
    """Second moment about the mean, of two coordinates of a run of points."""
    total = tl.zeros([BLOCK], tl.float64)
    for start in range(begin, end, BLOCK):
        j = start + tl.arange(0, BLOCK)
        x = tl.load(xs + j, mask=j < end, other=0.0).to(tl.float64)
        y = tl.load(ys + j, mask=j < end, other=0.0).to(tl.float64)
        total += tl.where(j < end, (x - mean_x) * (y - mean_y), 0.0)
    return tl.sum(total, 0)


@triton.jit
def _put(row, k, value):
    """A float32 among the words of a row."""
    tl.store(row + k, value.to(tl.float32).to(tl.int32, bitcast=True))


@triton.jit
def _put_mean(row, a, mean, AXES: tl.constexpr):
    _put(row, 4 + a, mean)
    _put(row, 4 + AXES + a, mean - mean.to(tl.float32).to(tl.float64))


@triton.jit
def _longer(longest, low, high):
    return tl.maximum(longest, high.to(tl.float64) - low.to(tl.float64))


@kernel(
    "points:*fp32 bounds:*i64 places:*i64 n:i32 leaves:i32 factor:fp32 "
    "moments:*fp64 boxes:*fp32 rows:*i32",
    [{"AXES": axes, "BLOCK": _POINTS, "num_warps": 1} for axes in _AXES],
)
def _leaves(
    points, bounds, places, n, leaves, factor, moments, boxes, rows,
    AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Mean, second moments about it and bounding box of the points of each leaf."""
    leaf = tl.program_id(0)
    begin = tl.load(bounds + leaf).to(tl.int32)
    end = tl.load(bounds + leaf + 1).to(tl.int32)
    row = rows + tl.load(places + leaf) * 16
    stride = leaves.to(tl.int64)
    xs = points
    ys = points + n.to(tl.int64)
    zs = ys + n.to(tl.int64)
    x, low_x, high_x = _points_mean(xs, begin, end, BLOCK)
    y, low_y, high_y = _points_mean(ys, begin, end, BLOCK)
    xx = _points_second(xs, xs, x, x, begin, end, BLOCK)
    xy = _points_second(xs, ys, x, y, begin, end, BLOCK)
    yy = _points_second(ys, ys, y, y, begin, end, BLOCK)
    to, box = moments + leaf, boxes + leaf
    _store_4(box, stride, low_x, high_x, low_y, high_y)
    tl.store(to, x)
    tl.store(to + stride, y)
    tl.store(to + 2 * stride, xx)
    tl.store(to + 3 * stride, xy)
    tl.store(to + 4 * stride, yy)
    longest = _longer(_longer(0.0 * x, low_x, high_x), low_y, high_y)
    _put_plane(row, x, y, xx, xy, yy, factor, AXES)
    if AXES == 3:
        z, low_z, high_z = _points_mean(zs, begin, end, BLOCK)
        xz = _points_second(xs, zs, x, z, begin, end, BLOCK)
        yz = _points_second(ys, zs, y, z, begin, end, BLOCK)
        zz = _points_second(zs, zs, z, z, begin, end, BLOCK)
        tl.store(box + 4 * stride, low_z)
        tl.store(box + 5 * stride, high_z)
        _store_4(to + 5 * stride, stride, z, xz, yz, zz)
        longest = _longer(longest, low_z, high_z)
        _put_space(row, z, xz, yz, zz, factor, AXES)
    _put(row, 3, 0.5 * longest * longest)


@triton.jit
def _store_4(to, stride, a, b, c, d):
    tl.store(to, a)
    tl.store(to + stride, b)
    tl.store(to + 2 * stride, c)
    tl.store(to + 3 * stride, d)


@triton.jit
def _put_plane(row, x, y, xx, xy, yy, factor, AXES: tl.constexpr):
    _put_mean(row, 0, x, AXES)
    _put_mean(row, 1, y, AXES)
    _put(row, 4 + 2 * AXES, xx * factor)
    _put(row, 5 + 2 * AXES, xy * factor)
    _put(row, 6 + 2 * AXES, yy * factor)


@triton.jit
def _put_space(row, z, xz, yz, zz, factor, AXES: tl.constexpr):
    _put_mean(row, 2, z, AXES)
    _put(row, 7 + 2 * AXES, xz * factor)
    _put(row, 8 + 2 * AXES, yz * factor)
    _put(row, 9 + 2 * AXES, zz * factor)


@triton.jit
def _leaves_mean(means, lows, highs, bounds, first, last, count, BLOCK: tl.constexpr):
    """Mean and limits of a coordinate of a run of leaves."""
    total = tl.zeros([BLOCK], tl.float64)
    low = tl.full([BLOCK], float("inf"), tl.float32)
    high = tl.full([BLOCK], float("-inf"), tl.float32)
    for start in range(first, last, BLOCK):
        j = start + tl.arange(0, BLOCK)
        total += _weights(bounds, j, last) * tl.load(means + j, mask=j < last, other=0.0)
        low = tl.minimum(low, tl.load(lows + j, mask=j < last, other=float("inf")))
        high = tl.maximum(high, tl.load(highs + j, mask=j < last, other=float("-inf")))
    return tl.sum(total, 0) / count, tl.min(low, 0), tl.max(high, 0)


@triton.jit
def _weights(bounds, j, last):
    """How many points each leaf holds."""
    begin = tl.load(bounds + j, mask=j < last, other=0)
    return (tl.load(bounds + j + 1, mask=j < last, other=0) - begin).to(tl.float64)


@triton.jit
def _leaves_second(
    xs, ys, seconds, mean_x, mean_y, bounds, first, last, BLOCK: tl.constexpr
):  # fmt: skip
    """Second moment about the mean, of two coordinates of the points of a run of leaves."""
    total = tl.zeros([BLOCK], tl.float64)
    for start in range(first, last, BLOCK):
        j = start + tl.arange(0, BLOCK)
        x = tl.load(xs + j, mask=j < last, other=0.0) - mean_x
        y = tl.load(ys + j, mask=j < last, other=0.0) - mean_y
        second = tl.load(seconds + j, mask=j < last, other=0.0)
        total += second + _weights(bounds, j, last) * (x * y)
    return tl.sum(total, 0)


@kernel(
    "moments:*fp64 boxes:*fp32 bounds:*i64 spans:*i64 places:*i64 leaves:i32 cells:i32 "
    "factor:fp32 rows:*i32",
    [{"AXES": axes, "BLOCK": _LEAVES} for axes in _AXES],
)
def _above(
    moments, boxes, bounds, spans, places, leaves, cells, factor, rows,
    AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The same for the cells above, from the leaves ``spans[0] .. spans[1] - 1`` of each."""
    cell = tl.program_id(0)
    first = tl.load(spans + cell).to(tl.int32)
    last = tl.load(spans + cells.to(tl.int64) + cell).to(tl.int32)
    row = rows + tl.load(places + cell) * 16
    count = (tl.load(bounds + last) - tl.load(bounds + first)).to(tl.float64)
    stride = leaves.to(tl.int64)
    xs = moments
    ys = moments + stride
    own = moments + 2 * stride
    x, low, high = _leaves_mean(xs, boxes, boxes + stride, bounds, first, last, count, BLOCK)
    longest = _longer(0.0 * x, low, high)
    box = boxes + 2 * stride
    y, low, high = _leaves_mean(ys, box, box + stride, bounds, first, last, count, BLOCK)
    longest = _longer(longest, low, high)
    xx = _leaves_second(xs, xs, own, x, x, bounds, first, last, BLOCK)
    xy = _leaves_second(xs, ys, own + stride, x, y, bounds, first, last, BLOCK)
    yy = _leaves_second(ys, ys, own + 2 * stride, y, y, bounds, first, last, BLOCK)
    _put_plane(row, x, y, xx, xy, yy, factor, AXES)
    if AXES == 3:
        zs = moments + 5 * stride
        box += 2 * stride
        z, low, high = _leaves_mean(zs, box, box + stride, bounds, first, last, count, BLOCK)
        longest = _longer(longest, low, high)
        own = zs + stride
        xz = _leaves_second(xs, zs, own, x, z, bounds, first, last, BLOCK)
        yz = _leaves_second(ys, zs, own + stride, y, z, bounds, first, last, BLOCK)
        zz = _leaves_second(zs, zs, own + 2 * stride, z, z, bounds, first, last, BLOCK)
        _put_space(row, z, xz, yz, zz, factor, AXES)
    _put(row, 3, 0.5 * longest * longest)


def _cells(codes: Tensor, d: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The cells and their leaves.

    Words (cells, 16), begin, end and follower filled in; where leaves begin and the last ends;
    the leaves of each cell above (2, cells above); the rows of cells above, then of leaves.
    """
    n, device = len(codes), codes.device
    marks = cuts(codes, d)
    borders = torch.nonzero(marks[0]).flatten()  # how many leaves: the host must know
    above = borders[torch.nonzero(marks[0, borders] == 2).flatten()]  # and how many cells above
    ends = torch.tensor([0, n], device=device)
    bounds = torch.cat([ends[:1], borders, ends[1:]])
    runs = marks[1:3, above].long()
    begin, end = torch.cat([runs[0], bounds[:-1]]), torch.cat([runs[1], bounds[1:]])
    rank = torch.full_like(begin, 63)  # of cells with the same begin the largest comes first
    rank[: len(above)] = 62 - marks[3, above]
    by_place = torch.argsort(begin * 64 + rank)
    places = torch.empty_like(by_place)
    places[by_place] = torch.arange(len(by_place), device=device)
    words = torch.zeros((len(by_place), WORDS), dtype=torch.int32, device=device)
    begin, end = begin[by_place], end[by_place]
    words[:, 0], words[:, 1], words[:, 2] = begin, end, torch.searchsorted(begin, end)
    return words, bounds, torch.searchsorted(bounds, runs), places


def build(Y: Tensor, dof: float) -> Tree:
    """The tree over points (n, 2) or (n, 3), with moments for a kernel of this dof."""
    (n, d), factor = Y.shape, 2.0 * (dof + 1.0) / dof
    codes, order, points = morton_order(Y)
    words, bounds, spans, places = _cells(codes, d)
    leaves, above = len(bounds) - 1, spans.shape[1]
    moments = torch.empty((d + d * (d + 1) // 2, leaves), dtype=torch.float64, device=Y.device)
    boxes = torch.empty((2 * d, leaves), device=Y.device)
    _leaves.launch(
        (leaves,), points, bounds, places[above:], n, leaves, factor, moments, boxes, words,
        AXES=d, BLOCK=_POINTS,
    )  # fmt: skip
    _above.launch(
        (above,), moments, boxes, bounds, spans, places, leaves, above, factor, words,
        AXES=d, BLOCK=_LEAVES,
    )  # fmt: skip
    return Tree(order, points, words.view(torch.int64))
