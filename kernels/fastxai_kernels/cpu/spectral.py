"""The smooth functions on a graph: leading eigenvectors of D^-1/2 W D^-1/2.

(Ng, Jordan and Weiss 2002.)  The first one, D^1/2 1, is known and left out.  A polynomial
of Chebyshev damps what belongs to eigenvalues below ``edge`` (Zhou, Saad, Tiago and
Chelikowsky 2006),

    T_0 = X,  T_1 = B X,  T_m+1 = 2 B T_m - T_m-1,    B = (2 A - (edge - 1)) / (edge + 1)

and the Rayleigh-Ritz step picks the eigenvectors out of what is left.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._blas import single_threaded_blas
from ._jit import array_in, array_out, f32, i32, i64, kernel
from ._threads import parallel_for

LANES = 4
_GRAIN = 2048
_ROWS = 16384


@kernel(
    *(array_in(i64, 1), array_in(i32, 1), array_in(f32, 1), array_in(f32, 2), array_in(f32, 2)),
    *(f32, f32, f32, array_out(f32, 2), i64, i64),
)
def _step(indptr, indices, scaled, now, before, times, shift, minus, new, start, stop):
    """new = times A now - shift now - minus before, for blocks of whole lanes."""
    for i in range(start, stop):
        for o in range(0, now.shape[1], LANES):
            p = np.float32(0.0)
            q = np.float32(0.0)
            r = np.float32(0.0)
            s = np.float32(0.0)
            for e in range(indptr[i], indptr[i + 1]):
                w = scaled[e]
                j = indices[e]
                p += w * now[j, o]
                q += w * now[j, o + 1]
                r += w * now[j, o + 2]
                s += w * now[j, o + 3]
            new[i, o] = times * p - shift * now[i, o] - minus * before[i, o]
            new[i, o + 1] = times * q - shift * now[i, o + 1] - minus * before[i, o + 1]
            new[i, o + 2] = times * r - shift * now[i, o + 2] - minus * before[i, o + 2]
            new[i, o + 3] = times * s - shift * now[i, o + 3] - minus * before[i, o + 3]


@kernel(
    *(array_in(i64, 1), array_in(i32, 1), array_in(f32, 1), array_in(f32, 1)),
    *(array_out(f32, 1), i64, i64),
)
def _scale(indptr, indices, weights, root, scaled, start, stop):
    for i in range(start, stop):
        for e in range(indptr[i], indptr[i + 1]):
            scaled[e] = weights[e] / (root[i] * root[indices[e]])


def normalise(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """w_ij / sqrt(d_i d_j) for each edge, and the unit vector along D^1/2 1."""
    filled = np.flatnonzero(np.diff(indptr))
    degrees = np.ones(len(indptr) - 1)
    if len(filled):
        degrees[filled] = np.add.reduceat(weights, indptr[filled], dtype=np.float64)
    root = np.sqrt(degrees)
    scaled = np.empty(len(weights), np.float32)
    edges = (indptr, indices, weights, root.astype(np.float32), scaled)
    parallel_for(_scale, len(root), _GRAIN, *edges)
    return scaled, (root / np.sqrt(np.square(root).sum())).astype(np.float32)


def _whole_lanes(block: NDArray[np.float32]) -> NDArray[np.float32]:
    columns = -(-block.shape[1] // LANES) * LANES
    padded = np.zeros((len(block), columns), np.float32)
    padded[:, : block.shape[1]] = block
    return padded


def chebyshev_filter(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    scaled: NDArray[np.float32],
    block: NDArray[np.float32],
    degree: int,
    edge: float,
) -> NDArray[np.float32]:
    """T_degree(B) block, with B the matrix after [-1, edge] was mapped to [-1, 1]."""
    before = _whole_lanes(block)
    if degree == 0:
        return before[:, : block.shape[1]]
    matrix, rows = (indptr, indices, scaled), len(block)
    times, shift = np.float32(2 / (edge + 1)), np.float32((edge - 1) / (edge + 1))
    now, spare = np.empty_like(before), np.empty_like(before)
    parallel_for(_step, rows, _GRAIN, *matrix, before, before, times, shift, np.float32(0), now)
    twice = (np.float32(2) * times, np.float32(2) * shift, np.float32(1))
    for _ in range(degree - 1):
        parallel_for(_step, rows, _GRAIN, *matrix, now, before, *twice, spare)
        before, now, spare = now, spare, before
    return np.ascontiguousarray(now[:, : block.shape[1]])


def _products(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """left^T right in fixed blocks of rows."""
    total = np.zeros((left.shape[1], right.shape[1]))
    for first in range(0, len(left), _ROWS):
        total += left[first : first + _ROWS].T @ right[first : first + _ROWS]
    return total


def _orthonormal(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of the same span; by the Gram matrix, twice, as one QR of tall columns costs more.

    Directions that are lost in rounding become zero.
    """
    for _ in range(2):
        values, turn = np.linalg.eigh(_products(block, block))
        kept = values > 1e-12 * max(float(values[-1]), 1e-300)
        block = block @ (turn * np.where(kept, 1 / np.sqrt(np.where(kept, values, 1)), 0))
    return block


def ritz(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    scaled: NDArray[np.float32],
    block: NDArray[np.float32],
    known: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]:
    """Eigenvalues, vectors and residuals |A v - value v| within the span of ``block``.

    Without the direction ``known``; the largest eigenvalue first.
    """
    direction = known.astype(np.float64)[:, None]
    none = np.float32(0)
    with single_threaded_blas():
        tall = block.astype(np.float64)
        for _ in range(2):
            tall = _orthonormal(tall - direction @ _products(direction, tall))
        padded = _whole_lanes(tall.astype(np.float32))
        image = np.empty_like(padded)
        parallel_for(
            _step, len(block), _GRAIN, indptr, indices, scaled, padded, padded,
            np.float32(1), none, none, image,
        )  # fmt: skip
        moved = image[:, : block.shape[1]].astype(np.float64)
        small = _products(tall, moved)
        lost = np.flatnonzero(~tall.any(axis=0))
        small[lost, lost] = -2.0  # what has no direction comes after every eigenvalue
        values, turn = np.linalg.eigh((small + small.T) / 2)
        values, turn = values[::-1], turn[:, ::-1]
        vectors = tall @ turn
        rest = moved @ turn - vectors * values
        residuals = np.sqrt(np.square(rest).sum(axis=0))
    return values, np.ascontiguousarray(vectors, dtype=np.float32), residuals
