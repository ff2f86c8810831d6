"""The kernels of t-SNE's attraction against their reference, and its gradient."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")


def random_graph(n, degree=20, seed=0):
    """Joint affinities of random neighbours: rows of many lengths, all joined to a hub."""
    random = np.random.default_rng(seed)
    degree = min(degree, n - 1)
    steps = np.cumsum(random.integers(1, (n - 1) // degree + 1, (n, degree)), axis=1)
    indices = ((np.arange(n)[:, None] + random.permuted(steps, axis=1)) % n).astype(np.int32)
    indices[(indices != 0).all(axis=1), 0] = 0
    indices[0] = -1
    return cpu.joint_affinities(indices, random.random(indices.shape).astype(np.float32))


def places(n, d, seed=1, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, (n, d)).astype(np.float32)


def clusters(n, d):
    Y = places(n, d, scale=0.1)
    return (Y + 30 * (np.arange(n) % 4)[:, None]).astype(np.float32)


PLACES = {
    "random": places(300, 2, scale=10),
    "clusters": clusters(300, 2),
    "tiny": places(300, 2, scale=1e-6),
    "far apart": places(300, 2, scale=1e6),
    "one place": np.ones((300, 2), np.float32),
    "copies": np.repeat(places(30, 2), 10, axis=0),
    "collinear": np.linspace(-5, 5, 600, dtype=np.float32).reshape(300, 2),
    "1-D": places(300, 1, scale=3),
    "3-D": places(300, 3, scale=3),
    "5-D": places(300, 5, scale=3),
    "two points": places(2, 2),
    "one point": places(1, 2),
    "one chunk more": places(1025, 2),
}


def graph_of(Y):
    if len(Y) == 1:
        return np.zeros(2, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)
    return random_graph(len(Y))


@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("Y", PLACES.values(), ids=PLACES.keys())
def test_the_attraction_is_that_of_the_reference(Y, dof):
    graph = graph_of(Y)
    found = cpu.attraction(Y, *graph, dof)
    expected = reference.attraction(Y, *graph, dof)
    assert found.dtype == np.float32
    size = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * size)


@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("Y", PLACES.values(), ids=PLACES.keys())
def test_the_cross_entropy_is_that_of_the_reference(Y, dof):
    graph = graph_of(Y)
    found = cpu.cross_entropy(Y, *graph, dof)
    assert isinstance(found, float)
    np.testing.assert_allclose(found, reference.cross_entropy(Y, *graph, dof), rtol=2e-6)


@pytest.mark.parametrize("Y", PLACES.values(), ids=PLACES.keys())
def test_attractions_balance(Y):
    forces = cpu.attraction(Y, *graph_of(Y), 1.0).astype(np.float64)
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-5 * np.abs(forces).sum())


def test_a_row_without_edges_is_not_moved():
    indptr = np.array([0, 1, 1, 2], np.int64)
    edges = np.array([2, 0], np.int32), np.full(2, 0.5, np.float32)
    forces = cpu.attraction(places(3, 2), indptr, *edges, 1.0)
    assert np.array_equal(forces[1], [0, 0])
    assert (forces[[0, 2]] != 0).all()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(2, 30), st.integers(1, 4)),
        elements=st.floats(-1e4, 1e4, width=32),
    ),
    st.floats(0.25, 8),
    st.integers(0, 9),
)
def test_any_places_give_the_forces_of_the_reference(Y, dof, seed):
    graph = random_graph(len(Y), 6, seed)
    expected = reference.attraction(Y, *graph, dof)
    size = np.abs(expected).max(initial=0) + np.abs(Y).max() * 1e-6
    np.testing.assert_allclose(
        cpu.attraction(Y, *graph, dof), expected, rtol=1e-4, atol=1e-5 * size
    )


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_number_of_threads_changes_no_bit(count):
    Y = places(9000, 2, scale=5)
    graph = random_graph(9000, 5)
    order = np.random.default_rng(0).permutation(9000)

    def everything():
        turned = cpu.reorder_graph(order, *graph)
        forces = cpu.attraction(Y, *graph, 1.0)
        return *turned, forces, np.array(cpu.cross_entropy(Y, *graph, 1.0))

    expected = everything()
    with threads(count):
        found = everything()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("n", [2, 50, 3000])
def test_the_graph_in_another_order_is_that_of_the_reference(n):
    graph = random_graph(n)
    order = np.random.default_rng(0).permutation(n)
    found, expected = cpu.reorder_graph(order, *graph), reference.reorder_graph(order, *graph)
    assert [array.dtype for array in found] == [np.int64, np.int32, np.float32]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_forces_move_with_the_points():
    Y = PLACES["random"]
    graph = random_graph(300)
    order = np.random.default_rng(0).permutation(300)
    found = cpu.attraction(Y[order].copy(), *cpu.reorder_graph(order, *graph), 1.0)
    expected = cpu.attraction(Y, *graph, 1.0)[order]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def kl_divergence(Y, indptr, columns, weights, dof):
    """sum p log(p / q) over all pairs, in the plainest way."""
    n = len(Y)
    p = np.zeros((n, n))
    p[np.repeat(np.arange(n), np.diff(indptr)), columns] = weights
    squares = ((Y[:, None] - Y[None]) ** 2).sum(axis=2)
    w = (1 + squares / dof) ** -dof
    np.fill_diagonal(w, 0)
    q = w / w.sum()
    there = p > 0
    return (p[there] * np.log(p[there] / q[there])).sum()


@pytest.fixture(params=[1, 2, 3], ids=["1-D", "2-D", "3-D"])
def small(request):
    Y = np.random.default_rng(5).normal(0, 1.5, (30, request.param))
    indptr, columns, weights = random_graph(30, 8)
    weights = weights.astype(np.float64)
    return Y, (indptr, columns, weights / weights.sum())


@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0])
def test_forces_are_the_gradient_of_the_divergence(small, dof):
    Y, graph = small
    attraction = reference.attraction(Y, *graph, dof)
    repulsion, Z = reference.exact_repulsion(Y, dof)
    gradient = np.empty(Y.shape)
    for place in np.ndindex(*Y.shape):
        step = np.zeros(Y.shape)
        step[place] = 1e-5
        higher, lower = (kl_divergence(Y + s, *graph, dof) for s in (step, -step))
        gradient[place] = (higher - lower) / 2e-5
    np.testing.assert_allclose(4 * (attraction - repulsion / Z), gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0])
def test_the_parts_make_up_the_divergence(small, dof):
    Y, graph = small
    _, Z = reference.exact_repulsion(Y, dof)
    entropy = (graph[2] * np.log(graph[2])).sum()
    found = entropy + reference.cross_entropy(Y, *graph, dof) + np.log(Z)
    np.testing.assert_allclose(found, kl_divergence(Y, *graph, dof), rtol=1e-10)
