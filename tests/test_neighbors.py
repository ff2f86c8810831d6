"""Neighbour graphs: built, given by others, saved, asked; and what bad input meets."""

import pickle
import threading
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

import fastxai
from fastxai import FastxaiWarning, InvalidInputError, NeighborGraph, NotEnoughMemoryError
from fastxai.embed import adapters
from fastxai.embed import neighbors as module
from fastxai.embed.adapters import as_neighbor_graph, as_query_lists
from fastxai.progress import open_progress

N, D, K = 120, 6, 5


def points(n=N, d=D, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def truth(X, k, metric="euclidean"):
    """Indices and distances of the k nearest others, by all pairs."""
    distances = cdist(X.astype(np.float64), X.astype(np.float64), metric)
    np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(distances, indices, 1)


def with_self(indices, distances):
    """As umap-learn counts: the point itself first, at distance 0."""
    n = len(indices)
    return (
        np.column_stack([np.arange(n), indices]),
        np.column_stack([np.zeros(n), distances]),
    )


@pytest.fixture(scope="module")
def graph():
    return fastxai.neighbors(points(), K)


# --- building ----------------------------------------------------------------------------


def test_neighbours_are_true_ones_sorted(graph):
    indices, distances = truth(points(), K)
    assert np.array_equal(graph.indices, indices)
    np.testing.assert_allclose(graph.distances, distances, rtol=1e-5)
    assert (graph.indices.dtype, graph.distances.dtype) == (np.int32, np.float32)


def test_a_graph_knows_what_it_is(graph):
    assert (graph.n_points, graph.n_neighbors, graph.metric) == (N, K, "euclidean")
    assert graph.recall == 1.0
    assert repr(graph) == (
        "NeighborGraph(120 points, 5 neighbours, metric='euclidean', recall=1.000)"
    )


@pytest.mark.parametrize("metric", ["cosine", "correlation", "manhattan", "chebyshev"])
def test_metrics(metric):
    found = fastxai.neighbors(points(), K, metric=metric)
    _, distances = truth(points(), K, "cityblock" if metric == "manhattan" else metric)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-3, atol=1e-6)


def test_arguments_of_a_metric():
    found = fastxai.neighbors(points(), K, metric="minkowski", metric_kwds={"p": 3})
    last = np.sort(cdist(points(), points(), "minkowski", p=3), axis=1)[:, K]
    np.testing.assert_allclose(found.distances[:, -1], last, rtol=1e-5)
    assert found.metric_kwds == {"p": 3}


FORMS = {
    "float64": lambda X: X.astype(np.float64),
    "float16": lambda X: X.astype(np.float16),
    "int": lambda X: (X * 100).astype(np.int64),
    "bool": lambda X: X > 0,
    "Fortran order": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "list": lambda X: X.tolist(),
    "objects that are numbers": lambda X: X.astype(object),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_forms_of_input(form):
    X = form(points())
    found = fastxai.neighbors(X, K)
    _, distances = truth(np.asarray(X, np.float32), K)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-4)


def test_read_only_input():
    X = points()
    X.flags.writeable = False
    assert fastxai.neighbors(X, K).X is X


def test_the_points_are_not_copied():
    X = points()
    assert np.shares_memory(fastxai.neighbors(X, K).X, X)


def test_a_memory_map_stays_one(tmp_path):
    np.save(tmp_path / "X.npy", points())
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert np.shares_memory(fastxai.neighbors(mapped, K).X, mapped)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_sparse_points(kind):
    X = points(60, 20) * (np.random.default_rng(1).random((60, 20)) < 0.3)
    found = fastxai.neighbors(kind(X), K)
    _, distances = truth(X, K)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-3, atol=1e-5)
    assert sparse.issparse(found.X)


def test_identical_points_are_neighbours_at_distance_0():
    found = fastxai.neighbors(np.ones((30, 3)), K)
    assert (found.distances == 0).all()
    assert not (found.indices == np.arange(30)[:, None]).any()


def test_constant_features_change_nothing(graph):
    X = np.column_stack([points(), np.full(N, 7, np.float32)])
    assert np.array_equal(fastxai.neighbors(X, K).indices, graph.indices)


def test_too_many_neighbours_are_reduced_with_a_warning():
    with pytest.warns(FastxaiWarning, match="n_neighbors = 15 and there are 10 points") as caught:
        found = fastxai.neighbors(points(10), 15)
    assert found.n_neighbors == 9
    assert caught[0].filename == __file__


@pytest.mark.parametrize("jobs", [1, 2, -1])
def test_the_number_of_threads_changes_nothing(graph, jobs):
    found = fastxai.neighbors(points(), K, n_jobs=jobs)
    assert np.array_equal(found.distances, graph.distances)


def test_time_is_told_by_stage():
    with open_progress(False) as progress:
        fastxai.neighbors(points(), K)
    assert "neighbours" in progress.timings


# --- copies ------------------------------------------------------------------------------


def test_copies_are_each_others_neighbours():
    found = fastxai.neighbors(np.repeat(points(40), 2, axis=0), K)
    assert np.array_equal(found.indices[:, 0], np.arange(80) ^ 1)
    assert found.groups is None


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_unique_compares_distinct_rows(kind):
    X = points(40)
    rows = np.array([3, 1, 3, *range(40)])
    found = fastxai.neighbors(kind(X[rows]), K, unique=True)
    assert (found.n_points, len(found.groups)) == (40, 43)
    assert found.groups[:5].tolist() == [0, 1, 0, 2, 1]
    distinct = found.X.toarray() if sparse.issparse(found.X) else found.X
    assert np.array_equal(distinct[found.groups], X[rows])
    _, distances = truth(distinct, K)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-3, atol=1e-6)


def test_unique_reduces_to_the_distinct_rows():
    with pytest.warns(FastxaiWarning, match="4 distinct points"):
        found = fastxai.neighbors(np.repeat(points(4), 10, axis=0), K, unique=True)
    assert found.indices.shape == (4, 3)


def test_unique_of_equal_rows_is_one_point():
    with pytest.raises(InvalidInputError, match="n_samples = 1"):
        fastxai.neighbors(np.ones((30, 3)), K, unique=True)


# --- distances in place of points --------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.coo_array])
def test_a_precomputed_matrix(graph, form):
    distances = cdist(points(), points())
    found = fastxai.neighbors(form(distances), K, metric="precomputed")
    assert np.array_equal(found.indices, graph.indices)
    np.testing.assert_allclose(found.distances, graph.distances, rtol=1e-5)
    assert found.X is None


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_a_diagonal_that_was_computed_is_a_little_off_zero(form):
    distances = cdist(points(), points())
    rounded = distances + np.diag(np.full(len(distances), 1e-4 * distances.max()))
    found, true = (
        fastxai.neighbors(form(D), K, metric="precomputed") for D in (rounded, distances)
    )
    assert np.array_equal(found.indices, true.indices)
    assert np.array_equal(found.distances, true.distances)


def test_what_a_sparse_matrix_does_not_store_is_no_neighbour():
    rows, columns, away = [0, 0, 0, 1, 2], [1, 2, 0, 0, 0], [0.0, 2.0, 0.0, 0.0, 2.0]
    D = sparse.csr_matrix((away, (rows, columns)), shape=(4, 4))
    found = fastxai.neighbors(D, 2, metric="precomputed")
    assert found.indices.tolist() == [[1, 2], [0, -1], [0, -1], [-1, -1]]
    assert found.distances.tolist() == [[0, 2], [0, np.inf], [2, np.inf], [np.inf, np.inf]]


def test_an_infinite_distance_is_no_neighbour():
    D = np.array([[0, 1, np.inf], [1, 0, 2], [np.inf, 2, 0]])
    found = fastxai.neighbors(D, 2, metric="precomputed")
    assert found.indices.tolist() == [[1, -1], [0, 2], [1, -1]]


def _changed(place, value):
    D = cdist(points(10), points(10))
    D[place] = value
    return D


BAD_MATRICES = {
    "not square": (np.zeros((4, 3)), "square"),
    "one dimension": (np.zeros(4), "square"),
    "one point": (np.zeros((1, 1)), "n_samples = 1"),
    "NaN": (_changed((3, 4), np.nan), "row 3, column 4 is NaN"),
    "negative": (_changed((2, 7), -1), "row 2, column 7 is negative"),
    "similarities": (_changed((5, 5), 1), "point 5 from itself is 1.0"),
    "strings": (np.full((3, 3), "x"), "must be numbers"),
    "sparse, not square": (sparse.csr_matrix((4, 3)), "square"),
    "sparse, NaN": (sparse.csr_matrix(_changed((3, 4), np.nan)), "row 3, column 4 is NaN"),
    "sparse, similarities": (sparse.csr_matrix(_changed((5, 5), 1)), "point 5 from itself"),
    "sparse, stored twice": (
        sparse.csr_matrix(([1.0, 2.0], [1, 1], [0, 2, 2]), shape=(2, 2)),
        "row 0, column 1 is stored twice",
    ),
}


def test_distances_take_no_arguments_of_a_metric():
    with pytest.raises(InvalidInputError, match="takes no arguments"):
        fastxai.neighbors(np.eye(9), 1, metric="precomputed", metric_kwds={"p": 3})


@pytest.mark.parametrize(("D", "message"), BAD_MATRICES.values(), ids=BAD_MATRICES.keys())
def test_bad_matrices_of_distances(D, message):
    with pytest.raises(InvalidInputError, match=message):
        fastxai.neighbors(D, 1, metric="precomputed")


# --- neighbours that others computed -----------------------------------------------------


def test_lists_without_the_points(graph):
    found = as_neighbor_graph(truth(points(), K + 2), N, K)
    assert np.array_equal(found.indices, graph.indices)
    assert np.isnan(found.recall)


def test_lists_with_the_points(graph):
    found = as_neighbor_graph(with_self(*truth(points(), K)), N, K)
    assert np.array_equal(found.indices, graph.indices)


def test_umap_learns_triple(graph):
    found = as_neighbor_graph((*with_self(*truth(points(), K)), object()), N, K)
    assert np.array_equal(found.indices, graph.indices)


def test_a_point_crowded_out_by_its_copies_loses_its_last_neighbour():
    indices = np.array([[1, 0, 2], [1, 2, 0], [0, 1, 3], [3, 0, 1]])
    found = as_neighbor_graph((indices, np.zeros((4, 3))), 4, 2)
    assert found.indices.tolist() == [[1, 2], [2, 0], [0, 1], [0, 1]]


def test_the_points_themselves_leave_no_room_for_as_many():
    with pytest.raises(InvalidInputError, match="5 neighbours a point are needed and 4 are given"):
        as_neighbor_graph(with_self(*truth(points(), K - 1)), N, K)


def _transformer(**options):
    from sklearn.neighbors import KNeighborsTransformer

    return KNeighborsTransformer(n_neighbors=K, **options).fit_transform(points())


def _kneighbors_graph(include_self):
    from sklearn.neighbors import kneighbors_graph

    count = K + 1 if include_self else K
    return kneighbors_graph(points(), count, mode="distance", include_self=include_self)


@pytest.mark.parametrize(
    "make",
    [_transformer, lambda: _kneighbors_graph(False), lambda: _kneighbors_graph(True)],
    ids=["KNeighborsTransformer", "kneighbors_graph", "kneighbors_graph with the points"],
)
def test_scikit_learns_matrices(graph, make):
    found = as_neighbor_graph(make(), N, K)
    assert np.array_equal(found.indices, graph.indices)
    np.testing.assert_allclose(found.distances, graph.distances, rtol=1e-5)


def test_rows_of_unequal_length_are_filled_up():
    D = sparse.csr_matrix(cdist(points(9), points(9)) * (np.arange(9)[:, None] != 4))
    found = as_neighbor_graph(D, 9, 3)
    assert found.indices[4].tolist() == [-1, -1, -1]
    assert np.isinf(found.distances[4]).all()
    assert (np.delete(found.indices, 4, 0) >= 0).all()


def test_a_graph_is_taken_from(graph):
    assert as_neighbor_graph(graph, N, K) is graph
    assert as_neighbor_graph(graph, N, 2).indices.tolist() == graph.indices[:, :2].tolist()


def _lists(change):
    indices, distances = truth(points(), K)
    change(indices, distances)
    return indices, distances


def _set(which, place, value):
    def change(indices, distances):
        (indices if which == "indices" else distances)[place] = value

    return _lists(change)


BAD_LISTS = {
    "another number of points": (truth(points(50), K), "neighbours of 50 points"),
    "shapes that differ": ((np.zeros((N, 3), int), np.zeros((N, 4))), "same shape"),
    "one dimension": ((np.zeros(N, int), np.zeros(N)), "two matrices"),
    "too few": (truth(points(), K - 1), "4 are given"),
    "an index too large": (_set("indices", (7, 2), N), "row 7, column 2: neighbour 120 is not one"),
    "an index below -1": (_set("indices", (0, 0), -2), "row 0, column 0"),
    "NaN": (_set("distances", (9, 1), np.nan), "row 9, column 1: the distance is NaN"),
    "negative": (_set("distances", (8, 0), -1.0), "row 8, column 0.*negative"),
    "unsorted": (_set("distances", (6, 3), 0.0), "row 6.*sort each row"),
    "a neighbour named twice": (
        _lists(lambda i, d: i[4].__setitem__(1, i[4, 0])),
        "row 4.*named twice",
    ),
    "no neighbour near": (_set("indices", (3, 4), -1), "row 3, column 4.*infinity"),
    "indices that are no integers": (
        (truth(points(), K)[0] * 1.0, truth(points(), K)[1]),
        "must be integers",
    ),
    "distances that are no numbers": (
        (truth(points(), K)[0], truth(points(), K)[1].astype(str)),
        "must be numbers",
    ),
    "one matrix": (truth(points(), K)[0], "tuple"),
    "nothing of the kind": ("neighbours", "not str"),
    "a sparse matrix of another shape": (sparse.csr_matrix((N, N + 1)), "shape"),
    "a sparse matrix with too few": (sparse.csr_matrix(np.eye(N, k=1)), "1 are given"),
    "a graph of other points": (
        NeighborGraph([[1], [0], [0]], np.zeros((3, 1))),
        "neighbours of 3 points",
    ),
}


@pytest.mark.parametrize(("value", "message"), BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_bad_lists(value, message):
    with pytest.raises(InvalidInputError, match=message):
        as_neighbor_graph(value, N, K)


def _graph_of(change=None, **options):
    indices, distances = truth(points(), K)
    if change is not None:
        change(indices, distances)
    return NeighborGraph(indices, distances, **options)


def _put(which, place, value):
    return lambda i, d: (i if which == "indices" else d).__setitem__(place, value)


BAD_GRAPHS = {
    "NaN": (_put("distances", (9, 1), np.nan), "row 9, column 1: the distance is NaN"),
    "negative": (_put("distances", (8, 0), -1.0), "row 8, column 0.*negative"),
    "unsorted": (_put("distances", (6, 3), 0.0), "row 6.*sort each row"),
    "out of range": (_put("indices", (7, 2), N), "row 7, column 2: neighbour 120 is not one"),
    "the point itself": (_put("indices", (5, 1), 5), "row 5, column 1.*leave the point itself out"),
}


@pytest.mark.parametrize(("change", "message"), BAD_GRAPHS.values(), ids=BAD_GRAPHS.keys())
def test_graphs_of_bad_lists(change, message):
    with pytest.raises(InvalidInputError, match=message):
        _graph_of(change)


def test_graphs_of_indices_that_are_no_integers():
    indices, distances = truth(points(), K)
    with pytest.raises(InvalidInputError, match="must be integers"):
        NeighborGraph(indices * 1.0, distances)


BAD_GROUPS = {
    "out of range": ([*range(N), N], "row 120: 120 is not one of the points 0 to 119"),
    "negative": ([*range(N), -1], "row 120: -1"),
    "a point without rows": ([*range(N - 1), 0], "no row is point 119"),
    "no integers": (np.arange(N) * 1.0, "vector of integers"),
    "two dimensions": (np.zeros((N, 1), int), "vector of integers"),
}


@pytest.mark.parametrize(("groups", "message"), BAD_GROUPS.values(), ids=BAD_GROUPS.keys())
def test_bad_groups(groups, message):
    with pytest.raises(InvalidInputError, match=message):
        _graph_of(groups=groups)


def test_an_infinite_distance_in_a_graph_is_no_neighbour():
    assert _graph_of(_put("distances", (4, K - 1), np.inf)).indices[4, -1] == -1


def test_what_is_known_to_be_true_is_not_checked_again(monkeypatch):
    monkeypatch.setattr(adapters, "check_lists", None)
    assert fastxai.neighbors(points(), K).take(2).n_neighbors == 2


@pytest.mark.parametrize("form", ["lists", "sparse matrix"])
def test_lists_of_new_rows(form):
    distances = cdist(points(4, seed=1), points())
    order = np.argsort(distances, axis=1)[:, :8]
    value = (order, np.take_along_axis(distances, order, 1))
    if form == "sparse matrix":
        value = sparse.csr_matrix(distances)
    indices, away = as_query_lists(value, 4, N, K)
    assert np.array_equal(indices, order[:, :K])
    np.testing.assert_allclose(away, np.sort(distances, axis=1)[:, :K], rtol=1e-6)


def test_bad_lists_of_new_rows():
    with pytest.raises(InvalidInputError, match="4 points are given for 5"):
        as_query_lists((np.zeros((4, 1), int), np.zeros((4, 1))), 5, N, 1)


# --- taking, asking ----------------------------------------------------------------------


def test_take_keeps_the_nearest(graph):
    few = graph.take(2)
    assert np.array_equal(few.indices, graph.indices[:, :2])
    assert few.X is graph.X


def test_taking_more_than_there_are(graph):
    with pytest.raises(InvalidInputError, match=r"build it with neighbors\(X, n_neighbors=9\)"):
        graph.take(9)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_queries_find_the_nearest_points(metric):
    graph = fastxai.neighbors(points(), K, metric=metric)
    new = points(20, seed=1)
    indices, distances = graph.query(new, 3)
    expected = cdist(new, points(), "cityblock" if metric == "manhattan" else metric)
    assert np.array_equal(indices, np.argsort(expected, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :3], rtol=1e-3, atol=1e-6)


def test_queries_from_two_threads(graph):
    fresh, new, answers = fastxai.neighbors(points(), K), points(50, seed=2), {}

    def ask(name):
        answers[name] = fresh.query(new, 3)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(answers[0][0], answers[1][0])


def test_a_known_row_is_matched(graph):
    rows = np.concatenate([points()[[7, 3]], points(1, seed=5)])
    assert graph.match(rows).tolist() == [7, 3, -1]


def test_a_known_sparse_row_is_matched():
    X = sparse.csr_matrix(points(30))
    found = fastxai.neighbors(X, 2)
    assert found.match(X[[4, 9]]).tolist() == [4, 9]


@pytest.mark.parametrize("ask", ["query", "match"])
def test_raw_rows_need_the_points(ask):
    found = fastxai.neighbors(cdist(points(), points()), K, metric="precomputed")
    arguments = (points(3), 2) if ask == "query" else (points(3),)
    with pytest.raises(InvalidInputError, match=r"give \(indices, distances\)"):
        getattr(found, ask)(*arguments)


@pytest.mark.parametrize(
    ("rows", "k", "message"),
    [(points(3, 7), 2, "7 features"), (points(3), N + 1, "choose fewer"), (points(3), 0, "k=0")],
    ids=["another number of features", "too many neighbours", "none"],
)
def test_bad_queries(graph, rows, k, message):
    with pytest.raises(InvalidInputError, match=message):
        graph.query(rows, k)


# --- files -------------------------------------------------------------------------------


def same(first, second):
    assert np.array_equal(first.indices, second.indices)
    assert np.array_equal(first.distances, second.distances)
    assert (first.metric, first.recall) == (second.metric, second.recall)
    assert first.metric_kwds == second.metric_kwds


@pytest.mark.parametrize(
    "options",
    [{}, {"metric": "cosine"}, {"metric": "minkowski", "metric_kwds": {"p": 3}}],
    ids=["euclidean", "cosine", "with arguments"],
)
def test_a_saved_graph_is_the_same(tmp_path, options):
    found = fastxai.neighbors(points(), K, **options)
    found.save(tmp_path / "graph.npz")
    same(NeighborGraph.load(tmp_path / "graph.npz"), found)


def test_a_saved_graph_takes_its_points_back(tmp_path, graph):
    graph.save(tmp_path / "graph.npz")
    loaded = NeighborGraph.load(tmp_path / "graph.npz", points())
    assert loaded.query(points()[:1], 1)[0].tolist() == [[0]]


def test_a_saved_graph_of_distinct_rows_takes_all_rows_back(tmp_path):
    X = np.repeat(points(40), 2, axis=0)
    found = fastxai.neighbors(X, K, unique=True)
    found.save(tmp_path / "graph.npz")
    loaded = NeighborGraph.load(tmp_path / "graph.npz", X)
    assert np.array_equal(loaded.X, found.X)
    assert np.array_equal(loaded.groups, found.groups)


@pytest.mark.parametrize(
    ("X", "message"),
    [(points(50), "50 rows"), (points(seed=3), "not what"), (points(N, 7), "not what")],
    ids=["another number", "other values", "another width"],
)
def test_other_points_are_refused(tmp_path, graph, X, message):
    graph.save(tmp_path / "graph.npz")
    with pytest.raises(InvalidInputError, match=message):
        NeighborGraph.load(tmp_path / "graph.npz", X)


@pytest.mark.parametrize("kept", [0, 10, 700, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path, graph, kept):
    graph.save(tmp_path / "graph.npz")
    whole = (tmp_path / "graph.npz").read_bytes()
    length = kept if isinstance(kept, int) else int(len(whole) * kept)
    (tmp_path / "part.npz").write_bytes(whole[:length])
    with pytest.raises(InvalidInputError, match="damaged, truncated"):
        NeighborGraph.load(tmp_path / "part.npz")


def _foreign(path):
    np.savez(path, embedding=np.zeros(3))


def _later(path):
    np.savez(path, kind="fastxai NeighborGraph", schema=99)


def _text_as_schema(path):
    np.savez(path, kind="fastxai NeighborGraph", schema="one")


def _changed_file(**changes):
    def write(path):
        fastxai.neighbors(points(), K).save(path)
        with np.load(path) as file:
            np.savez(path, **{**file, **changes})

    return write


def _one_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _text(path):
    path.write_text("neighbours")


FOREIGN = {
    "arrays": _foreign,
    "later": _later,
    "a text as schema": _text_as_schema,
    "text": _text,
    "one array": _one_array,
    "lists of one dimension": _changed_file(indices=np.arange(3), distances=np.zeros(3)),
    "lists of no dimension": _changed_file(indices=np.int32(3), distances=np.float32(0)),
    "a point among its own neighbours": _changed_file(indices=np.zeros((N, K), np.int32)),
    "an infinite seed": _changed_file(search=np.array([np.inf, 0.95])),
    "groups out of range": _changed_file(groups=np.full(N, N)),
}


@pytest.mark.parametrize("write", FOREIGN.values(), ids=FOREIGN.keys())
def test_foreign_files_are_refused(tmp_path, write):
    write(tmp_path / "other.npz")
    with pytest.raises(InvalidInputError, match=r"other\.npz"):
        NeighborGraph.load(tmp_path / "other.npz")


def test_a_missing_file_is_said_so(tmp_path):
    with pytest.raises(InvalidInputError, match="no such file"):
        NeighborGraph.load(tmp_path / "none.npz")


def test_a_wrong_ending_is_refused(tmp_path, graph):
    with pytest.raises(InvalidInputError, match=r"\.npz"):
        graph.save(tmp_path / "graph.csv")


def test_a_function_is_not_written_to_files(tmp_path):
    found = NeighborGraph(*truth(points(), K), metric=lambda a, b: 0.0)
    with pytest.raises(InvalidInputError, match="function"):
        found.save(tmp_path / "graph.npz")


def test_a_failing_save_leaves_the_old_file(tmp_path, graph, monkeypatch):
    graph.save(tmp_path / "graph.npz")
    before = (tmp_path / "graph.npz").read_bytes()
    monkeypatch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        graph.save(tmp_path / "graph.npz")
    assert (tmp_path / "graph.npz").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_pickle_drops_the_search_structure(graph):
    fresh = fastxai.neighbors(points(), K)
    size = len(pickle.dumps(fresh))
    fresh.query(points(2, seed=1), 2)
    loaded = pickle.loads(pickle.dumps(fresh))
    same(loaded, fresh)
    assert len(pickle.dumps(fresh)) == size
    assert loaded.query(points(2, seed=1), 2)[0].shape == (2, 2)


def test_a_pickle_of_another_schema_is_refused(graph):
    with pytest.raises(InvalidInputError, match="schema 99"):
        NeighborGraph.__new__(NeighborGraph).__setstate__({"schema": 99})


# --- bad input ---------------------------------------------------------------------------


def _nan(value):
    X = points()
    X[7, 2] = value
    return X


BAD_POINTS = {
    "NaN": (_nan(np.nan), "NaN"),
    "inf": (_nan(np.inf), "inf"),
    "one dimension": (points()[0], "1"),
    "three dimensions": (points().reshape(N, 2, 3), "3"),
    "strings": (np.full((9, 2), "a"), "."),
    "objects": (np.full((9, 2), object()), "."),
    "empty": (np.empty((0, 3)), "."),
    "no features": (np.empty((9, 0)), "."),
    "one point": (points(1), "n_samples = 1"),
    "sparse NaN": (sparse.csr_matrix(_nan(np.nan)), "NaN"),
}


@pytest.mark.parametrize(("X", "message"), BAD_POINTS.values(), ids=BAD_POINTS.keys())
def test_bad_points(X, message):
    with pytest.raises(InvalidInputError, match=message):
        fastxai.neighbors(X, K)


BAD_OPTIONS = {
    "no neighbours": ({"n_neighbors": 0}, "n_neighbors=0"),
    "half a neighbour": ({"n_neighbors": 2.5}, "whole number"),
    "recall above 1": ({"recall": 1.5}, "recall=1.5"),
    "an unknown metric": ({"metric": "crow flight"}, "manhattan"),
    "arguments of a metric without any": ({"metric_kwds": {"p": 3}}, "takes no arguments"),
    "an unknown device": ({"device": "abacus"}, "abacus"),
    "a GPU that is not there": ({"device": "cuda:99"}, "cuda:99"),
    "a seed that is none": ({"random_state": "dice"}, "random_state"),
    "no threads": ({"n_jobs": 0}, "n_jobs"),
}


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_bad_options(options, message):
    with pytest.raises(InvalidInputError, match=message):
        fastxai.neighbors(points(), **options)


def test_too_little_memory_is_refused(monkeypatch):
    monkeypatch.setattr(module, "memory_needed", lambda *_: 1e18)
    with pytest.raises(NotEnoughMemoryError, match=r"15 neighbours of 120 x 6.*fastxai\.PCA"):
        fastxai.neighbors(points())


def test_good_input_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastxai.neighbors(points(), K)
