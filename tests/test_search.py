"""The search for neighbours: its recall on data of every kind, copies, metrics."""

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from fastxai.embed import external, search
from fastxai.embed.copies import find_copies, give_back
from fastxai.embed.queries import QueryIndex, find_rows
from fastxai.embed.search import find_neighbors
from fastxai.errors import InvalidInputError
from fastxai_kernels import select

K = 10


def rng():
    return np.random.default_rng(0)


def clusters(n=6000, d=24, scale=0.2):
    centres = rng().standard_normal((30, d)) * 4
    return (centres[np.arange(n) % 30] + rng().standard_normal((n, d)) * scale).astype(np.float32)


def low_rank(n, d, rank):
    basis = rng().standard_normal((rank, d))
    return (rng().standard_normal((n, rank)) @ basis + 0.1 * rng().standard_normal((n, d))).astype(
        np.float32
    )


def true_last(X, k, rows, metric="euclidean"):
    distances = cdist(X[rows].astype(np.float64), X.astype(np.float64), metric)
    distances[np.arange(len(rows)), rows] = np.inf
    return np.sort(distances, axis=1)[:, k - 1]


def measured_recall(X, found, metric="euclidean"):
    rows = np.arange(0, len(X), max(1, len(X) // 300))
    last = true_last(X, K, rows, metric)
    return (found.distances[rows] <= last[:, None] * (1 + 1e-4) + 1e-6).mean()


@pytest.fixture
def approximate(monkeypatch):
    """All pairs are only taken as the last resort, however few the points."""
    monkeypatch.setattr(search, "_QUICK", 0.0)


DATA = {
    "clusters": clusters,
    "uniform Gaussian, 32 dimensions": lambda: rng().standard_normal((6000, 32), np.float32),
    "uniform Gaussian, 96 dimensions": lambda: rng().standard_normal((6000, 96), np.float32),
    "768 dimensions": lambda: low_rank(4000, 768, 40),
    "half of it copies": lambda: np.repeat(clusters(3000), 2, axis=0),
    "one huge group of copies": lambda: np.concatenate(
        [clusters(4000), np.repeat(clusters(1), 3000, axis=0)]
    ),
    "a few huge clusters": lambda: np.concatenate(
        [rng().standard_normal((3000, 16), np.float32) + 50 * c for c in range(2)]
    ),
    "near copies far from the origin": lambda: clusters(4000, scale=1e-2) + np.float32(1e3),
}


@pytest.mark.parametrize("make", DATA.values(), ids=DATA.keys())
def test_the_promised_recall_is_held(approximate, make):
    X = make()
    found = find_neighbors(X, K, recall=0.95)
    assert measured_recall(X, found) >= 0.93  # the estimate is from a sample
    assert found.recall >= 0.95


@pytest.mark.parametrize("make", DATA.values(), ids=DATA.keys())
def test_lists_are_sorted_and_leave_the_row_out(approximate, make):
    X = make()
    found = find_neighbors(X, K)
    assert (np.diff(found.distances, axis=1) >= 0).all()
    assert not (found.indices == np.arange(len(X))[:, None]).any()
    assert all(len(set(row)) == K for row in found.indices.tolist())


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation"])
def test_distances_are_those_of_the_metric(metric):
    X = clusters(800)
    found = find_neighbors(X, K, metric=metric)
    rows = np.arange(len(X))
    expected = cdist(X.astype(np.float64), X.astype(np.float64), metric)
    expected = expected[rows[:, None], found.indices]
    np.testing.assert_allclose(found.distances, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "correlation"])
def test_recall_is_held_under_other_metrics(approximate, metric):
    X = clusters(5000) + np.float32(2)
    found = find_neighbors(X, K, metric=metric)
    assert measured_recall(X, found, metric) >= 0.93


def test_vectors_without_direction_are_near_each_other_only():
    X = clusters(100)
    X[[3, 50]] = 0
    found = find_neighbors(X, 2, metric="cosine")
    assert found.indices[3, 0] == 50
    np.testing.assert_allclose(found.distances[3], [0, 1], atol=1e-6)


@pytest.mark.parametrize("metric", ["manhattan", "chebyshev", "canberra"])
def test_few_points_under_other_metrics_are_searched_exactly(metric):
    X = clusters(600, d=6)
    found = find_neighbors(X, K, metric=metric)
    last = true_last(X, K, np.arange(600), "cityblock" if metric == "manhattan" else metric)
    np.testing.assert_allclose(found.distances[:, -1], last, rtol=1e-5)


def test_few_sparse_rows_stay_sparse():
    X = clusters(300, d=40) * (rng().random((300, 40)) < 0.2)
    found = find_neighbors(sparse.csr_matrix(X), K, metric="cosine")
    last = true_last(X + 1e-12, K, np.arange(300), "cosine")
    np.testing.assert_allclose(found.distances[:, -1], last, rtol=1e-3, atol=1e-5)


def test_many_points_under_other_metrics_go_through_pynndescent(monkeypatch):
    monkeypatch.setattr(external, "_FEW", 0)
    X = clusters(600, d=6)
    found = find_neighbors(X, K, metric="chebyshev")
    last = true_last(X, K, np.arange(600), "chebyshev")
    assert (found.distances <= last[:, None] * (1 + 1e-4)).mean() > 0.9
    assert not (found.indices == np.arange(600)[:, None]).any()


def test_an_unknown_metric_lists_the_known_ones():
    with pytest.raises(InvalidInputError, match="manhattan"):
        find_neighbors(clusters(100), 3, metric="crow flight")


def test_the_same_seed_finds_the_same(approximate):
    X = clusters(3000)
    first, second = find_neighbors(X, K), find_neighbors(X, K)
    assert np.array_equal(first.indices, second.indices)
    assert np.array_equal(first.distances, second.distances)


def test_copies_are_found_and_given_back():
    X = np.array([[1, 0], [2, 0], [1, 0], [1, 0], [9, 0]], np.float32)
    copies = find_copies(X, select("cpu").hash_rows(X))
    assert copies.group.tolist() == [0, 1, 0, 0, 2]
    assert copies.firsts.tolist() == [0, 1, 4]
    indices = np.array([[1, 2], [0, 2], [1, 0]], np.int32)
    away = np.array([[1, 8], [1, 7], [7, 8]], np.float32)
    found, distances = give_back(copies, indices, away, 3)
    assert found.tolist() == [[2, 3, 1], [0, 2, 3], [0, 3, 1], [0, 2, 1], [1, 0, 2]]
    assert distances[0].tolist() == [0, 0, 1]


def test_more_copies_than_neighbours():
    X = np.ones((500, 3), np.float32)
    found = find_neighbors(X, 4)
    assert (found.distances == 0).all()
    assert not (found.indices == np.arange(500)[:, None]).any()


@pytest.fixture
def index():
    X = np.repeat(clusters(12000, d=200), 1, axis=0)
    return X, QueryIndex(X)


def test_queries_do_not_depend_on_their_batch(index):
    X, queries = index[0], index[0][:300] + np.float32(0.01)
    together = index[1].query(queries, 5)
    alone = [index[1].query(queries[i : i + 1], 5) for i in (0, 7, 299)]
    for i, (indices, distances) in zip((0, 7, 299), alone, strict=True):
        assert np.array_equal(indices[0], together[0][i])
        assert np.array_equal(distances[0], together[1][i])
    assert X.shape == (12000, 200)


def test_queries_hold_the_recall(index):
    X, queries = index[0], index[0][:200] + np.float32(0.01)
    _, distances = index[1].query(queries, K)
    last = np.sort(cdist(queries, X), axis=1)[:, K - 1]
    assert (distances <= last[:, None] * (1 + 1e-4)).mean() > 0.93


def test_a_known_row_is_found_by_its_values():
    X = np.repeat(clusters(50), 2, axis=0)
    wanted = np.concatenate([X[[5, 4]], X[:1] + 1])
    assert find_rows(X, wanted).tolist() == [4, 4, -1]
