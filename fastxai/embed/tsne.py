"""`TSNE`: maps that keep neighbours together, as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._warn import warn
from ..devices import (
    CPU,
    Device,
    choose_device,
    choose_device_again,
    giver_for,
    host_array,
    to_host,
)
from ..errors import InvalidInputError
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
from .tsne_descent import Descent
from .tsne_graph import joint_graph, neighbors_needed, start_of, warn_of_few
from .tsne_options import check_init, check_options, perplexities
from .tsne_repulsion import Repulsion
from .tsne_schedule import phases, rules
from .tsne_transform import place
from .umap_transform import NewRows, find_neighbors_of, take_neighbors_of
from .validation import check_points, check_seed

_SCHEMA = 1


class _Fitted(NamedTuple):
    """What placing new points needs, whatever becomes of the parameters after the fit."""

    perplexities: tuple[float, ...]
    method: str
    dof: float
    angle: float
    force_error: float
    balance: float


class TSNE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """t-distributed stochastic neighbour embedding (van der Maaten and Hinton 2008).

    Gives every pair of points a probability that falls with their distance, and arranges
    the points in few dimensions so that the probabilities there diverge as little as can
    be.  The same data and seed give the same bits, for any number of threads.

    Parameters
    ----------
    n_components : int, default 2
        Dimensions of the embedding.
    perplexity : float or list of float, default 30.0
        Effective number of neighbours of a point, more than 1 and less than n; with several
        the affinities are averaged, so that the map shows more than one scale.
    early_exaggeration : float, default 12.0
        Factor on the attraction in the early phase, in which clusters form.
    learning_rate : float or "auto", default "auto"
        Step of the gradient descent, in scikit-learn's units.  "auto" takes
        ``n / (4 * exaggeration)`` of the phase (of an exaggeration below 1: n / 4) and at
        least 50 (Belkina et al. 2019):
        scikit-learn's rate in the early phase, a longer step in the main one.
    max_iter : int, default 1000
        Iterations of both phases together.
    n_iter_without_progress : int, default 300
        The main phase ends after so many iterations in which the divergence has not fallen;
        it is looked at every 50.
    min_grad_norm : float, default 1e-7
        A phase ends when the gradient is shorter.
    metric : str or callable, default "euclidean"
        See `fastxai.neighbors`; "precomputed" for a matrix of distances.
    metric_params : mapping, optional
        Further arguments of the metric.
    init : {"pca", "spectral", "random"} or array of shape (n, n_components), default "pca"
        Where points start; all but an array are scaled to a standard deviation of 1e-4.
    verbose : int, default 0
        Show progress on stderr.
    random_state : int, Generator, RandomState or None, default 0
        None draws a seed, to be found in ``random_state_``.
    method : {"auto", "exact", "barnes_hut", "particle_mesh"}, default "auto"
        How the repulsion is computed: between all pairs; by a tree (van der Maaten 2014), up
        to three dimensions; by a mesh and Fourier transforms (as in Linderman et al. 2019),
        up to two.  "auto" takes all pairs up to 2,000 points (4,000 in three dimensions),
        else the mesh, in three dimensions the tree.  (scikit-learn's default is
        "barnes_hut".)  "exact" also takes all pairs for the affinities.
    angle : float in [0, 1], default 0.5
        Accuracy of the tree: cells seen under a smaller angle act as a whole.  At 0.5 the
        forces are more exact than scikit-learn's at 0.5.
    n_jobs : int, optional
        Threads; by default all that may be used.
    early_exaggeration_iter : int, default 250
        Iterations of the early phase.
    exaggeration : float, default 1.0
        Factor on the attraction in the main phase; more than 1 draws clusters together
        (4 looks like UMAP: Boehm, Berens and Kobak 2022).
    dof : float in (0, 100], optional
        The kernel of the embedding is ``(1 + r^2 / dof)^-dof``: heavier tails below 1 show
        finer clusters (Kobak et al. 2019; openTSNE's parameter of that name).  By default 1
        in one and two dimensions, and ``n_components / 2`` in more: scikit-learn's kernel,
        up to the scale of the map.
    initial_momentum : float, default 0.5
        Momentum of the early phase.
    final_momentum : float, optional
        Momentum of the main phase.  By default 0.8, as in scikit-learn and openTSNE, up to
        10,000 points, and 0.9 beyond: many points come much farther in as many iterations.
    max_step_norm : float or None, default 5.0
        No point moves farther in one iteration.
    force_error : float, default 0.003
        The mesh is as fine as it takes to keep the RMS error of the repulsive forces below
        this share of their RMS.  (The error does not average out: at 0.01 the divergence
        ends up to 1% higher.)
    tol : float, optional
        The main phase ends when the divergence has fallen by less than this in the last 50
        iterations (0.001 is a good try where time matters); by default never, as in
        scikit-learn.
    pca_components : int, optional
        Replace the points by so many principal components first: less noise, faster search.
    neighbors : NeighborGraph, tuple or sparse matrix, optional
        Neighbours found before; see `fastxai.UMAP`.  Three times the perplexity are wanted.
    recall : float, default 0.95
        Share of true neighbours that the search promises.
    callbacks : callable or list of callable, optional
        Called as ``callback(iteration, kl_divergence, embedding)``, the embedding being a
        copy for each; one that returns True ends the work.
    callbacks_every_iters : int, default 50
        How often.
    device : {"auto", "cpu", "cuda", "cuda:1"}, default "auto"
        Where it runs.  "auto" is where a torch tensor lies, and for arrays of the host a CUDA
        device where there is one.  Results come as X came: NumPy, torch, CuPy, ...

    Attributes
    ----------
    embedding_ : ndarray of shape (n, n_components), float32
        A torch tensor, or an array of another library, where X was one.
    device_ : str
        Where the fit ran: "cpu", "cuda:0", ...
    kl_divergence_ : float
        Of the embedding from the affinities, by the forces' own normalisation.
    kl_history_ : ndarray of shape (m, 2), float64
        Iterations done, and the divergence then, without exaggeration in both phases.
    n_iter_ : int
        Iterations run.
    learning_rate_ : float
        Of the main phase.
    method_ : str
        The method in use at the end.
    neighbors_ : NeighborGraph
        The neighbours, to be given to other estimators.
    pca_ : PCA
        Where ``pca_components`` is given.
    random_state_ : int
        As used.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has names of columns.

    Examples
    --------
    >>> import fastxai
    >>> digits = fastxai.datasets.digits()
    >>> tsne = fastxai.TSNE(max_iter=500)
    >>> tsne.fit_transform(digits.data).shape
    (1797, 2)
    >>> tsne.transform(digits.data[:5] + 0.5).shape
    (5, 2)
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        perplexity: Any = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: Any = "auto",
        max_iter: int = 1000,
        n_iter_without_progress: int = 300,
        min_grad_norm: float = 1e-7,
        metric: Metric = "euclidean",
        metric_params: Mapping[str, Any] | None = None,
        init: Any = "pca",
        verbose: int = 0,
        random_state: Any = 0,
        method: str = "auto",
        angle: float = 0.5,
        n_jobs: int | None = None,
        early_exaggeration_iter: int = 250,
        exaggeration: float = 1.0,
        dof: float | None = None,
        initial_momentum: float = 0.5,
        final_momentum: float | None = None,
        max_step_norm: float | None = 5.0,
        force_error: float = 0.003,
        tol: float | None = None,
        pca_components: int | None = None,
        neighbors: Any = None,
        recall: float = 0.95,
        callbacks: Any = None,
        callbacks_every_iters: int = 50,
        device: str = "auto",
    ) -> None:
        self.n_components = n_components
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.n_iter_without_progress = n_iter_without_progress
        self.min_grad_norm = min_grad_norm
        self.metric = metric
        self.metric_params = metric_params
        self.init = init
        self.verbose = verbose
        self.random_state = random_state
        self.method = method
        self.angle = angle
        self.n_jobs = n_jobs
        self.early_exaggeration_iter = early_exaggeration_iter
        self.exaggeration = exaggeration
        self.dof = dof
        self.initial_momentum = initial_momentum
        self.final_momentum = final_momentum
        self.max_step_norm = max_step_norm
        self.force_error = force_error
        self.tol = tol
        self.pca_components = pca_components
        self.neighbors = neighbors
        self.recall = recall
        self.callbacks = callbacks
        self.callbacks_every_iters = callbacks_every_iters
        self.device = device

    embedding_: Any
    neighbors_: NeighborGraph

    def fit(self, X: Any, y: Any = None) -> Self:
        """Embed the rows of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, d)
            The points; with ``metric="precomputed"`` their distances, of shape (n, n).
        y : None
            Ignored.

        Returns
        -------
        TSNE

        Raises
        ------
        InvalidInputError
            If a parameter or X can not be worked with; the message says where.
        NotEnoughMemoryError
            If the work would not fit into memory.
        DivergedError
            If the steps are so long that the layout leaves the numbers.
        """
        check_options(self)
        seed = check_seed(self.random_state)
        device, give = choose_device(self.device, X), giver_for(X)
        points = check_rows(self, X, self.metric, device)
        n = points.shape[0]
        self._perplexities_below(n)
        check_init(self.init, n, self.n_components)
        self.random_state_, self.device_ = seed, device.name
        with running(self.n_jobs, bool(self.verbose), device) as progress:
            if self.pca_components is not None:
                points = self._reduced(points, device)
            elif hasattr(self, "pca_"):
                del self.pca_  # of an earlier fit
            if device.is_gpu:
                from .cuda.tsne import embed_there

                embed_there(self, points, device, progress)
            else:
                self._embed(points, progress)
        self.embedding_ = give(self.embedding_)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """Embed the rows of X and return the embedding, (n, n_components); see `fit`."""
        embedding: NDArray[np.float32] = self.fit(X, y).embedding_
        return embedding

    def transform(self, X: Any) -> Any:
        """Place new points into the embedding, which stays as it is.

        A row that equals a training row gets that row's place (the lowest one's among equal
        rows).  Any other starts among its neighbours and moves until their attraction and
        the repulsion of all training points are in balance, by itself: its place does not
        depend on the batch.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (m, d), or tuple
            New rows; or, where the estimator knows distances only, ``(indices, distances)``
            of their neighbours among the training rows, both of shape (m, k), sorted.

        Returns
        -------
        ndarray of shape (m, n_components), float32
            NaN, with a warning, for a row without neighbours at a finite distance.

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
        if lost := int((places != places).any(axis=1).sum()):
            warn(f"{lost:,} of {len(places):,} rows have no neighbours: they are NaN")
        return give(places)

    def _placed_there(self, X: Any, device: Device) -> Any:
        """New points placed on a GPU."""
        from .cuda.graph import graph_there
        from .cuda.tsne import placed_there

        if hasattr(self, "pca_"):
            X = self.pca_.transform(X)
        graph = graph_there(self.neighbors_, device)
        self.neighbors_ = graph
        with running(self.n_jobs, bool(self.verbose), device) as progress:
            return placed_there(self, graph, X, progress)

    def _placed(self, X: Any) -> NDArray[np.float32]:
        """New points placed on the CPU."""
        graph, kernels = self.neighbors_, CPU.kernels
        k = min(graph.n_neighbors, graph.n_points)
        with running(self.n_jobs, bool(self.verbose)) as progress:
            with progress.stage("neighbours"):
                if isinstance(X, tuple) or graph.X is None:
                    new = take_neighbors_of(graph, X, k, kernels)
                else:
                    rows = check_points(self, X, reset=False)
                    if hasattr(self, "pca_"):
                        rows = self.pca_.transform(rows)
                    new = find_neighbors_of(graph, rows, k, kernels)
            embedding = points_embedding(graph, np.asarray(host_array(self.embedding_)))
            places: NDArray[np.float32] = embedding[np.maximum(new.known, 0)]
            strange = np.flatnonzero(new.known < 0)
            if len(strange):
                places[strange] = self._place(embedding, new.take(strange), progress)
        return places

    # --- fit, step by step -----------------------------------------------------------------

    def _perplexities_below(self, n: int) -> None:
        for value in perplexities(self.perplexity):
            if value >= n:
                raise InvalidInputError(f"perplexity ({value:g}) must be less than n_samples ({n})")

    def _reduced(self, points: Any, device: Device) -> Any:
        from .pca import PCA

        self.pca_ = PCA(n_components=self.pca_components, random_state=self.random_state_)
        if device.is_gpu and not hasattr(points, "nnz"):
            from .cuda.points import Points

            self.pca_.device = device.name
            reduced = self.pca_.fit_transform(points.there)
            return Points(reduced, None)
        return np.ascontiguousarray(self.pca_.fit_transform(points), np.float32)

    def _repulsion(self, by: _Fitted, n: int, n_components: int, device: Device = CPU) -> Repulsion:
        options = by.dof, by.angle, by.force_error
        return Repulsion(device.kernels, by.method, n, n_components, *options)

    def _place(
        self, embedding: NDArray[np.float32], new: NewRows, progress: Progress
    ) -> NDArray[np.float32]:
        fitted, kernels = self._fitted, CPU.kernels
        weights = kernels.conditional_affinities(new.distances, fitted.perplexities)
        repulsion = self._repulsion(fitted, *embedding.shape)
        return place(kernels, embedding, new.indices, weights, repulsion, fitted.balance, progress)

    def _embed(self, points: Any, progress: Progress) -> None:
        kernels = CPU.kernels
        near = self._find_neighbors(points)
        n = near.n_points
        self._perplexities_below(n)  # of distinct rows there may be fewer
        values = perplexities(self.perplexity)
        graph = joint_graph(kernels, near, values, progress)
        init = self.init
        if not isinstance(init, str) and near.groups is not None:
            init = np.asarray(init)[first_rows(near.groups)]
        start = start_of(init, near.X, graph, self.n_components, self.random_state_, progress)
        self._descend(kernels, graph, start, near, progress)

    def _descend(
        self, kernels: Any, graph: Any, start: Any, near: NeighborGraph, progress: Progress
    ) -> None:
        """Both phases, by the kernels of a device; what they end in is kept."""
        n, values = near.n_points, perplexities(self.perplexity)
        dof = max(self.n_components, 2) / 2 if self.dof is None else float(self.dof)
        options = dof, float(self.angle), float(self.force_error)
        by = _Fitted(values, self.method, *options, 1.0)
        repulsion = Repulsion(kernels, by.method, n, self.n_components, *options)
        early, main = phases(self, n)
        with progress.stage("layout", early.iterations + main.iterations) as advance:
            descent = Descent(kernels, graph, start, repulsion, rules(self), advance)
            layout = descent.run(early, main)
        self.neighbors_ = near
        self.learning_rate_ = main.learning_rate
        self.method_ = repulsion.method
        self.kl_divergence_, self.kl_history_ = layout.kl_divergence, layout.history
        self.n_iter_ = layout.iterations
        self._fitted = by._replace(balance=layout.mean_sum * main.exaggeration)
        self.embedding_ = layout.Y if near.groups is None else layout.Y[near.groups]

    def _find_neighbors(self, points: Any, device: Device = CPU) -> NeighborGraph:
        n, values = points.shape[0], perplexities(self.perplexity)
        k = neighbors_needed(values, n) if self.method != "exact" else n - 1
        if self.neighbors is None and not device.is_gpu:
            _check_memory(n, points.shape[1], k)
        near = find_neighbors_of_rows(
            points,
            k,
            self.neighbors,
            metric=self.metric,
            metric_kwds=self.metric_params,
            recall=self.recall,
            seed=self.random_state_,
            device=device,
            at_most=True,
        )
        if self.neighbors is not None and not device.is_gpu:
            _check_memory(near.n_points, points.shape[1], near.n_neighbors)
        warn_of_few(near, values)
        return near

    # --- scikit-learn and pickle ---------------------------------------------------------------

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
        if "_fitted" in state:
            state["_fitted"] = tuple(state["_fitted"])
        return {**state, "schema": _SCHEMA}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        check_schema(state, "TSNE", _SCHEMA)
        if "_fitted" in state:
            state["_fitted"] = _Fitted(*state["_fitted"])
        super().__setstate__(state)


def _check_memory(n: int, d: int, k: int) -> None:
    """Neighbours, affinities, and the symmetric graph twice while it is put in order."""
    require_memory(
        48.0 * n * k,
        f"t-SNE of {n:,} x {d} with {k} neighbours a point",
        "take fewer points or a smaller perplexity, or not method='exact'",
    )
