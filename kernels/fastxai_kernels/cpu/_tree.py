"""A quadtree or octree without pointers, level by level, from Morton-sorted points.

A cell is a run ``[first, last)`` of the points.  It is split at the first bits in which the
codes of its points differ, so that no cell has one child only: there are fewer than 2n cells
however deep a cluster lies, and coincident points end in one leaf.  The children of a cell
stand one behind the other.  Moments go up from the leaves, level by level, in float64.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, f64, i32, i64, inlined, kernel, u64
from ._morton import morton_order
from ._pairs import CENTRE, COUNT, TRACE, WIDTH
from ._threads import parallel_for

LEAF = 32  # most points of a leaf, unless their codes are all the same
SIZE = WIDTH - 1  # the entry of a cell's row that holds half its squared longest side
_GRAIN = 512


class Tree(NamedTuple):
    """Points in Morton order and the cells over them, the root first, level by level."""

    order: NDArray[np.int32]
    points: NDArray[np.float32]
    runs: NDArray[np.int32]
    cells: NDArray[np.float32]


@kernel(
    array_in(u64, 1), i64, array_in(i32, 2), i64, array_out(i32, 2), array_out(i64, 1), i64, i64
)
def _cut(codes, d, runs, base, borders, counts, start, stop):
    """Borders between the children of each cell of a level, and how many children there are."""
    for k in range(start, stop):
        first = runs[base + k, 0]
        last = runs[base + k, 1]
        counts[k] = 0
        differ = codes[first] ^ codes[last - 1]
        if last - first <= LEAF or differ == 0:
            continue
        level = 0
        while (differ >> np.uint64(d * (level + 1))) != 0:
            level += 1
        shift = np.uint64(d * level)
        found = 0
        at = first
        while at < last:
            borders[k, found] = at
            found += 1
            own = codes[at] >> shift
            low = at + 1
            high = last
            while low < high:
                middle = (low + high) >> 1
                if (codes[middle] >> shift) == own:
                    low = middle + 1
                else:
                    high = middle
            at = low
        borders[k, found] = last
        counts[k] = found


@kernel(array_in(i32, 2), array_in(i64, 1), i64, i64, array_out(i32, 2), i64, i64)
def _hang(borders, ends, base, beyond, runs, start, stop):
    """Write the children of each cell of a level behind the cells there are."""
    for k in range(start, stop):
        first = ends[k - 1] if k > 0 else 0
        children = ends[k] - first
        runs[base + k, 2] = beyond + first
        runs[base + k, 3] = children
        for c in range(children):
            runs[beyond + first + c, 0] = borders[k, c]
            runs[beyond + first + c, 1] = borders[k, c + 1]


def _split(codes: NDArray[np.uint64], d: int) -> tuple[NDArray[np.int32], list[int]]:
    """Cells (first, last, first child, children) and where each level begins and ends."""
    n = len(codes)
    runs = np.empty((2 * n, 4), np.int32)
    runs[0, :2] = 0, n
    levels = [0, 1]
    while levels[-1] > levels[-2]:
        base, beyond = levels[-2:]
        borders = np.empty((beyond - base, (1 << d) + 1), np.int32)
        ends = np.empty(beyond - base, np.int64)
        parallel_for(_cut, beyond - base, _GRAIN, codes, d, runs, base, borders, ends)
        np.cumsum(ends, out=ends)
        parallel_for(_hang, beyond - base, _GRAIN, borders, ends, base, beyond, runs)
        levels.append(beyond + int(ends[-1]))
    return runs[: levels[-1]], levels[:-1]


@inlined
def _from_points(points, first, last, d, centre, second, box):
    """Mean, second moments about it and bounding box of a run of points."""
    count = np.float64(last - first)
    for a in range(d):
        total = 0.0
        low = points[a, first]
        high = low
        for i in range(first, last):
            y = points[a, i]
            total += y
            low = y if y < low else low
            high = y if y > high else high
        centre[a] = total / count
        box[2 * a] = low
        box[2 * a + 1] = high
    at = 0
    for a in range(d):
        for b in range(a + 1):
            total = 0.0
            for i in range(first, last):
                total += (points[a, i] - centre[a]) * (points[b, i] - centre[b])
            second[at] = total
            at += 1


@inlined
def _from_children(runs, cell, d, centres, seconds, boxes):
    """The same from the children's."""
    centre = centres[cell]
    second = seconds[cell]
    box = boxes[cell]
    first = runs[cell, 2]
    last = first + runs[cell, 3]
    count = np.float64(runs[cell, 1] - runs[cell, 0])
    for a in range(d):
        total = 0.0
        low = boxes[first, 2 * a]
        high = boxes[first, 2 * a + 1]
        for c in range(first, last):
            total += centres[c, a] * (runs[c, 1] - runs[c, 0])
            low = boxes[c, 2 * a] if boxes[c, 2 * a] < low else low
            high = boxes[c, 2 * a + 1] if boxes[c, 2 * a + 1] > high else high
        centre[a] = total / count
        box[2 * a] = low
        box[2 * a + 1] = high
    at = 0
    for a in range(d):
        for b in range(a + 1):
            total = 0.0
            for c in range(first, last):
                apart = (centres[c, a] - centre[a]) * (centres[c, b] - centre[b])
                total += seconds[c, at] + apart * (runs[c, 1] - runs[c, 0])
            second[at] = total
            at += 1


@kernel(
    *(array_in(f32, 2), array_in(i32, 2), i64, f64),
    *(array_out(f64, 2), array_out(f64, 2), array_out(f32, 2), array_out(f32, 2), i64, i64),
)
def _moments(points, runs, base, factor, centres, seconds, boxes, cells, start, stop):
    d = points.shape[0]
    for cell in range(base + start, base + stop):
        if runs[cell, 3] > 0:
            _from_children(runs, cell, d, centres, seconds, boxes)
        else:
            first, last = runs[cell, 0], runs[cell, 1]
            _from_points(points, first, last, d, centres[cell], seconds[cell], boxes[cell])
        row = cells[cell]
        row[COUNT] = runs[cell, 1] - runs[cell, 0]
        longest = 0.0
        trace = 0.0
        at = 0
        for a in range(d):
            row[CENTRE + a] = centres[cell, a]
            row[CENTRE + d + a] = centres[cell, a] - np.float64(row[CENTRE + a])
            side = np.float64(boxes[cell, 2 * a + 1]) - np.float64(boxes[cell, 2 * a])
            longest = side if side > longest else longest
            for _ in range(a + 1):
                row[CENTRE + 2 * d + at] = factor * seconds[cell, at]
                at += 1
            trace += seconds[cell, at - 1]
        row[TRACE] = 0.5 * factor * trace
        row[SIZE] = 0.5 * longest * longest


def build(Y: NDArray[np.float32], dof: float) -> Tree:
    """The tree over points (n, 2) or (n, 3), with moments for a kernel of this dof."""
    d, factor = Y.shape[1], 2.0 * (dof + 1.0) / dof
    codes, order, points = morton_order(Y)
    runs, levels = _split(codes, d)
    centres, seconds = np.empty((len(runs), d)), np.empty((len(runs), d * (d + 1) // 2))
    boxes = np.empty((len(runs), 2 * d), np.float32)
    cells = np.empty((len(runs), WIDTH), np.float32)
    moments = (centres, seconds, boxes, cells)
    for base, beyond in reversed(list(pairwise(levels))):
        parallel_for(_moments, beyond - base, _GRAIN, points, runs, base, factor, *moments)
    return Tree(order, points, runs, cells)


@inlined
def _share(runs, first, beyond, most, groups, found):
    """Groups of the siblings ``first .. beyond - 1``; how many there are now."""
    begin = runs[first, 0]
    for c in range(first, beyond):
        large = runs[c, 1] - runs[c, 0] > most
        if begin < runs[c, 0] and (large or runs[c, 1] - begin > most):
            groups[found, 0] = begin
            groups[found, 1] = runs[c, 0]
            found += 1
            begin = runs[c, 0]
        if large:
            while runs[c, 3] == 0 and begin < runs[c, 1]:
                groups[found, 0] = begin
                groups[found, 1] = min(begin + most, runs[c, 1])
                found += 1
                begin += most
            begin = runs[c, 1]
    if begin < runs[beyond - 1, 1]:
        groups[found, 0] = begin
        groups[found, 1] = runs[beyond - 1, 1]
        found += 1
    return found


@kernel(array_in(i32, 2), i64, array_out(i32, 2), array_out(i64, 1), i64, i64)
def _unite(runs, most, groups, count, start, stop):
    """The groups of the root, and among the children of each cell of more than ``most``."""
    found = _share(runs, 0, 1, most, groups, 0)
    for cell in range(start, stop):
        if runs[cell, 3] > 0 and runs[cell, 1] - runs[cell, 0] > most:
            first = runs[cell, 2]
            found = _share(runs, first, first + runs[cell, 3], most, groups, found)
    count[0] = found


def siblings(tree: Tree, most: int) -> NDArray[np.int32]:
    """Runs of neighbouring siblings of at most so many points in all, in order.

    A leaf of more points is cut.
    """
    cells = len(tree.runs)
    groups = np.empty((cells + tree.points.shape[1] // most, 2), np.int32)
    count = np.zeros(1, np.int64)
    _unite(tree.runs, most, groups, count, 0, cells)
    return groups[np.argsort(groups[: count[0], 0])]
