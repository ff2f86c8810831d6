"""Points in few dimensions, sorted into cells: the approximate search's first candidates.

    e(x, y) = |x - y|^2 + left_x + left_y

estimates a squared distance from the leading principal components x, y of two points and
what is left of them, some share of the squared norm of the rest.  An inverted file (Jegou,
Douze and Schmid 2011, section III): `probe_cells` compares a point with the owners of the
cells nearest to it.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._blas import single_threaded_blas
from ._jit import array_in, array_out, f32, helper, i32, i64, kernel
from ._lists import FAR, PADDING, bound, distance_of, fill, holds, key_of, least, push, read, write
from ._threads import parallel_for
from ._vectors import LANES, ROWS, at_most, lowest, multiply_tile, squared_distance

_BLOCK = 2048
_GRAIN = 512


def principal_axes(
    points: NDArray[np.float32], mean: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances, descending, and directions (columns) of the principal components about ``mean``.

    As many as there are points or features (n, d), whichever is less.  By the covariance, or
    by the inner products of the points if these are fewer.
    """
    n, d = points.shape
    with single_threaded_blas():
        if n < d:
            moved = (points - mean).astype(np.float64)
            variances, rows = np.linalg.eigh(moved @ moved.T / n)
            directions = moved.T @ rows
            lengths = np.linalg.norm(directions, axis=0)
            directions /= np.maximum(lengths, np.finfo(np.float32).tiny)
        else:
            variances, directions = np.linalg.eigh(_covariance(points, mean))
    return variances[::-1], directions[:, ::-1]


def _covariance(points: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float64]:
    """Float32 products of fixed blocks, float64 sums."""
    n, d = points.shape
    blocks = -(-n // _BLOCK)
    parts = np.empty((blocks, d, d), np.float32)

    def multiply(start: int, stop: int) -> None:
        for block in range(start, stop):
            moved = points[block * _BLOCK : (block + 1) * _BLOCK] - mean
            np.matmul(moved.T, moved, out=parts[block])

    parallel_for(multiply, blocks, 1)
    covariance: NDArray[np.float64] = parts.sum(axis=0, dtype=np.float64) / n
    return covariance


@kernel(
    *(array_in(f32, 2), array_in(f32, 1), array_in(f32, 2), array_in(f32, 1)),
    *(array_out(f32, 2), array_out(f32, 1), i64, i64),
)
def _project(points, mean, panels, zero, projected, left, start, stop):
    d, width = points.shape[1], projected.shape[1]
    blocks = panels.shape[0] // d
    rows = np.zeros((ROWS, d), np.float32)
    products = np.empty((ROWS, blocks * LANES), np.float32)
    for o in range(start, stop, ROWS):
        count = least(ROWS, stop - o)
        for r in range(count):
            for j in range(d):
                rows[r, j] = points[o + r, j] - mean[j]
        for block in range(blocks):
            multiply_tile(rows, panels, block, products, block * LANES)
        for r in range(count):
            for c in range(width):
                projected[o + r, c] = products[r, c]
            rest = squared_distance(rows[r], zero) - squared_distance(
                projected[o + r], zero[:width]
            )
            left[o + r] = rest if rest > 0 else np.float32(0.0)


def project(
    points: NDArray[np.float32], mean: NDArray[np.float32], components: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(points - mean) @ components (d, c), orthonormal, and the squared norm of what is left.

    Each row by itself: no batch changes its bits.
    """
    d, width = components.shape
    blocks = -(-width // LANES)
    padded = np.zeros((d, blocks * LANES), np.float32)
    padded[:, :width] = components
    panels = np.ascontiguousarray(padded.reshape(d, blocks, LANES).transpose(1, 0, 2))
    projected = np.empty((len(points), width), np.float32)
    left = np.empty(len(points), np.float32)
    zero = np.zeros(d, np.float32)
    lists = (points, mean, panels.reshape(-1, LANES), zero, projected, left)
    parallel_for(_project, len(points), _GRAIN, *lists)
    return projected, left


@kernel(
    *(array_in(f32, 2), array_in(f32, 1), array_in(i64, 1), array_in(i64, 1), array_in(f32, 2)),
    *(array_out(f32, 2), array_out(f32, 1), i64, i64),
)
def _pack(points, left, cell_starts, panel_starts, centroids, panels, norms, start, stop):
    d = points.shape[1]
    for cell in range(start, stop):
        low = cell_starts[cell]
        size = cell_starts[cell + 1] - low
        begin = panel_starts[cell] * LANES
        for at in range((panel_starts[cell + 1] - panel_starts[cell]) * LANES):
            panel, lane = panel_starts[cell] + at // LANES, at % LANES
            if at < size:
                for j in range(d):
                    panels[panel * d + j, lane] = points[low + at, j] - centroids[cell, j]
                norms[begin + at] = (
                    squared_distance(points[low + at], centroids[cell]) + left[low + at]
                )
            else:
                for j in range(d):
                    panels[panel * d + j, lane] = np.float32(0.0)
                norms[begin + at] = PADDING


def pack_cells(
    points: NDArray[np.float32],
    left: NDArray[np.float32],
    cell_starts: NDArray[np.int64],
    centroids: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """The points of each cell, less its centroid, in panels of sixteen columns.

    ``points`` (n, d) are sorted by cell, cell c owning rows ``cell_starts[c]`` to
    ``cell_starts[c + 1]``.  Returns panels (p * d, 16); |y - c|^2 + left_y of every column,
    huge for one without a point (p * 16,); and the first panel of each cell (cells + 1,).
    """
    sizes = np.diff(cell_starts)
    panel_starts = np.zeros(len(cell_starts), np.int64)
    np.cumsum(-(-sizes // LANES), out=panel_starts[1:])
    panels = np.empty((panel_starts[-1] * points.shape[1], LANES), np.float32)
    norms = np.empty(panel_starts[-1] * LANES, np.float32)
    lists = (points, left, cell_starts, panel_starts, centroids, panels, norms)
    parallel_for(_pack, len(sizes), 4, *lists)
    return panels, norms, panel_starts


@helper
def _select(products, norms, base, first, left_out, again, minima, limits, keys):
    """Put columns into the list of one row; ``first`` numbers them."""
    known = np.int32(keys[keys.shape[0] - 2]) >= 0
    worst = least(distance_of(keys[0]) - base, FAR)
    if not known and norms.shape[0] >= 2 * minima.shape[0]:
        # One more than there is room for: the row itself may be among them.
        worst = bound(products, norms, minima, keys.shape[0])
    fill(limits, worst)
    for o in range(0, norms.shape[0], LANES):
        hits = at_most(products, o, norms, o, limits, 0)
        while hits:
            t = o + lowest(hits)
            hits &= hits - 1
            if first + t != left_out:
                value = products[t] + norms[t] + base
                key = key_of(value if value > 0 else np.float32(0.0), first + t)
                if key < keys[0] and not (again and holds(keys, first + t)):
                    push(key, keys)
                    fill(limits, least(distance_of(keys[0]) - base, worst))


@helper
def _bucket(near, first, last, start, stop, begins, members):
    """Sort the rows start .. stop - 1 by the cells that are their first .. last - 1 nearest."""
    fill(begins, 0)
    for i in range(start, stop):
        for p in range(first, last):
            if near[i, p] >= 0:
                begins[near[i, p] + 1] += 1
    for cell in range(begins.shape[0] - 1):
        begins[cell + 1] += begins[cell]
    for i in range(start, stop):
        for p in range(first, last):
            if near[i, p] >= 0:
                members[begins[near[i, p]]] = i
                begins[near[i, p]] += 1
    # Each begin has moved to where the next one was.
    for cell in range(begins.shape[0] - 1, 0, -1):
        begins[cell] = begins[cell - 1]
    begins[0] = 0


@kernel(
    *(array_in(f32, 2), array_in(f32, 1), array_in(i32, 1), array_in(i32, 2)),
    *(array_in(f32, 2), array_in(f32, 1), array_in(i64, 1), array_in(i64, 1), array_in(f32, 2)),
    *(array_in(i32, 2), array_in(f32, 2), array_out(i32, 2), array_out(f32, 2), i64, i64),
)
def _probe(
    queries, left, skip, near, panels, norms, panel_starts, cell_starts, centroids,
    indices, squares, new_indices, new_squares, start, stop,
):  # fmt: skip
    d = queries.shape[1]
    cells = centroids.shape[0]
    length = indices.shape[1]
    widest = 0
    for cell in range(cells):
        blocks = panel_starts[cell + 1] - panel_starts[cell]
        widest = blocks if blocks > widest else widest
    lists = np.empty((stop - start, length + 1), np.int64)
    for i in range(start, stop):
        read(indices[i], squares[i], lists[i - start])
    begins = np.empty(cells + 1, np.int64)
    members = np.empty((stop - start) * near.shape[1], np.int64)
    rows = np.zeros((ROWS, d), np.float32)
    products = np.empty((ROWS, widest * LANES), np.float32)
    minima = np.empty(64 * (2 * length // 64 + 1), np.float32)
    limits = np.empty(LANES, np.float32)
    # The nearest cell first: the sooner the near points are in, the fewer insertions follow.
    for turn in range(least(2, near.shape[1])):
        _bucket(near, turn, 1 if turn == 0 else near.shape[1], start, stop, begins, members)
        for cell in range(cells):
            first, blocks = panel_starts[cell], panel_starts[cell + 1] - panel_starts[cell]
            lengths = norms[first * LANES : (first + blocks) * LANES]
            for o in range(begins[cell], begins[cell + 1], ROWS):
                group = members[o : least(o + ROWS, begins[cell + 1])]
                for r in range(group.shape[0]):
                    for j in range(d):
                        moved = queries[group[r], j] - centroids[cell, j]
                        rows[r, j] = np.float32(-2.0) * moved
                for block in range(blocks):
                    multiply_tile(rows, panels, first + block, products, block * LANES)
                for r in range(group.shape[0]):
                    i = group[r]
                    base = squared_distance(queries[i], centroids[cell]) + left[i]
                    found = products[r, : lengths.shape[0]]
                    keys = lists[i - start]
                    again = indices[i, 0] >= 0
                    at = cell_starts[cell]
                    _select(found, lengths, base, at, skip[i], again, minima, limits, keys)
    for i in range(start, stop):
        write(lists[i - start], new_indices[i], new_squares[i])


def probe_cells(
    queries: NDArray[np.float32],
    left: NDArray[np.float32],
    skip: NDArray[np.int32],
    near: NDArray[np.int32],
    panels: NDArray[np.float32],
    norms: NDArray[np.float32],
    panel_starts: NDArray[np.int64],
    cell_starts: NDArray[np.int64],
    centroids: NDArray[np.float32],
    indices: NDArray[np.int32],
    squares: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Lists of ``queries`` (m, d) after trying the owners of the cells ``near`` (m, p) to each.

    ``panels``, ``norms`` and ``panel_starts`` are those of `pack_cells`; the nearest cell of
    a row comes first, -1 stands for none; ``skip`` (m,) names a point that is left out, -1
    for none.  ``indices`` and ``squares`` (m, L) are sorted lists of points and estimated
    squared distances to begin with, -1 and infinity for none.
    """
    new_indices, new_squares = np.empty_like(indices), np.empty_like(squares)
    given = (queries, left, skip, near, panels, norms, panel_starts, cell_starts, centroids)
    lists = (indices, squares, new_indices, new_squares)
    parallel_for(_probe, len(queries), _GRAIN, *given, *lists)
    return new_indices, new_squares
