"""The fuzzy set's kernels in the interpreter, against their reference."""

import inspect

import numpy as np
import pytest
import torch
from scipy import sparse

from fastxai_kernels import reference
from fastxai_kernels.gpu import _edges, fuzzy_set


def sorted_distances(n=21, k=14, seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    return np.sort(random.gamma(2.0, scale, (n, k)), axis=1).astype(np.float32)


def with_(change, **options):
    distances = sorted_distances(**options)
    change(distances)
    return distances


def _infinite(d):
    d[:8, 9:] = np.inf
    d[8:12] = np.inf
    d[12:16, 1:] = np.inf


def _copies(d):
    d[:10, :5] = 0
    d[10:16] = 0
    d[16:20, :] = d[16:20, :1]


def random_lists(n=150, k=8, seed=0):
    random = np.random.default_rng(seed)
    steps = np.array([random.permutation(n - 1)[:k] + 1 for _ in range(n)])
    indices = ((np.arange(n)[:, None] + steps) % n).astype(np.int32)
    return indices, random.random((n, k)).astype(np.float32)


def _some_missing():
    indices, strengths = random_lists()
    indices[:30, 4:] = -1
    strengths[20:50, 5:] = 0
    strengths[60:70] = 1e-38
    return indices, strengths


DISTANCES = {
    "random": sorted_distances(),
    "one row": sorted_distances(n=1),
    "one neighbour": sorted_distances(k=1),
    "sixteen": sorted_distances(n=5, k=16),
    "seventeen": sorted_distances(n=17, k=17),
    "hundred": sorted_distances(n=9, k=100),
    "more than a block": sorted_distances(n=2, k=530),
    "tiny": sorted_distances(scale=1e-20),
    "huge": sorted_distances(scale=1e20),
    "hugest": sorted_distances(n=5, scale=1e32),
    "copies": with_(_copies),
    "all copies": np.zeros((5, 14), np.float32),
    "infinite": with_(_infinite),
    "all infinite": np.full((5, 14), np.inf, np.float32),
    "all equal": np.full((5, 14), 3.0, np.float32),
    "no neighbours": np.empty((5, 0), np.float32),
    "no rows": np.empty((0, 3), np.float32),
    "one far": with_(lambda d: np.multiply(d[:, -1], 1e6, out=d[:, -1])),
}
LISTS = {
    "random": random_lists(),
    "everybody": random_lists(n=9, k=8),
    "two points": (np.array([[1], [0]], np.int32), np.array([[0.3], [0.6]], "f4")),
    "one row": (np.array([[-1, -1]], np.int32), np.zeros((1, 2), "f4")),
    "hub": (np.where(np.arange(60) == 7, 3, 7).astype(np.int32)[:, None], np.ones((60, 1), "f4")),
    "no entries": (np.full((6, 3), -1, np.int32), np.zeros((6, 3), np.float32)),
    "no neighbours": (np.empty((6, 0), np.int32), np.empty((6, 0), np.float32)),
    "some missing": _some_missing(),
}


def smooth(distances, *options):
    return fuzzy_set.smooth_distances(torch.from_numpy(distances), *options)


def test_the_signatures_are_those_of_the_reference():
    for name in ("smooth_distances", "memberships", "fuzzy_union"):
        ours, theirs = getattr(fuzzy_set, name), getattr(reference, name)
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(theirs).parameters
        )


def agrees(distances, options):
    rho, sigma = smooth(distances, *options)
    smoothed = reference.smooth_distances(distances, *options)
    np.testing.assert_allclose(rho, smoothed[0], rtol=1e-6)
    assert torch.isfinite(sigma).all()
    given = torch.from_numpy(distances)
    p = fuzzy_set.memberships(given, rho, sigma)
    assert p.dtype == torch.float32
    np.testing.assert_allclose(p, reference.memberships(distances, *smoothed), rtol=1e-4, atol=2e-5)
    assert ((p >= 0) & (p <= 1)).all()
    assert (p[torch.isinf(given)] == 0).all()


@pytest.mark.parametrize("options", [(1.0, 1.0), (2.5, 10.0)], ids=["usual", "unusual"])
@pytest.mark.parametrize("distances", DISTANCES.values(), ids=DISTANCES.keys())
def test_memberships_are_those_of_the_reference(distances, options):
    agrees(distances, options)


@pytest.mark.parametrize("bandwidth", [0.5, 1.0])
@pytest.mark.parametrize("connectivity", [0.0, 0.5, 5.5, 14.0, 50.0])
@pytest.mark.parametrize("name", ["copies", "infinite"])
def test_rho_is_the_distance_of_the_chosen_neighbour(name, connectivity, bandwidth):
    agrees(DISTANCES[name], (connectivity, bandwidth))


def test_sigma_is_that_of_the_reference():
    _, sigma = smooth(DISTANCES["copies"], 1.0, 1.0)
    _, expected = reference.smooth_distances(DISTANCES["copies"], 1.0, 1.0)
    np.testing.assert_allclose(sigma, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("mix", "slice_"), [(0.0, 1 << 28), (1.0, 1 << 28), (0.3, 300)], ids=["and", "or", "in slices"]
)
@pytest.mark.parametrize("lists", LISTS.values(), ids=LISTS.keys())
def test_the_union_is_that_of_the_reference(lists, mix, slice_, monkeypatch):
    monkeypatch.setattr(_edges, "_MOST", slice_)
    found = fuzzy_set.fuzzy_union(*map(torch.from_numpy, lists), mix)
    expected = reference.fuzzy_union(*lists, mix)
    assert [part.dtype for part in found] == [torch.int64, torch.int32, torch.float32]
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-6, atol=1e-7)


def test_the_union_is_symmetric_to_the_bit():
    indptr, columns, weights = fuzzy_set.fuzzy_union(*map(torch.from_numpy, LISTS["random"]), 0.7)
    n = len(indptr) - 1
    graph = sparse.csr_array((weights, columns, indptr), (n, n))
    assert abs(graph - graph.T).max() == 0


def test_keys_pass_32_bits():
    n = 70_000
    indices = np.full((n, 1), -1, np.int32)
    indices[-1], indices[0] = n - 2, n - 1
    found = _edges._both_ways(torch.from_numpy(indices), torch.ones(n, 1), 0, n)[0]
    keys, _ = torch.sort(found, stable=True)
    pairs = [(0, n - 1), (n - 2, n - 1), (n - 1, 0), (n - 1, n - 2), (n, 0)]
    assert keys[:5].tolist() == [i * n + j for i, j in pairs]


def test_the_same_input_gives_the_same_bits_and_is_left_unchanged():
    distances, indices = DISTANCES["infinite"].copy(), random_lists(n=21, k=14)[0]

    def graph():
        d = torch.from_numpy(distances)
        strengths = fuzzy_set.memberships(d, *fuzzy_set.smooth_distances(d, 1.0, 1.0))
        before = strengths.clone()
        found = fuzzy_set.fuzzy_union(torch.from_numpy(indices), strengths, 1.0)
        assert torch.equal(before, strengths)
        return found

    assert all(torch.equal(a, b) for a, b in zip(graph(), graph(), strict=True))
    assert np.array_equal(distances, DISTANCES["infinite"])
    assert np.array_equal(indices, random_lists(n=21, k=14)[0])
