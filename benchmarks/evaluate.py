"""The one evaluator for both sides; its time is nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastxai.bench.child import Stages


SAMPLE, K = 5000, 15
MEASURES = ("label_accuracy", "neighbor_preservation", "random_triplet_accuracy")


def _kernels() -> Any:
    from fastxai_kernels import select

    return select("cpu")


def _load(data: str, cosine: bool) -> NDArray[np.float32]:
    X = np.load(data).astype(np.float32, copy=False)
    if cosine:
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        X = X / np.maximum(norms, np.float32(1e-30))
    return np.ascontiguousarray(X)


def _nearest(X: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> tuple[Any, Any]:
    """Exact neighbours of some rows among all, a slice at a time."""
    kernels, parts = _kernels(), []
    for start in range(0, len(rows), 512):
        some = rows[start : start + 512]
        queries = np.ascontiguousarray(X[some])
        parts.append(kernels.nearest(queries, X, k, some.astype(np.int32)))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def truth(stages: Stages, data: str, out: str, cosine: bool = False) -> None:
    """A sample of rows with their exact neighbours."""
    X = _load(data, cosine)
    rows = np.random.default_rng(0).choice(len(X), min(SAMPLE, len(X)), replace=False)
    rows.sort()
    indices, distances = _nearest(X, rows, K)
    np.savez(out, rows=rows, indices=indices, distances=distances)


def recall(stages: Stages, data: str, truth: str, found: list[str]) -> dict[str, Any]:
    """Share of the true neighbours found; one equally far as the last counts as it."""
    X, exact = np.load(data), np.load(truth)
    rows, farthest = exact["rows"], exact["distances"][:, -1:]
    recalls = []
    for file in found:
        indices = np.load(file, mmap_mode="r")[rows]
        near = np.empty(indices.shape, bool)
        for i, row in enumerate(rows):
            difference = X[indices[i]].astype(np.float64) - X[row]
            near[i] = np.sqrt((difference**2).sum(axis=1)) <= farthest[i] * (1 + 1e-5)
        near &= indices != rows[:, None]
        recalls.append(float(near.mean()))
    return {"recall": recalls}


def quality(
    stages: Stages,
    data: str,
    embeddings: list[str],
    labels: str | None = None,
    cosine: bool = False,
    measures: list[str] | None = None,
    perplexity: float | None = None,
    neighbors: str | None = None,
    scales: list[float] | None = None,
) -> dict[str, Any]:
    """The measures of each embedding, for the divergence with the given neighbours and scales."""
    from fastxai import NeighborGraph
    from fastxai.metrics.embedding import Evaluator

    classes = None if labels is None else np.load(labels)
    near = None if neighbors is None else np.load(neighbors)
    judge = Evaluator(
        np.load(data),
        classes,
        metric="cosine" if cosine else "euclidean",
        measures=measures or MEASURES,
        perplexity=perplexity,
        neighbors=None if near is None else NeighborGraph(near["indices"], near["distances"]),
    )
    factors = [1.0] * len(embeddings) if scales is None else scales
    maps = zip(embeddings, factors, strict=True)
    return {"quality": [judge(np.load(file) * np.float32(factor)) for file, factor in maps]}


def force_errors(stages: Stages, exact: str, found: str) -> dict[str, Any]:
    """RMS error over RMS force, and the 99th percentile of each point's error over its force."""
    true, forces = np.load(exact), np.load(found)
    errors = np.sqrt(((forces - true) ** 2).sum(axis=1))
    sizes = np.sqrt((true**2).sum(axis=1))
    return {
        "rms": float(np.sqrt((errors**2).mean() / (sizes**2).mean())),
        "p99": float(np.quantile(errors / np.maximum(sizes, 1e-300), 0.99)),
    }


def perplexity_error(stages: Stages, found: str, perplexity: float) -> dict[str, Any]:
    """How far the worst row is from the perplexity asked for."""
    p = np.load(found).astype(np.float64)
    entropies = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
    return {"error": float(np.abs(np.exp(entropies) - perplexity).max())}


def placed(stages: Stages, labels: str, new_labels: str, found: list[str]) -> dict[str, Any]:
    """Share of new points whose 10 nearest embedded training points vote for their class."""
    from sklearn.neighbors import KNeighborsClassifier

    old, new = np.load(labels), np.load(new_labels)
    shares = []
    for file in found:
        places = np.load(file)
        votes = KNeighborsClassifier(10).fit(places["train"], old).predict(places["new"])
        shares.append(float((votes == new).mean()))
    return {"label_accuracy": shares}


def join_knn(stages: Stages, data: str, found: str, out: str, k: int) -> None:
    """Neighbours found by any library, with exact distances, sorted: the common input."""
    X, indices = np.load(data), np.load(found)
    distances = np.empty(indices.shape, np.float32)
    for start in range(0, len(X), 1000):
        near = X[indices[start : start + 1000]]
        difference = near - X[start : start + 1000, None]
        distances[start : start + 1000] = np.sqrt(np.einsum("ijk,ijk->ij", difference, difference))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    np.savez(
        out,
        indices=np.take_along_axis(indices, order, 1).astype(np.int32),
        distances=np.take_along_axis(distances, order, 1),
    )


def scaled_start(stages: Stages, start: str, out: str) -> None:
    """As umap-learn hands a start to its layout: noise of 1e-4, each axis from 0 to 10."""
    Y = np.load(start).astype(np.float64)
    Y *= 10.0 / np.abs(Y).max()
    Y += np.random.default_rng(0).normal(scale=1e-4, size=Y.shape)
    Y = 10.0 * (Y - Y.min(axis=0)) / np.ptp(Y, axis=0)
    np.save(out, Y.astype(np.float32, order="C"))


def write_stars(stages: Stages, degrees: list[int], folder: str, seeds: int) -> None:
    """Where stars start: uniformly in a square, as a random start has it."""
    for degree in degrees:
        for seed in range(seeds):
            place = np.random.default_rng(seed).uniform(-10, 10, (degree + 1, 2))
            np.save(f"{folder}/star-{degree}-{seed}.npy", place.astype(np.float32))


def split(stages: Stages, data: str, labels: str, held_out: int, outs: list[str]) -> None:
    """The last rows are held out."""
    X, y = np.load(data, mmap_mode="r"), np.load(labels)
    for file, part in zip(
        outs, (X[:-held_out], X[-held_out:], y[:-held_out], y[-held_out:]), strict=True
    ):
        np.save(file, part)


TASKS = {
    "truth": truth,
    "recall": recall,
    "quality": quality,
    "force_errors": force_errors,
    "perplexity_error": perplexity_error,
    "placed": placed,
    "join_knn": join_knn,
    "scaled_start": scaled_start,
    "write_stars": write_stars,
    "split": split,
}
