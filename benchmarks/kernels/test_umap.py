"""Fuzzy set, spectral filter and layout on a graph of the size of Fashion-MNIST's."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastxai_kernels import select

from .inputs import K, N, graph, knn_lists

kernels = select("cpu")
_A, _B = 1.576943, 0.895061


def test_smooth_distances(measure: Any) -> None:
    _, distances = knn_lists()
    # The bisection asks for some twenty sums of k exponentials; only the bytes are a limit.
    measure(
        f"70,000×{K}",
        lambda: kernels.smooth_distances(distances, 1.0, 1.0),
        moved=distances.nbytes + 2 * N * 4,
    )


def test_memberships(measure: Any) -> None:
    _, distances = knn_lists()
    rho, sigma = kernels.smooth_distances(distances, 1.0, 1.0)
    measure(
        f"70,000×{K}",
        lambda: kernels.memberships(distances, rho, sigma),
        moved=2 * distances.nbytes + 2 * N * 4,
    )


def test_fuzzy_union(measure: Any) -> None:
    indices, distances = knn_lists()
    strengths = kernels.memberships(distances, *kernels.smooth_distances(distances, 1.0, 1.0))
    _, columns, _ = kernels.fuzzy_union(indices, strengths, 1.0)
    measure(
        f"70,000×{K}",
        lambda: kernels.fuzzy_union(indices, strengths, 1.0),
        moved=indices.nbytes + strengths.nbytes + len(columns) * 8 + N * 8,
    )


def test_chebyshev_filter(measure: Any) -> None:
    indptr, indices, weights = graph()
    scaled = kernels.normalise(indptr, indices, weights)[0]
    block = np.random.default_rng(0).standard_normal((N, 4)).astype(np.float32)
    degree = 10
    once = indptr.nbytes + indices.nbytes + weights.nbytes + 3 * block.nbytes
    measure(
        f"degree 10, {len(indices):,} edges, 4 columns",
        lambda: kernels.chebyshev_filter(indptr, indices, scaled, block, degree, 0.99),
        moved=degree * once,
        operations=degree * 2 * len(indices) * 4,
    )


def _layout(measure: Any, width: int) -> None:
    indptr, indices, weights = kernels.pack_edges(*graph())
    place = np.random.default_rng(0).uniform(0, 10, (N, width)).astype(np.float32)
    # Once each an epoch: edges and weights, places read and written, the list of others.
    moved = indices.nbytes + weights.nbytes + indptr.nbytes + 5 * place.nbytes
    pairs = len(indices) + 5 * float(weights.sum())
    epochs = 10
    measure(
        f"{epochs} epochs, {width}-D, {pairs:,.0f} pairs an epoch",
        lambda: kernels.umap_layout(
            place, indptr, indices, weights, 0, epochs, epochs, _A, _B, 1.0, 5.0, 1.0, 0
        ),
        moved=epochs * moved,
        operations=epochs * pairs * 40,  # the power and the division among them
    )


def test_umap_layout_2d(measure: Any) -> None:
    _layout(measure, 2)


def test_umap_layout_3d(measure: Any) -> None:
    _layout(measure, 3)


def test_umap_place(measure: Any) -> None:
    indptr, indices, weights = graph()
    rows = 10_000
    few = indptr[: rows + 1].copy(), indices[: indptr[rows]], weights[: indptr[rows]]
    edges = kernels.pack_edges(*few)
    random = np.random.default_rng(0)
    fixed = random.uniform(0, 10, (N, 2)).astype(np.float32)
    points, seeds = fixed[:rows].copy(), random.integers(0, 2**63, rows).astype(np.uint64)
    epochs = 10
    pairs = len(edges[1]) + 5 * float(edges[2].sum())
    measure(
        f"10 epochs of {rows:,} new points",
        lambda: kernels.umap_place(
            points, fixed, *edges, 0, epochs, epochs, _A, _B, 1.0, 5.0, 1.0, seeds
        ),
        moved=epochs * (edges[1].nbytes + edges[2].nbytes + 2 * fixed.nbytes),
        operations=epochs * pairs * 40,
    )
