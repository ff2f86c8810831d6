"""What t-SNE minimises, measured of any embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..embed.graph import NeighborGraph
from ..errors import InvalidInputError
from . import _inputs as inputs
from ._estimate import Estimate, mean_of_sample

_ROWS = 1000  # points whose sums one call of the kernel adds up


class Affinities(NamedTuple):
    """Joint probabilities p of pairs, as a CSR matrix; ``entropy`` is the sum of p log p."""

    indptr: NDArray[np.int64]
    columns: NDArray[np.int32]
    weights: NDArray[np.float32]
    total: float
    entropy: float


def kl_divergence(
    embedding: ArrayLike,
    X_or_graph: Any,
    perplexity: float | Sequence[float] = 30.0,
    dof: float | None = None,
    *,
    n_samples: int | None = 100_000,
    random_state: int | None = 0,
    metric: str = "euclidean",
) -> Estimate:
    """The Kullback-Leibler divergence that t-SNE minimises, of any embedding.

    KL(P || Q) = sum of p_ij log(p_ij / q_ij), with p the symmetrised Gaussian affinities of
    the 3 * perplexity nearest neighbours and q_ij = w(r_ij) / Z, w(r) = (1 + r^2 / dof)^-dof,
    Z the sum of w over all pairs.  Nothing is approximated: the neighbours are exact if X is
    given, Z runs over all pairs of up to ``n_samples`` points, and sums are float64.

    Parameters
    ----------
    embedding : array-like of shape (n, c), any number of columns
        Places of the points, as t-SNE scales them: the divergence changes with the scale.
    X_or_graph : array-like of shape (n, d) or NeighborGraph
        The data, whose neighbours are then found by comparing all pairs; or neighbours found
        before, at least 3 * perplexity a point, which decide how exact P is.
    perplexity : float or sequence of float, default 30.0
        Of several, the affinities are averaged.
    dof : float, optional
        Degrees of freedom of w; by default max(c, 2) / 2, which is 1 in the plane: t-SNE's
        Cauchy kernel.
    n_samples : int or None, default 100000
        Of more points than this, Z is estimated from as many drawn at random; None takes all.
    random_state : int or None, default 0
        Seed of that sample.
    metric : {"euclidean", "cosine", "correlation"}, default "euclidean"
        How distances of X are measured; a graph has its own metric.

    Returns
    -------
    Estimate
        In nats; its 95% confidence interval is that of log Z.

    Raises
    ------
    InvalidInputError
        If lengths do not match, the embedding is not finite, the perplexity is not above 1
        and below n, or the graph holds fewer than 3 * perplexity neighbours.

    References
    ----------
    van der Maaten and Hinton 2008, "Visualizing data using t-SNE", JMLR 9; Kobak, Linderman,
    Steinerberger, Kluger and Berens 2019 for dof.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import kl_divergence
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> kl_divergence(20 * X, X) < kl_divergence(20 * X[::-1], X)
    True
    """
    places = inputs.points(embedding, "embedding")
    if not np.isfinite(places).all():
        raise InvalidInputError(
            "the embedding holds points without coordinates: they have no divergence, leave "
            "them out on both sides"
        )
    graph = X_or_graph
    if not isinstance(graph, NeighborGraph):
        inputs.warn_if_swapped(places, inputs.numbers(X_or_graph, "X"))
        graph = neighbors_for(inputs.numbers(X_or_graph, "X"), perplexity, metric)
    inputs.same_length("X", graph.n_points, "embedding", len(places))
    return divergence(places, affinities(graph, perplexity), dof, n_samples, random_state)


def neighbors_for(X: Any, perplexity: float | Sequence[float], metric: str) -> NeighborGraph:
    """The neighbours that such affinities are about, by comparing all pairs."""
    from ..embed.neighbors import neighbors

    inputs.known_metric(metric)
    return neighbors(X, _width(len(X), _several(perplexity)), metric=metric, recall=1.0)


def affinities(graph: NeighborGraph, perplexity: float | Sequence[float]) -> Affinities:
    """The joint probabilities of a graph's points."""
    from fastxai_kernels import select

    kernels = select("cpu")
    several = _several(perplexity)
    k = _width(graph.n_points, several)
    if graph.n_neighbors < k:
        raise InvalidInputError(
            f"perplexity {max(several):g} is about {k} neighbours a point and the graph holds "
            f"{graph.n_neighbors}: build it with neighbors(X, n_neighbors={k})"
        )
    some = graph.take(k)
    conditional = kernels.conditional_affinities(some.distances, tuple(several))
    indptr, columns, weights = kernels.joint_affinities(some.indices, conditional)
    total = float(weights.sum(dtype=np.float64))
    p = weights[weights > 0].astype(np.float64) / total
    return Affinities(indptr, columns, weights, total, float((p * np.log(p)).sum()))


def divergence(
    places: NDArray[np.float32],
    p: Affinities,
    dof: float | None,
    n_samples: int | None,
    random_state: int | None,
) -> Estimate:
    """KL = sum of p log p, less that of p log w, and log Z."""
    from fastxai_kernels import select

    kernels = select("cpu")
    freedom = max(places.shape[1], 2) / 2 if dof is None else float(dof)
    if not freedom > 0:
        raise InvalidInputError(f"dof={dof}: degrees of freedom are above 0")
    attracted = kernels.cross_entropy(places, p.indptr, p.columns, p.weights, freedom) / p.total
    n = len(places)
    if n_samples is None or n_samples >= n:
        return Estimate(p.entropy + attracted + float(np.log(_partition(kernels, places, freedom))))
    if n_samples < 1:
        raise InvalidInputError(f"n_samples={n_samples}: at least one is needed; None takes all")
    rows = np.random.default_rng(random_state).choice(n, n_samples, replace=False)
    sums = _sums(kernels, places, np.sort(rows), freedom)
    mean = mean_of_sample(sums / n, n)  # w is at most 1, and so is the mean of n of them
    log_z = [float(np.log(n * n * share)) for share in (mean.value, mean.low, mean.high)]
    return Estimate(*(p.entropy + attracted + value for value in log_z))


def _partition(kernels: Any, places: NDArray[np.float32], dof: float) -> float:
    """The sum of w over all pairs, some rows at a time."""
    return float(_sums(kernels, places, np.arange(len(places)), dof).sum())


def _sums(
    kernels: Any, places: NDArray[np.float32], rows: NDArray[np.int64], dof: float
) -> NDArray[np.float64]:
    """For some points the sum of w over all others: calls short enough for Ctrl-C."""
    sums = np.empty(len(rows))
    for start in range(0, len(rows), _ROWS):
        some = np.ascontiguousarray(rows[start : start + _ROWS])
        found = kernels.exact_repulsion_at(places[some], places, dof, some)[1]
        sums[start : start + _ROWS] = found
    return sums


def _several(perplexity: float | Sequence[float]) -> list[float]:
    several = [float(value) for value in np.atleast_1d(np.asarray(perplexity, np.float64))]
    if not several or not all(1 < value < np.inf for value in several):
        raise InvalidInputError(f"perplexity={perplexity}: choose numbers above 1")
    return several


def _width(n: int, several: list[float]) -> int:
    if max(several) >= n:
        raise InvalidInputError(f"perplexity={max(several):g} must be below the {n:,} points")
    return min(n - 1, int(3 * max(several)))
