"""t-SNE's repulsion, all pairs.

    w(r)  = (1 + r^2 / dof)^-dof
    f_i   = sum_{j != i} (1 + r_ij^2 / dof)^-(dof + 1) (y_i - y_j)
    Z     = sum_i sum_{j != i} w(r_ij)

(van der Maaten and Hinton 2008; Kobak et al. 2019 for dof).  A point is left out of its own
sum by its number: others at the same place count w = 1.

Coordinates are listed one dimension after another, and filled up to whole blocks of lanes
with points that count 0; the lanes of some blocks are summed in float32, these sums in
float64.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, f64, i64, inlined, kernel
from ._threads import parallel_for
from ._vectors import LANES
from ._wide import constant, exp, fma, load, log, splat, store, total64

_SPAN = 1024  # points whose sums are float32
_PAIRS = 1 << 22  # of a chunk of rows: some milliseconds
_MOST_ROWS = 1024


@inlined
def _weight(inverse, dof, heavy):
    """inverse ** dof; heavy is dof != 1."""
    if heavy:
        return exp(splat(dof) * log(inverse))
    return inverse


_FIXED = (array_in(f32, 2), array_in(f32, 2), array_in(f32, 1), f32, i64, array_in(i64, 1))


@kernel(*_FIXED, array_out(f32, 2), array_out(f64, 1), i64, i64)
def _repel_3d(points, listed, there, dof, heavy, own, forces, sums, start, stop):
    keep = there.copy()
    one = constant(1.0)
    scale = np.float32(1.0) / dof
    xs, ys, zs = listed[0], listed[1], listed[2]
    for i in range(start, stop):
        if own[i] >= 0:
            keep[own[i]] = np.float32(0.0)
        x, y, z = splat(points[i, 0]), splat(points[i, 1]), splat(points[i, 2])
        ax = ay = az = aw = 0.0
        for span in range(0, keep.shape[0], _SPAN):
            fx = fy = fz = fw = constant(0.0)
            for at in range(span, min(span + _SPAN, keep.shape[0]), LANES):
                a, b, c = x - load(xs, at), y - load(ys, at), z - load(zs, at)
                inverse = one / fma(splat(scale), fma(a, a, fma(b, b, c * c)), one)
                w = load(keep, at) * _weight(inverse, dof, heavy)
                fw += w
                w *= inverse
                fx, fy, fz = fma(w, a, fx), fma(w, b, fy), fma(w, c, fz)
            ax += total64(fx)
            ay += total64(fy)
            az += total64(fz)
            aw += total64(fw)
        forces[i, 0], forces[i, 1], forces[i, 2], sums[i] = ax, ay, az, aw
        if own[i] >= 0:
            keep[own[i]] = np.float32(1.0)


@kernel(*_FIXED, array_out(f32, 2), array_out(f64, 1), i64, i64)
def _repel_any(points, listed, there, dof, heavy, own, forces, sums, start, stop):
    width = points.shape[1]
    keep = there.copy()
    one = constant(1.0)
    scale = np.float32(1.0) / dof
    lanes = np.empty((width, LANES), np.float32)
    force = np.empty(width, np.float64)
    for i in range(start, stop):
        if own[i] >= 0:
            keep[own[i]] = np.float32(0.0)
        force[:] = 0.0
        weight = 0.0
        for span in range(0, keep.shape[0], _SPAN):
            lanes[:] = np.float32(0.0)
            fw = constant(0.0)
            for at in range(span, min(span + _SPAN, keep.shape[0]), LANES):
                square = constant(0.0)
                for c in range(width):
                    away = splat(points[i, c]) - load(listed[c], at)
                    square = fma(away, away, square)
                inverse = one / fma(splat(scale), square, one)
                w = load(keep, at) * _weight(inverse, dof, heavy)
                fw += w
                w *= inverse
                for c in range(width):
                    away = splat(points[i, c]) - load(listed[c], at)
                    store(lanes[c], 0, fma(w, away, load(lanes[c], 0)))
            for c in range(width):
                force[c] += total64(load(lanes[c], 0))
            weight += total64(fw)
        for c in range(width):
            forces[i, c] = force[c]
        sums[i] = weight
        if own[i] >= 0:
            keep[own[i]] = np.float32(1.0)


def _run(
    points: NDArray[np.float32], Y: NDArray[np.float32], dof: float, own: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    m, n, d = len(points), *Y.shape
    repel, width = (_repel_3d, 3) if d <= 3 else (_repel_any, d)  # division is the limit
    room = -(-n // LANES) * LANES
    listed, there = np.zeros((width, room), np.float32), np.zeros(room, np.float32)
    listed[:d, :n], there[:n] = Y.T, 1.0
    places, forces = np.zeros((m, width), np.float32), np.empty((m, width), np.float32)
    places[:, :d], sums = points, np.empty(m, np.float64)
    grain = max(1, min(_MOST_ROWS, _PAIRS // max(1, room)))
    lists = (places, listed, there, np.float32(dof), int(dof != 1.0), own)
    parallel_for(repel, m, grain, *lists, forces, sums)
    return np.ascontiguousarray(forces[:, :d]), sums


def exact_repulsion(Y: NDArray[np.float32], dof: float) -> tuple[NDArray[np.float32], float]:
    """The repulsive forces f (n, d) among the places Y (n, d), and Z."""
    forces, sums = _run(Y, Y, dof, np.arange(len(Y), dtype=np.int64))
    return forces, float(sums.sum())


def exact_repulsion_at(
    points: NDArray[np.float32],
    Y: NDArray[np.float32],
    dof: float,
    own: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The forces f (m, d) of Y (n, d) on points (m, d), and each one's sum of w, float64.

    ``own`` (m,) says which of Y a point is, to be left out; without it all of Y counts.
    """
    rows = np.full(len(points), -1, np.int64) if own is None else own
    return _run(points, Y, dof, rows)
