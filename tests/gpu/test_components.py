"""Connected components of the GPU's room against SciPy's."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components as expected_components

from fastxai_kernels.gpu._components import connected_components


def graph(n, pairs):
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    half = sparse.coo_array((np.ones(len(rows)), (rows, columns)), (n, n))
    return sparse.csr_array(half + half.T)


def pairs_of(n, count, seed):
    return np.random.default_rng(seed).integers(0, n, (count, 2))


def shuffled_path(n):
    order = np.random.default_rng(0).permutation(n)
    return np.stack([order[:-1], order[1:]], axis=1)


GRAPHS = {
    "no vertex": graph(0, []),
    "one vertex": graph(1, []),
    "no edges": graph(37, []),
    "a path": graph(120, [(i, i + 1) for i in range(119)]),
    "a path in disorder": graph(101, shuffled_path(101)),
    "two paths": graph(101, [(i, i + 2) for i in range(99)]),
    "a star": graph(290, [(289, i) for i in range(289)]),
    "two stars": graph(
        600, [(300, i) for i in range(299)] + [(5 + 300, i) for i in range(310, 600)]
    ),
    "sparse": graph(150, pairs_of(150, 70, 0)),
    "around the threshold": graph(151, pairs_of(151, 100, 1)),
    "dense": graph(50, pairs_of(50, 400, 2)),
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_components(graph):
    indptr = torch.from_numpy(graph.indptr.astype(np.int64))
    indices = torch.from_numpy(graph.indices.astype(np.int32))
    given = indptr.clone(), indices.clone()
    count, owner = connected_components(indptr, indices)
    expected = expected_components(graph, directed=False) if graph.shape[0] else (0, [])
    assert type(count) is int
    assert count == expected[0]
    assert owner.dtype == torch.int32
    # SciPy numbers as it meets them, from the lowest vertex up: so do we.
    first = np.unique(expected[1], return_index=True)[1]
    assert (np.diff(first) > 0).all()
    np.testing.assert_array_equal(owner.numpy(), expected[1])
    assert torch.equal(indptr, given[0])
    assert torch.equal(indices, given[1])


def test_the_same_bits_again():
    indptr = torch.from_numpy(GRAPHS["dense"].indptr.astype(np.int64))
    indices = torch.from_numpy(GRAPHS["dense"].indices.astype(np.int32))
    owners = [connected_components(indptr, indices)[1] for _ in range(2)]
    assert torch.equal(*owners)
