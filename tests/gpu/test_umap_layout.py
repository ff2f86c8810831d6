"""The layout's kernels in the interpreter against their reference."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from fastxai_kernels import reference
from fastxai_kernels.gpu._random import halves, mix_int
from fastxai_kernels.reference.umap_layout import _mix

gpu = import_module("fastxai_kernels.gpu.umap_layout")
CURVE = (1.576943, 0.895061)


def edges(graph: Any) -> tuple[Any, ...]:
    graph = sparse.csr_array(graph)
    graph.sort_indices()
    weights = (graph.data / max(graph.data.max(initial=0), 1e-30)).astype(np.float32)
    return graph.indptr.astype(np.int64), graph.indices.astype(np.int32), weights


def random_graph(n: int, share: float, seed: int = 0) -> tuple[Any, ...]:
    half = sparse.random_array((n, n), density=share, rng=np.random.default_rng(seed))
    graph = sparse.lil_array(half + half.T)
    graph.setdiag(0)
    return edges(graph)


def star(degree: int) -> tuple[Any, ...]:
    hub, leaves = np.zeros(degree, int), np.arange(1, degree + 1)
    ends = (np.concatenate([hub, leaves]), np.concatenate([leaves, hub]))
    return edges(sparse.coo_array((np.ones(2 * degree), ends), (degree + 1, degree + 1)))


def with_an_isolated_vertex() -> tuple[Any, ...]:
    indptr, indices, weights = random_graph(17, 0.3)
    return np.append(indptr, indptr[-1]), indices, weights


GRAPHS = {
    "random": random_graph(25, 0.4),
    "sparse": random_graph(29, 0.05),
    "star": star(40),
    "two vertices": edges(np.array([[0.0, 1.0], [1.0, 0.0]])),
    "a vertex and itself": edges(np.array([[1.0]])),
    "fewer than a block": random_graph(9, 0.5),
    "an isolated vertex": with_an_isolated_vertex(),
    "no edges": edges(sparse.csr_array((5, 5))),
}


def start_of(graph: tuple[Any, ...], width: int = 2, seed: int = 0) -> Any:
    n = len(graph[0]) - 1
    return np.random.default_rng(seed).uniform(-10, 10, (n, width)).astype(np.float32)


def tensors(arrays: tuple[Any, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array.copy()) for array in arrays)


def arranged(graph, start, first, last, total, forces=(1.0, 5.0, 1.0), seed=3):  # type: ignore
    packed = gpu.pack_edges(*tensors(graph))
    gamma, rate, alpha = forces
    given = torch.from_numpy(start.copy())
    found = gpu.umap_layout(given, *packed, first, last, total, *CURVE, gamma, rate, alpha, seed)
    assert found.dtype == torch.float32 and found.is_contiguous() and len(found) == len(start)
    np.testing.assert_array_equal(given.numpy(), start)
    return found.numpy()


def expected(graph, start, first, last, total, forces=(1.0, 5.0, 1.0), seed=3):  # type: ignore
    packed = reference.pack_edges(*graph)
    gamma, rate, alpha = forces
    return reference.umap_layout(
        start, *packed, first, last, total, *CURVE, gamma, rate, alpha, seed
    )


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_rows_are_filled_up_to_whole_blocks(graph: Any) -> None:
    for ours, exact in zip(
        gpu.pack_edges(*tensors(graph)), reference.pack_edges(*graph), strict=True
    ):
        assert ours.numpy().dtype == exact.dtype
        np.testing.assert_array_equal(ours.numpy(), exact)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_an_epoch_is_that_of_the_reference(graph: Any) -> None:
    start = start_of(graph)
    found = arranged(graph, start, 5, 6, 20)
    np.testing.assert_allclose(found, expected(graph, start, 5, 6, 20), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("width", [1, 3, 4, 5, 12, 32])
def test_any_number_of_components(width: int) -> None:
    graph = GRAPHS["fewer than a block"]
    start = start_of(graph, width)
    # On a line points come so close that the repulsion turns within a rounding.
    tolerance = 5e-2 if width == 1 else 1e-4
    found = arranged(graph, start, 5, 7, 20)
    np.testing.assert_allclose(found, expected(graph, start, 5, 7, 20), atol=tolerance)


def test_more_components_than_there_are_kernels_for_are_refused() -> None:
    graph = GRAPHS["two vertices"]
    with pytest.raises(ValueError, match="at most 32 components, not 33"):
        arranged(graph, start_of(graph, 33), 0, 1, 1)


FORCES = {
    "no negatives": (1.0, 0, 1.0),
    "many negatives": (1.0, 60, 1.0),
    "no repulsion": (0.0, 5, 1.0),
    "strong repulsion": (10.0, 5, 1),
    "small steps": (1.0, 5, 0.01),
}


@pytest.mark.parametrize("forces", FORCES.values(), ids=FORCES.keys())
def test_forces_are_those_of_the_reference(forces: Any) -> None:
    graph = GRAPHS["sparse"]
    start = start_of(graph)
    found = arranged(graph, start, 0, 1, 10, forces)
    np.testing.assert_allclose(found, expected(graph, start, 0, 1, 10, forces), atol=5e-4)


def test_epochs_stay_with_the_reference_and_are_the_bits_of_slices() -> None:
    graph = GRAPHS["random"]
    start = start_of(graph)
    whole = arranged(graph, start, 10, 14, 20)
    np.testing.assert_allclose(whole, expected(graph, start, 10, 14, 20), atol=5e-3)
    places = start
    for first, last in ((10, 11), (11, 14)):
        places = arranged(graph, places, first, last, 20)
    np.testing.assert_array_equal(places, whole)


def test_other_seeds_give_other_maps() -> None:
    graph = GRAPHS["sparse"]
    start = start_of(graph)
    first, again, other = (arranged(graph, start, 0, 2, 5, seed=s) for s in (2**63 + 1,) * 2 + (2,))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_coincident_points_stay_finite() -> None:
    graph = GRAPHS["fewer than a block"]
    assert np.isfinite(arranged(graph, np.zeros((9, 2), np.float32), 0, 5, 5)).all()


def test_no_epochs_give_a_copy() -> None:
    graph = GRAPHS["two vertices"]
    start = start_of(graph)
    np.testing.assert_array_equal(arranged(graph, start, 3, 3, 5), start)


def new_points(count: int = 11, fixed: int = 33, links: int = 20) -> tuple[Any, ...]:
    random = np.random.default_rng(0)
    places = random.uniform(0, 10, (fixed, 2)).astype(np.float32)
    ends = np.sort(np.array([random.permutation(fixed)[:links] for _ in range(count)]), axis=1)
    weights = random.random(count * links).astype(np.float32)
    indptr = np.arange(0, count * links + 1, links).astype(np.int64)
    points = random.uniform(0, 10, (count, 2)).astype(np.float32)
    seeds = random.integers(0, 2**64, count, dtype=np.uint64)
    return points, places, (indptr, ends.ravel().astype(np.int32), weights), seeds


def placed(points, fixed, links, seeds, epochs):  # type: ignore
    packed = gpu.pack_edges(*tensors(links))
    given = tensors((points, fixed))
    seeded = torch.from_numpy(seeds.view(np.int64))
    found = gpu.umap_place(*given, *packed, 0, epochs, 4, *CURVE, 1.0, 5.0, 0.25, seeded)
    for ours, before in zip(given, (points, fixed), strict=True):
        np.testing.assert_array_equal(ours.numpy(), before)
    return found.numpy()


def test_new_points_are_placed_as_by_the_reference() -> None:
    points, fixed, links, seeds = new_points()
    found = placed(points, fixed, links, seeds, 2)
    exact = reference.umap_place(
        points, fixed, *reference.pack_edges(*links), 0, 2, 4, *CURVE, 1.0, 5.0, 0.25, seeds
    )
    np.testing.assert_allclose(found, exact, atol=5e-4)


def test_a_new_point_moves_by_itself() -> None:
    points, fixed, (_, indices, weights), seeds = new_points()
    together = placed(*new_points(), 2)
    for i in (0, 10):
        row = slice(20 * i, 20 * i + 20)
        links = (np.array([0, 20], np.int64), indices[row], weights[row])
        alone = placed(points[i : i + 1], fixed, links, seeds[i : i + 1], 2)
        np.testing.assert_array_equal(alone[0], together[i])


def test_no_new_points() -> None:
    points, fixed, _, seeds = new_points()
    links = (np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    assert placed(points[:0], fixed, links, seeds[:0], 2).shape == (0, 2)


@pytest.mark.parametrize("x", [0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
def test_random_bits_and_their_halves(x: int) -> None:
    assert mix_int(x) == _mix(x)
    high, low = halves(x)
    assert min(high, low) >= -(2**31) and max(high, low) < 2**31
    assert ((high % 2**32) << 32) + low % 2**32 == x
