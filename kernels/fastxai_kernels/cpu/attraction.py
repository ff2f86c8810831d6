"""t-SNE's attraction along the edges of a sparse graph.

    a_i = sum_j p_ij (1 + r_ij^2 / dof)^-1 (y_i - y_j)
    C   = -sum_ij p_ij log w(r_ij),   w(r) = (1 + r^2 / dof)^-dof

(van der Maaten and Hinton 2008; Kobak, Linderman, Steinerberger, Kluger and Berens 2019 for
dof).  With the repulsive f_i and Z of the other kernels the gradient of the KL divergence is
4 (a_i - f_i / Z), and the divergence itself  sum p log p + C + log Z.

The limit is memory: 8 bytes an edge, and the places of the others from wherever they lie.
Points should therefore be kept in an order in which neighbours are near (`reorder_graph`).
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._gather import gather_2d, gather_2d_until, gather_4d, gather_4d_until
from ._jit import Kernel, array_in, array_out, f32, f64, i32, i64, inlined, kernel
from ._merge import turn
from ._threads import parallel_for, thread_count
from ._vectors import LANES
from ._wide import constant, fma, load, load_until, log, splat, total, total64

_GRAIN = 2048  # of a pass that is made once
_GRAPH = (array_in(i64, 1), array_in(i32, 1), array_in(f32, 1))


@inlined
def _log(x):
    """log(1 + x), also of small x: what 1 + x rounds away is put back."""
    u = constant(1.0) + x
    return log(u) + (x - (u - constant(1.0))) / u


@kernel(array_in(f32, 2), *_GRAPH, f32, array_out(f32, 2), i64, i64)
def _attract_2d(Y, indptr, columns, weights, scale, forces, start, stop):
    one = constant(1.0)
    for i in range(start, stop):
        x, y = splat(Y[i, 0]), splat(Y[i, 1])
        fx = fy = constant(0.0)
        last = indptr[i + 1]
        for at in range(indptr[i], last, LANES):
            if at + LANES <= last:
                u, v = gather_2d(Y, columns, at)
                p = load(weights, at)
            else:
                u, v = gather_2d_until(Y, columns, at, last)
                p = load_until(weights, at, last)
            u, v = x - u, y - v
            p /= fma(splat(scale), fma(u, u, v * v), one)
            fx, fy = fma(p, u, fx), fma(p, v, fy)
        forces[i, 0], forces[i, 1] = total(fx), total(fy)


@kernel(array_in(f32, 2), *_GRAPH, f32, array_out(f32, 2), i64, i64)
def _attract_4d(Y, indptr, columns, weights, scale, forces, start, stop):
    one = constant(1.0)
    for i in range(start, stop):
        x, y, z, w = splat(Y[i, 0]), splat(Y[i, 1]), splat(Y[i, 2]), splat(Y[i, 3])
        fx = fy = fz = fw = constant(0.0)
        last = indptr[i + 1]
        for at in range(indptr[i], last, LANES):
            if at + LANES <= last:
                a, b, c, d = gather_4d(Y, columns, at)
                p = load(weights, at)
            else:
                a, b, c, d = gather_4d_until(Y, columns, at, last)
                p = load_until(weights, at, last)
            a, b, c, d = x - a, y - b, z - c, w - d
            p /= fma(splat(scale), fma(a, a, b * b) + fma(c, c, d * d), one)
            fx, fy, fz, fw = fma(p, a, fx), fma(p, b, fy), fma(p, c, fz), fma(p, d, fw)
        forces[i, 0], forces[i, 1] = total(fx), total(fy)
        forces[i, 2], forces[i, 3] = total(fz), total(fw)


@kernel(array_in(f32, 2), *_GRAPH, f32, array_out(f32, 2), i64, i64)
def _attract_any(Y, indptr, columns, weights, scale, forces, start, stop):
    for i in range(start, stop):
        force = forces[i]
        force[:] = np.float32(0.0)
        for e in range(indptr[i], indptr[i + 1]):
            j = columns[e]
            pull = weights[e] / (np.float32(1.0) + scale * _square(Y[i], Y[j]))
            for c in range(force.shape[0]):
                force[c] += pull * (Y[i, c] - Y[j, c])


@inlined
def _square(a, b):
    square = np.float32(0.0)
    for c in range(a.shape[0]):
        square += (a[c] - b[c]) * (a[c] - b[c])
    return square


@kernel(array_in(f32, 2), *_GRAPH, f32, array_out(f64, 1), i64, i64)
def _cross_2d(Y, indptr, columns, weights, scale, sums, start, stop):
    """The sum over each row of p log(1 + r^2 / dof)."""
    for i in range(start, stop):
        x, y = splat(Y[i, 0]), splat(Y[i, 1])
        last = indptr[i + 1]
        row = constant(0.0)
        for at in range(indptr[i], last, LANES):
            if at + LANES <= last:
                u, v = gather_2d(Y, columns, at)
                p = load(weights, at)
            else:
                u, v = gather_2d_until(Y, columns, at, last)
                p = load_until(weights, at, last)
            u, v = x - u, y - v
            row = fma(p, _log(splat(scale) * fma(u, u, v * v)), row)
        sums[i] = total64(row)


@kernel(array_in(f32, 2), *_GRAPH, f32, array_out(f64, 1), i64, i64)
def _cross_4d(Y, indptr, columns, weights, scale, sums, start, stop):
    for i in range(start, stop):
        x, y, z, w = splat(Y[i, 0]), splat(Y[i, 1]), splat(Y[i, 2]), splat(Y[i, 3])
        last = indptr[i + 1]
        row = constant(0.0)
        for at in range(indptr[i], last, LANES):
            if at + LANES <= last:
                a, b, c, d = gather_4d(Y, columns, at)
                p = load(weights, at)
            else:
                a, b, c, d = gather_4d_until(Y, columns, at, last)
                p = load_until(weights, at, last)
            a, b, c, d = x - a, y - b, z - c, w - d
            row = fma(p, _log(splat(scale) * (fma(a, a, b * b) + fma(c, c, d * d))), row)
        sums[i] = total64(row)


@kernel(array_in(f32, 2), *_GRAPH, f32, array_out(f64, 1), i64, i64)
def _cross_any(Y, indptr, columns, weights, scale, sums, start, stop):
    for i in range(start, stop):
        row = 0.0
        for e in range(indptr[i], indptr[i + 1]):
            square = np.float64(scale) * np.float64(_square(Y[i], Y[columns[e]]))
            row += np.float64(weights[e]) * np.log1p(square)
        sums[i] = row


def _grain(rows: int) -> int:
    """Rows move by themselves: chunks may follow the threads.  A call costs microseconds."""
    return max(256, rows // (8 * thread_count()))


def _choose(Y: NDArray[np.float32], kernels: tuple[Kernel, Kernel, Kernel]) -> Any:
    """The kernel for so many dimensions, and Y with as many columns as it takes."""
    d = Y.shape[1]
    if d > 4:
        return kernels[2], Y
    chosen, width = (kernels[0], 2) if d <= 2 else (kernels[1], 4)
    if d == width:
        return chosen, Y
    filled = np.zeros((len(Y), width), np.float32)
    filled[:, :d] = Y
    return chosen, filled


def attraction(
    Y: NDArray[np.float32],
    indptr: NDArray[np.int64],
    columns: NDArray[np.int32],
    weights: NDArray[np.float32],
    dof: float,
) -> NDArray[np.float32]:
    """The attractive forces a (n, d) at the places Y (n, d), p as CSR."""
    attract, places = _choose(Y, (_attract_2d, _attract_4d, _attract_any))
    forces = np.empty(places.shape, np.float32)
    edges = (indptr, columns, weights, np.float32(1.0 / dof))
    parallel_for(attract, len(Y), _grain(len(Y)), places, *edges, forces)
    return np.ascontiguousarray(forces[:, : Y.shape[1]])


def cross_entropy(
    Y: NDArray[np.float32],
    indptr: NDArray[np.int64],
    columns: NDArray[np.int32],
    weights: NDArray[np.float32],
    dof: float,
) -> float:
    """C = -sum p log w of the places Y (n, d), p as CSR."""
    sums = np.empty(len(Y), np.float64)
    cross, places = _choose(Y, (_cross_2d, _cross_4d, _cross_any))
    edges = (indptr, columns, weights, np.float32(1.0 / dof))
    parallel_for(cross, len(Y), _grain(len(Y)), places, *edges, sums)
    return float(dof * sums.sum())


@kernel(
    *(array_in(i64, 1), array_in(i32, 1), *_GRAPH, array_in(i64, 1)),
    *(array_out(i32, 1), array_out(f32, 1), i64, i64),
)
def _rename(order, rank, indptr, columns, weights, starts, to_columns, to_weights, start, stop):
    """Rows in the new order, columns by their new names."""
    for r in range(start, stop):
        o = starts[r]
        for e in range(indptr[order[r]], indptr[order[r] + 1]):
            to_columns[o] = rank[np.uint64(columns[e])]
            to_weights[o] = weights[e]
            o += 1


def reorder_graph(
    order: NDArray[np.int64],
    indptr: NDArray[np.int64],
    columns: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The symmetric graph whose vertex r is vertex ``order[r]`` of this one; rows sorted.

    ``order`` (n,) holds every vertex once; the places to go with it are ``Y[order]``.
    """
    n = len(order)
    order = order.astype(np.int64)
    rank = np.empty(n, np.int32)
    rank[order] = np.arange(n, dtype=np.int32)
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.diff(indptr)[order], out=starts[1:])
    named, carried = np.empty_like(columns), np.empty_like(weights)
    graph = (indptr, columns, weights)
    parallel_for(_rename, n, _GRAIN, order, rank, *graph, starts, named, carried)
    # The graph is its own transpose, and a transpose comes out sorted.
    return turn(starts, named, carried)
