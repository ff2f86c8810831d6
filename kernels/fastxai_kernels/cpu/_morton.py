"""Points in Morton order: the bits of their coordinates interleaved, sorted by radix.

The order is that of a depth-first walk through a quadtree or octree (Morton 1966), so
every cell of the tree is a run of points.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, f64, i32, i64, inlined, kernel, u64
from ._threads import parallel_for

PADDING = 16  # zeros behind the points: a vector may be read from any point on
_DIGIT = 11  # bits a round of the sort: counts stay in the first-level cache
_GRAIN = 16384


@kernel(array_in(f32, 2), i64, array_out(f32, 2), i64, i64)
def _bounds(Y, grain, bounds, start, stop):
    """Least and greatest coordinate of a chunk, for each axis."""
    chunk = start // grain
    for a in range(Y.shape[1]):
        low = Y[start, a]
        high = low
        for i in range(start, stop):
            y = Y[i, a]
            low = y if y < low else low
            high = y if y > high else high
        bounds[chunk, 2 * a] = low
        bounds[chunk, 2 * a + 1] = high


@inlined
def _spread_2(x):
    """A zero bit before each of 31 bits."""
    x = (x | (x << np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    x = (x | (x << np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    x = (x | (x << np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    x = (x | (x << np.uint64(2))) & np.uint64(0x3333333333333333)
    return (x | (x << np.uint64(1))) & np.uint64(0x5555555555555555)


@inlined
def _spread_3(x):
    """Two zero bits before each of 21 bits."""
    x = (x | (x << np.uint64(32))) & np.uint64(0x001F00000000FFFF)
    x = (x | (x << np.uint64(16))) & np.uint64(0x001F0000FF0000FF)
    x = (x | (x << np.uint64(8))) & np.uint64(0x100F00F00F00F00F)
    x = (x | (x << np.uint64(4))) & np.uint64(0x10C30C30C30C30C3)
    return (x | (x << np.uint64(2))) & np.uint64(0x1249249249249249)


@kernel(array_in(f32, 2), array_in(f64, 1), f64, array_out(u64, 1), array_out(i32, 1), i64, i64)
def _encode(Y, low, scale, codes, order, start, stop):
    """The code of each point in the cube that begins at ``low``."""
    three = Y.shape[1] == 3
    most = 2097151.0 if three else 2147483647.0
    for i in range(start, stop):
        code = np.uint64(0)
        for a in range(Y.shape[1]):
            place = (np.float64(Y[i, a]) - low[a]) * scale
            whole = np.uint64(place if place < most else most)
            spread = _spread_3(whole) if three else _spread_2(whole)
            code |= spread << np.uint64(a)
        codes[i] = code
        order[i] = i


@kernel(array_in(u64, 1), u64, i64, array_out(i64, 2), i64, i64)
def _count_digits(codes, shift, grain, counts, start, stop):
    count = counts[start // grain]
    for t in range(count.shape[0]):
        count[t] = 0
    for i in range(start, stop):
        count[(codes[i] >> shift) & np.uint64(count.shape[0] - 1)] += 1


@kernel(
    *(array_in(u64, 1), array_in(i32, 1), u64, i64, array_out(i64, 2)),
    *(array_out(u64, 1), array_out(i32, 1), i64, i64),
)
def _deal_digits(codes, order, shift, grain, places, to_codes, to_order, start, stop):
    place = places[start // grain]
    for i in range(start, stop):
        digit = (codes[i] >> shift) & np.uint64(place.shape[0] - 1)
        to = place[digit]
        place[digit] = to + 1
        to_codes[to] = codes[i]
        to_order[to] = order[i]


def _sort(
    codes: NDArray[np.uint64], order: NDArray[np.int32]
) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """A stable sort, the last digits first: equal codes stay in the order of rows."""
    n = len(codes)
    grain = max(_GRAIN, n // 64)
    counts = np.empty((-(-n // grain), 1 << _DIGIT), np.int64)
    places = np.empty_like(counts)
    to_codes, to_order = np.empty_like(codes), np.empty_like(order)
    for shift in map(np.uint64, range(0, 63, _DIGIT)):
        parallel_for(_count_digits, n, grain, codes, shift, grain, counts)
        ends = np.cumsum(counts.T).reshape(counts.shape[::-1]).T
        np.subtract(ends, counts, out=places)
        to = (to_codes, to_order)
        parallel_for(_deal_digits, n, grain, codes, order, shift, grain, places, *to)
        codes, to_codes, order, to_order = to_codes, codes, to_order, order
    return codes, order


@kernel(array_in(f32, 2), array_in(i32, 1), array_out(f32, 2), i64, i64)
def _gather(Y, order, points, start, stop):
    for a in range(Y.shape[1]):
        for i in range(start, stop):
            points[a, i] = Y[order[i], a]


def morton_order(
    Y: NDArray[np.float32],
) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.float32]]:
    """Sorted codes (n,), the rows in that order (n,), and the points (d, n + PADDING) in it.

    Y is (n, 2), to 31 bits an axis, or (n, 3), to 21 bits.
    """
    n, d = Y.shape
    bounds = np.empty((-(-n // _GRAIN), 2 * d), np.float32)
    parallel_for(_bounds, n, _GRAIN, Y, _GRAIN, bounds)
    low = bounds[:, ::2].min(axis=0).astype(np.float64)
    extent = float((bounds[:, 1::2].max(axis=0) - low).max())
    scale = 2.0 ** (21 if d == 3 else 31) / extent if extent > 0 else 0.0
    codes, order = np.empty(n, np.uint64), np.empty(n, np.int32)
    parallel_for(_encode, n, _GRAIN, Y, low, scale, codes, order)
    codes, order = _sort(codes, order)
    points = np.zeros((d, n + PADDING), np.float32)
    parallel_for(_gather, n, _GRAIN, Y, order, points)
    return codes, order, points
