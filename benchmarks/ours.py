"""Our side: one measured process each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastxai.bench.child import Stages


_A, _B = 1.576943, 0.895061  # of min_dist 0.1 and spread 1, as fitted by both sides


def _import(stages: Stages, name: str) -> Any:
    with stages("import"):
        import fastxai

        return getattr(fastxai, name)


def transform(
    stages: Stages, data: str, new: str, out: str, seed: int, params: dict[str, Any]
) -> dict[str, Any]:
    """Fit, then place new points twice."""
    UMAP = _import(stages, "UMAP")
    X, others = np.load(data), np.load(new)
    model = UMAP(random_state=seed, **params)
    with stages("fit"):
        embedding = model.fit_transform(X)
    placed, calls = stages.repeat(lambda: model.transform(others), 2)
    np.savez(out, train=embedding, new=placed)
    return {"calls": calls}


def neighbors(
    stages: Stages, data: str, out: str, library: str, k: int, setting: dict[str, Any], calls: int
) -> dict[str, Any]:
    """True neighbours, called once or twice in this process."""
    find = _import(stages, "neighbors")
    with stages("load"):
        X = np.load(data)
    graph, seconds = stages.repeat(lambda: find(X, n_neighbors=k, **setting), calls)
    np.save(out, np.asarray(graph.indices))
    return {"calls": seconds, "estimate": getattr(graph, "recall", None)}


def _kernels() -> Any:
    from fastxai_kernels import select

    return select("cpu")


def fuzzy_set(stages: Stages, knn: str, out: str, repeats: int) -> dict[str, Any]:
    """The fuzzy set of given neighbours, the point itself not among them."""
    import scipy.sparse

    with stages("import"):
        kernels = _kernels()
    found = np.load(knn)
    indices, distances = found["indices"], found["distances"]

    def run() -> Any:
        rho, sigma = kernels.smooth_distances(distances, 1.0, 1.0)
        strengths = kernels.memberships(distances, rho, sigma)
        return kernels.fuzzy_union(indices, strengths, 1.0)

    (indptr, columns, weights), calls = stages.repeat(run, repeats)
    points = len(indices)
    scipy.sparse.save_npz(out, scipy.sparse.csr_array((weights, columns, indptr), (points, points)))
    return {"calls": calls, "edges": len(columns)}


def spectral(stages: Stages, data: str, graph: str, out: str) -> dict[str, Any]:
    """The spectral start of a given graph."""
    import scipy.sparse

    with stages("import"):
        from fastxai.embed.spectral import spectral_start

        _kernels()
    edges = scipy.sparse.csr_array(scipy.sparse.load_npz(graph))
    start, calls = stages.repeat(lambda: spectral_start(edges, 2, seed=0), 2)
    np.save(out, np.asarray(start, np.float32))
    return {"calls": calls}


def _packed(kernels: Any, edges: Any) -> tuple[Any, ...]:
    weights = (edges.data / edges.data.max()).astype(np.float32)
    graph = (edges.indptr.astype(np.int64), edges.indices.astype(np.int32), weights)
    return tuple(kernels.pack_edges(*graph))


def layout(
    stages: Stages, graph: str, start: str, out: str, seed: int, epochs: int, threads: int
) -> dict[str, Any]:
    """Epochs alone, the packing of the edges among them."""
    import scipy.sparse

    with stages("import"):
        kernels = _kernels()
        from fastxai_kernels.cpu import _threads
    edges = scipy.sparse.csr_array(scipy.sparse.load_npz(graph))
    place = np.ascontiguousarray(np.load(start), np.float32)
    slice_ = 10

    def run(edges: Any, place: np.ndarray, epochs: int) -> np.ndarray:
        # As the peer does: an edge that would not be drawn once is left out.
        edges = edges.copy()
        edges.data[edges.data < edges.data.max() / epochs] = 0
        edges.eliminate_zeros()
        packed = _packed(kernels, edges)
        for first in range(0, epochs, slice_):
            last = min(first + slice_, epochs)
            place = kernels.umap_layout(
                place, *packed, first, last, epochs, _A, _B, 1.0, 5.0, 1.0, seed
            )
        return place

    with _threads.threads(threads):
        with stages("compile"):
            run(edges[:200, :200] + scipy.sparse.eye_array(200).tocsr(), place[:200], 2)
        begun = time.perf_counter()
        place = run(edges, place, epochs)
        seconds = time.perf_counter() - begun
    np.save(out, place)
    return {"calls": [seconds]}


def stars(
    stages: Stages, degrees: list[int], folder: str, epochs: int, seeds: int
) -> dict[str, Any]:
    """Largest extent in any epoch of a hub and its leaves."""
    import scipy.sparse

    kernels = _kernels()
    extents: dict[str, list[float]] = {}
    for degree in degrees:
        hub, leaves = np.zeros(degree, np.int64), np.arange(1, degree + 1)
        ones = np.ones(2 * degree, np.float32)
        ends = (np.concatenate([hub, leaves]), np.concatenate([leaves, hub]))
        star = scipy.sparse.coo_array((ones, ends), (degree + 1, degree + 1)).tocsr()
        packed = _packed(kernels, star)
        extents[str(degree)] = []
        for seed in range(seeds):
            place = np.load(f"{folder}/star-{degree}-{seed}.npy")
            widest = 0.0
            for epoch in range(epochs):
                place = kernels.umap_layout(
                    place, *packed, epoch, epoch + 1, epochs, _A, _B, 1.0, 5.0, 1.0, seed
                )
                widest = max(widest, float(np.ptp(place, axis=0).max()))
            extents[str(degree)].append(widest)
    return {"extents": extents}


def _write(out: str, labels_out: str, data: Any, labels: Any) -> dict[str, Any]:
    np.save(out, data)
    np.save(labels_out, labels)
    return {"shape": list(data.shape)}


def write_fashion(stages: Stages, out: str, labels: str, rows: int | None) -> dict[str, Any]:
    """Fashion-MNIST."""
    from fastxai import datasets

    clothes = datasets.fashion_mnist()
    return _write(out, labels, clothes.data[:rows], clothes.target[:rows])


def write_crops(stages: Stages, out: str, labels: str, rows: int | None) -> dict[str, Any]:
    """The labelled million: crops of Fashion-MNIST."""
    from fastxai import datasets

    if rows is None:
        crops = datasets.fashion_crops(out)
        np.save(labels, crops.target)
        return {"shape": list(crops.data.shape)}
    crops = datasets.fashion_crops()
    some = np.random.default_rng(0).choice(len(crops.data), rows, replace=False)
    return _write(out, labels, crops.data[some], crops.target[some])


TASKS = {
    "transform": transform,
    "neighbors": neighbors,
    "fuzzy_set": fuzzy_set,
    "spectral": spectral,
    "layout": layout,
    "stars": stars,
    "write_fashion": write_fashion,
    "write_crops": write_crops,
}
