"""The spectral kernels against their reference."""

import numpy as np
import pytest
from scipy import sparse

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")


def parts(graph):
    graph = sparse.csr_array(graph)
    graph.sort_indices()
    return graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data.astype("f4")


def ring(n=60):
    step = sparse.diags_array([np.ones(n - 1)], offsets=[1], shape=(n, n)).tolil()
    step[0, n - 1] = 1
    return parts(step + step.T)


def random_graph(n=200, share=0.05):
    random = np.random.default_rng(0)
    half = sparse.random_array((n, n), density=share, rng=random)
    return parts(half + half.T + sparse.diags_array([np.full(n - 1, 0.1)] * 2, offsets=[1, -1]))


def with_an_isolated_vertex():
    indptr, indices, weights = random_graph()
    return np.append(indptr, indptr[-1]), indices, weights


GRAPHS = {
    "ring": ring(),
    "random": random_graph(),
    "two vertices": parts(np.array([[0, 0.5], [0.5, 0]])),
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_normalise(graph):
    scaled, root = cpu.normalise(*graph)
    expected, direction = reference.normalise(*graph)
    np.testing.assert_allclose(scaled, expected, rtol=1e-5)
    np.testing.assert_allclose(root, direction, rtol=1e-5)


def test_normalise_stands_isolated_vertices():
    scaled, _ = cpu.normalise(*with_an_isolated_vertex())
    assert np.isfinite(scaled).all()


@pytest.mark.parametrize("degree", [0, 1, 2, 7])
@pytest.mark.parametrize("columns", [1, 3, 4, 6])
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_the_filter_is_chebyshevs_polynomial(graph, columns, degree):
    indptr, indices, _ = graph
    scaled, _ = cpu.normalise(*graph)
    block = np.random.default_rng(1).standard_normal((len(indptr) - 1, columns)).astype("f4")
    before = block.copy()
    found = cpu.chebyshev_filter(indptr, indices, scaled, block, degree, 0.6)
    expected = reference.chebyshev_filter(indptr, indices, scaled, block, degree, 0.6)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=2e-6 * scale * (degree + 1))
    assert found.shape == block.shape
    assert np.array_equal(block, before)


@pytest.mark.parametrize("graph", [GRAPHS["ring"], GRAPHS["random"]], ids=["ring", "random"])
def test_ritz_finds_the_best_within_a_span(graph):
    indptr, indices, _ = graph
    scaled, root = cpu.normalise(*graph)
    block = np.random.default_rng(1).standard_normal((len(indptr) - 1, 5)).astype("f4")
    values, vectors, residuals = cpu.ritz(indptr, indices, scaled, block, root)
    expected, _, expected_residuals = reference.ritz(indptr, indices, scaled, block, root)
    np.testing.assert_allclose(values, expected, atol=1e-5)
    np.testing.assert_allclose(residuals, expected_residuals, atol=1e-5)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(root @ vectors, 0, atol=1e-5)


def test_ritz_stands_a_block_of_lower_rank():
    graph = GRAPHS["random"]
    scaled, root = cpu.normalise(*graph)
    block = np.ones((200, 3), np.float32)
    values, vectors, _ = cpu.ritz(*graph[:2], scaled, block, root)
    assert np.isfinite(values).all()
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_number_of_threads_changes_no_bit(count):
    graph = random_graph(n=5000, share=0.002)
    scaled, root = cpu.normalise(*graph)
    block = np.random.default_rng(1).standard_normal((5000, 4)).astype("f4")

    def run():
        filtered = cpu.chebyshev_filter(*graph[:2], scaled, block, 6, 0.7)
        return cpu.ritz(*graph[:2], scaled, filtered, root)

    expected = run()
    with threads(count):
        found = run()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("most", [2, 5, 32])
@pytest.mark.parametrize(
    "graph", [*GRAPHS.values(), with_an_isolated_vertex()], ids=[*GRAPHS, "an isolated vertex"]
)
def test_aggregates_and_the_graph_between_them(graph, most):
    owner, count = cpu.aggregate(*graph, most)
    expected, expected_count = reference.aggregate(*graph, most)
    assert np.array_equal(owner, expected)
    assert count == expected_count
    assert set(owner.tolist()) == set(range(count))
    indptr, columns, sums = cpu.coarsen(*graph, owner, count)
    small = sparse.csr_array((sums, columns, indptr), (count, count)).toarray()
    parts = reference.coarsen(*graph, owner, count)
    expected_small = sparse.csr_array(parts[::-1], (count, count)).toarray()
    np.testing.assert_allclose(small, expected_small, rtol=1e-5)
