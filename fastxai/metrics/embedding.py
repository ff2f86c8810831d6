"""How much of the data an embedding keeps: classes, neighbours, the order of distances.

Points without coordinates (isolated ones, NaN in the embedding) are judged by none of these
measures and are nobody's neighbours.  All take float32 vectors and are exact on a seeded
sample of the points, so that the same input gives the same figure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError

_SLICE = 2e10  # multiplications in one call of the kernel, so that Ctrl-C is heard
_TILE = 256
_BLOCK = 2**22  # numbers held at once while distances of triplets are measured


def label_accuracy(
    embedding: ArrayLike,
    labels: ArrayLike,
    *,
    n_neighbors: int = 10,
    n_samples: int | None = 5000,
    random_state: int | None = 0,
) -> float:
    """Share of points whose nearest embedded neighbours name their class by majority.

    Parameters
    ----------
    embedding : array-like of shape (n, c), any number of columns
        Places of the points; rows with NaN are left out.
    labels : array-like of shape (n,)
        Numbers, strings or booleans.  Points labelled None or NaN are left out; -1 is a
        class like any other.
    n_neighbors : int, default 10
        True neighbours that vote; the point itself is not among them.  Of classes with as
        many votes the lowest wins, as with scikit-learn's ``KNeighborsClassifier``.
    n_samples : int or None, default 5000
        Points drawn without replacement; None judges all.
    random_state : int or None, default 0
        Seed of the sample.

    Returns
    -------
    float
        Between 0 and 1; a leave-one-out accuracy of the k-nearest-neighbour classifier.

    Raises
    ------
    InvalidInputError
        If lengths do not match or there are too few points.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import label_accuracy
    >>> places = np.random.default_rng(0).normal(size=(200, 2))
    >>> places[100:] += 20
    >>> label_accuracy(places, ["left"] * 100 + ["right"] * 100)
    1.0
    """
    places = _points(embedding, "embedding")
    classes = _classes(labels)
    _same_length("embedding", len(places), "labels", len(classes))
    known = np.isfinite(places).all(axis=1) & (classes >= 0)
    places, classes = places[known], classes[known]
    rows = _sample(len(places), n_neighbors, n_samples, random_state)
    voters = classes[_nearest(places, rows, n_neighbors)]
    n_classes = int(classes.max()) + 1
    # One row of ballots a point, a slice at a time: there may be thousands of classes.
    right = 0
    step = max(1, _BLOCK // n_classes)
    for start in range(0, len(rows), step):
        some = voters[start : start + step]
        ballots = np.arange(len(some))[:, None] * n_classes + some
        votes = np.bincount(ballots.ravel(), minlength=len(some) * n_classes)
        winners = votes.reshape(len(some), n_classes).argmax(axis=1)
        right += int((winners == classes[rows[start : start + step]]).sum())
    return right / len(rows)


def neighbor_preservation(
    X: ArrayLike,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 15,
    n_samples: int | None = 5000,
    random_state: int | None = 0,
    metric: str = "euclidean",
) -> float:
    """Share of the nearest neighbours in the data that are nearest neighbours in the embedding.

    For each sampled point, ``n_neighbors`` true neighbours on both sides (the point itself
    not among them): the size of their intersection over ``n_neighbors``, averaged.

    Parameters
    ----------
    X : array-like of shape (n, d)
        The data, dense.
    embedding : array-like of shape (n, c), any number of columns
        Places of the points; rows with NaN are left out on both sides.
    n_neighbors : int, default 15
        Size of the neighbourhoods.
    n_samples : int or None, default 5000
        Points drawn without replacement; None judges all.
    random_state : int or None, default 0
        Seed of the sample.
    metric : {"euclidean", "cosine", "correlation"}, default "euclidean"
        How distances of the data are measured; those of the embedding are Euclidean.

    Returns
    -------
    float
        Between 0 and 1; about ``n_neighbors / n`` for places at random.

    Raises
    ------
    InvalidInputError
        If lengths do not match, there are too few points, X is sparse or not finite, or the
        metric is another one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import neighbor_preservation
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> neighbor_preservation(X, 3 * X)
    1.0
    """
    from ..embed.spaces import to_euclidean

    _known_metric(metric)
    if hasattr(X, "toarray"):
        raise InvalidInputError(
            "neighbor_preservation takes dense X: reduce sparse vectors first, e.g. with PCA, "
            "or ask for random_triplet_accuracy"
        )
    data, places = _points(X, "X"), _points(embedding, "embedding")
    _same_length("X", len(data), "embedding", len(places))
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    if len(known) < len(places):
        data, places = data[known], places[known]
    _check_finite(data, known)
    rows = _sample(len(places), n_neighbors, n_samples, random_state)
    there = _nearest(to_euclidean(data, metric), rows, n_neighbors)
    here = _nearest(places, rows, n_neighbors)
    # One list for all the points: each point's neighbours get numbers of their own.
    own = np.arange(len(rows), dtype=np.int64)[:, None] * len(places)
    return float(np.isin(here + own, there + own).mean())


def random_triplet_accuracy(
    X: Any,
    embedding: ArrayLike,
    *,
    n_triplets: int = 100_000,
    random_state: int | None = 0,
    metric: str = "euclidean",
) -> float:
    """Share of random triplets whose distances are ordered alike in the data and the embedding.

    Of three different points i, j, k drawn at random: is d(i, j) < d(i, k) on both sides, or
    on neither?  A measure of global structure (Wang, Huang, Rudin and Shaposhnik 2021,
    "Understanding how dimension reduction tools work", JMLR 22, section 6).

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, d)
        The data; of sparse data only the rows drawn are made dense, some at a time.
    embedding : array-like of shape (n, c), any number of columns
        Places of the points; rows with NaN are left out.
    n_triplets : int, default 100000
        Triplets drawn; the standard error is at most ``0.5 / sqrt(n_triplets)``.
    random_state : int or None, default 0
        Seed of the triplets.
    metric : {"euclidean", "cosine", "correlation"}, default "euclidean"
        How distances of the data are measured; those of the embedding are Euclidean.

    Returns
    -------
    float
        Between 0 and 1; 0.5 for places at random.  A tie agrees only with a tie.

    Raises
    ------
    InvalidInputError
        If lengths do not match, there are fewer than three points, a row drawn from X is not
        finite, or the metric is another one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import random_triplet_accuracy
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> random_triplet_accuracy(X, 3 * X)
    1.0
    """
    _known_metric(metric)
    if n_triplets < 1:
        raise InvalidInputError(f"n_triplets={n_triplets}: at least one is needed")
    places = _points(embedding, "embedding")
    data = X.tocsr() if hasattr(X, "tocsr") else _numbers(X, "X")
    _same_length("X", data.shape[0], "embedding", len(places))
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    if len(known) < 3:
        raise InvalidInputError(f"{len(known)} points with coordinates: a triplet needs three")
    triplets = known[_triplets(len(known), n_triplets, np.random.default_rng(random_state))]
    step = max(1, _BLOCK // max(1, data.shape[1]))
    agree = 0
    for start in range(0, n_triplets, step):
        some = triplets[start : start + step]
        there = _order([_dense(data, rows, metric) for rows in some.T])
        here = _order([places[rows] for rows in some.T])
        agree += int((there == here).sum())
    return agree / n_triplets


def _numbers(values: ArrayLike, name: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InvalidInputError(f"{name} must hold numbers, not {array.dtype}")
    if array.ndim != 2 or array.shape[1] == 0:
        raise InvalidInputError(f"{name} must be a table of shape (n, d), not {array.shape}")
    return array


def _points(values: ArrayLike, name: str) -> NDArray[np.float32]:
    return np.ascontiguousarray(_numbers(values, name), dtype=np.float32)


def _same_length(one: str, n_one: int, other: str, n_other: int) -> None:
    if n_one != n_other:
        raise InvalidInputError(f"{one} has {n_one:,} rows and {other} has {n_other:,}")


def _known_metric(metric: str) -> None:
    from ..embed.spaces import NATIVE

    if metric not in NATIVE:
        raise InvalidInputError(f"metric={metric!r} is not one of {', '.join(NATIVE)}")


def _check_finite(block: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        row = rows[~finite].min()
        raise InvalidInputError(f"X holds NaN or infinity (in row {row}): leave such rows out")


def _classes(labels: ArrayLike) -> NDArray[np.int64]:
    """Classes numbered in sorted order; -1 where there is no label."""
    given = np.asarray(labels)
    if given.ndim != 1:
        raise InvalidInputError(f"labels must be one column of shape (n,), not {given.shape}")
    if given.dtype.kind == "O":
        missing = np.array([value is None or value != value for value in given], bool)
    else:
        missing = given != given
    codes = np.full(len(given), -1, np.int64)
    try:
        codes[~missing] = np.unique(given[~missing], return_inverse=True)[1]
    except TypeError:
        raise InvalidInputError(
            "labels mix kinds that have no order, such as numbers and strings: "
            "make all of them strings"
        ) from None
    return codes


def _sample(
    n_points: int, n_neighbors: int, n_samples: int | None, random_state: int | None
) -> NDArray[np.int64]:
    """Rows to judge, sorted."""
    if n_neighbors < 1:
        raise InvalidInputError(f"n_neighbors={n_neighbors}: at least one is needed")
    if n_samples is not None and n_samples < 1:
        raise InvalidInputError(f"n_samples={n_samples}: at least one is needed; None takes all")
    if n_points <= n_neighbors:
        raise InvalidInputError(
            f"{n_points} points with coordinates and labels are too few for "
            f"n_neighbors={n_neighbors}: at least {n_neighbors + 1} are needed"
        )
    if n_samples is None or n_samples >= n_points:
        return np.arange(n_points)
    chosen = np.random.default_rng(random_state).choice(n_points, n_samples, replace=False)
    return np.sort(chosen).astype(np.int64)


def _nearest(points: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> NDArray[np.int32]:
    """Exact neighbours of some rows among all, themselves left out, a slice at a time."""
    from fastxai_kernels import select

    nearest = select("cpu").nearest
    tiles = int(_SLICE / (points.size * _TILE))
    step = _TILE * min(max(tiles, 2), 32)
    found = np.empty((len(rows), k), np.int32)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        queries = np.ascontiguousarray(points[some])
        found[start : start + step] = nearest(queries, points, k, some.astype(np.int32))[0]
    return found


def _triplets(n: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Three different numbers below n in each row, all such rows equally likely."""
    first = rng.integers(n, size=count)
    second = (first + rng.integers(1, n, size=count)) % n
    # The third among the n - 2 others: numbered with the two taken out.
    third = rng.integers(n - 2, size=count)
    third += third >= np.minimum(first, second)
    third += third >= np.maximum(first, second)
    return np.stack([first, second, third], axis=1)


def _dense(data: Any, rows: NDArray[np.int64], metric: str) -> NDArray[np.float32]:
    """Some rows, as vectors whose Euclidean distances rank as the metric does."""
    from ..embed.spaces import to_euclidean

    some = data[rows]
    block = np.ascontiguousarray(some.toarray() if hasattr(some, "toarray") else some, np.float32)
    _check_finite(block, rows)
    return to_euclidean(block, metric)


def _order(points: list[NDArray[np.float32]]) -> NDArray[Any]:
    """The sign of d(i, j) - d(i, k)."""
    i, j, k = (block.astype(np.float64) for block in points)
    one, other = ((i - j) ** 2).sum(axis=1), ((i - k) ** 2).sum(axis=1)
    signs: NDArray[Any] = np.sign(one - other)
    return signs
