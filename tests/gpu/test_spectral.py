"""The spectral kernels of the GPU's room against their reference."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import sparse

from fastxai_kernels import reference
from fastxai_kernels.gpu import _ragged, spectral


def parts(graph):
    graph = sparse.csr_array(graph)
    graph.sort_indices()
    return graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data.astype("f4")


def ring(n=40):
    step = sparse.diags_array([np.ones(n - 1)], offsets=[1], shape=(n, n)).tolil()
    step[0, n - 1] = 1
    return parts(step + step.T)


def random_graph(n=70, share=0.1):
    half = sparse.random_array((n, n), density=share, rng=np.random.default_rng(0))
    return parts(half + half.T + sparse.diags_array([np.full(n - 1, 0.1)] * 2, offsets=[1, -1]))


def star(n):
    """Vertex 3 has n - 1 edges."""
    half = np.zeros((n, n))
    half[3] = np.random.default_rng(0).uniform(0.1, 1, n)
    half[3, 3] = 0
    return parts(half + half.T)


def with_an_isolated_vertex():
    indptr, indices, weights = random_graph(33)
    return np.append(indptr, indptr[-1]), indices, weights


GRAPHS = {
    "ring": ring(),
    "random": random_graph(),
    "two vertices": parts(np.array([[0, 0.5], [0.5, 0]])),
    "the longest short row": star(257),
    "the shortest long row": star(258),
}


def tensors(*arrays):
    return tuple(torch.from_numpy(np.asarray(array).copy()) for array in arrays)


def block_of(indptr, columns):
    return np.random.default_rng(1).standard_normal((len(indptr) - 1, columns)).astype("f4")


@cache
def normalised(name):
    scaled, known = reference.normalise(*GRAPHS[name])
    return scaled.astype("f4"), known.astype("f4")


def problem(name, columns):
    """A scaled graph, a block and the known direction: as tensors and as arrays."""
    (indptr, indices, _), (scaled, known) = GRAPHS[name], normalised(name)
    arrays = (indptr, indices, scaled, block_of(indptr, columns), known)
    return tensors(*arrays), arrays


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_normalise(graph):
    scaled, root = spectral.normalise(*tensors(*graph))
    expected, direction = reference.normalise(*graph)
    assert scaled.dtype == root.dtype == torch.float32
    np.testing.assert_allclose(scaled.numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(root.numpy(), direction, rtol=1e-5)


def test_isolated_vertices_stay_apart():
    indptr, indices, weights = with_an_isolated_vertex()
    scaled, _ = spectral.normalise(*tensors(indptr, indices, weights))
    assert torch.isfinite(scaled).all()
    (block,) = tensors(block_of(indptr, 3))
    filtered = spectral.chebyshev_filter(*tensors(indptr, indices), scaled, block, 2, 0.6)
    # T_2 of B's diagonal entry there, -(edge - 1) / (edge + 1).
    factor = 2 * ((0.6 - 1) / (0.6 + 1)) ** 2 - 1
    np.testing.assert_allclose(filtered[-1].numpy(), factor * block[-1].numpy(), rtol=1e-5)


@pytest.mark.parametrize("degree", [0, 1, 2, 7])
@pytest.mark.parametrize(
    ("name", "columns"), [("random", 4), ("ring", 6), ("two vertices", 1), ("two vertices", 17)]
)
def test_the_filter_is_chebyshevs_polynomial(name, columns, degree):
    given, arrays = problem(name, columns)
    found = spectral.chebyshev_filter(*given[:4], degree, 0.6)
    expected = reference.chebyshev_filter(*arrays[:4], degree, 0.6)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6 * scale * (degree + 1))
    assert found.shape == given[3].shape
    assert found.dtype == torch.float32
    assert found.is_contiguous()


@pytest.mark.parametrize(
    ("name", "columns"), [("the longest short row", 3), ("the shortest long row", 8)]
)
def test_the_filter_takes_hubs(name, columns):
    given, arrays = problem(name, columns)
    found = spectral.chebyshev_filter(*given[:4], 2, 0.7)
    expected = reference.chebyshev_filter(*arrays[:4], 2, 0.7)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("rows", [4096, 32], ids=["one block of rows", "blocks of rows"])
@pytest.mark.parametrize("name", ["ring", "random", "the shortest long row"])
def test_ritz_finds_the_best_within_a_span(name, rows, monkeypatch):
    monkeypatch.setattr(spectral, "_ROWS", rows)
    given, arrays = problem(name, 5)
    values, vectors, residuals = spectral.ritz(*given)
    expected, _, expected_residuals = reference.ritz(*arrays)
    assert values.dtype == residuals.dtype == torch.float64
    assert vectors.dtype == torch.float32
    assert vectors.is_contiguous()
    np.testing.assert_allclose(values.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(residuals.numpy(), expected_residuals, atol=1e-5)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(given[4] @ vectors, np.zeros(5), atol=1e-5)


def test_ritz_solves_a_small_graph_whole():
    given, _ = problem("ring", 1)
    values, _, residuals = spectral.ritz(*given[:3], torch.eye(40), given[4])
    # All but the constant one; that direction is lost, and comes last.
    expected = np.sort(np.cos(2 * np.pi * np.arange(1, 40) / 40))[::-1]
    np.testing.assert_allclose(values[:-1].numpy(), expected, atol=1e-5)
    assert residuals[:-1].max() < 1e-5
    assert values[-1] == -2


def test_ritz_stands_a_block_of_lower_rank():
    given, _ = problem("random", 3)
    flat = torch.ones_like(given[3])
    values, vectors, _ = spectral.ritz(*given[:3], flat, given[4])
    assert torch.isfinite(values).all()
    assert torch.isfinite(vectors).all()


def test_the_same_bits_again_and_what_is_given_stays():
    given, _ = problem("the shortest long row", 3)
    kept = [tensor.clone() for tensor in given]

    def run():
        filtered = spectral.chebyshev_filter(*given[:4], 1, 0.7)
        return filtered, *spectral.ritz(*given[:3], filtered, given[4])

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(given, kept, strict=True))


def test_row_sums():
    lengths = np.array([0, 1, 16, 17, 0, 256, 257, 700, 0])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    values = np.random.default_rng(0).standard_normal(indptr[-1]).astype("f4")
    found = _ragged.row_sums(*tensors(indptr, values))
    expected = [values[a:b].sum(dtype="f8") for a, b in pairwise(indptr)]
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
