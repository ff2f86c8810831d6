"""The neighbour search's steps."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from fastxai_kernels import select

from .inputs import N, knn_lists, points

kernels = select("cpu")
_D, _WIDE = 64, 784


@cache
def _wide() -> Any:
    return points(20_000, _WIDE)


def test_nearest(measure: Any) -> None:
    X = points(20_000, _D)
    queries, skip = X[:4096], np.arange(4096, dtype=np.int32)
    measure(
        "4,096 among 20,000×64, k=15",
        lambda: kernels.nearest(queries, X, 15, skip),
        moved=X.nbytes + queries.nbytes,
        operations=2 * len(queries) * X.size,
    )


def test_probe_cells(measure: Any) -> None:
    from fastxai.embed.cells import build_cells, near_cells

    cells = build_cells(kernels, points(N, _D), 0.999, _D)
    near = near_cells(kernels, cells, 8)
    last = len(cells.starts) - 1
    sizes = np.diff(cells.starts)
    compared = float(sizes[near].sum())
    measure(
        f"70,000×{cells.points.shape[1]}, 8 cells a point",
        lambda: kernels.probe_cells(cells.points, cells.starts, cells.centroids, near, 0, last, 46),
        moved=cells.points.nbytes + near.nbytes + N * 46 * 4,
        operations=2 * compared * cells.points.shape[1],
    )


def test_rerank(measure: Any) -> None:
    X, random = _wide(), np.random.default_rng(0)
    rows, names = np.arange(4096, dtype=np.int32), np.arange(len(X), dtype=np.int32)
    candidates = random.integers(0, len(X), (4096, 46)).astype(np.int32)
    # Candidates lie anywhere: each is fetched anew.
    measure(
        "46 candidates of 4,096 points, 784 features",
        lambda: kernels.rerank(X, X, rows, candidates, names, 15),
        moved=candidates.size * _WIDE * 4,
        operations=3 * candidates.size * _WIDE,
    )


def test_join_neighbors(measure: Any) -> None:
    X = points(N, _D)
    indices, distances = knn_lists(N, 15)
    squares = distances * distances
    # What a row meets for the first time is measured, everything else is only looked up.
    tried = sum(
        len(np.setdiff1d(indices[row[:12], :12], [i, *row])) for i, row in enumerate(indices[:8192])
    )
    measure(
        f"8,192 points, {tried / 8192:.0f} new tries each, 64 features",
        lambda: kernels.join_neighbors(X, indices, squares, 12, 0, 8192),
        moved=X.nbytes + indices.nbytes + squares.nbytes,
        operations=3 * tried * _D,
    )


def test_project(measure: Any) -> None:
    X = _wide()
    components = np.random.default_rng(0).standard_normal((_WIDE, _D)).astype(np.float32)
    mean = X.mean(axis=0)
    measure(
        "20,000×784 to 64",
        lambda: kernels.project(X, mean, components),
        moved=X.nbytes + len(X) * _D * 4,
        operations=2 * X.size * _D,
    )


def test_covariance(measure: Any) -> None:
    X = _wide()
    mean = X.mean(axis=0)
    measure(
        "20,000×784",
        lambda: kernels.covariance(X, mean),
        moved=X.nbytes + _WIDE * _WIDE * 8,
        operations=X.size * _WIDE,
    )


def test_hash_rows(measure: Any) -> None:
    X = _wide()
    measure("20,000×784", lambda: kernels.hash_rows(X), moved=X.nbytes + len(X) * 8)
