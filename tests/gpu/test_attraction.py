"""The GPU's attraction against its reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastxai_kernels import reference
from fastxai_kernels.gpu.attraction import attraction, cross_entropy, reorder_graph


def places(n, d, seed=1, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, (n, d)).astype(np.float32)


def graph_of(n, degree=12, seed=0, hub=False):
    """A symmetric graph: random rows of many lengths, some empty; a hub joined to all."""
    random = np.random.default_rng(seed)
    dense = random.random((n, n)) < degree / n
    dense[random.random(n) < 0.1] = False
    if hub:
        dense[n // 3] = True
    dense = np.triu(dense | dense.T, 1)
    dense = dense | dense.T
    rows, columns = np.nonzero(dense)
    indptr = np.searchsorted(rows, np.arange(n + 1)).astype(np.int64)
    weights = np.zeros((n, n), np.float32)
    weights[rows, columns] = random.random(len(rows))
    weights += weights.T
    return indptr, columns.astype(np.int32), weights[rows, columns]


PLACES = {
    "random": places(143, 2, scale=10),
    "clusters": places(51, 2, scale=0.1) + 30 * (np.arange(51) % 4)[:, None].astype(np.float32),
    "tiny": places(30, 2, scale=1e-6),
    "far apart": places(30, 2, scale=1e6),
    "one place": np.ones((30, 2), np.float32),
    "1-D": places(34, 1, scale=3),
    "3-D": places(34, 3, scale=3),
    "4-D": places(34, 4, scale=3),
    "5-D": places(34, 5, scale=3),
    "19-D": places(17, 19, scale=3),
    "two points": places(2, 2),
    "one point": places(1, 2),
}
EACH = pytest.mark.parametrize("Y", PLACES.values(), ids=PLACES.keys())


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


@pytest.mark.parametrize("dof", [0.5, 1.0])
@EACH
def test_the_attraction_is_that_of_the_reference(Y, dof):
    graph = graph_of(len(Y))
    found = attraction(*tensors(Y, *graph), dof)
    expected = reference.attraction(Y, *graph, dof)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    size = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * size)


@pytest.mark.parametrize("dof", [0.5, 1.0])
@EACH
def test_the_cross_entropy_is_that_of_the_reference(Y, dof):
    graph = graph_of(len(Y))
    found = cross_entropy(*tensors(Y, *graph), dof)
    assert isinstance(found, float)
    np.testing.assert_allclose(found, reference.cross_entropy(Y, *graph, dof), rtol=2e-6)


def hubs():
    """A row too long for a warp, a row just short enough, and an empty one between them."""
    n, lengths = 22, np.zeros(22, np.int64)
    lengths[[2, 3, 7, 21]] = 3000, 2048, 2049, 500
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    random = np.random.default_rng(0)
    columns = random.integers(0, n, indptr[-1]).astype(np.int32)
    return indptr, columns, random.random(indptr[-1]).astype(np.float32)


@pytest.mark.parametrize("d", [2, 3, 6])
def test_rows_of_a_hub(d):
    Y, graph = places(22, d), hubs()
    found = attraction(*tensors(Y, *graph), 1.0).numpy()
    expected = reference.attraction(Y, *graph, 1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
    assert not found[[0, 1, 4, 20]].any()
    total = cross_entropy(*tensors(Y, *graph), 1.0)
    np.testing.assert_allclose(total, reference.cross_entropy(Y, *graph, 1.0), rtol=2e-6)


def test_no_edges():
    Y, indptr = torch.ones(5, 2), torch.zeros(6, dtype=torch.int64)
    graph = (indptr, torch.empty(0, dtype=torch.int32), torch.empty(0))
    assert torch.equal(attraction(Y, *graph, 1.0), torch.zeros(5, 2))
    assert cross_entropy(Y, *graph, 1.0) == 0


def test_no_points():
    graph = tensors(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    assert attraction(torch.empty(0, 2), *graph, 1.0).shape == (0, 2)
    assert cross_entropy(torch.empty(0, 2), *graph, 1.0) == 0


@pytest.mark.parametrize("n", [1, 2, 50, 400])
def test_the_graph_in_another_order_is_that_of_the_reference(n):
    graph = graph_of(n, hub=n > 2)
    order = np.random.default_rng(0).permutation(n)
    found = reorder_graph(*tensors(order, *graph))
    assert [array.dtype for array in found] == [torch.int64, torch.int32, torch.float32]
    for one, expected in zip(found, reference.reorder_graph(order, *graph), strict=True):
        assert np.array_equal(one, expected)


def test_the_same_bits_again_and_inputs_left_as_they_were():
    arrays = [places(90, 2), *graph_of(90, hub=True)]
    order = np.random.default_rng(3).permutation(90)
    given = tensors(order, *[array.copy() for array in arrays])

    def everything():
        forces = attraction(*given[1:], 1.0)
        return (
            forces,
            torch.tensor(cross_entropy(*given[1:], 1.0)),
            *reorder_graph(given[0], *given[2:]),
        )

    for one, other in zip(everything(), everything(), strict=True):
        assert torch.equal(one, other)
    for one, before in zip(given, [order, *arrays], strict=True):
        assert np.array_equal(one, before)
