"""The one evaluator for both sides; its time is nobody's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .child import Stages, main

SAMPLE, K = 5000, 15


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
    truth: str,
    embeddings: list[str],
    labels: str | None = None,
    cosine: bool = False,
) -> dict[str, Any]:
    """Label accuracy, neighbours preserved, random triplets; one dictionary an embedding."""
    from fastxai.metrics import embedding as metrics

    X, exact = _load(data, cosine), np.load(truth)
    classes = None if labels is None else np.load(labels)
    measured = []
    for file in embeddings:
        Y = np.load(file).astype(np.float32)
        near, _ = _nearest(np.ascontiguousarray(Y), exact["rows"], K)
        kept = np.mean(
            [len(np.intersect1d(a, b)) for a, b in zip(near, exact["indices"], strict=True)]
        )
        found = {
            "neighbor_preservation": float(kept / K),
            "random_triplet_accuracy": float(metrics.random_triplet_accuracy(X, Y)),
        }
        if classes is not None:
            found["label_accuracy"] = float(metrics.label_accuracy(Y, classes))
        measured.append(found)
    return {"quality": measured}


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


if __name__ == "__main__":
    main(
        {
            "truth": truth,
            "recall": recall,
            "quality": quality,
            "placed": placed,
            "join_knn": join_knn,
            "scaled_start": scaled_start,
            "write_stars": write_stars,
            "split": split,
        }
    )
