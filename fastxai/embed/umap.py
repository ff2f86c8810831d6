"""`UMAP`: maps of many points, as a scikit-learn estimator with umap-learn's parameters."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..devices import (
    CPU,
    Device,
    choose_device,
    choose_device_again,
    giver_for,
    host_array,
    to_host,
)
from ..errors import FastxaiWarning, InvalidInputError
from ..progress import Progress
from ..system import require_memory
from .fitting import (
    can_be_there,
    check_rows,
    check_schema,
    find_neighbors_of_rows,
    first_rows,
    points_embedding,
    running,
)
from .graph import Metric, NeighborGraph
from .initialise import check_init, start_positions
from .umap_graph import Targets, check_targets, cut_far, fuzzy_set, supervise
from .umap_layout import Forces, arrange, default_epochs, epochs_of_new
from .umap_options import (
    check_components,
    check_foreign,
    check_options,
    fit_curve,
    given_knn,
    missing_method,
)
from .umap_transform import find_neighbors_of, place, take_neighbors_of
from .validation import check_points, check_seed

_SCHEMA = 1
_GIVEN_KNN = (None, None, None)


class UMAP(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Uniform manifold approximation and projection (McInnes, Healy and Melville 2018).

    Joins every point to its neighbours by weighted edges and arranges the points in few
    dimensions so that strong edges are short.  The same data and seed give the same bits,
    for any number of threads.

    Parameters
    ----------
    n_neighbors : int, default 15
        Size of a neighbourhood, the point itself counted (as umap-learn does): small values
        show detail, large ones the whole.
    n_components : int, default 2
        Dimensions of the embedding.
    metric : str or callable, default "euclidean"
        See `fastxai.neighbors`; "precomputed" for a matrix of distances.
    metric_kwds : mapping, optional
        Further arguments of the metric.
    n_epochs : int, optional
        Rounds of the layout; by default 500 up to 10,000 points, then 200.
    learning_rate : float, default 1.0
        The first step, which falls linearly to 0.
    init : {"spectral", "pca", "random"} or array of shape (m, n_components), default "spectral"
        Where points start.  An array, such as an earlier embedding, may have fewer rows than
        there are points, or NaN: such points start among their neighbours.
    min_dist : float, default 0.1
        How close points may lie in the embedding.
    spread : float, default 1.0
        Scale of the embedding; at least ``min_dist``.
    n_jobs : int, optional
        Threads; by default all that may be used.
    set_op_mix_ratio : float in [0, 1], default 1.0
        1 unites the neighbourhoods of both ends of an edge, 0 takes what they share.
    local_connectivity : float, default 1.0
        Number of neighbours that count as fully connected.
    repulsion_strength : float, default 1.0
        Weight of the repulsion.
    negative_sample_rate : float, default 5
        Random points repelled for each edge.
    a, b : float, optional
        Curve 1 / (1 + a d^2b) of the embedding; by default fitted to min_dist and spread.
    random_state : int, Generator, RandomState or None, default 0
        None draws a seed, to be found in ``random_state_``.
    target_n_neighbors : int, default -1
        Neighbourhood among numeric targets; -1 for ``n_neighbors``.
    target_metric : str, default "categorical"
        What ``y`` is: classes (-1, NaN or None for unknown), or numbers under "euclidean",
        "manhattan", ... (NaN for unknown).
    target_metric_kwds : None
        Targets' metrics take no arguments.
    target_weight : float in [0, 1], default 0.5
        0 follows the data, 1 the targets.
    transform_seed : int, default 42
        Seeds the layout of new points.
    verbose : bool, default False
        Show progress on stderr.
    unique : bool, default False
        Embed equal rows once, at one place.
    disconnection_distance : float, optional
        Neighbours as far as this are none; by default the largest possible distance where
        the metric has one.  Points without neighbours are NaN in the embedding.
    precomputed_knn : tuple, default (None, None, None)
        umap-learn's name for neighbours found before: (indices, distances[, index]).
    neighbors : NeighborGraph, tuple or sparse matrix, optional
        Neighbours found before: of `fastxai.neighbors`, ``(indices, distances)``, or of
        scikit-learn's ``KNeighborsTransformer``.
    recall : float, default 0.95
        Share of true neighbours that the search promises.
    device : {"auto", "cpu", "cuda", "cuda:1"}, default "auto"
        Where it runs.  "auto" is where a torch tensor lies, and for arrays of the host a CUDA
        device where there is one.  Results come as X came: NumPy, torch, CuPy, ...
    **others
        umap-learn's parameters that are not here: refused with a word on what is missing,
        unless they have their default.

    Attributes
    ----------
    embedding_ : ndarray of shape (n, n_components), float32
        A torch tensor, or an array of another library, where X was one.
    device_ : str
        Where the fit ran: "cpu", "cuda:0", ...
    graph_ : scipy.sparse.csr_array of shape (n, n)
        The fuzzy set: symmetric weights in (0, 1]; with ``unique=True`` of the distinct rows.
    neighbors_ : NeighborGraph
        The neighbours, to be given to other estimators.
    n_neighbors_, n_epochs_, random_state_ : int
        As used.
    a_, b_ : float
        The curve.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has names of columns.

    Examples
    --------
    >>> import fastxai
    >>> digits = fastxai.datasets.digits()
    >>> umap = fastxai.UMAP(n_neighbors=10, n_epochs=100)
    >>> umap.fit_transform(digits.data).shape
    (1797, 2)
    >>> umap.transform(digits.data[:5] + 0.5).shape
    (5, 2)
    """

    def __init__(
        self,
        n_neighbors: int = 15,
        n_components: int = 2,
        metric: Metric = "euclidean",
        metric_kwds: Mapping[str, Any] | None = None,
        *,
        n_epochs: int | None = None,
        learning_rate: float = 1.0,
        init: Any = "spectral",
        min_dist: float = 0.1,
        spread: float = 1.0,
        n_jobs: int | None = None,
        set_op_mix_ratio: float = 1.0,
        local_connectivity: float = 1.0,
        repulsion_strength: float = 1.0,
        negative_sample_rate: float = 5,
        a: float | None = None,
        b: float | None = None,
        random_state: Any = 0,
        target_n_neighbors: int = -1,
        target_metric: str = "categorical",
        target_metric_kwds: None = None,
        target_weight: float = 0.5,
        transform_seed: int = 42,
        verbose: bool = False,
        unique: bool = False,
        disconnection_distance: float | None = None,
        precomputed_knn: Any = _GIVEN_KNN,
        neighbors: Any = None,
        recall: float = 0.95,
        device: str = "auto",
        **others: Any,
    ) -> None:
        check_foreign(others)
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.metric = metric
        self.metric_kwds = metric_kwds
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.init = init
        self.min_dist = min_dist
        self.spread = spread
        self.n_jobs = n_jobs
        self.set_op_mix_ratio = set_op_mix_ratio
        self.local_connectivity = local_connectivity
        self.repulsion_strength = repulsion_strength
        self.negative_sample_rate = negative_sample_rate
        self.a = a
        self.b = b
        self.random_state = random_state
        self.target_n_neighbors = target_n_neighbors
        self.target_metric = target_metric
        self.target_metric_kwds = target_metric_kwds
        self.target_weight = target_weight
        self.transform_seed = transform_seed
        self.verbose = verbose
        self.unique = unique
        self.disconnection_distance = disconnection_distance
        self.precomputed_knn = precomputed_knn
        self.neighbors = neighbors
        self.recall = recall
        self.device = device

    embedding_: Any
    neighbors_: NeighborGraph
    _graph: Any

    def fit(self, X: Any, y: Any = None) -> Self:
        """Embed the rows of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, d)
            The points; with ``metric="precomputed"`` their distances, of shape (n, n).
        y : array-like of shape (n,), optional
            Targets, which the embedding then follows too.

        Returns
        -------
        UMAP

        Raises
        ------
        InvalidInputError
            If a parameter, X or y can not be worked with; the message says where.
        NotEnoughMemoryError
            If the work would not fit into memory.
        """
        check_options(self)
        seed = check_seed(self.random_state)
        device, give = choose_device(self.device, X), giver_for(X)
        check_components(self.n_components, device)
        points = check_rows(self, X, self.metric, device)
        n = points.shape[0]
        check_init(self.init, n, self.n_components)
        targets = None if y is None else check_targets(y, n, self.target_metric)
        self.a_, self.b_ = (
            (float(self.a), float(self.b))
            if self.a is not None and self.b is not None
            else fit_curve(float(self.spread), float(self.min_dist))
        )
        self.random_state_, self.device_ = seed, device.name
        self.n_neighbors_ = self._possible_neighbors(n)
        with running(self.n_jobs, bool(self.verbose), device) as progress:
            if device.is_gpu:
                self._embed_there(points, targets, device, progress)
            else:
                self._embed(points, targets, progress)
        self.embedding_ = give(self.embedding_)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """Embed the rows of X and return the embedding, (n, n_components); see `fit`."""
        embedding: NDArray[np.float32] = self.fit(X, y).embedding_
        return embedding

    def transform(self, X: Any) -> Any:
        """Place new points among the embedded ones.

        A row that equals a training row gets that row's place (the lowest one's among equal
        rows); any other is moved by its neighbours alone, so it does not depend on the batch.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (m, d), or tuple
            New rows; or, where the estimator knows distances only, ``(indices, distances)``
            of their neighbours among the training rows, both of shape (m, k), sorted.

        Returns
        -------
        ndarray of shape (m, n_components), float32
            NaN for a row without neighbours.

        Raises
        ------
        InvalidInputError
            If the rows do not fit to the training rows, or only their distances are known.
        """
        check_is_fitted(self, "embedding_")
        give, device = giver_for(X), choose_device_again(self.device, X)
        if device.is_gpu and can_be_there(self.neighbors_, X):
            places = self._placed_there(X, device)
        else:
            places = self._placed(host_array(X))
        lost = int((places != places).any(axis=1).sum())
        if lost:
            warnings.warn(
                f"{lost:,} of {len(places):,} rows have no neighbours nearer than the "
                "disconnection distance: they are NaN",
                FastxaiWarning,
                stacklevel=3,
            )
        return give(places)

    def _placed(self, X: Any) -> NDArray[np.float32]:
        """New points placed on the CPU."""
        graph, kernels = self.neighbors_, CPU.kernels
        k = min(self.n_neighbors_ - 1, graph.n_points)
        with running(self.n_jobs, bool(self.verbose)) as progress:
            with progress.stage("neighbours"):
                if isinstance(X, tuple) or graph.X is None:
                    new = take_neighbors_of(graph, X, k, kernels)
                else:
                    rows = check_points(self, X, reset=False)
                    new = find_neighbors_of(graph, rows, k, kernels)
            embedding = points_embedding(graph, np.asarray(host_array(self.embedding_)))
            places: NDArray[np.float32] = embedding[np.maximum(new.known, 0)]
            strange = np.flatnonzero(new.known < 0)
            if len(strange):
                places[strange] = place(
                    kernels,
                    embedding,
                    new.take(strange),
                    graph.metric,
                    self.disconnection_distance,
                    float(self.local_connectivity),
                    epochs_of_new(self.n_epochs),
                    self._forces(),
                    self._transform_seed(),
                    progress,
                )
        return places

    def _placed_there(self, X: Any, device: Device) -> Any:
        """New points placed on a GPU."""
        from .cuda.graph import graph_there
        from .cuda.umap import placed_there

        graph = graph_there(self.neighbors_, device)
        self.neighbors_ = graph
        with running(self.n_jobs, bool(self.verbose), device) as progress:
            return placed_there(self, graph, X, progress)

    def _transform_seed(self) -> int:
        return check_seed(self.transform_seed)

    inverse_transform = missing_method("inverse_transform")
    update = missing_method("update")

    # --- fit, step by step -----------------------------------------------------------------

    def _given(self) -> Any:
        """Neighbours that the user computed before, or None."""
        return given_knn(self.precomputed_knn) if self.neighbors is None else self.neighbors

    def _possible_neighbors(self, n: int) -> int:
        """``n_neighbors``, or with a warning what so few points allow."""
        possible = max(2, n - 1)
        if self.n_neighbors <= possible:
            return int(self.n_neighbors)
        warnings.warn(
            f"n_neighbors={self.n_neighbors} and there are {n} points: reduced to {possible}",
            FastxaiWarning,
            stacklevel=4,
        )
        return possible

    def _embed(self, points: Any, targets: Targets | None, progress: Progress) -> None:
        n = points.shape[0]
        _check_memory(n, points.shape[1], self.n_neighbors_)
        near = self._find_neighbors(points)
        rows = near.n_points  # fewer than n with unique=True
        self.n_neighbors_ = near.n_neighbors + 1
        kernels = CPU.kernels
        with progress.stage("fuzzy set"):
            metric = near.metric if near.metric != "precomputed" else self.metric
            lists = cut_far(near.indices, near.distances, metric, self.disconnection_distance)
            connectivity, mix = self.local_connectivity, self.set_op_mix_ratio
            graph = fuzzy_set(kernels, *lists, connectivity, mix)
            if targets is not None:
                graph = self._supervised(kernels, graph, targets, near.groups)
        alone = np.diff(graph.indptr) == 0
        if alone.all():
            raise InvalidInputError(
                f"none of {rows:,} points has a neighbour nearer than the disconnection distance "
                f"(disconnection_distance={self.disconnection_distance!r}, metric={metric!r}): "
                "there is nothing to arrange; choose a larger one, or another metric"
            )
        if alone.any():
            warnings.warn(
                f"{int(alone.sum()):,} of {rows:,} points have no neighbours nearer than the "
                "disconnection distance: they are NaN in the embedding",
                FastxaiWarning,
                stacklevel=5,
            )
        self.neighbors_, self.graph_ = near, graph
        embedding = self._arranged(kernels, graph, np.flatnonzero(~alone), progress)
        self.embedding_ = embedding if near.groups is None else embedding[near.groups]

    def _embed_there(
        self, points: Any, targets: Targets | None, device: Device, progress: Progress
    ) -> None:
        """`_embed` on a GPU."""
        from .cuda.umap import fit_there

        near = self._find_neighbors(points, device)
        self.n_neighbors_ = near.n_neighbors + 1
        found = fit_there(self, near, targets, device, progress)
        self.neighbors_, self.graph_, self.n_epochs_ = near, found.graph, found.n_epochs
        self.embedding_ = found.embedding

    def _find_neighbors(self, points: Any, device: Device = CPU) -> NeighborGraph:
        given = self._given()
        if self.unique and given is not None:
            raise InvalidInputError(
                "unique=True and given neighbours: build them with neighbors(X, unique=True)"
            )
        return find_neighbors_of_rows(
            points,
            self.n_neighbors_ - 1,
            given,
            metric=self.metric,
            metric_kwds=self.metric_kwds,
            recall=self.recall,
            seed=self.random_state_,
            device=device,
            unique=self.unique,
        )

    def _supervised(
        self, kernels: Any, graph: Any, targets: Targets, groups: NDArray[np.int32] | None
    ) -> Any:
        if groups is not None:  # of equal rows the first one's target counts
            targets = targets.take(first_rows(groups))
        width = self.target_n_neighbors if self.target_n_neighbors != -1 else self.n_neighbors_
        weight, seed = float(self.target_weight), self.random_state_
        return supervise(kernels, graph, targets, self.target_metric, weight, width, seed)

    def _arranged(
        self, kernels: Any, graph: Any, rows: NDArray[Any], progress: Progress
    ) -> NDArray[np.float32]:
        """The layout of the connected vertices; the others are NaN."""
        n, seed = graph.shape[0], self.random_state_
        joined = graph if len(rows) == n else graph[rows][:, rows]
        name = self.init if isinstance(self.init, str) else "start"
        X, init, groups = self.neighbors_.X, self.init, self.neighbors_.groups
        if not isinstance(init, str) and groups is not None:
            init = _rows_of(init, first_rows(groups))
        if len(rows) < n:
            X = None if X is None else X[rows]
            init = init if isinstance(init, str) else _rows_of(init, rows)
        with progress.stage(name, 1.0) as advance:
            start = start_positions(init, joined, X, self.n_components, seed, advance)
        self.n_epochs_ = default_epochs(n) if self.n_epochs is None else int(self.n_epochs)
        with progress.stage("layout", self.n_epochs_) as advance:
            places = arrange(kernels, joined, start, self.n_epochs_, self._forces(), seed, advance)
        embedding = np.full((n, self.n_components), np.nan, np.float32)
        embedding[rows] = places
        return embedding

    def _forces(self) -> Forces:
        return Forces(
            self.a_,
            self.b_,
            float(self.repulsion_strength),
            float(self.negative_sample_rate),
            float(self.learning_rate),
        )

    # --- scikit-learn and pickle -----------------------------------------------------------

    @property
    def graph_(self) -> Any:
        """The fuzzy set, scipy.sparse.csr_array; of a fit on a GPU copied when first asked for."""
        if "_graph" not in vars(self):
            raise AttributeError("graph_: this UMAP is not fitted")
        if not sparse.issparse(self._graph):
            self._graph = self._graph.to_scipy()
        return self._graph

    @graph_.setter
    def graph_(self, graph: Any) -> None:
        self._graph = graph

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.pairwise = self.metric == "precomputed"
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.target_tags.required = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Plain arrays and a version of their layout."""
        state = dict(super().__getstate__())
        if "embedding_" in state:
            state["embedding_"] = to_host(host_array(state["embedding_"]))
        if state.pop("_graph", None) is not None:
            graph = self.graph_
            state["graph_parts"] = (graph.data, graph.indices, graph.indptr, graph.shape)
        return {**state, "schema": _SCHEMA}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        check_schema(state, "UMAP", _SCHEMA)
        if (parts := state.pop("graph_parts", None)) is not None:
            *arrays, shape = parts
            state["_graph"] = sparse.csr_array(tuple(arrays), shape=shape)
        super().__setstate__(state)


def _own_signature(cls: type) -> inspect.Signature:
    """The constructor's parameters without ``**others``, which only take refusals."""
    whole = inspect.signature(cls.__init__)  # type: ignore[misc]
    own = [p for p in whole.parameters.values() if p.name not in ("self", "others")]
    return inspect.Signature(own)


# What scikit-learn's tools and editors show.
UMAP.__signature__ = _own_signature(UMAP)


def _check_memory(n: int, d: int, k: int) -> None:
    """Graph, its transpose and the packed edges, on top of what the neighbours took."""
    require_memory(
        80.0 * n * k,
        f"UMAP of {n:,} x {d} with n_neighbors={k}",
        "take fewer points or fewer neighbours",
    )


def _rows_of(init: Any, rows: NDArray[Any]) -> NDArray[np.float32]:
    """Given positions of some points only; NaN beyond the end of ``init``."""
    known = np.asarray(init, np.float32)
    places = np.full((len(rows), known.shape[1]), np.nan, np.float32)
    there = rows < len(known)
    places[there] = known[rows[there]]
    return places
