"""Neighbourhoods: how many neighbours are kept, and how far those go that are not."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InvalidInputError
from . import _inputs as inputs
from ._estimate import Estimate, mean_of_sample
from ._neighbours import Space


def neighbor_preservation(
    X: ArrayLike,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 15,
    n_samples: int | None = 5000,
    random_state: int | None = 0,
    metric: str = "euclidean",
) -> Estimate:
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
    Estimate
        Between 0 and 1, with the 95% confidence interval of the sample; about
        ``n_neighbors / n`` for places at random.

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
    data, places = inputs.known_points(X, embedding, "neighbor_preservation", metric)
    rows = inputs.sample(len(places), n_neighbors, n_samples, random_state)
    return common(Space(data, rows), Space(places, rows), n_neighbors)


def common(data: Space, places: Space, k: int) -> Estimate:
    """The share of the ``k`` nearest that both have in common."""
    # One list for all the points: each point's neighbours get numbers of their own.
    own = np.arange(len(data.rows), dtype=np.int64)[:, None] * len(data.points)
    kept = np.isin(places.nearest(k) + own, data.nearest(k) + own)
    return mean_of_sample(kept.mean(axis=1), len(data.points))


def trustworthiness(
    X: ArrayLike,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 15,
    n_samples: int | None = 5000,
    random_state: int | None = 0,
    metric: str = "euclidean",
) -> Estimate:
    """How far embedded neighbours are from being neighbours in the data.

    1 - 2 / (n k (2n - 3k - 1)) * sum over i, and j among the k nearest of i in the embedding
    but not in the data, of (r(i, j) - k), where j is the r(i, j)-th nearest of i in the data.
    A point that the map has wrongly moved close costs more the farther it came from.  Equally
    distant points share the lowest of their ranks.

    Parameters
    ----------
    X : array-like of shape (n, d)
        The data, dense.
    embedding : array-like of shape (n, c), any number of columns
        Places of the points; rows with NaN are left out on both sides.
    n_neighbors : int, default 15
        Size k of the neighbourhoods, less than half of n (scikit-learn's default is 5).
    n_samples : int or None, default 5000
        Points drawn without replacement; None judges all.
    random_state : int or None, default 0
        Seed of the sample.
    metric : {"euclidean", "cosine", "correlation"}, default "euclidean"
        How distances of the data are measured; those of the embedding are Euclidean.

    Returns
    -------
    Estimate
        Between 0 and 1, with the 95% confidence interval of the sample; about 0.5 for places
        at random.

    Raises
    ------
    InvalidInputError
        If lengths do not match, there are too few points, X is sparse or not finite, or the
        metric is another one.

    References
    ----------
    Venna and Kaski 2001, "Neighborhood preservation in nonlinear projection methods: an
    experimental study", section 2; computed by scikit-learn's ``sklearn.manifold.trustworthiness``
    for all points.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import trustworthiness
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> trustworthiness(X, 3 * X)
    1.0
    """
    data, places = inputs.known_points(X, embedding, "trustworthiness", metric)
    rows = inputs.sample(len(places), n_neighbors, n_samples, random_state)
    return intrusion(Space(data, rows), Space(places, rows), n_neighbors)


def continuity(
    X: ArrayLike,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 15,
    n_samples: int | None = 5000,
    random_state: int | None = 0,
    metric: str = "euclidean",
) -> Estimate:
    """How far neighbours in the data are from being neighbours in the embedding.

    `trustworthiness` with the two sides exchanged: 1 - 2 / (n k (2n - 3k - 1)) * sum over i,
    and j among the k nearest of i in the data but not in the embedding, of (r(i, j) - k),
    where j is the r(i, j)-th nearest of i in the embedding.  A neighbour that the map has
    torn away costs more the farther it went.

    Parameters
    ----------
    X : array-like of shape (n, d)
        The data, dense.
    embedding : array-like of shape (n, c), any number of columns
        Places of the points; rows with NaN are left out on both sides.
    n_neighbors : int, default 15
        Size k of the neighbourhoods, less than half of n (scikit-learn's default is 5).
    n_samples : int or None, default 5000
        Points drawn without replacement; None judges all.
    random_state : int or None, default 0
        Seed of the sample.
    metric : {"euclidean", "cosine", "correlation"}, default "euclidean"
        How distances of the data are measured; those of the embedding are Euclidean.

    Returns
    -------
    Estimate
        Between 0 and 1, with the 95% confidence interval of the sample; about 0.5 for places
        at random.

    Raises
    ------
    InvalidInputError
        If lengths do not match, there are too few points, X is sparse or not finite, or the
        metric is another one.

    References
    ----------
    Venna and Kaski 2001, "Neighborhood preservation in nonlinear projection methods: an
    experimental study", section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import continuity
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> continuity(X, 3 * X)
    1.0
    """
    data, places = inputs.known_points(X, embedding, "continuity", metric)
    rows = inputs.sample(len(places), n_neighbors, n_samples, random_state)
    return intrusion(Space(places, rows), Space(data, rows), n_neighbors)


def intrusion(space: Space, other: Space, k: int) -> Estimate:
    """One less the cost of points that are near in ``other`` and not in ``space``."""
    n = len(space.points)
    if 2 * k >= n:
        raise InvalidInputError(
            f"n_neighbors={k}: ranks beyond the neighbourhood are counted, so it must be less "
            f"than half of the {n:,} points"
        )
    beyond = np.maximum(space.ranks(other.nearest(k)) - k, 0).sum(axis=1)
    return mean_of_sample(1 - beyond * (2 / (k * (2 * n - 3 * k - 1))), n)
