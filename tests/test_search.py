"""The search for neighbours: its recall on data of every kind, copies, metrics."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from fastxai.embed import external, project, queries, search
from fastxai.embed.copies import find_copies, give_back
from fastxai.embed.queries import QueryIndex, RowIndex
from fastxai.embed.search import find_neighbors
from fastxai.errors import FastxaiWarning, InvalidInputError
from fastxai.progress import Progress
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
    share = (found.distances <= last[:, None] * (1 + 1e-4)).mean()
    assert share > 0.9
    assert abs(found.recall - share) < 0.05
    assert not (found.indices == np.arange(600)[:, None]).any()


def test_an_unknown_metric_lists_the_known_ones():
    with pytest.raises(InvalidInputError, match="manhattan"):
        find_neighbors(clusters(100), 3, metric="crow flight")


def test_points_of_tiny_far_clusters_have_all_their_neighbours(approximate):
    X = clusters(4000)
    X[:12] += np.float32(1e3) * np.arange(1, 13, dtype=np.float32)[:, None] // 4
    found = find_neighbors(X, K)
    assert (found.indices >= 0).all()
    assert np.isfinite(found.distances).all()


def test_a_recall_of_one_is_exact(approximate):
    X = clusters(1500)
    found = find_neighbors(X, K, recall=1)
    assert found.recall == 1
    np.testing.assert_allclose(found.distances[:, -1], true_last(X, K, np.arange(1500)), rtol=1e-4)


def test_rows_in_turn_are_no_trap(approximate):
    """Data may repeat with a period: a sample of every so-manyth row sees one class only."""
    X = clusters(6000)
    found = find_neighbors(X, K, recall=0.95)
    for first in range(0, 30, 10):
        rows = np.arange(first, 6000, 30)
        near = found.distances[rows] <= true_last(X, K, rows)[:, None] * (1 + 1e-4)
        assert near.mean() > 0.85


def test_what_falls_short_is_said(approximate, monkeypatch):
    monkeypatch.setattr(search, "_TOO_MANY", 0.0)
    X = rng().standard_normal((6000, 96), np.float32)
    with pytest.warns(FastxaiWarning, match=r"short of the promised 0\.95.*fastxai\.PCA") as caught:
        found = find_neighbors(X, K, recall=0.95)
    assert [warning.filename for warning in caught] == [__file__]
    assert abs(measured_recall(X, found) - found.recall) < 0.05


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


def test_queries_near_tiny_clusters_find_enough(index):
    indices, _ = QueryIndex(np.concatenate([index[0], index[0][:3] + 1e4])).query(
        index[0][:2] + np.float32(1e4), 12
    )
    assert (indices >= 0).all()
    assert set(indices[0, :3].tolist()) == {12000, 12001, 12002}


def test_a_known_row_is_found_by_its_values():
    X = np.repeat(clusters(50), 2, axis=0)
    wanted = np.concatenate([X[[5, 4]], X[:1] + 1])
    assert RowIndex(X).find(wanted).tolist() == [4, 4, -1]


# --- magnitudes --------------------------------------------------------------------------

SCALES = [1e25, 1e-25, 3e37]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("way", ["all pairs", "approximate"])
def test_huge_and_tiny_points_are_searched_like_others(scale, way, monkeypatch):
    if way == "approximate":
        monkeypatch.setattr(search, "_QUICK", 0.0)
    X = (clusters(2500) / 20 * scale).astype(np.float32)
    found = find_neighbors(X, K)
    last = true_last(X.astype(np.float64) / scale, K, np.arange(len(X)))
    assert np.isfinite(found.distances).all()
    assert (found.distances / scale <= last[:, None] * (1 + 1e-4)).mean() > 0.93


@pytest.mark.parametrize("scale", SCALES)
def test_queries_of_huge_and_tiny_points(scale):
    X = (clusters(500) / 20 * scale).astype(np.float32)
    indices, distances = QueryIndex(X).query(X[:20], 3)
    expected = cdist(X[:20].astype(np.float64) / scale, X.astype(np.float64) / scale)
    assert indices[:, 0].tolist() == list(range(20))
    np.testing.assert_allclose(distances / scale, np.sort(expected, axis=1)[:, :3], rtol=1e-4)


def test_distances_beyond_float32_are_its_largest_number():
    X = np.array([[3e38], [-3e38], [2.9e38]], np.float32)
    found = find_neighbors(X, 2)
    assert found.indices.tolist() == [[2, 1], [2, 0], [0, 1]]
    assert found.distances[0, 1] == np.finfo(np.float32).max


@pytest.mark.parametrize(("points", "rows"), [(1.0, 1e25), (1e-25, 1.0), (1e-30, 1e30)])
def test_new_rows_out_of_all_proportion_are_refused(points, rows):
    index = QueryIndex((clusters(100) * points).astype(np.float32))
    with pytest.raises(InvalidInputError, match=r"largest magnitude.*scale the features"):
        index.query(np.full((1, 24), rows, np.float32), 3)


# --- plans -------------------------------------------------------------------------------


def test_more_neighbours_than_planned_first_hold_the_recall(index):
    X, queries = index[0], index[0][:200] + np.float32(0.01)
    _, distances = index[1].query(queries, 60)
    last = np.sort(cdist(queries, X), axis=1)[:, 59]
    assert (distances <= last[:, None] * (1 + 1e-4)).mean() > 0.93


def test_earlier_queries_change_nothing(monkeypatch):
    monkeypatch.setattr(queries, "_FEW_NUMBERS", 0)
    monkeypatch.setattr(queries, "_FEW_POINTS", 0)
    X = clusters(4000)
    new, used = X[:50] + np.float32(0.3), QueryIndex(X)
    used.query(new, 100)
    used.query(new, 3)
    again, fresh = used.query(new, 20), QueryIndex(X).query(new, 20)
    assert sorted(used._plans) == [15, 32, 128]
    assert all(np.array_equal(a, b) for a, b in zip(again, fresh, strict=True))


def test_the_projection_has_a_widest(monkeypatch, approximate):
    monkeypatch.setattr(project, "WIDEST", 20)
    X = rng().standard_normal((3000, 96), np.float32)
    rows = np.arange(0, 3000, 50, dtype=np.int32)
    made, truth = project.choose_projection(select("cpu"), X, K, rows, 0.9, 0.99)
    assert made.points.shape == (3000, 20)
    assert made.length == project.longest_list(3000, K)
    np.testing.assert_allclose(np.sqrt(truth.squares[:, -1]), true_last(X, K, rows), rtol=1e-4)


# --- progress ----------------------------------------------------------------------------


class Shown:
    """Adds up what a stage is told."""

    def __init__(self):
        self.done = 0.0

    def open(self, name, total, unit):
        return None

    def advance(self, task, amount):
        self.done += amount

    def close(self, task, seconds):
        pass


TOLD = {
    "approximate": DATA["clusters"],
    "all pairs after all": lambda: rng().standard_normal((3000, 96), np.float32),
    "copies": DATA["half of it copies"],
    "nothing but copies": lambda: np.ones((300, 3), np.float32),
}


@pytest.mark.parametrize("make", TOLD.values(), ids=TOLD.keys())
def test_progress_ends_at_its_total(approximate, make):
    X, shown = make(), Shown()
    find_neighbors(X, K, progress=Progress(shown))
    assert shown.done == pytest.approx(len(X))


# --- pynndescent -------------------------------------------------------------------------


class Alone:
    """In place of pynndescent's index: notes when two threads are in it at once."""

    inside, met = 0, False

    def _enter(self, answer):
        Alone.inside += 1
        time.sleep(0.005)
        Alone.met |= Alone.inside > 1
        Alone.inside -= 1
        return answer

    @property
    def neighbor_graph(self):
        indices = (np.arange(50)[:, None] + np.arange(K + 1)) % 50
        return self._enter((indices, np.zeros((50, K + 1), np.float32)))

    def query(self, rows, k):
        return self._enter((np.zeros((1, k), np.int32), np.zeros((1, k), np.float32)))


def test_one_thread_at_a_time_is_in_pynndescent(monkeypatch):
    monkeypatch.setattr(external, "_few", lambda X, metric: False)
    monkeypatch.setattr(external, "_index", lambda *_: Alone()._enter(Alone()))
    X = clusters(50, 3)

    def use(_):
        find_neighbors(X, K, metric="chebyshev", recall=1e-9)
        QueryIndex(X, metric="chebyshev").query(X[:4], 3)

    with ThreadPoolExecutor(4) as callers:
        list(callers.map(use, range(4)))
    assert not Alone.met


def test_a_tiny_scale_makes_no_neighbour_true():
    X = clusters(200, 3) * np.float32(1e-9)
    wrong = (np.arange(200)[:, None] + np.arange(1, K + 1)).astype(np.int32) % 200
    assert external._recall(X, wrong, "chebyshev", {}, 0) < 0.5
    right = find_neighbors(X, K, metric="chebyshev").indices
    assert external._recall(X, right, "chebyshev", {}, 0) == 1


# --- Mahalanobis -----------------------------------------------------------------------------

STRETCHED = rng().standard_normal((300, 4)).astype(np.float32) * [1, 2, 4, 8]


@pytest.mark.parametrize("few", [4096, 100], ids=["all pairs", "pynndescent"])
@pytest.mark.parametrize("name", ["V", "VI", "vinv"])
def test_mahalanobis_is_scipys(name, few, monkeypatch):
    monkeypatch.setattr(external, "_FEW", few)
    covariance = np.cov(STRETCHED.T)
    inverse = np.linalg.inv(covariance)
    X = STRETCHED.astype(np.float32)
    lists = external.search_external(
        X, K, "mahalanobis", {name: covariance if name == "V" else inverse}, 0, 0.95
    )
    exact = cdist(X, X, "mahalanobis", VI=inverse)
    np.fill_diagonal(exact, np.inf)
    near = np.sort(exact, axis=1)[:, :K]
    assert (lists[1] <= near[:, -1:] * (1 + 1e-3)).mean() > 0.97


def test_mahalanobis_without_a_covariance_is_refused():
    with pytest.raises(InvalidInputError, match="needs the covariance"):
        external.search_external(STRETCHED.astype(np.float32), K, "mahalanobis", {}, 0, 0.95)
