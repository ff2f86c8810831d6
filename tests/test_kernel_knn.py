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
    "many features": gaussian(90, 300),
    "more queries than a large tile": gaussian(2300, 7),
    "one dimension": gaussian(90, 1),
    "all equal": np.ones((40, 6), np.float32),
    "half copies": np.repeat(gaussian(60, 8), 2, axis=0),
    "near copies far from the origin": gaussian(300, 16, scale=1e-2, centre=1e3),
    "tiny numbers": gaussian(120, 12, scale=1e-12),
    "large numbers": gaussian(120, 12, scale=1e12),
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


def test_many_near_copies_far_from_the_centre_are_told_apart():
    X = np.full((60, 4), 2.0**-14, np.float32)
    X[:, 0] = 5
    X[[0, 40], 0] = 0
    X[1:30, 1] = 0
    skip = np.arange(60, dtype=np.int32)
    _, distances = cpu.nearest(X, X, 3, skip)
    _, expected = reference.nearest(X, X, 3, skip)
    np.testing.assert_allclose(distances, expected, rtol=1e-5)


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
    np.testing.assert_allclose(distances, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("slack", [1.0, 3.0, np.inf], ids=["tight", "loose", "none"])
def test_screening_loses_nothing(slack):
    X, k = gaussian(700, 40), 6
    X[:, 8:] *= 0.3
    rows = np.arange(0, 700, 7, dtype=np.int32)
    _, expected = reference.nearest(X[rows], X, k, rows)
    limits = (expected[:, -1] ** 2 * slack * (1 + 1e-5)).astype(np.float32)
    coarse = np.ascontiguousarray(X[:, :8])
    indices, distances = cpu.nearest_screened(X[rows], X, coarse[rows], coarse, limits, k, rows)
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    assert not (indices == rows[:, None]).any()


def test_screening_measures_nothing_beyond_the_limits():
    X = gaussian(200, 4)
    limits = np.full(200, 1e-9, np.float32)
    skip = np.arange(200, dtype=np.int32)
    indices, _ = cpu.nearest_screened(X, X, X, X, limits, 3, skip)
    assert (indices == -1).all()


def test_join_neighbors_tries_the_neighbours_of_neighbours():
    X, left = gaussian(300, 6), np.abs(gaussian(300, 1))[:, 0]
    rng = np.random.default_rng(1)
    start = np.array([rng.choice(300, 8, replace=False) for _ in range(300)], np.int32)
    start[start == np.arange(300)[:, None]] = -1
    indices, squares = reference.join_neighbors(
        X, left, start, np.full(start.shape, np.inf), 0, 0, 300
    )
    squares = squares.astype(np.float32)
    given = (X, left, indices, squares, 5, 100, 200)
    joined, joined_squares = cpu.join_neighbors(*given)
    expected, expected_squares = reference.join_neighbors(*given)
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


@pytest.mark.parametrize("d", [1, 3, 15, 16, 17, 64, 100, 784])
def test_distances_of_any_width(d):
    X, rows = gaussian(20, d), np.arange(20, dtype=np.int32)
    candidates = np.tile(rows, (20, 1))
    _, squares = cpu.rerank(X, X, rows, candidates, rows, 20)
    _, expected = reference.rerank(X, X, rows, candidates, rows, 20)
    np.testing.assert_allclose(squares, expected, rtol=1e-5)


def test_hash_rows_is_that_of_the_values():
    X = np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    for backend in (cpu, reference):
        hashes = backend.hash_rows(X)
        assert hashes[0] == hashes[1] == hashes[3] != hashes[2]


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 11])
def test_rows_that_differ_in_one_place_have_other_hashes(d):
    X = np.zeros((d + 1, d), np.float32)
    X[np.arange(d), np.arange(d)] = 1
    assert len(np.unique(cpu.hash_rows(X))) == d + 1


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
