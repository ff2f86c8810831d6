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


def test_nearest_screened(measure: Any) -> None:
    X = points(20_000, 256)
    coarse = np.ascontiguousarray(X[:, :64])
    queries, skip = X[:1024], np.arange(1024, dtype=np.int32)
    limits = kernels.nearest(queries, X, 15, skip)[1][:, -1] ** 2 * np.float32(1.01)
    measure(
        "1,024 among 20,000×256, screened in 64, k=15",
        lambda: kernels.nearest_screened(queries, X, coarse[:1024], coarse, limits, 15, skip),
        moved=coarse.nbytes + queries.nbytes,
        operations=2 * len(queries) * coarse.size,
    )


@cache
def _cells() -> Any:
    from fastxai.embed.cells import build_cells
    from fastxai.embed.project import Projection, Space

    X = points(N, _D)
    space = Space(np.zeros(_D, np.float32), np.eye(_D, dtype=np.float32))
    return build_cells(kernels, Projection(space, X, np.zeros(N, np.float32), 0.0, 32))


def test_pack_cells(measure: Any) -> None:
    cells = _cells()
    given = (cells.points, cells.left, cells.starts, cells.centroids)
    moved = 2 * cells.points.nbytes
    measure(f"70,000×{_D}", lambda: kernels.pack_cells(*given), moved=moved)


def test_probe_cells(measure: Any) -> None:
    cells = _cells()
    near, nobody = np.ascontiguousarray(cells.near[:, :4]), np.arange(N, dtype=np.int32)
    lists = np.full((N, 32), -1, np.int32), np.full((N, 32), np.inf, np.float32)
    given = (*cells.packed, cells.starts, cells.centroids, *lists)
    compared = float(np.diff(cells.starts)[near].sum())
    measure(
        f"70,000×{_D}, 4 cells a point, 32 candidates",
        lambda: kernels.probe_cells(cells.points, cells.left, nobody, near, *given),
        moved=2 * cells.points.nbytes + near.nbytes + 4 * lists[0].nbytes,
        operations=2 * compared * _D,
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
    squares, nothing = distances * distances, np.zeros(N, np.float32)
    # What a row meets for the first time is measured, everything else is only looked up.
    tried = sum(
        len(np.setdiff1d(indices[row[:12], :12], [i, *row])) for i, row in enumerate(indices[:8192])
    )
    measure(
        f"8,192 points, {tried / 8192:.0f} new tries each, 64 features",
        lambda: kernels.join_neighbors(X, nothing, indices, squares, 12, 0, 8192),
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


def test_principal_axes(measure: Any) -> None:
    X = _wide()
    mean = X.mean(axis=0)
    # About nine d^3 for all eigenvectors, in float64: two of float32 each.
    measure(
        "20,000×784",
        lambda: kernels.principal_axes(X, mean),
        moved=X.nbytes + _WIDE * _WIDE * 8,
        operations=X.size * _WIDE + 18 * _WIDE**3,
    )


def test_hash_rows(measure: Any) -> None:
    X = _wide()
    measure("20,000×784", lambda: kernels.hash_rows(X), moved=X.nbytes + len(X) * 8)
