"""Inputs of the shapes that real data has; what is in them matters little for speed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

N, K = 70_000, 14


def points(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    """Clusters, as a search by cells meets them."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((100, d)) * 2
    return (centres[random.integers(0, 100, n)] + random.standard_normal((n, d))).astype(np.float32)


def knn_lists(n: int = N, k: int = K) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Neighbours among nearby rows, a quarter of them anywhere, at growing distances."""
    random = np.random.default_rng(1)
    steps = np.argsort(random.random((n, 40)), axis=1)[:, :k] + 1
    indices = (np.arange(n)[:, None] + steps) % n
    anywhere = random.random((n, k)) < 0.25
    indices[anywhere] = random.integers(0, n, anywhere.sum())
    distances = np.cumsum(random.random((n, k)) + 0.1, axis=1)
    return indices.astype(np.int32), distances.astype(np.float32)


def graph(n: int = N, k: int = K) -> tuple[Any, Any, Any]:
    """A symmetric CSR graph with weights in (0, 1]."""
    import scipy.sparse

    indices, distances = knn_lists(n, k)
    weights = np.exp(-distances / distances.mean()).ravel()
    directed = scipy.sparse.csr_array(
        (weights, indices.ravel(), np.arange(0, n * k + 1, k)), (n, n)
    )
    directed.sum_duplicates()
    both = scipy.sparse.csr_array(directed.maximum(directed.T))
    both.setdiag(0)
    both.eliminate_zeros()
    both.sort_indices()
    data = (both.data / both.data.max()).astype(np.float32)
    return both.indptr.astype(np.int64), both.indices.astype(np.int32), data
