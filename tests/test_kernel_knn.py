"""The neighbour kernels against their reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")


def gaussian(n, d, seed=0, scale=1.0, centre=0.0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) * scale + centre).astype(np.float32)


CASES = {
    "fewer points than a tile": gaussian(50, 5),
    "several tiles": gaussian(700, 33),
    "more than a block": gaussian(2300, 7),
    "one dimension": gaussian(90, 1),
    "all equal": np.ones((40, 6), np.float32),
    "half copies": np.repeat(gaussian(60, 8), 2, axis=0),
    "near copies far from the origin": gaussian(300, 16, scale=1e-2, centre=1e3),
    "tiny numbers": gaussian(120, 12, scale=1e-12),
    "one point": gaussian(1, 4),
}


@pytest.mark.parametrize("X", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("k", [1, 15])
def test_nearest_finds_the_true_distances(X, k):
    skip = np.arange(len(X), dtype=np.int32)
    indices, distances = cpu.nearest(X, X, k, skip)
    _, expected = reference.nearest(X, X, k, skip)
    np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-20)
    assert not (indices == skip[:, None]).any()


def test_nearest_ranks_ties_by_index():
    X = np.zeros((30, 3), np.float32)
    indices, _ = cpu.nearest(X[:1], X, 4, np.array([-1], np.int32))
    assert indices[0].tolist() == [0, 1, 2, 3]


def test_nearest_fills_up_with_nothing_where_there_are_too_few_points():
    X = gaussian(3, 4)
    indices, distances = cpu.nearest(X, X, 5, np.arange(3, dtype=np.int32))
    assert (indices[:, 2:] == -1).all()
    assert np.isinf(distances[:, 2:]).all()


def test_nearest_does_not_depend_on_the_batch():
    X = gaussian(900, 20)
    none = np.full(len(X), -1, np.int32)
    together = cpu.nearest(X, X, 5, none)
    alone = [cpu.nearest(X[i : i + 1], X, 5, none[:1]) for i in (0, 255, 256, 899)]
    for i, (indices, distances) in zip((0, 255, 256, 899), alone, strict=True):
        assert np.array_equal(indices[0], together[0][i])
        assert np.array_equal(distances[0], together[1][i])


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 40), st.integers(1, 9)),
        elements=st.floats(-100, 100, width=32),
    ),
    st.integers(1, 6),
)
def test_nearest_equals_the_reference_on_anything(X, k):
    skip = np.arange(len(X), dtype=np.int32)
    _, distances = cpu.nearest(X, X, k, skip)
    _, expected = reference.nearest(X, X, k, skip)
    np.testing.assert_allclose(distances, expected, rtol=2e-5, atol=1e-6)


@pytest.fixture
def cells():
    """Points sorted into five cells (one of them empty), each probing two."""
    X = gaussian(400, 10)
    centroids = np.concatenate([X[:4], X[:1] + 1e4]).astype(np.float32)
    near, _ = reference.nearest(X, centroids, 2, np.full(len(X), -1))
    order = np.argsort(near[:, 0], kind="stable")
    counts = np.bincount(near[:, 0], minlength=5)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return X[order], starts, centroids, np.ascontiguousarray(near[order])


@pytest.mark.parametrize(("first", "last"), [(0, 5), (1, 3), (4, 5)])
def test_probe_cells_finds_what_the_cells_hold(cells, first, last):
    points, starts, centroids, near = cells
    found = cpu.probe_cells(points, starts, centroids, near, first, last, 12)
    expected = reference.probe_cells(points, starts, centroids, near, first, last, 12)
    assert np.array_equal(np.sort(found, axis=1), np.sort(expected, axis=1))


def test_query_cells_finds_what_the_cells_hold(cells):
    points, starts, centroids, _ = cells
    queries = gaussian(50, 10, seed=1)
    found = cpu.query_cells(points, starts, centroids, queries, 2, 9)
    expected = reference.query_cells(points, starts, centroids, queries, 2, 9)
    assert np.array_equal(np.sort(found, axis=1), np.sort(expected, axis=1))


def test_join_neighbors_tries_the_neighbours_of_neighbours():
    X = gaussian(300, 6)
    rng = np.random.default_rng(1)
    start = np.array([rng.choice(300, 8, replace=False) for _ in range(300)], np.int32)
    start[start == np.arange(300)[:, None]] = -1
    everyone = np.arange(300, dtype=np.int32)
    indices, squares = cpu.rerank(X, X, everyone, start, everyone, 8)
    joined, joined_squares = cpu.join_neighbors(X, indices, squares, 5, 100, 200)
    expected, expected_squares = reference.join_neighbors(X, indices, squares, 5, 100, 200)
    np.testing.assert_allclose(joined_squares, expected_squares, rtol=1e-5)
    assert np.array_equal(joined, expected)


def test_rerank_follows_rows_and_names():
    X, rows = gaussian(60, 5), np.array([3, 9, 0], np.int32)
    names = np.random.default_rng(0).permutation(60).astype(np.int32)
    candidates = np.array([[1, 2, 3, 4, -1], [9, 8, 7, 6, 5], [-1, -1, -1, 2, 1]], np.int32)
    indices, squares = cpu.rerank(X, X, rows, candidates, names, 4)
    expected, expected_squares = reference.rerank(X, X, rows, candidates, names, 4)
    assert np.array_equal(indices, expected)
    np.testing.assert_allclose(squares, expected_squares, rtol=1e-5)


def test_project_equals_the_product():
    X, components = gaussian(500, 40), gaussian(40, 12, seed=2)
    mean = X.mean(axis=0)
    expected = reference.project(X, mean, components)
    np.testing.assert_allclose(cpu.project(X, mean, components), expected, rtol=1e-4, atol=1e-4)


def test_covariance_is_summed_in_blocks():
    X = gaussian(5000, 30)
    mean = X.mean(axis=0)
    expected = reference.covariance(X, mean)
    np.testing.assert_allclose(cpu.covariance(X, mean), expected, rtol=1e-4, atol=1e-4)


def test_hash_rows_is_that_of_the_values():
    X = np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    for backend in (cpu, reference):
        hashes = backend.hash_rows(X)
        assert hashes[0] == hashes[1] == hashes[3] != hashes[2]


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_number_of_threads_changes_no_bit(count):
    X = gaussian(1500, 24)
    skip = np.arange(len(X), dtype=np.int32)
    expected = cpu.nearest(X, X, 6, skip)
    with threads(count):
        found = cpu.nearest(X, X, 6, skip)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])


def test_read_only_input_is_accepted():
    X = gaussian(100, 4)
    X.flags.writeable = False
    assert cpu.nearest(X, X, 3, np.full(100, -1, np.int32))[0].shape == (100, 3)
