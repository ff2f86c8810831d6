"""Affinities, attraction, repulsion and step of t-SNE on a layout of 70,000 points."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastxai.embed.umap_layout import along_a_curve
from fastxai_kernels import select

from .inputs import N

kernels = select("cpu")
_NEIGHBORS = 90
_EXTENT = 190.0  # of a finished t-SNE of so many points


@cache
def layout(n_components: int = 2) -> NDArray[np.float32]:
    """Clusters that fill a square, in the order of a curve."""
    random = np.random.default_rng(0)
    centres = random.uniform(0, _EXTENT, (60, n_components))
    Y = centres[random.integers(0, 60, N)] + random.normal(scale=9, size=(N, n_components))
    Y = Y.astype(np.float32)
    return np.ascontiguousarray(Y[along_a_curve(Y)])


@cache
def lists() -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Neighbours among the next rows along the curve, a quarter of them anywhere."""
    random = np.random.default_rng(1)
    steps = np.argsort(random.random((N, 120)), axis=1)[:, :_NEIGHBORS] + 1
    indices = (np.arange(N)[:, None] + steps) % N
    anywhere = random.random(indices.shape) < 0.25
    indices[anywhere] = random.integers(0, N, anywhere.sum())
    indices[indices == np.arange(N)[:, None]] = 0
    distances = np.cumsum(random.random(indices.shape) + 0.1, axis=1) + 20
    return indices.astype(np.int32), distances.astype(np.float32)


@cache
def graph() -> tuple[Any, Any, Any]:
    indices, distances = lists()
    affinities = kernels.conditional_affinities(distances, (30.0,))
    joint: tuple[Any, Any, Any] = kernels.joint_affinities(indices, affinities)
    return joint


def _bytes_of_graph() -> int:
    return sum(part.nbytes for part in graph())


def test_conditional_affinities(measure: Any) -> None:
    _, distances = lists()
    # At least one exponential and a sum for each; only the bytes are a limit.
    measure(
        f"70,000×{_NEIGHBORS}",
        lambda: kernels.conditional_affinities(distances, (30.0,)),
        moved=2 * distances.nbytes,
    )


def test_joint_affinities(measure: Any) -> None:
    indices, distances = lists()
    affinities = kernels.conditional_affinities(distances, (30.0,))
    measure(
        f"70,000×{_NEIGHBORS}",
        lambda: kernels.joint_affinities(indices, affinities),
        moved=indices.nbytes + affinities.nbytes + _bytes_of_graph(),
    )


def test_attraction(measure: Any) -> None:
    Y = layout()
    edges = len(graph()[1])
    measure(
        f"2-D, {edges:,} edges",
        lambda: kernels.attraction(Y, *graph(), 1.0),
        moved=_bytes_of_graph() + 2 * Y.nbytes,
        operations=10.0 * edges,
    )


def test_exact_repulsion(measure: Any) -> None:
    Y = np.ascontiguousarray(layout()[::10])
    measure(
        f"all pairs of {len(Y):,}, 2-D",
        lambda: kernels.exact_repulsion(Y, 1.0),
        moved=2 * Y.nbytes,
        operations=12.0 * len(Y) ** 2,
    )


def test_barnes_hut_2d(measure: Any) -> None:
    Y = layout()
    measure("angle 0.5", lambda: kernels.barnes_hut(Y, 1.0, 0.5), moved=2 * Y.nbytes)


def test_barnes_hut_3d(measure: Any) -> None:
    Y = layout(3)
    measure("angle 0.5, 3-D", lambda: kernels.barnes_hut(Y, 1.5, 0.5), moved=2 * Y.nbytes)


def test_particle_mesh(measure: Any) -> None:
    Y = layout()
    spacing = kernels.mesh_spacing(Y, 1.0, 0.01)
    nodes = kernels.mesh_size(Y, spacing)
    measure(
        f"error 1%, {nodes:,} nodes",
        lambda: kernels.particle_mesh(Y, 1.0, spacing),
        moved=2 * Y.nbytes + 4.0 * nodes,
        operations=2 * 2.5 * nodes * np.log2(nodes) + N * 2 * 2 * 36,
    )


def test_descend(measure: Any) -> None:
    Y = layout()
    parts = (Y, Y, np.ones_like(Y), Y, Y)
    measure(
        "2-D",
        lambda: kernels.descend(*parts, 1.0, 1.0, 1.0, 0.8, 5.0),
        moved=8 * Y.nbytes,
    )


def test_attraction_at(measure: Any) -> None:
    Y, (indices, distances) = layout(), lists()
    some = np.ascontiguousarray(indices[:10_000])
    affinities = kernels.conditional_affinities(distances[:10_000], (30.0,))
    points = np.ascontiguousarray(Y[:10_000])
    measure(
        f"10,000 new points, {_NEIGHBORS} neighbours",
        lambda: kernels.attraction_at(points, Y, some, affinities, 1.0),
        moved=some.nbytes + affinities.nbytes + 4 * points.nbytes,
        operations=10.0 * some.size,
    )
