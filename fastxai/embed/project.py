"""Points in a space of few dimensions, and how well their distances there rank.

The space is that of the leading principal components, at first as many as hold most of the
variance.  A squared distance is estimated from them by

    e(x, y) = |Px - Py|^2 + left_x + left_y,    left_x = w |rest of x|^2

with w fitted on true neighbours: the rests of near points are neither equal nor unrelated.
Whether that ranks well enough is measured on a sample of rows; if not, components are added.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .estimate import Lists, Truth, sample_truth, spread

_SAMPLE = 8192
MANY_FEATURES, FEW_ROWS = 2048, 1024
WIDEST = 256  # components: more would take memory without end
_FEW_FEATURES = 64
_BLOCK = 512
_GUESS = np.float32(0.5)  # w before it is known


class Space(NamedTuple):
    """A projection: ``(x - mean) @ components``."""

    mean: NDArray[np.float32]
    components: NDArray[np.float32]


class Projection(NamedTuple):
    """Points in a space.

    Attributes
    ----------
    space : Space
    points : ndarray of shape (n, c), float32
    left : ndarray of shape (n,), float32
        What the estimate of a squared distance adds for each point.
    weight : float
        ``left`` as a share of the squared norm of the rest.
    length : int
        Candidates by the estimate among which the wanted share of true neighbours is.
    """

    space: Space
    points: NDArray[np.float32]
    left: NDArray[np.float32]
    weight: float
    length: int


def choose_projection(
    kernels: Any,
    X: NDArray[np.float32],
    k: int,
    rows: NDArray[np.int32],
    share: float,
    goal: float,
) -> tuple[Projection, Truth]:
    """Components enough to find a share ``goal`` of the neighbours among few candidates.

    Begins with as many as hold ``share`` of the variance, and at `WIDEST` ends with what is
    reached.  Comes with the truth about the sampled ``rows``, which these components help to
    find.
    """
    n, d = X.shape
    longest = longest_list(n, k)
    mean, directions, width = _directions(kernels, X, share)
    if width == d:
        space = Space(mean, np.eye(d, dtype=np.float32))
        points, left = kernels.project(X, *space)
        whole = Projection(space, points, np.zeros_like(left), 0.0, _round(k + 1, n))
        return whole, sample_truth(kernels, X, rows, k)
    truth: Truth | None = None
    weight = _GUESS
    while True:
        space = Space(mean, np.ascontiguousarray(directions[:, :width], np.float32))
        points, rest = kernels.project(X, *space)
        found = _rank_all(kernels, points, weight * rest, rows, longest)
        squares = _squares(X, rows, found.indices)
        if truth is None:
            truth = _truth(kernels, X, k, rows, points, rest, squares)
        better = np.float32(_weight(points, rest, truth))
        # The order by the better weight, of what was found by the one before.
        estimates = found.squares + (better - weight) * rest[found.indices]
        hits = np.take_along_axis(truth.near(squares), np.argsort(estimates, axis=1), axis=1)
        reached = np.minimum(np.cumsum(hits, axis=1), k).mean(axis=0) / k
        weight = better
        lengths = np.arange(_round(k + 1, n), longest + 1, 8)
        enough = lengths[reached[lengths - 1] >= goal]
        if len(enough) or width == directions.shape[1]:
            length = int(enough[0]) if len(enough) else longest
            return Projection(space, points, weight * rest, float(weight), length), truth
        width = min(-(-width * 4 // 48) * 16, directions.shape[1])


def longest_list(n: int, k: int) -> int:
    """The most candidates that are kept for a point."""
    return min(_round(max(4 * k, k + 48), n), n - 1)


def _round(length: int, n: int) -> int:
    return min(-(-length // 8) * 8, n - 1)


def _directions(
    kernels: Any, X: NDArray[np.float32], share: float
) -> tuple[NDArray[np.float32], NDArray[np.float64], int]:
    """Mean, principal directions (columns), and how many of them to begin with."""
    n, d = X.shape
    sample = X[spread(n, _SAMPLE if d <= MANY_FEATURES else FEW_ROWS)]
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    if d <= _FEW_FEATURES:
        return mean, np.empty((d, 0)), d
    variances, directions = kernels.principal_axes(sample, mean)
    # What the sample does not vary in has no direction.
    kept = np.flatnonzero(variances > variances[0] * 1e-7)[:WIDEST]
    held = np.cumsum(np.maximum(variances, 0))
    wanted = int(np.searchsorted(held, share * held[-1])) + 1
    return mean, directions[:, kept], min(len(kept), -(-max(wanted, 16) // 16) * 16)


def _rank_all(
    kernels: Any,
    points: NDArray[np.float32],
    left: NDArray[np.float32],
    rows: NDArray[np.int32],
    length: int,
) -> Lists:
    """The points nearest to some rows by the estimate, all of them compared."""
    n, width = points.shape
    starts = np.append(np.arange(0, n, _BLOCK, dtype=np.int64), n)
    middle = np.zeros((len(starts) - 1, width), np.float32)
    packed = kernels.pack_cells(points, left, starts, middle)
    near = np.tile(np.arange(len(middle), dtype=np.int32), (len(rows), 1))
    lists = Lists.empty(len(rows), length)
    cells = (*packed, starts, middle)
    return Lists(*kernels.probe_cells(points[rows], left[rows], rows, near, *cells, *lists))


def _squares(
    X: NDArray[np.float32], rows: NDArray[np.int32], found: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Squared distances of some rows from what was found for them, in its order."""
    return np.stack(
        [np.square(X[some] - X[row]).sum(axis=1) for row, some in zip(rows, found, strict=True)]
    )


def _truth(
    kernels: Any,
    X: NDArray[np.float32],
    k: int,
    rows: NDArray[np.int32],
    points: NDArray[np.float32],
    rest: NDArray[np.float32],
    squares: NDArray[np.float32],
) -> Truth:
    """The truth about some rows; what is far in the space is far indeed, and not measured."""
    limits = np.partition(squares, k - 1, axis=1)[:, k - 1] * np.float32(1 + 1e-5)
    # |Px - Py|^2 + (|rest of x| - |rest of y|)^2 <= |x - y|^2
    coarse = np.concatenate([points, np.sqrt(rest)[:, None]], axis=1)
    indices, distances = kernels.nearest_screened(
        np.ascontiguousarray(X[rows]), X, coarse[rows], coarse, limits, k, rows
    )
    return Truth(rows, indices, distances * distances)


def _weight(points: NDArray[np.float32], rest: NDArray[np.float32], truth: Truth) -> float:
    """The share of |rest of x|^2 + |rest of y|^2 that is closest to |x - y|^2 - |Px - Py|^2.

    Least squares over true neighbours, relative to the distance.
    """
    x, y = np.repeat(truth.rows, truth.indices.shape[1]), truth.indices.ravel()
    whole = truth.squares.ravel().astype(np.float64)
    seen = np.square((points[x] - points[y]).astype(np.float64)).sum(axis=1)
    both = rest[x].astype(np.float64) + rest[y]
    scale = np.maximum(whole, np.finfo(np.float32).tiny)
    squares = float(np.square(both / scale).sum())
    weight = float(((whole - seen) / scale * both / scale).sum()) / max(squares, 1e-300)
    return min(max(weight, 0.0), 1.0)
