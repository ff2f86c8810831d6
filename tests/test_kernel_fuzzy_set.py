"""The fuzzy set's kernels against their reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")


def sorted_distances(n=200, k=14, seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    return np.sort(random.gamma(2.0, scale, (n, k)), axis=1).astype(np.float32)


def with_(change, **options):
    distances = sorted_distances(**options)
    change(distances)
    return distances


def _infinite(d):
    d[:40, 9:] = np.inf
    d[40:60] = np.inf
    d[60:80, 1:] = np.inf


def _copies(d):
    d[:50, :5] = 0
    d[50:80] = 0


DISTANCES = {
    "random": sorted_distances(),
    "one neighbour": sorted_distances(k=1),
    "many neighbours": sorted_distances(n=30, k=200),
    "tiny": sorted_distances(scale=1e-20),
    "huge": sorted_distances(scale=1e20),
    "copies": with_(_copies),
    "all copies": np.zeros((20, 14), np.float32),
    "infinite": with_(_infinite),
    "all infinite": np.full((5, 14), np.inf, np.float32),
    "all equal": np.full((20, 14), 3.0, np.float32),
    "no neighbours": np.empty((5, 0), np.float32),
    "one far": with_(lambda d: np.multiply(d[:, -1], 1e6, out=d[:, -1])),
}


@pytest.mark.parametrize("connectivity", [0.0, 0.5, 1.0, 1.5, 3.0, 50.0])
@pytest.mark.parametrize("distances", DISTANCES.values(), ids=DISTANCES.keys())
def test_rho_is_the_distance_of_the_chosen_neighbour(distances, connectivity):
    rho, _ = cpu.smooth_distances(distances, connectivity, 1.0)
    expected, _ = reference.smooth_distances(distances, connectivity, 1.0)
    np.testing.assert_allclose(rho, expected, rtol=1e-6)


@pytest.mark.parametrize("bandwidth", [0.5, 1.0, 10.0])
@pytest.mark.parametrize("connectivity", [1.0, 2.5])
@pytest.mark.parametrize("distances", DISTANCES.values(), ids=DISTANCES.keys())
def test_memberships_are_those_of_the_reference(distances, connectivity, bandwidth):
    p = cpu.memberships(distances, *cpu.smooth_distances(distances, connectivity, bandwidth))
    smoothed = reference.smooth_distances(distances, connectivity, bandwidth)
    expected = reference.memberships(distances, *smoothed)
    np.testing.assert_allclose(p, expected, rtol=1e-4, atol=2e-5)
    assert ((p >= 0) & (p <= 1)).all()


def test_memberships_sum_to_the_logarithm():
    distances = sorted_distances()
    p = cpu.memberships(distances, *cpu.smooth_distances(distances, 1.0, 1.0))
    np.testing.assert_allclose(p.sum(axis=1), np.log2(15), atol=1e-4)


def random_lists(n=150, k=8, seed=0):
    random = np.random.default_rng(seed)
    steps = np.array([random.permutation(n - 1)[:k] + 1 for _ in range(n)])
    indices = ((np.arange(n)[:, None] + steps) % n).astype(np.int32)
    return indices, random.random((n, k)).astype(np.float32)


def _no_entries():
    return np.full((6, 3), -1, np.int32), np.zeros((6, 3), np.float32)


def _some_missing():
    indices, strengths = random_lists()
    indices[:30, 4:] = -1
    strengths[20:50, 5:] = 0
    return indices, strengths


LISTS = {
    "random": random_lists(),
    "everybody": random_lists(n=9, k=8),
    "hub": (np.where(np.arange(60) == 7, 3, 7).astype(np.int32)[:, None], np.ones((60, 1), "f4")),
    "no entries": _no_entries(),
    "some missing": _some_missing(),
}


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("lists", LISTS.values(), ids=LISTS.keys())
def test_the_union_is_that_of_the_reference(lists, mix):
    found, expected = cpu.fuzzy_union(*lists, mix), reference.fuzzy_union(*lists, mix)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-6, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 8)),
        elements=st.floats(0, 1000, width=32) | st.just(np.inf),
    ),
    st.floats(0, 5),
)
def test_anything_gives_numbers_in_the_unit_interval(distances, connectivity):
    distances.sort(axis=1)
    rho, sigma = cpu.smooth_distances(distances, connectivity, 1.0)
    p = cpu.memberships(distances, rho, sigma)
    assert np.isfinite(rho).all()
    assert ((p >= 0) & (p <= 1)).all()
    assert (p[np.isinf(distances)] == 0).all()


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_number_of_threads_changes_no_bit(count):
    distances = sorted_distances(n=9000)
    indices, _ = random_lists(n=9000, k=14)

    def graph():
        strengths = cpu.memberships(distances, *cpu.smooth_distances(distances, 1.0, 1.0))
        return cpu.fuzzy_union(indices, strengths, 1.0)

    expected = graph()
    with threads(count):
        found = graph()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.fixture(params=["random", "hub", "no entries", "some missing"])
def graph(request):
    indptr, columns, weights = cpu.fuzzy_union(*LISTS[request.param], 1.0)
    return indptr, columns, weights.astype(np.float32)


def test_classes_weaken_the_edges_between_them(graph):
    n = len(graph[0]) - 1
    labels = (np.arange(n) % 4 - 1).astype(np.int32)
    found = cpu.class_intersection(*graph, labels, 1.0, 5.0)
    expected = reference.class_intersection(*graph, labels, 1.0, 5.0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("mix", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_the_intersection_of_two_graphs_is_that_of_the_reference(graph, mix):
    n = len(graph[0]) - 1
    indices, strengths = random_lists(n=n, k=min(5, n - 1), seed=3)
    target = cpu.fuzzy_union(indices, strengths, 1.0)
    known = np.arange(n) % 5 != 2
    found = cpu.graph_intersection(*graph, *target, known, 1.0, mix)
    expected = reference.graph_intersection(*graph, *target, known, 1.0, mix)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-5, atol=1e-7)


def test_connectivity_is_restored(graph):
    found = cpu.restore_connectivity(*graph)
    np.testing.assert_allclose(found, reference.restore_connectivity(*graph), rtol=1e-5)
    largest = np.zeros(len(graph[0]) - 1)
    np.maximum.at(largest, np.repeat(np.arange(len(largest)), np.diff(graph[0])), found)
    np.testing.assert_allclose(largest[np.diff(graph[0]) > 0], 1.0, rtol=1e-6)
