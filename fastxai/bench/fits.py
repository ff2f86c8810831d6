"""One fit of one library in a process of its own; see `fastxai.bench.child`.

Runs in any interpreter that has NumPy and the library.  A library that is not seeded by an
argument without losing its threads is seeded by NumPy's global state.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .child import Stages

Fit = Callable[[Any], Any]


def fit(
    stages: Stages,
    library: str,
    method: str,
    data: str,
    out: str,
    seed: int,
    params: dict[str, Any],
    again_within: float = 0.0,
) -> dict[str, Any]:
    """Embed the rows of a .npy file and save the places; see the seconds of each stage.

    The same call is made again, and timed, if the first one took less than
    ``again_within`` seconds.
    """
    with stages("import"):
        prepare = _LIBRARIES[library, method]
        call = prepare(stages, seed, params)
    with stages("load"):
        X = np.load(data)
    calls: list[float] = []
    while not calls or (len(calls) < 2 and calls[0] < again_within):
        before = dict(stages.times)
        begun = time.perf_counter()
        embedding = call(X)
        calls.append(time.perf_counter() - begun)
        if len(calls) == 1:
            np.save(out, np.asarray(embedding, np.float32))
        else:  # the stages told are those of the first call
            stages.times = before
    return {"calls": calls}


def _fastxai(stages: Stages, name: str, options: dict[str, Any]) -> Fit:
    import fastxai
    from fastxai.progress import open_progress

    estimator = getattr(fastxai, name)

    def call(X: Any) -> Any:
        with open_progress(False) as progress:
            embedding = estimator(**options).fit_transform(X)
        for stage, seconds in progress.timings.items():
            stages.add(stage, seconds)
        return embedding

    return call


def _our_umap(stages: Stages, seed: int, params: dict[str, Any]) -> Fit:
    return _fastxai(stages, "UMAP", {"random_state": seed, **params})


def _our_tsne(stages: Stages, seed: int, params: dict[str, Any]) -> Fit:
    return _fastxai(stages, "TSNE", {"random_state": seed, **params})


def _our_pca(stages: Stages, seed: int, params: dict[str, Any]) -> Fit:
    return _fastxai(stages, "PCA", {"n_components": 2, "random_state": seed, **params})


def _umap_learn(stages: Stages, seed: int, params: dict[str, Any]) -> Fit:
    """Without random_state: with it, one thread is all that it takes."""
    umap, umap_ = import_module("umap"), import_module("umap.umap_")
    stages.watch(umap_, "nearest_neighbors", "neighbours")
    stages.watch(umap_, "fuzzy_simplicial_set", "fuzzy set")
    stages.watch(umap_, "spectral_layout", "spectral")
    stages.watch(umap_, "optimize_layout_euclidean", "layout")

    def call(X: Any) -> Any:
        np.random.seed(seed)  # noqa: NPY002
        return umap.UMAP(**params).fit_transform(X)

    return call


def _opentsne(stages: Stages, seed: int, params: dict[str, Any]) -> Fit:
    openTSNE = import_module("openTSNE")
    affinity, tsne = import_module("openTSNE.affinity"), import_module("openTSNE.tsne")
    stages.watch(affinity, "joint_probabilities_nn", "affinities")
    stages.watch(tsne, "MultiscaleMixture", "neighbours")
    stages.watch(tsne.TSNEEmbedding, "optimize", "layout")
    options = {"n_jobs": -1, "random_state": seed, **params}

    def call(X: Any) -> Any:
        embedding = openTSNE.TSNE(**options).fit(X)
        # The affinities are computed while the neighbours are timed.
        stages.add("neighbours", -stages.times.get("affinities", 0.0))
        return embedding

    return call


def _sklearn_tsne(stages: Stages, seed: int, params: dict[str, Any]) -> Fit:
    from sklearn.manifold import TSNE, _t_sne

    stages.watch(_t_sne.NearestNeighbors, "kneighbors_graph", "neighbours")
    stages.watch(_t_sne, "_joint_probabilities_nn", "affinities")
    stages.watch(TSNE, "_tsne", "layout")
    options = {"n_jobs": -1, "random_state": seed, **params}
    return lambda X: TSNE(**options).fit_transform(X)


def _sklearn_pca(stages: Stages, seed: int, params: dict[str, Any]) -> Fit:
    from sklearn.decomposition import PCA

    options = {"n_components": 2, "random_state": seed, **params}
    return lambda X: PCA(**options).fit_transform(X)


_LIBRARIES: dict[tuple[str, str], Callable[[Stages, int, dict[str, Any]], Fit]] = {
    ("fastxai", "umap"): _our_umap,
    ("fastxai", "tsne"): _our_tsne,
    ("fastxai", "pca"): _our_pca,
    ("umap-learn", "umap"): _umap_learn,
    ("openTSNE", "tsne"): _opentsne,
    ("sklearn", "tsne"): _sklearn_tsne,
    ("sklearn", "pca"): _sklearn_pca,
}

TASKS = {"fit": fit}
