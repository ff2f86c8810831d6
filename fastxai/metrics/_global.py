"""The broad arrangement: are far points far, and near ones nearer?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from . import _inputs as inputs
from ._estimate import Estimate, batches_of, by_batches, mean_of_sample

_BLOCK = 2**22  # numbers held at once


def random_triplet_accuracy(
    X: Any,
    embedding: ArrayLike,
    *,
    n_triplets: int = 100_000,
    random_state: int | None = 0,
    metric: str = "euclidean",
) -> Estimate:
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
        Triplets drawn; the standard error is at most ``0.5 / sqrt(n_triplets)``.  If there
        are no more than so many (up to 59 points) all are taken.
    random_state : int or None, default 0
        Seed of the triplets.
    metric : {"euclidean", "cosine", "correlation"}, default "euclidean"
        How distances of the data are measured; those of the embedding are Euclidean.

    Returns
    -------
    Estimate
        Between 0 and 1, with its 95% confidence interval; 0.5 for places at random.  A tie
        agrees only with a tie.

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
    if n_triplets < 1:
        raise InvalidInputError(f"n_triplets={n_triplets}: at least one is needed")
    data, places, known = _both(X, embedding, metric, 3, "a triplet needs three")
    triplets = draw_triplets(known, n_triplets, random_state)
    there, here = orders(data, triplets, metric), orders(places, triplets)
    return agreement(there, here, n_triplets)


def agreement(there: NDArray[Any], here: NDArray[Any], asked: int) -> Estimate:
    """The share of triplets ordered alike; fewer than were asked for are all there are."""
    same = there == here
    return mean_of_sample(same, len(same) if len(same) < asked else np.inf)


def draw_triplets(
    known: NDArray[np.int64], count: int, random_state: int | None
) -> NDArray[np.int64]:
    """Rows (i, j, k) of different points, or all of them (up to j and k) if they are few."""
    n = len(known)
    if n * (n - 1) * (n - 2) // 2 >= count:
        return known[_triplets(n, count, np.random.default_rng(random_state))]
    one, other = np.triu_indices(n, 1)
    first = np.repeat(np.arange(n), len(one))
    every = np.stack([first, np.tile(one, n), np.tile(other, n)], axis=1)
    different = (every[:, 0] != every[:, 1]) & (every[:, 0] != every[:, 2])
    return np.asarray(known[every[different]])


def _triplets(n: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Three different numbers below n in each row, all such rows equally likely."""
    first = rng.integers(n, size=count)
    second = (first + rng.integers(1, n, size=count)) % n
    # The third among the n - 2 others: numbered with the two taken out.
    third = rng.integers(n - 2, size=count)
    third += third >= np.minimum(first, second)
    third += third >= np.maximum(first, second)
    return np.stack([first, second, third], axis=1)


def orders(data: Any, triplets: NDArray[np.int64], metric: str = "euclidean") -> NDArray[Any]:
    """The sign of d(i, j) - d(i, k) of each triplet."""
    signs = np.empty(len(triplets), np.int8)
    for some, (i, j, k) in _blocks(data, triplets, metric):
        signs[some] = np.sign(((i - j) ** 2).sum(axis=1) - ((i - k) ** 2).sum(axis=1))
    return signs


def distance_correlation(
    X: Any,
    embedding: ArrayLike,
    *,
    method: str = "spearman",
    n_pairs: int = 100_000,
    random_state: int | None = 0,
    metric: str = "euclidean",
) -> Estimate:
    """Correlation of the distances of pairs of points in the data and in the embedding.

    The classic question to multidimensional scaling (Shepard 1962): do pairs that are far
    apart lie far apart?

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, d)
        The data; of sparse data only the rows drawn are made dense, some at a time.
    embedding : array-like of shape (n, c), any number of columns
        Places of the points; rows with NaN are left out.
    method : {"spearman", "pearson"}, default "spearman"
        Correlation of the ranks of the distances, which any monotone stretching leaves at
        1, or of the distances themselves.
    n_pairs : int, default 100000
        Pairs drawn.  If there are no more than so many (up to 447 points) all are taken.
    random_state : int or None, default 0
        Seed of the pairs.
    metric : {"euclidean", "cosine", "correlation"}, default "euclidean"
        How distances of the data are measured; those of the embedding are Euclidean.

    Returns
    -------
    Estimate
        Between -1 and 1, with the 95% confidence interval of the sample (from 32 equal parts
        of it); about 0 for places at random, and 0 if all distances of a side are equal.

    Raises
    ------
    InvalidInputError
        If lengths do not match, there are fewer than three points or pairs, a row drawn from
        X is not finite, or the method or the metric is another one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import distance_correlation
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> round(distance_correlation(X, 3 * X), 6)
    1.0
    """
    if method not in ("spearman", "pearson"):
        raise InvalidInputError(f"method={method!r}: choose 'spearman' or 'pearson'")
    if n_pairs < 3:
        raise InvalidInputError(f"n_pairs={n_pairs}: at least three are needed")
    data, places, known = _both(X, embedding, metric, 3, "a correlation needs three")
    pairs = draw_pairs(known, n_pairs, random_state)
    there, here = distances(data, pairs, metric), distances(places, pairs)
    return correlation(there, here, method, n_pairs)


def correlation(
    there: NDArray[np.float64], here: NDArray[np.float64], method: str, asked: int
) -> Estimate:
    """Correlation of distances; fewer than were asked for are all there are."""
    measure = _pearson if method == "pearson" else _spearman
    value = measure(there, here)
    if len(there) < asked:
        return Estimate(value)
    parts = batches_of(len(there))
    if len(there) < 3 * len(parts):
        return Estimate(value, -1.0, 1.0)
    found = by_batches(value, [measure(there[part], here[part]) for part in parts])
    return Estimate(value, max(-1.0, found.low), min(1.0, found.high))


def _pearson(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    a, b = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float(np.clip((a * b).sum() / spread, -1, 1)) if spread > 0 else 0.0


def _spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    from scipy.stats import rankdata

    return _pearson(rankdata(one), rankdata(other))


def draw_pairs(known: NDArray[np.int64], count: int, random_state: int | None) -> NDArray[np.int64]:
    """Rows (i, j) of different points, or all of them if they are few."""
    n = len(known)
    if n * (n - 1) // 2 < count:
        return known[np.stack(np.triu_indices(n, 1), axis=1)]
    rng = np.random.default_rng(random_state)
    first = rng.integers(n, size=count)
    return known[np.stack([first, (first + rng.integers(1, n, size=count)) % n], axis=1)]


def distances(
    data: Any, pairs: NDArray[np.int64], metric: str = "euclidean"
) -> NDArray[np.float64]:
    """The distance of each pair."""
    from ..embed.spaces import EUCLIDEAN

    found = np.empty(len(pairs))
    for some, (i, j) in _blocks(data, pairs, metric):
        found[some] = ((i - j) ** 2).sum(axis=1)
    return np.sqrt(found) if metric in EUCLIDEAN else found / 2


def _blocks(
    data: Any, tuples: NDArray[np.int64], metric: str
) -> Iterator[tuple[slice, list[NDArray[np.float64]]]]:
    """The points of some tuples after others, in float64."""
    step = max(1, _BLOCK // max(1, data.shape[1]))
    for start in range(0, len(tuples), step):
        some = slice(start, start + step)
        yield (
            some,
            [inputs.some_rows(data, rows, metric).astype(np.float64) for rows in tuples[some].T],
        )


def _both(
    X: Any, embedding: ArrayLike, metric: str, least: int, why: str
) -> tuple[Any, NDArray[np.float32], NDArray[np.int64]]:
    """Data, places, and which points have a place."""
    inputs.known_metric(metric)
    places = inputs.points(embedding, "embedding")
    data = X.tocsr() if hasattr(X, "tocsr") else inputs.numbers(X, "X")
    inputs.same_length("X", data.shape[0], "embedding", len(places))
    inputs.warn_if_swapped(places, data)
    known = inputs.with_place(places)
    if len(known) < least:
        raise InvalidInputError(f"{len(known)} points with coordinates: {why}")
    return data, places, known
