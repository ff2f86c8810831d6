"""The peers' side of t-SNE: their gradients and affinities, in their own environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastxai.bench.child import Stages


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def barnes_hut(
    stages: Stages, points: str, graph: str, out: str, angle: float, repeats: int
) -> dict[str, Any]:
    """scikit-learn's gradient, tree included; without weights it is the repulsion, -f / Z."""
    from sklearn.manifold import _barnes_hut_tsne

    Y = np.ascontiguousarray(np.load(points), np.float32)
    found = np.load(graph)
    indptr, columns = found["indptr"].astype(np.int64), found["columns"].astype(np.int64)
    axes = Y.shape[1]
    options = {"dof": max(axes - 1, 1), "compute_error": False, "num_threads": _threads()}

    def run(weights: np.ndarray) -> np.ndarray:
        forces = np.zeros(Y.shape, np.float32)
        arguments = (weights, Y, columns, indptr, forces, angle, axes, 0)
        _barnes_hut_tsne.gradient(*arguments, **options)
        return forces

    weights = found["weights"].astype(np.float32)
    run(weights)
    _, calls = stages.repeat(lambda: run(weights), repeats)
    np.save(out, -run(np.zeros_like(weights)).astype(np.float64))
    return {"calls": calls}


def fft(stages: Stages, points: str, graph: str, out: str, repeats: int) -> dict[str, Any]:
    """openTSNE's gradient by interpolation and Fourier transforms, its default settings."""
    import scipy.sparse
    from openTSNE.tsne import kl_divergence_fft

    Y = np.ascontiguousarray(np.load(points), np.float64)
    found = np.load(graph)
    shape = (len(Y), len(Y))
    parts = found["columns"], found["indptr"].astype(np.int32)
    P = scipy.sparse.csr_matrix((found["weights"].astype(np.float64), *parts), shape)
    grid = {"n_interpolation_points": 3, "min_num_intervals": 50, "ints_in_interval": 1}

    def run(P: Any) -> np.ndarray:
        return kl_divergence_fft(Y, P, 1, grid, n_jobs=_threads())[1]

    run(P)
    _, calls = stages.repeat(lambda: run(P), repeats)
    P.data[:] = 0
    np.save(out, -run(P))
    return {"calls": calls}


def perplexity(
    stages: Stages, knn: str, out: str, library: str, perplexity: float, repeats: int
) -> dict[str, Any]:
    """The search for the bandwidths alone, in the types that each library gives it."""
    distances = np.load(knn)["distances"]
    if library == "openTSNE":
        from openTSNE import _tsne

        given = distances.astype(np.float64), np.array([perplexity])
        threads = _threads()
        p, calls = stages.repeat(
            lambda: _tsne.compute_gaussian_perplexity(*given, num_threads=threads), repeats
        )
    else:
        from sklearn.manifold import _utils

        squares = (distances**2).astype(np.float32)
        p, calls = stages.repeat(
            lambda: _utils._binary_search_perplexity(squares, perplexity, 0), repeats
        )
    np.save(out, np.asarray(p))
    return {"calls": calls}


TASKS = {"barnes_hut": barnes_hut, "fft": fft, "perplexity": perplexity}
