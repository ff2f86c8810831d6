"""The loops over points: sorting them by tiles of the mesh, spreading, gathering.

A band is `BAND` rows of the mesh.  A point whose splines begin in a band reaches at most
into the next one: bands with even numbers can be filled side by side, and those with odd
numbers after them, each by one thread in the order of its points.  No atomics, and the
same sums whatever the number of threads.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from ._jit import array_in, array_out, f32, f64, helper, i32, i64, inlined, kernel
from ._mesh_points import gather_point, spread_point

BAND = 8
WIDE = 64  # columns of a tile: 13 rows of it stay in the nearest cache
COUNTED = 16384  # points that are counted, and later filed, in one go
OUTSIDE = -1.0  # the sum of a point that the mesh does not cover
GATHERED = 2048  # points whose potentials make one partial sum


@inlined
def _cosine(x):
    """cos(2 pi x) for |x| <= 1/2, to 1e-6."""
    y = x * x
    value = -21.069142584 * y + 58.789387908
    value = value * y - 85.271406826
    value = value * y + 64.928640647
    value = value * y - 19.738979906
    return value * y + 0.9999992


@inlined
def _sine(x):
    """sin(2 pi x) for |x| <= 1/2, to 1e-7."""
    y = x * x
    value = -12.2678984905 * y + 41.2031427391
    value = value * y - 76.5795526470
    value = value * y + 81.5961256106
    value = value * y - 41.3414188721
    return x * (value * y + 6.2831827879)


_TILES = (array_in(f32, 2), f64, f64, f64, i64)


@inlined
def _tile(Y, i, x0, y0, inverse, across):
    """The tile of `BAND` rows and `WIDE` columns in which a point begins; bands first."""
    row = np.int64((np.float64(Y[i, 0]) - x0) * inverse)
    column = np.int64((np.float64(Y[i, 1]) - y0) * inverse)
    return (row // BAND) * across + column // WIDE


@kernel(*_TILES, array_out(i64, 2), i64, i64)
def count_tiles(Y, x0, y0, inverse, across, counts, start, stop):
    """How many points of each run of `COUNTED` begin in each tile."""
    for run in range(start, stop):
        row = counts[run]
        for i in range(run * COUNTED, min((run + 1) * COUNTED, Y.shape[0])):
            row[_tile(Y, i, x0, y0, inverse, across)] += 1


@kernel(*_TILES, array_out(i64, 2), array_out(i32, 1), array_out(f32, 2), i64, i64)
def file_tiles(Y, x0, y0, inverse, across, begins, order, filed, start, stop):
    """The points by tiles, and within a tile as they come."""
    for run in range(start, stop):
        row = begins[run]
        for i in range(run * COUNTED, min((run + 1) * COUNTED, Y.shape[0])):
            tile = _tile(Y, i, x0, y0, inverse, across)
            p = row[tile]
            order[p] = i
            filed[p, 0] = Y[i, 0]
            filed[p, 1] = Y[i, 1]
            row[tile] = p + 1


@helper
def _spread_bands(filed, begins, odd, x0, y0, inverse, mesh, start, stop):
    for pair in range(start, stop):
        band = 2 * pair + odd
        for p in range(begins[band], begins[band + 1]):
            u = (np.float64(filed[p, 0]) - x0) * inverse
            v = (np.float64(filed[p, 1]) - y0) * inverse
            row = np.int64(u)
            column = np.int64(v)
            spread_point(mesh, row, column, u - row, v - column)


@helper
def _gather_points(filed, order, x0, y0, inverse, own, mesh, forces, sums, start, stop):
    total = 0.0
    for p in range(start, stop):
        u = (np.float64(filed[p, 0]) - x0) * inverse
        v = (np.float64(filed[p, 1]) - y0) * inverse
        row = np.int64(u)
        column = np.int64(v)
        t = u - row
        s = v - column
        value, along, across = gather_point(mesh, row, column, t, s)
        # cos(2 pi t) = -cos(2 pi (t - 1/2)), and so on
        ct = -_cosine(t - 0.5)
        cs = -_cosine(s - 0.5)
        total += value - (own[0, 0] + own[1, 0] * ct + (own[0, 1] + own[1, 1] * ct) * cs)
        # Its own mass is at both ends: half of the slope of the own potential is felt.
        along -= np.pi * _sine(t - 0.5) * (own[1, 0] + own[1, 1] * cs)
        across -= np.pi * _sine(s - 0.5) * (own[0, 1] + own[1, 1] * ct)
        i = order[p]
        forces[i, 0] = -0.5 * inverse * along
        forces[i, 1] = -0.5 * inverse * across
    sums[start // GATHERED] = total


@helper
def _gather_anywhere(points, x0, y0, inverse, rows, columns, mesh, forces, sums, start, stop):
    for i in range(start, stop):
        u = (np.float64(points[i, 0]) - x0) * inverse
        v = (np.float64(points[i, 1]) - y0) * inverse
        if not (u >= 0.0 and u < rows and v >= 0.0 and v < columns):
            sums[i] = OUTSIDE
            continue
        row = np.int64(u)
        column = np.int64(v)
        value, along, across = gather_point(mesh, row, column, u - row, v - column)
        forces[i, 0] = -0.5 * inverse * along
        forces[i, 1] = -0.5 * inverse * across
        sums[i] = value


_SPREAD = (array_in(f32, 2), array_in(i64, 1), i64, f64, f64, f64)


@kernel(*_SPREAD, array_out(f32, 2), i64, i64)
def spread(filed, begins, odd, x0, y0, inverse, mesh, start, stop):
    """Masses of the points of every second band, in float32."""
    _spread_bands(filed, begins, odd, x0, y0, inverse, mesh, start, stop)


@kernel(*_SPREAD, array_out(f64, 2), i64, i64)
def spread_double(filed, begins, odd, x0, y0, inverse, mesh, start, stop):
    """Masses of the points of every second band, in float64."""
    _spread_bands(filed, begins, odd, x0, y0, inverse, mesh, start, stop)


_GATHER = (array_in(f32, 2), array_in(i32, 1), f64, f64, f64, array_in(f64, 2))
_FOUND = (array_out(f32, 2), array_out(f64, 1), i64, i64)
_PLACED = (array_out(f32, 2), array_out(f32, 1), i64, i64)


@kernel(*_GATHER, array_in(f32, 2), *_FOUND)
def gather(filed, order, x0, y0, inverse, own, mesh, forces, sums, start, stop):
    """Forces, and sums of potentials, without each point's own, from float32."""
    _gather_points(filed, order, x0, y0, inverse, own, mesh, forces, sums, start, stop)


@kernel(*_GATHER, array_in(f64, 2), *_FOUND)
def gather_double(filed, order, x0, y0, inverse, own, mesh, forces, sums, start, stop):
    """Forces, and sums of potentials, without each point's own, from float64."""
    _gather_points(filed, order, x0, y0, inverse, own, mesh, forces, sums, start, stop)


_ANYWHERE = (array_in(f32, 2), f64, f64, f64, i64, i64)


@kernel(*_ANYWHERE, array_in(f32, 2), *_PLACED)
def gather_at(points, x0, y0, inverse, rows, columns, mesh, forces, sums, start, stop):
    """Forces and potentials at other points, from float32; `OUTSIDE` beyond the mesh."""
    _gather_anywhere(points, x0, y0, inverse, rows, columns, mesh, forces, sums, start, stop)


@kernel(*_ANYWHERE, array_in(f64, 2), *_PLACED)
def gather_at_double(points, x0, y0, inverse, rows, columns, mesh, forces, sums, start, stop):
    """Forces and potentials at other points, from float64; `OUTSIDE` beyond the mesh."""
    _gather_anywhere(points, x0, y0, inverse, rows, columns, mesh, forces, sums, start, stop)
