"""Aggregates and the graph between them, on the GPU, against the reference."""

from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import sparse

from fastxai_kernels import reference

room = import_module("fastxai_kernels.gpu.coarsen")


def parts(graph):
    graph = sparse.csr_array(graph)
    return graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data.astype("f4")


def random_graph(n, edges, seed, levels=None):
    """Pairs at random; ``levels`` makes weights that often tie."""
    random = np.random.default_rng(seed)
    weights = random.uniform(0.1, 1, edges) if levels is None else random.integers(1, levels, edges)
    half = sparse.coo_array((weights, random.integers(0, n, (2, edges))), (n, n))
    return sparse.csr_array(half + half.T)


def neighbours(n, order):
    """Points on a line, each with the four beside it, the vertices in some order."""
    line = sparse.diags_array([np.ones(n - k) / k for k in (1, 2)], offsets=[1, 2], shape=(n, n))
    return sparse.csr_array((line + line.T).tocsr()[order][:, order])


def star(n, middle):
    half = np.zeros((n, n))
    half[middle] = np.random.default_rng(0).integers(1, 4, n)
    half[middle, middle] = 0
    return half + half.T


def reversed_rows(graph):
    """The same edges, each row from its highest neighbour down."""
    indptr, indices, weights = parts(graph)
    order = np.concatenate([np.arange(b - 1, a - 1, -1) for a, b in pairwise(indptr)])
    return indptr, indices[order], weights[order]


def one_sided(n, k):
    random = np.random.default_rng(3)
    indices = random.integers(0, n, (n, k)).astype(np.int32)  # duplicates and loops among them
    return np.arange(0, n * k + 1, k), indices.ravel(), random.uniform(0, 1, n * k).astype("f4")


GRAPHS = {
    "no vertex": parts(np.zeros((0, 0))),
    "one vertex": parts(np.zeros((1, 1))),
    "no edges": parts(np.zeros((70, 70))),
    "two vertices": parts(np.array([[0, 0.5], [0.5, 0]])),
    "sparse": parts(random_graph(83, 80, 0)),
    "dense": parts(random_graph(60, 700, 1)),
    "weights that tie": parts(random_graph(81, 240, 2, levels=3)),
    "rows in reverse": reversed_rows(random_graph(60, 190, 4, levels=3)),
    "a line in order": parts(neighbours(19, np.arange(19))),
    "a line in disorder": parts(neighbours(85, np.random.default_rng(0).permutation(85))),
    "a hub, first": parts(star(70, 0)),
    "a hub, last": parts(star(70, 69)),
    "one-sided edges": one_sided(90, 4),
}
# Members at most; and rounds end when they decide fewer, which is at the end, on the way, or
# before the first.
ROUNDS = {"rounds": (40, 1), "both": (2, 10), "in turn": (5, 1 << 30)}


def tensors(*arrays):
    return tuple(torch.from_numpy(np.asarray(array).copy()) for array in arrays)


@pytest.mark.parametrize(("most", "worth"), ROUNDS.values(), ids=ROUNDS.keys())
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_aggregates_are_those_of_the_greedy_pass(graph, most, worth, monkeypatch):
    monkeypatch.setattr(room, "_WORTH", worth)
    owner, count = room.aggregate(*tensors(*graph), most)
    expected, expected_count = reference.aggregate(*graph, most)
    np.testing.assert_array_equal(owner.numpy(), expected)
    assert owner.dtype == torch.int32
    assert type(count) is int
    assert count == expected_count


def test_vertices_in_turn_go_through_several_launches(monkeypatch):
    monkeypatch.setattr(room, "_TURNS", 7)
    graph = GRAPHS["a line in order"]
    owner, _ = room.aggregate(*tensors(*graph), 3)
    np.testing.assert_array_equal(owner.numpy(), reference.aggregate(*graph, 3)[0])


def test_a_chain_of_followers():
    """0 takes 1; 3 to 40 are covered by nobody's member but follow one another down to it."""
    n = 41
    W = np.zeros((n, n))
    for i in range(1, n):
        W[i, i - 1] = W[i - 1, i] = 1 + i
        W[0, i] = W[i, 0] = 0.5
    graph = parts(W)
    owner, count = room.aggregate(*tensors(*graph), 2)
    expected, expected_count = reference.aggregate(*graph, 2)
    assert count == expected_count
    np.testing.assert_array_equal(owner.numpy(), expected)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_the_graph_between_aggregates(graph):
    owner, count = reference.aggregate(*graph, 4)
    indptr, columns, sums = room.coarsen(*tensors(*graph, owner), count)
    if count:
        expected = reference.coarsen(*graph, owner, count)
    else:
        expected = (np.zeros(1, int), np.zeros(0, int), np.zeros(0))
    assert (indptr.dtype, columns.dtype, sums.dtype) == (torch.int64, torch.int32, torch.float32)
    np.testing.assert_array_equal(indptr.numpy(), expected[0])
    np.testing.assert_array_equal(columns.numpy(), expected[1])
    np.testing.assert_allclose(sums.numpy(), expected[2], rtol=1e-6)


def test_heavy_pairs_of_aggregates():
    graph = parts(random_graph(60, 900, 5))
    owner = (np.arange(60) >= 45).astype(np.int32)
    _, columns, sums = room.coarsen(*tensors(*graph, owner), 2)
    assert columns.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(sums.numpy(), reference.coarsen(*graph, owner, 2)[2], rtol=1e-6)


def test_the_same_bits_again_and_what_is_given_stays():
    given = tensors(*GRAPHS["dense"])
    kept = [tensor.clone() for tensor in given]

    def run():
        owner, count = room.aggregate(*given, 6)
        return owner, *room.coarsen(*given, owner, count)

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(given, kept, strict=True))
