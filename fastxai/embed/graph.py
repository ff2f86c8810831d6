"""`NeighborGraph`: neighbours found once, to hand to every estimator, sweep and diagnostic."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .jobs import resolve_jobs
from .spaces import is_sparse

Metric = str | Callable[..., float]
Lists = tuple[NDArray[np.int32], NDArray[np.float32]]
_SCHEMA = 1


class _Search:
    """What answers queries: built when first asked, shared by a graph and what is taken of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.index: Any = None
        self.rows: Any = None


class NeighborGraph:
    """The k true neighbours of every point: itself left out, sorted by distance.

    Made by `fastxai.neighbors`, `NeighborGraph.load`, or by an estimator out of what others
    computed.

    Parameters
    ----------
    indices : array-like of shape (n, k)
        Neighbours of each point; -1 where a point has fewer than k.
    distances : array-like of shape (n, k)
        Their distances, ascending; infinity beside -1.
    metric : str or callable, default "euclidean"
        What the distances are.
    metric_kwds : mapping, optional
        Further arguments of the metric.
    recall : float, default nan
        Share of true neighbours among them, as estimated when they were sought.
    X : array or sparse matrix of shape (n, d), optional
        The points, for `query` and `match`: kept by reference, a memory map stays one.
    groups : array-like of shape (m,), optional
        Of ``neighbors(..., unique=True)``: the points are the distinct rows of m given
        rows, and row i is point ``groups[i]``.
    seed : int, default 0
        Seeds the search structure that queries use.
    promised : float, default 0.95
        Recall that queries hold.

    Attributes
    ----------
    indices : ndarray of shape (n, k), int32
    distances : ndarray of shape (n, k), float32
    metric, metric_kwds, recall, X, groups
        As given.

    Raises
    ------
    InvalidInputError
        If shapes differ, an index is no integer, out of range, the point's own or named
        twice in a row, or distances are NaN, negative or unsorted.

    Examples
    --------
    >>> import fastxai
    >>> X = fastxai.datasets.digits().data
    >>> graph = fastxai.neighbors(X, n_neighbors=20)
    >>> graph
    NeighborGraph(1,797 points, 20 neighbours, metric='euclidean', recall=1.000)
    >>> graph.take(5).indices.shape
    (1797, 5)
    >>> indices, distances = graph.query(X[:3] + 0.5, 4)
    >>> indices.shape
    (3, 4)
    """

    def __init__(
        self,
        indices: Any,
        distances: Any,
        *,
        metric: Metric = "euclidean",
        metric_kwds: Mapping[str, Any] | None = None,
        recall: float = float("nan"),
        X: Any = None,
        groups: Any = None,
        seed: int = 0,
        promised: float = 0.95,
    ) -> None:
        from .adapters import check_graph

        indices, distances = check_graph(indices, distances, groups)
        about = (metric, metric_kwds, recall, X, groups, seed, promised)
        self._fill(indices, distances, *about)

    @classmethod
    def _trusted(cls, indices: Any, distances: Any, **about: Any) -> NeighborGraph:
        """A graph of lists that are known to be true, and not looked at."""
        graph = cls.__new__(cls)
        graph._fill(indices, distances, **about)
        return graph

    def _fill(
        self,
        indices: Any,
        distances: Any,
        metric: Metric = "euclidean",
        metric_kwds: Mapping[str, Any] | None = None,
        recall: float = float("nan"),
        X: Any = None,
        groups: Any = None,
        seed: int = 0,
        promised: float = 0.95,
    ) -> None:
        self.indices = np.ascontiguousarray(indices, np.int32)
        self.distances = np.ascontiguousarray(distances, np.float32)
        if X is not None and X.shape[0] != len(self.indices):
            raise InvalidInputError(
                f"X has {X.shape[0]:,} rows, and there are neighbours of {len(self.indices):,} "
                "points"
            )
        self.metric = metric
        self.metric_kwds = dict(metric_kwds or {})
        self.recall = float(recall)
        self.X = X
        self.groups = None if groups is None else np.ascontiguousarray(groups, np.int32)
        self._seed = int(seed)
        self._promised = float(promised)
        self._search = _Search()

    @property
    def n_points(self) -> int:
        """Number of points."""
        return int(self.indices.shape[0])

    @property
    def n_neighbors(self) -> int:
        """Neighbours a point, the point itself not counted."""
        return int(self.indices.shape[1])

    @property
    def X_is_dense(self) -> bool:
        """Whether the points are known, as a dense array."""
        return self.X is not None and not is_sparse(self.X)

    def __repr__(self) -> str:
        name = self.metric if isinstance(self.metric, str) else _name(self.metric)
        recall = "unknown" if np.isnan(self.recall) else f"{self.recall:.3f}"
        copies = "" if self.groups is None else f", of {len(self.groups):,} rows"
        return (
            f"NeighborGraph({self.n_points:,} points{copies}, {self.n_neighbors} neighbours, "
            f"metric={name!r}, recall={recall})"
        )

    def take(self, k: int) -> NeighborGraph:
        """The graph of the first ``k`` neighbours of each point.

        Raises
        ------
        InvalidInputError
            If there are fewer than ``k``.
        """
        if k == self.n_neighbors:
            return self
        if not 1 <= k <= self.n_neighbors:
            raise InvalidInputError(
                f"{k} neighbours a point were asked for and this graph holds "
                f"{self.n_neighbors}; build it with neighbors(X, n_neighbors={max(k, 1)})"
            )
        graph = copy.copy(self)
        graph.indices = np.ascontiguousarray(self.indices[:, :k])
        graph.distances = np.ascontiguousarray(self.distances[:, :k])
        graph._search = self._search
        return graph

    def query(self, X_new: Any, k: int, *, n_jobs: int | None = None) -> Lists:
        """The ``k`` points of the graph nearest to each new row.

        The first call builds a search structure, which is kept; a row's answer does not
        depend on the rows it is asked with.

        Parameters
        ----------
        X_new : array-like or sparse matrix of shape (m, d)
            New rows, with the features of the points.
        k : int
            Neighbours a row, at most ``n_points``.
        n_jobs : int, optional
            Threads; by default all that may be used.

        Returns
        -------
        indices : ndarray of shape (m, k), int32
        distances : ndarray of shape (m, k), float32
            Ascending.

        Raises
        ------
        InvalidInputError
            If the graph has no X, or the rows do not fit to it.
        """
        rows = self._new_rows(X_new)
        if not 1 <= k <= self.n_points:
            raise InvalidInputError(f"k={k} neighbours of {self.n_points:,} points: choose fewer")
        from fastxai_kernels.cpu._threads import threads

        with threads(resolve_jobs(n_jobs)):
            with self._search.lock:  # of two threads the second one waits for the first's index
                if self._search.index is None:
                    self._search.index = self._build_index()
            found: Lists = self._search.index.query(rows, k)
        return found

    def _build_index(self) -> Any:
        from .queries import QueryIndex

        return QueryIndex(
            self.X,
            metric=self.metric,
            metric_kwds=self.metric_kwds,
            seed=self._seed,
            recall=self._promised,
        )

    def match(self, X_new: Any) -> NDArray[np.int32]:
        """For each new row the lowest point that equals it, -1 where there is none.

        Parameters
        ----------
        X_new : array-like or sparse matrix of shape (m, d)

        Returns
        -------
        ndarray of shape (m,), int32

        Raises
        ------
        InvalidInputError
            If the graph has no X, or the rows do not fit to it.
        """
        rows = self._new_rows(X_new)
        with self._search.lock:
            if self._search.rows is None:
                from .queries import RowIndex

                self._search.rows = RowIndex(self.X)
        matched: NDArray[np.int32] = self._search.rows.find(rows)
        return matched

    def _new_rows(self, X_new: Any) -> Any:
        from scipy import sparse

        from .validation import check_points

        if self.X is None:
            raise InvalidInputError(
                "this graph knows distances and not the points: raw new rows can't be placed; "
                "give (indices, distances) to the training rows"
            )
        rows = check_points(None, X_new, reset=False)
        if rows.shape[1] != self.X.shape[1]:
            raise InvalidInputError(
                f"the new rows have {rows.shape[1]} features and the points {self.X.shape[1]}"
            )
        there, here = is_sparse(self.X), is_sparse(rows)
        if there and not here:
            return sparse.csr_matrix(rows)
        return rows.toarray() if here and not there else rows

    def save(self, path: str | Path) -> None:
        """Write the neighbours, not the points, to a .npz file; see `load`.

        Raises
        ------
        InvalidInputError
            If the file can not be written, or the metric is a function.
        """
        from .graph_files import save_graph

        save_graph(self, path)

    @classmethod
    def load(cls, path: str | Path, X: Any = None) -> NeighborGraph:
        """Read a graph that `save` wrote.

        Parameters
        ----------
        path : str or Path
        X : array-like or sparse matrix, optional
            The points, for `query` and `match`; the rows given to `neighbors`.

        Raises
        ------
        InvalidInputError
            If the file is missing, damaged or of another kind, or X is not what the
            neighbours were sought among.
        """
        from .graph_files import load_graph

        return load_graph(path, X)

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: plain arrays and a version, no search structure."""
        return {
            "schema": _SCHEMA,
            **{name: value for name, value in vars(self).items() if name != "_search"},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if (schema := state.pop("schema", None)) != _SCHEMA:
            raise InvalidInputError(
                f"this pickle holds a NeighborGraph of schema {schema}, and this version of "
                f"fastxai reads schema {_SCHEMA}"
            )
        self.__dict__.update(state)
        self._search = _Search()


def rebuilt(indices: Any, distances: Any, about: dict[str, Any]) -> NeighborGraph:
    """What a pickle of neighbours found on a GPU calls where there may be none."""
    return NeighborGraph._trusted(indices, distances, **about)


def _name(metric: Any) -> str:
    return str(getattr(metric, "__name__", type(metric).__name__))
