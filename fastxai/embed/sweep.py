"""`sweep`: the same points under several settings, side by side, out of one neighbour graph."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import FastxaiWarning, InvalidInputError
from ..progress import Progress, as_one_stage, open_progress
from ..system import compile_kernels, require_memory
from .adapters import as_neighbor_graph
from .align import align
from .fitting import check_pca_components, check_rows
from .graph import Metric, NeighborGraph
from .jobs import resolve_jobs
from .neighbors import neighbors as find_neighbors
from .null import check_null_metric, gaussian_like
from .pca import PCA
from .spaces import ANGULAR
from .sweep_figures import KEPT, Points, measure, read_classes
from .sweep_options import Plan, Settings, make_model, make_plan, neighbors_needed, titles_of
from .sweep_result import Panel, Sweep
from .validation import check_seed

__all__ = ["Panel", "Sweep", "sweep"]


def sweep(
    X: Any,
    method: str = "tsne",
    *,
    perplexity: Any = None,
    n_neighbors: Any = None,
    min_dist: Any = None,
    seeds: Any = None,
    labels: Any = None,
    null: bool | str = True,
    neighbors: Any = None,
    reference: int | None = None,
    pca_components: int | None = None,
    metric: Metric = "euclidean",
    metric_kwds: Mapping[str, Any] | None = None,
    recall: float = 0.95,
    n_jobs: int | None = None,
    random_state: Any = 0,
    verbose: bool = False,
    **options: Any,
) -> Sweep:
    """Embed the same points under several settings, to be seen side by side.

    One map can not be told from its settings; what several maps agree on is more likely to
    be in the data.  The neighbours are found once, for the panel that needs most, and each
    map is turned and mirrored onto one of them.  Beside them stands a *null panel*: the
    same method with the same settings on noise, since a map of noise need not look like
    noise.

    The noise is a sample, as large as X and seeded, of the normal distribution with the mean
    and the covariance of X, in the coordinates of its principal components: it is stretched
    as the data are, and has no clusters, no curves and no outliers.  Of data with more than
    1,000 features and rows, 50 components are followed one by one and the remaining
    variance is spread evenly over further directions.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, d)
        The points.
    method : {"tsne", "umap"}, default "tsne"
    perplexity : float or list of float, optional
        t-SNE: one panel each; by default 5, 30 and 100, as far as the points are enough, or
        30 if there are ``seeds``.  A tuple within the list is one panel of several scales.
    n_neighbors, min_dist : number or list of numbers, optional
        UMAP: one panel for each pair; by default 5, 15 and 50 (15 if there are ``seeds``),
        and 0.1.
    seeds : int or list of int, optional
        One panel each, times the settings above; by default ``random_state`` alone.
    labels : array-like of shape (n,), optional
        Classes: colours of the picture and the figure ``accuracy``.  No map depends on them.
    null : bool or "each", default True
        Whether to draw noise with the settings of the reference panel, or of each panel.
    neighbors : NeighborGraph, tuple or sparse matrix, optional
        Neighbours found before; see `fastxai.UMAP`.
    reference : int, optional
        Number of the panel that the others are aligned to; by default the one with the
        middle value of each list and the first seed.
    pca_components : int, optional
        Reduce X by PCA first, once for all panels.
    metric, metric_kwds, recall
        See `fastxai.neighbors`.
    n_jobs : int, optional
        Threads; by default all that may be used.  The result does not depend on it.
    random_state : int, Generator, RandomState or None, default 0
        Seed of the neighbours, the noise, and of the maps where ``seeds`` does not say.
    verbose : bool, default False
        Show progress on stderr.
    **options
        Further parameters of `fastxai.TSNE` (but its ``method``, which stays "auto") or
        `fastxai.UMAP`, for all panels.  A null panel takes an ``init`` that is an array as
        "pca": given places are those of the data.

    Returns
    -------
    Sweep
        ``panels``, ``null``, ``neighbors``, ``plot()``, ``table()``, ``save(folder)``.  The
        figures of a panel are ``kl`` (t-SNE's final KL divergence: to be compared among
        equal perplexities only), ``preservation`` (of the 15 nearest neighbours of a point
        in the graph, the share that is among its 15 nearest in the map, for 5,000 points
        drawn at random) and, with labels, ``accuracy`` (`label_accuracy`).

    Raises
    ------
    InvalidInputError
        If X, a setting or an option can not be worked with, before any work.
    NotEnoughMemoryError
        If the work would not fit into memory.

    Warns
    -----
    FastxaiWarning
        If several seeds drew one and the same map.

    References
    ----------
    Wattenberg, Viégas and Johnson, "How to use t-SNE effectively", 2016; for null panels:
    Wickham, Cook, Hofmann and Buja, "Graphical inference for infovis", 2010.

    Examples
    --------
    >>> import fastxai
    >>> digits = fastxai.datasets.digits()
    >>> found = fastxai.sweep(
    ...     digits.data, "umap", n_neighbors=[5, 15], labels=digits.target, n_epochs=50
    ... )
    >>> found
    Sweep(umap, 1,797 points, 2 panels and 1 of noise)
    >>> sorted(found.table()[0])
    ['accuracy', 'min_dist', 'n_neighbors', 'points', 'preservation', 'seconds', 'seed']
    >>> figure = found.plot(title="Digits")
    """
    seed, jobs = check_seed(random_state), resolve_jobs(n_jobs)
    points = check_rows(None, X, metric)
    n = int(points.shape[0])
    search: dict[str, Any] = {"metric": metric, "metric_kwds": metric_kwds, "recall": recall}
    lists = {"perplexity": perplexity, "n_neighbors": n_neighbors, "min_dist": min_dist}
    plan = make_plan(method, n, lists, seeds, seed, reference, search, options)
    k = max(neighbors_needed(settings, n) for settings in plan.settings)
    graph = None if neighbors is None else _given(neighbors, n, k, metric)
    _check_null(null, metric if graph is None else graph.metric)
    check_pca_components(pca_components, metric, neighbors)
    classes = None if labels is None else read_classes(labels, n)
    _check_memory(n, len(plan.settings) * (1 + (null == "each")))
    from fastxai_kernels.cpu._threads import threads

    with open_progress(bool(verbose)) as progress, threads(jobs):
        compile_kernels(progress)
        if pca_components is not None:
            points = PCA(pca_components, random_state=seed).fit_transform(points)
        if graph is None:
            k = max(k, min(KEPT, n - 1))
            graph = find_neighbors(points, k, **search, random_state=seed)
        data = Points(points, graph, classes)
        panels = [_embed(plan, settings, data, progress) for settings in plan.settings]
        nulls = []
        if null:
            wanted = plan.settings if null == "each" else [plan.settings[plan.reference]]
            k = max(min(KEPT, n - 1), *(neighbors_needed(settings, n) for settings in wanted))
            with as_one_stage(progress, "noise", "neighbours"):
                noise = _noise(points, str(graph.metric), k, seed, recall)
            like = _for_noise(plan, graph.metric)
            nulls = [_embed(like, settings, noise, progress) for settings in wanted]
    panels = _aligned(panels, plan.reference)
    _warn_of_twins(panels, plan.options)
    return Sweep(
        method,
        tuple(panels),
        tuple(nulls),
        graph,
        plan.reference,
        labels,
        dict(progress.timings),
        plan.columns,
    )


def _check_null(null: Any, metric: Metric) -> None:
    if not isinstance(null, (bool, np.bool_)) and not (isinstance(null, str) and null == "each"):
        raise InvalidInputError(f"null={null!r}: choose True, False or 'each'")
    if null:
        check_null_metric(metric)


def _noise(X: Any, metric: str, k: int, seed: int, recall: float) -> Points:
    """Points like X without clusters, and their ``k`` neighbours."""
    cloud, metric = gaussian_like(X, metric, seed)
    found = find_neighbors(cloud, k, metric=metric, recall=recall, random_state=seed)
    return Points(cloud, found, None, null=True)


def _for_noise(plan: Plan, metric: Metric) -> Plan:
    """The plan for points of another metric, which have no given places."""
    options = {**plan.options, "metric": "cosine" if metric in ANGULAR else "euclidean"}
    if not isinstance(options.get("init", ""), str):
        options["init"] = "pca"
    return plan._replace(options=options)


def _given(neighbors: Any, n: int, needed: int, metric: Metric) -> NeighborGraph:
    graph = as_neighbor_graph(neighbors, n, None, metric=metric)
    if graph.n_neighbors < needed:
        raise InvalidInputError(
            f"the panels need {needed} neighbours a point and neighbors= holds "
            f"{graph.n_neighbors}: build it with neighbors(X, n_neighbors={needed}), or leave "
            "the largest settings out"
        )
    return graph


def _check_memory(n: int, count: int) -> None:
    require_memory(
        8.0 * n * (count + 1), f"{count} maps of {n:,} points", "take fewer panels or fewer points"
    )


def _embed(plan: Plan, settings: Settings, points: Points, progress: Progress) -> Panel:
    """One panel, with progress as one stage."""
    model = make_model(plan.estimator, settings, plan.options, neighbors=points.graph)
    title = titles_of([settings], plan.settings)[0]
    name = f"noise · {title}" if points.null else title
    begun = time.perf_counter()
    with as_one_stage(progress, name, "layout"):
        embedding = model.fit_transform(points.X)
    seconds = time.perf_counter() - begun
    return Panel(settings, embedding, measure(model, points, embedding), seconds, points.null)


def _aligned(panels: list[Panel], reference: int) -> list[Panel]:
    fixed = panels[reference]
    return [
        p
        if p is fixed
        else Panel(p.settings, align(p.embedding, fixed.embedding), p.figures, p.seconds)
        for p in panels
    ]


def _warn_of_twins(panels: list[Panel], options: Mapping[str, Any]) -> None:
    """Several seeds that make no difference are no evidence of anything."""
    first = {k: v for k, v in panels[0].settings.items() if k != "seed"}
    same = [p for p in panels if {**first, "seed": p.settings["seed"]} == p.settings]
    if len(same) > 1 and all(p.figures == same[0].figures for p in same[1:]):
        seeds = ", ".join(str(p.settings["seed"]) for p in same)
        warnings.warn(
            f"the seeds {seeds} drew one and the same map: init={options.get('init', 'pca')!r} "
            "leaves nothing to chance; give init='random'",
            FastxaiWarning,
            stacklevel=3,
        )
