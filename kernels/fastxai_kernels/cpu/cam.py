"""Class activation maps at the size of the layer, and their upsampling.

    L_p = sum_c w_c A_cp                                       (Zhou et al. 2016; w given)
    gradcam:    w_c = mean_p G_cp                              (Selvaraju et al. 2017, eq. 1)
    gradcam++:  w_c = sum_p alpha_cp relu(G_cp),
                alpha_cp = G^2 / (2 G^2 + (sum_q A_cq) G^3)    (Chattopadhay et al. 2018, eq. 19)
    hirescam:   L_p = sum_c G_cp A_cp                          (Draelos and Carin 2020)
    layercam:   L_p = sum_c relu(G_cp) A_cp                    (Jiang et al. 2021)

A are activations and G the gradients of the score by them.  The maps come as they are, before
the rectifier.

A and G are read once, channel by channel: its weight first, then its share of the map, which
is summed in float64 at the size of the layer.  The channels of a large layer are cut into
parts, of which each has a sum of its own: a number that only depends on the layer.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, b1, f32, f64, i64, inlined, kernel
from ._threads import parallel_for
from ._vectors import LANES
from ._wide import at_least, constant, fma, load, load_until, splat, total64, where_less

_PART = 2**17  # activations, of which one thread should sum as many at least
_PARTS = 8
_ROWS = 64  # rows of a map in a chunk
_BLOCK = 16 * LANES  # numbers that are summed in float32
_METHODS = ("gradcam", "gradcam++", "hirescam", "layercam")
_Array = NDArray[np.float32]


@inlined
def _lanes(values, at, stop):
    return load(values, at) if at + LANES <= stop else load_until(values, at, stop)


@inlined
def _sum(values):
    """In float32 within a block, in float64 over the blocks."""
    n = values.shape[0]
    total = 0.0
    for first in range(0, n, _BLOCK):
        part = constant(0.0)
        for at in range(first, min(first + _BLOCK, n), LANES):
            part += _lanes(values, at, n)
        total += total64(part)
    return total


@inlined
def _plus_plus(A, G):
    """Sum of alpha relu(G): alpha is 1 / (2 + sum(A) G), and 0 where that has no value."""
    n = G.shape[0]
    zero = constant(0.0)
    reach = splat(np.float32(_sum(A)))
    total = 0.0
    for first in range(0, n, _BLOCK):
        part = constant(0.0)
        for at in range(first, min(first + _BLOCK, n), LANES):
            g = at_least(zero, _lanes(G, at, n))  # NaN stays
            below = fma(reach, g, constant(2.0))
            part += where_less(zero, below * below, g / below)
            part += (g + below) * zero  # a NaN that the comparison dropped
        total += total64(part)
    return total


@inlined
def _add(weight, A, out):
    for p in range(A.shape[0]):
        out[p] += weight * np.float64(A[p])


@kernel(array_in(f32, 3), array_in(f32, 3), i64, i64, array_out(f64, 3), i64, i64)
def _sum_maps(activations, gradients, method, parts, sums, start, stop):
    channels, size = activations.shape[1:]
    for task in range(start, stop):
        n, part = divmod(task, parts)
        out = sums[n, part]
        for c in range(part * channels // parts, (part + 1) * channels // parts):
            A = activations[n, c]
            G = gradients[n, c]
            if method == 0:
                _add(_sum(G) / size, A, out)
            elif method == 1:
                _add(_plus_plus(A, G), A, out)
            elif method == 2:
                for p in range(size):
                    out[p] += np.float64(G[p]) * np.float64(A[p])
            else:
                for p in range(size):
                    g = np.float64(G[p])
                    out[p] += (0.0 if g <= 0.0 else g) * np.float64(A[p])


@kernel(array_in(f32, 3), array_in(f32, 2), i64, array_out(f64, 3), i64, i64)
def _sum_weighted(activations, weights, parts, sums, start, stop):
    channels = activations.shape[1]
    for task in range(start, stop):
        n, part = divmod(task, parts)
        for c in range(part * channels // parts, (part + 1) * channels // parts):
            _add(np.float64(weights[n, c]), activations[n, c], sums[n, part])


def _flat(values: _Array) -> _Array:
    """(n, c, pixels), copied only where channels do not lie one after the other."""
    return np.ascontiguousarray(values).reshape(*values.shape[:2], -1)


def _add_up(kernel: Any, A: _Array, other: _Array, shape: Any, *options: int) -> _Array:
    n, channels, size = A.shape
    parts = max(1, min(channels, channels * size // _PART, _PARTS))
    sums = np.zeros((n, parts, size))
    parallel_for(kernel, n * parts, 1, A, other, *options, parts, sums)
    maps: _Array = sums.sum(axis=1).astype(np.float32).reshape(shape)
    return maps


def cam_maps(activations: _Array, gradients: _Array, method: str) -> _Array:
    """Maps (n, *s) of one method before the rectifier, from A and G (n, c, *s)."""
    A, G, code = _flat(activations), _flat(gradients), _METHODS.index(method)
    return _add_up(_sum_maps, A, G, (len(A), *activations.shape[2:]), code)


def weighted_sum(activations: _Array, weights: _Array) -> _Array:
    """Maps (n, *s) = sum over c of weights (n, c) times A (n, c, *s)."""
    A, weights = _flat(activations), np.ascontiguousarray(weights)
    return _add_up(_sum_weighted, A, weights, (len(A), *activations.shape[2:]))


_TABLE = (array_in(i64, 2), array_in(f32, 2))


@kernel(array_in(f32, 4), b1, *_TABLE, *_TABLE, *_TABLE, array_out(f32, 4), i64, i64)
def _interpolate(coarse, relu, at0, by0, at1, by1, at2, by2, out, start, stop):
    """Rows of maps: four rows of the coarse map into one, which is then drawn out."""
    planes, height, width = out.shape[1:]
    mixed = np.empty(coarse.shape[3], np.float32)
    for task in range(start, stop):
        rest, y = divmod(task, height)
        n, z = divmod(rest, planes)
        mixed[:] = np.float32(0.0)
        for i in range(2):
            for j in range(2):
                share = by0[z, i] * by1[y, j]
                if share != 0.0:
                    row = coarse[n, at0[z, i], at1[y, j]]
                    for x in range(mixed.shape[0]):
                        value = row[x]
                        if relu and value < np.float32(0.0):
                            value = np.float32(0.0)
                        mixed[x] += share * value
        row = out[n, z, y]
        for x in range(width):
            row[x] = by2[x, 0] * mixed[at2[x, 0]] + by2[x, 1] * mixed[at2[x, 1]]


def _interpolation(n: int, size: int) -> tuple[NDArray[np.int64], _Array]:
    """The two cells that each pixel lies between, and their shares."""
    place = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
    low = np.minimum(place.astype(np.int64), n - 1)
    share = (place - low).astype(np.float32)
    # Where the other cell has no share, neither may its NaN have one.
    high = np.where(share > 0, np.minimum(low + 1, n - 1), low)
    return np.stack([low, high], axis=1), np.stack([1 - share, share], axis=1)


def upsample(coarse: _Array, size: Sequence[int], relu: bool) -> _Array:
    """Maps (n, *size) from (n, *s), one to three axes, linear; with ``relu`` rectified first.

    A NaN reaches every pixel that is interpolated from it.
    """
    n, axes = len(coarse), len(size)
    ones = (1,) * (3 - axes)
    given = np.ascontiguousarray(coarse).reshape(n, *ones, *coarse.shape[1:])
    out = np.empty((n, *ones, *size), np.float32)
    pairs = zip(given.shape[1:], out.shape[1:], strict=True)
    tables = [part for pair in pairs for part in _interpolation(*pair)]
    rows = n * out.shape[1] * out.shape[2]
    parallel_for(_interpolate, rows, _ROWS, given, relu, *tables, out)
    return out.reshape(n, *size)
