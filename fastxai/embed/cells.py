"""Points in a space of few dimensions, sorted into cells: what the approximate search walks.

The space is that of the leading principal components, as many as hold the wanted share of
the variance; the cells are those of a short k-means on a sample.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 10_000
_MANY_FEATURES = 2048
_FEW_ROWS = 1024
_PER_CELL = 600
_MANY_POINTS = 200_000
_ROUNDS = 6
_ROWS = 16_384


class Space(NamedTuple):
    """A projection: ``(x - mean) @ components``; ``components`` is None for x - mean."""

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    share: float


class Cells(NamedTuple):
    """Projected points sorted by cell; row s of ``points`` is row ``order[s]`` of the data."""

    space: Space
    points: NDArray[np.float32]
    order: NDArray[np.int32]
    starts: NDArray[np.int64]
    centroids: NDArray[np.float32]


def principal_space(kernels: Any, X: NDArray[np.float32], share: float, widest: int) -> Space:
    """The leading principal components of a sample of X that hold ``share`` of the variance."""
    from fastxai_kernels.cpu._blas import single_threaded_blas

    n, d = X.shape
    sample = X[:: max(1, n // _SAMPLE)]
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    if d <= 48:
        return Space(mean, np.eye(d, dtype=np.float32), 1.0)
    with single_threaded_blas():  # LAPACK too rounds by the number of threads
        variance, vectors = _leading(kernels, np.ascontiguousarray(sample), mean)
    held = np.cumsum(variance[::-1]) / max(float(variance.sum()), np.finfo(np.float64).tiny)
    wanted = int(np.searchsorted(held, share)) + 1
    width = min(d, widest, max(16, -(-wanted // 16) * 16))
    components = np.ascontiguousarray(vectors[:, ::-1][:, :width], dtype=np.float32)
    return Space(mean, components, float(held[width - 1]))


def _leading(
    kernels: Any, sample: NDArray[np.float32], mean: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances (ascending) and directions (columns) of a sample's principal components."""
    if sample.shape[1] <= _MANY_FEATURES:
        variance, vectors = np.linalg.eigh(kernels.covariance(sample, mean))
        return variance, vectors
    # Many features: by the products of few rows instead.
    few = sample[:: max(1, len(sample) // _FEW_ROWS)][:_FEW_ROWS] - mean
    turned = np.ascontiguousarray(few.T)
    zero = np.zeros(len(few), np.float32)
    variance, rows = np.linalg.eigh(kernels.covariance(turned, zero))
    vectors = few.T.astype(np.float64) @ rows
    vectors /= np.maximum(np.linalg.norm(vectors, axis=0), np.finfo(np.float32).tiny)
    return variance, vectors


def cell_count(n: int) -> int:
    """Cells of about 600 points, growing with the root of n above 200,000 points."""
    return max(1, int(n / (_PER_CELL * math.sqrt(max(1.0, n / _MANY_POINTS))) + 0.5))


def build_cells(kernels: Any, X: NDArray[np.float32], share: float, widest: int) -> Cells:
    """Project X and sort it into cells."""
    space = principal_space(kernels, X, share, widest)
    projected = np.empty((len(X), space.components.shape[1]), np.float32)
    for start in range(0, len(X), _ROWS):
        projected[start : start + _ROWS] = kernels.project(
            X[start : start + _ROWS], space.mean, space.components
        )
    centroids = _centroids(kernels, projected, cell_count(len(X)))
    owner = _nearest_cell(kernels, projected, centroids)
    centroids, owner = _split_large(kernels, projected, centroids, owner)
    order = np.argsort(owner, kind="stable").astype(np.int32)
    starts = np.zeros(len(centroids) + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=len(centroids)), out=starts[1:])
    return Cells(space, projected[order], order, starts, centroids)


def near_cells(kernels: Any, cells: Cells, count: int) -> NDArray[np.int32]:
    """The ``count`` cells nearest to each sorted point, (n, count)."""
    points, centroids = cells.points, cells.centroids
    near = np.empty((len(points), count), np.int32)
    for start in range(0, len(points), _ROWS):
        some = points[start : start + _ROWS]
        near[start : start + _ROWS] = kernels.nearest(some, centroids, count, _none(len(some)))[0]
    return near


def _none(count: int) -> NDArray[np.int32]:
    return np.full(count, -1, np.int32)


def _nearest_cell(
    kernels: Any, points: NDArray[np.float32], centroids: NDArray[np.float32]
) -> NDArray[np.int32]:
    parts = [
        kernels.nearest(some, centroids, 1, _none(len(some)))[0][:, 0]
        for some in (points[start : start + _ROWS] for start in range(0, len(points), _ROWS))
    ]
    return np.concatenate(parts)


def _means(
    points: NDArray[np.float32], owner: NDArray[np.int32], centroids: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The mean of each cell's points; an empty cell stays where it was."""
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(centroids))
    filled = np.flatnonzero(counts)
    firsts = (np.cumsum(counts) - counts)[filled]
    moved = centroids.copy()
    sums = np.add.reduceat(points[order], firsts, axis=0, dtype=np.float64)
    moved[filled] = sums / counts[filled, None]
    return moved


def _centroids(kernels: Any, points: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    sample = np.ascontiguousarray(points[:: max(1, len(points) // (200 * count))])
    centroids = np.ascontiguousarray(sample[:: max(1, len(sample) // count)][:count])
    for _ in range(_ROUNDS):
        centroids = _means(sample, _nearest_cell(kernels, sample, centroids), centroids)
    return centroids


def _split_large(
    kernels: Any,
    points: NDArray[np.float32],
    centroids: NDArray[np.float32],
    owner: NDArray[np.int32],
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Give a cell with more than four times its share of points more centroids."""
    target = len(points) / cell_count(len(points))
    for _ in range(4):
        counts = np.bincount(owner, minlength=len(centroids))
        large = np.flatnonzero(counts > 4 * target)
        if len(large) == 0:
            break
        more = [centroids]
        for cell in large:
            rows = np.flatnonzero(owner == cell)
            pieces = int(np.ceil(len(rows) / target))
            more.append(_centroids(kernels, points[rows], pieces))
        centroids = np.concatenate(more)
        owner = _nearest_cell(kernels, points, centroids)
        centroids = _means(points, owner, centroids)
        owner = _nearest_cell(kernels, points, centroids)
    return centroids, owner
