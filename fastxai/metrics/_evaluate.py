"""All measures at once, of one map or of many of the same data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..embed.graph import NeighborGraph
from ..errors import InvalidInputError
from . import _divergence, _global, _inputs, _local
from ._estimate import Estimate
from ._labels import label_accuracy
from ._neighbours import Space
from ._outliers import outlier_fraction

MEASURES = (
    "label_accuracy",
    "neighbor_preservation",
    "trustworthiness",
    "continuity",
    "random_triplet_accuracy",
    "distance_correlation",
    "outlier_fraction",
    "kl_divergence",
)


class Evaluator:
    """All measures, for many maps of the same data: what is of the data is found once.

    Parameters
    ----------
    X : array-like of shape (n, d)
        The data, dense.
    labels : array-like of shape (n,), optional
        For the label accuracy, by the 10 nearest.
    n_neighbors : int, default 15
        Size of the neighbourhoods; reduced to below half of the points where they are few.
    n_samples : int or None, default 5000
        Points judged; None judges all.
    n_draws : int, default 100000
        Triplets and pairs drawn.
    random_state : int or None, default 0
        Seed of the samples.
    metric : {"euclidean", "cosine", "correlation"}, default "euclidean"
        How distances of the data are measured.
    perplexity : float or sequence of float, optional
        If given, the Kullback-Leibler divergence is measured too.
    dof : float, optional
        Degrees of freedom of its kernel; see `kl_divergence`.
    neighbors : NeighborGraph, optional
        Neighbours for the divergence; by default they are found by comparing all pairs.
    measures : collection of str, optional
        Names of the measures wanted, by default all.

    Raises
    ------
    InvalidInputError
        As the measures do.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import Evaluator
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> measure = Evaluator(X)
    >>> flat, line = measure(X[:, :2]), measure(X[:, :1])
    >>> flat["trustworthiness"] > line["trustworthiness"]
    True
    """

    def __init__(
        self,
        X: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        n_neighbors: int = 15,
        n_samples: int | None = 5000,
        n_draws: int = 100_000,
        random_state: int | None = 0,
        metric: str = "euclidean",
        perplexity: float | Sequence[float] | None = None,
        dof: float | None = None,
        neighbors: NeighborGraph | None = None,
        measures: Collection[str] | None = None,
    ) -> None:
        if strange := set(measures or ()) - set(MEASURES):
            raise InvalidInputError(
                f"measures names {', '.join(sorted(strange))}: choose among {', '.join(MEASURES)}"
            )
        self.measures = MEASURES if measures is None else tuple(measures)
        self.X, self.labels, self.metric = X, labels, metric
        self.n_neighbors, self.n_samples, self.n_draws = n_neighbors, n_samples, n_draws
        # One seed for all, so that what is found of the data serves every map.
        self.random_state = (
            int(np.random.default_rng().integers(2**31)) if random_state is None else random_state
        )
        self.perplexity, self.dof, self.neighbors = perplexity, dof, neighbors
        self._kept: tuple[bytes, Space] | None = None
        self._drawn: dict[str, tuple[Any, Any]] = {}
        self._places: Space | None = None
        self._affinities: _divergence.Affinities | None = None

    def __call__(self, embedding: ArrayLike) -> dict[str, Estimate]:
        """Measure one map.

        Parameters
        ----------
        embedding : array-like of shape (n, c), any number of columns
            Places of the points; those with NaN are left out, and without a divergence.

        Returns
        -------
        dict of str to Estimate
            ``label_accuracy`` (with labels), ``neighbor_preservation``, ``trustworthiness``,
            ``continuity``, ``random_triplet_accuracy``, ``distance_correlation``,
            ``outlier_fraction``, ``kl_divergence`` (with a perplexity).
        """
        places = _inputs.points(embedding, "embedding")
        known = np.asarray(np.isfinite(places).all(axis=1))
        there = places[known]
        found = {name: self._measure(name, places, known, there) for name in self.measures}
        return {name: figure for name, figure in found.items() if figure is not None}

    def _measure(
        self,
        name: str,
        places: NDArray[np.float32],
        known: NDArray[np.bool_],
        there: NDArray[np.float32],
    ) -> Estimate | None:
        if name == "label_accuracy":
            if self.labels is None:
                return None
            return label_accuracy(
                places, self.labels, n_samples=self.n_samples, random_state=self.random_state
            )
        if name == "outlier_fraction":
            return outlier_fraction(there)
        if name == "kl_divergence":
            return None if self.perplexity is None or not known.all() else self._divergence(places)
        data = self._data(known, places)
        if name in ("random_triplet_accuracy", "distance_correlation"):
            return self._far(name, data, there)
        k = min(self.n_neighbors, max(1, (len(there) - 1) // 2))
        if self._places is None or self._places.points is not there:
            self._places = Space(there, data.rows)
        here = self._places
        if name == "neighbor_preservation":
            return _local.common(data, here, k)
        return _local.intrusion(*((data, here) if name == "trustworthiness" else (here, data)), k)

    def _data(self, known: NDArray[np.bool_], places: NDArray[np.float32]) -> Space:
        """What is of the data alone; kept while maps leave the same points out."""
        key = known.tobytes()
        if self._kept is None or self._kept[0] != key:
            data, _ = _inputs.known_points(self.X, places, "Evaluator", self.metric)
            if len(data) < 3:
                raise InvalidInputError(f"{len(data)} points with coordinates: three are needed")
            k = min(self.n_neighbors, (len(data) - 1) // 2)
            rows = _inputs.sample(len(data), k, self.n_samples, self.random_state)
            self._kept, self._drawn = (key, Space(data, rows)), {}
        return self._kept[1]

    def _far(self, name: str, data: Space, places: NDArray[np.float32]) -> Estimate:
        triplets = name == "random_triplet_accuracy"
        # Changed vectors are compared as they are: ranks are those of the metric.
        measure = _global.orders if triplets else _global.distances
        if name not in self._drawn:
            draw = _global.draw_triplets if triplets else _global.draw_pairs
            drawn = draw(np.arange(len(places)), self.n_draws, self.random_state)
            self._drawn[name] = drawn, measure(data.points, drawn)
        drawn, there = self._drawn[name]
        here = measure(places, drawn)
        if triplets:
            return _global.agreement(there, here, self.n_draws)
        return _global.correlation(there, here, "spearman", self.n_draws)

    def _divergence(self, places: NDArray[np.float32]) -> Estimate:
        assert self.perplexity is not None
        if self._affinities is None:
            if self.neighbors is None:
                self.neighbors = _divergence.neighbors_for(
                    _inputs.points(self.X, "X"), self.perplexity, self.metric
                )
            _inputs.same_length("X", self.neighbors.n_points, "embedding", len(places))
            self._affinities = _divergence.affinities(self.neighbors, self.perplexity)
        return _divergence.divergence(
            places, self._affinities, self.dof, 100_000, self.random_state
        )


def evaluate(
    X: ArrayLike, embedding: ArrayLike, labels: ArrayLike | None = None, **options: Any
) -> dict[str, Estimate]:
    """All measures of one embedding; for several of the same data `Evaluator` is quicker.

    Parameters
    ----------
    X : array-like of shape (n, d)
        The data, dense.
    embedding : array-like of shape (n, c), any number of columns
        Places of the points.
    labels : array-like of shape (n,), optional
        For the label accuracy.
    **options
        Those of `Evaluator`: n_neighbors, n_samples, n_draws, random_state, metric,
        perplexity, dof, neighbors, measures.

    Returns
    -------
    dict of str to Estimate

    Raises
    ------
    InvalidInputError
        As the measures do.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import evaluate
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> found = evaluate(X, 3 * X)
    >>> found["trustworthiness"], found["neighbor_preservation"]
    (1.0, 1.0)
    """
    return Evaluator(X, labels, **options)(embedding)
