"""UMAP on neighbours of every origin, the fuzzy set it draws, and points that are apart."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsTransformer

import fastxai
from fastxai import UMAP, FastxaiWarning, InvalidInputError, NeighborGraph
from fastxai_kernels import select

N, D, K = 120, 5, 10
FAST = {"n_epochs": 25, "n_neighbors": K}


def points(n=N, seed=0):
    """Three clusters; every distance is another."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, D)).astype(np.float32)
    X[:, 0] += 8 * (np.arange(n) % 3)
    return X


X = points()


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


@pytest.fixture(scope="module")
def fitted():
    return UMAP(**FAST).fit(X)


def with_self(graph):
    """As umap-learn counts: the point itself first, at distance 0."""
    n = graph.n_points
    return (
        np.column_stack([np.arange(n), graph.indices]),
        np.column_stack([np.zeros(n, np.float32), graph.distances]),
    )


# --- neighbours found before ---------------------------------------------------------------


def _transformer(graph):
    return KNeighborsTransformer(n_neighbors=K).fit_transform(X)


GIVEN = {
    "a NeighborGraph": lambda graph: {"neighbors": graph},
    "a NeighborGraph of more neighbours": lambda _: {"neighbors": fastxai.neighbors(X, 30)},
    "lists without the points": lambda g: {"neighbors": (g.indices, g.distances)},
    "lists with the points": lambda g: {"neighbors": with_self(g)},
    "umap-learn's triple": lambda g: {"precomputed_knn": (*with_self(g), None)},
    "umap-learn's pair": lambda g: {"precomputed_knn": with_self(g)},
    "a KNeighborsTransformer": lambda g: {"neighbors": _transformer(g)},
}


@pytest.mark.parametrize("give", GIVEN.values(), ids=GIVEN.keys())
def test_the_same_neighbours_give_the_same_bits(fitted, give):
    options = give(fitted.neighbors_)
    model = UMAP(**options, **FAST).fit(X)
    if sparse.issparse(options.get("neighbors")):  # scikit-learn rounds distances otherwise
        np.testing.assert_allclose(model.graph_.toarray(), fitted.graph_.toarray(), atol=1e-5)
    else:
        assert same(model.embedding_, fitted.embedding_)
    assert same(model.transform(X[:9]), model.embedding_[:9])
    assert np.isfinite(model.transform(points(4, seed=1))).all()


def test_a_sparse_matrix_of_the_same_distances_gives_the_same_bits(fitted):
    graph = fitted.neighbors_
    indptr = np.arange(N + 1) * graph.n_neighbors
    matrix = sparse.csr_matrix((graph.distances.ravel(), graph.indices.ravel(), indptr), (N, N))
    assert same(UMAP(neighbors=matrix, **FAST).fit_transform(X), fitted.embedding_)
    distances_only = UMAP(metric="precomputed", **FAST).fit(matrix)
    assert same(distances_only.embedding_, fitted.embedding_)


def test_a_matrix_of_distances(fitted):
    D = cdist(X, X).astype(np.float32)
    model = UMAP(metric="precomputed", **FAST).fit(D)
    assert model.n_features_in_ == N
    np.testing.assert_allclose(model.graph_.toarray(), fitted.graph_.toarray(), atol=1e-4)
    np.testing.assert_array_equal(model.neighbors_.indices, fitted.neighbors_.indices)


def test_a_saved_graph_gives_the_same_bits(fitted, tmp_path):
    fitted.neighbors_.save(tmp_path / "graph.npz")
    graph = NeighborGraph.load(tmp_path / "graph.npz")
    model = UMAP(neighbors=graph, **FAST).fit(X)
    assert same(model.embedding_, fitted.embedding_)
    assert same(model.transform(X[:5] + 1), fitted.transform(X[:5] + 1))


def test_new_points_by_their_neighbours(fitted):
    new = points(8, seed=2)
    lists = fitted.neighbors_.query(new, K - 1)
    by_lists = UMAP(metric="precomputed", **FAST).fit(cdist(X, X).astype(np.float32))
    places = by_lists.transform(lists)
    assert np.isfinite(places).all()
    alone = by_lists.transform((lists[0][3:4], lists[1][3:4]))
    assert same(alone, places[3:4])
    itself = by_lists.transform(tuple(part[:4] for part in with_self(by_lists.neighbors_)))
    assert same(itself, by_lists.embedding_[:4])


def test_raw_rows_need_points():
    model = UMAP(metric="precomputed", **FAST).fit(cdist(X, X))
    with pytest.raises(InvalidInputError, match="indices, distances"):
        model.transform(X)


@pytest.mark.parametrize("metric", ["cosine", "correlation", "manhattan", "chebyshev", "l2"])
def test_metrics(metric):
    model = UMAP(metric=metric, **FAST).fit(X)
    name = {"manhattan": "cityblock", "l2": "euclidean"}.get(metric, metric)
    true = np.sort(cdist(X, X, name), axis=1)[:, 1:K]
    np.testing.assert_allclose(model.neighbors_.distances, true, rtol=1e-3, atol=1e-6)
    assert same(model.transform(X), model.embedding_)
    assert np.isfinite(model.transform(points(4, seed=1))).all()


def test_arguments_of_a_metric():
    model = UMAP(metric="minkowski", metric_kwds={"p": 3}, **FAST).fit(X)
    true = np.sort(cdist(X, X, "minkowski", p=3), axis=1)[:, 1:K]
    np.testing.assert_allclose(model.neighbors_.distances, true, rtol=1e-4)


# --- the fuzzy set ---------------------------------------------------------------------------


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("connectivity", [1.0, 1.5, 3.0])
def test_the_graph_is_the_one_of_the_paper(mix, connectivity):
    digits = fastxai.datasets.digits().data[:300]
    options = {"set_op_mix_ratio": mix, "local_connectivity": connectivity, "n_epochs": 1}
    model = UMAP(**options).fit(digits)
    lists, plain = model.neighbors_, select("reference")
    rho, sigma = plain.smooth_distances(lists.distances, connectivity, 1.0)
    strengths = plain.memberships(lists.distances, rho, sigma)
    indptr, columns, weights = plain.fuzzy_union(lists.indices, strengths, mix)
    expected = sparse.csr_array((weights, columns, indptr), (300, 300)).toarray()
    np.testing.assert_allclose(model.graph_.toarray(), expected, atol=2e-5)


def test_the_graph_is_symmetric_with_weights_up_to_1(fitted):
    graph = fitted.graph_
    assert isinstance(graph, sparse.csr_array)
    assert (graph.shape, graph.dtype) == ((N, N), np.float32)
    assert (abs(graph - graph.T) > 0).nnz == 0
    assert graph.data.min() > 0
    assert graph.data.max() == 1.0
    assert graph.diagonal().max() == 0
    assert graph.has_canonical_format


def test_the_mix_ratio_goes_from_the_shared_to_all(fitted):
    shared = UMAP(set_op_mix_ratio=0.0, **FAST).fit(X).graph_
    assert shared.nnz < fitted.graph_.nnz
    assert (shared.toarray() <= fitted.graph_.toarray() + 1e-6).all()


@pytest.mark.parametrize("connectivity", [1, 2, 4])
def test_so_many_neighbours_are_fully_connected(connectivity):
    graph = UMAP(local_connectivity=connectivity, **FAST).fit(X).graph_.toarray()
    assert ((graph > 1 - 1e-6).sum(axis=1) >= connectivity).all()


# --- copies ----------------------------------------------------------------------------------


def test_unique_gives_equal_rows_one_place():
    doubled = np.concatenate([X, X[:50]])
    model = UMAP(unique=True, **FAST).fit(doubled)
    assert same(model.embedding_[N:], model.embedding_[:50])
    assert model.graph_.shape == (N, N)
    assert same(model.embedding_[:N], UMAP(**FAST).fit_transform(X))
    assert same(model.transform(doubled), model.embedding_)
    assert np.isfinite(model.transform(X + 1)).all()


@pytest.mark.parametrize("give", ["graph", "graph without points"])
def test_a_graph_of_distinct_rows(give):
    doubled = np.concatenate([X[:40], X])
    graph = fastxai.neighbors(doubled, K - 1, unique=True)
    graph.X = graph.X if give == "graph" else None
    model = UMAP(neighbors=graph, **FAST).fit(doubled)
    assert same(model.embedding_, UMAP(unique=True, **FAST).fit_transform(doubled))
    assert same(model.transform(doubled[:60]), model.embedding_[:60])
    with pytest.raises(InvalidInputError, match="unique=True"):
        model.transform((graph.indices, graph.distances))


def test_a_start_of_all_rows_fits_to_distinct_ones():
    doubled = np.concatenate([X[:40], X])
    start = np.random.default_rng(0).uniform(0, 10, (N + 40, 2)).astype(np.float32)
    model = UMAP(unique=True, init=start, n_epochs=0).fit(doubled)
    assert same(model.embedding_[:40], start[:40])
    assert same(model.embedding_[80:], start[80:])


def test_fewer_distinct_rows_than_neighbours():
    few = np.repeat(X[:6], 10, axis=0)
    with pytest.warns(FastxaiWarning, match="6 distinct points"):
        model = UMAP(unique=True, **FAST).fit(few)
    assert model.n_neighbors_ == 6
    assert np.isfinite(model.transform(few + 1)).all()


# --- points that are apart -------------------------------------------------------------------


@pytest.fixture(scope="module")
def apart():
    far = np.concatenate([X, X[:1] + 1000, X[:1] - 2000])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = UMAP(disconnection_distance=50, **FAST).fit(far)
    return far, model, caught


def test_points_without_neighbours_are_nan_and_counted_once(apart):
    _, model, caught = apart
    assert np.isnan(model.embedding_[N:]).all()
    assert np.isfinite(model.embedding_[:N]).all()
    assert [w.category for w in caught] == [FastxaiWarning]
    assert "2 of 122 points" in str(caught[0].message)
    assert np.diff(model.graph_.indptr)[N:].tolist() == [0, 0]


def test_isolated_points_change_nothing_for_the_others(apart, fitted):
    graph = apart[1].graph_[:N][:, :N]
    np.testing.assert_allclose(graph.toarray(), fitted.graph_.toarray(), atol=1e-5)


def test_new_points_beside_isolated_ones(apart):
    far, model, _ = apart
    with pytest.warns(FastxaiWarning, match="2 of 4 rows"):
        places = model.transform(np.concatenate([far[N:], far[N:] * 0, X[:1] + 0.1])[[0, 1, 2, 4]])
    assert np.isnan(places).all(axis=1).tolist() == [True, True, False, False]
    with pytest.warns(FastxaiWarning, match="1 of 1 rows"):
        assert np.isnan(model.transform(far[N : N + 1] + 1)).all()


def test_pictures_and_metrics_stand_isolated_points(apart):
    far, model, _ = apart
    classes = np.arange(len(far)) % 3
    figure = fastxai.plot.scatter(model.embedding_, labels=classes)
    assert len(figure.axes) >= 1
    assert fastxai.metrics.embedding.label_accuracy(model.embedding_, classes) > 0.9
    kept = fastxai.metrics.embedding.neighbor_preservation(far, model.embedding_)
    assert 0.1 < kept <= 1


def test_vectors_at_the_largest_cosine_distance_are_no_neighbours():
    ray = np.outer(np.linspace(1, 2, 30), [1.0, 0.0])
    with pytest.warns(FastxaiWarning, match="1 of 31 points"):
        model = UMAP(metric="cosine", **FAST).fit(np.concatenate([ray, -ray[:1]]))
    assert np.isnan(model.embedding_[30]).all()
    assert np.isfinite(model.embedding_[:30]).all()


def test_nothing_near_enough_is_an_error():
    with pytest.raises(InvalidInputError, match="none of 120 points"):
        UMAP(disconnection_distance=1e-6, **FAST).fit(X)


@pytest.mark.parametrize("n_components", [2, 3])
def test_clusters_that_nothing_joins_do_not_overlap(n_components):
    sizes = [150, 60, 30, 20, 20]
    owner = np.repeat(np.arange(5), sizes)
    clusters = np.random.default_rng(0).standard_normal((sum(sizes), D)) + 1000 * owner[:, None]
    places = UMAP(n_components=n_components, **FAST).fit_transform(clusters)
    gaps = cdist(places, places)
    nearest_other = np.where(owner[:, None] != owner, gaps, np.inf).min()
    steps = np.where(owner[:, None] == owner, gaps + 1e9 * np.eye(len(owner)), np.inf).min(axis=1)
    assert nearest_other > np.median(steps)


# Twice what sequential updates reach.
@pytest.mark.parametrize(("degree", "most"), [(50, 26), (300, 26), (1500, 46)])
def test_stars_do_not_explode(degree, most):
    legs = np.linspace(1, 1.2, degree, dtype=np.float32)
    rows, zeros = np.arange(1, degree + 1), np.zeros(degree, int)
    edges = (np.r_[zeros, rows], np.r_[rows, zeros])
    star = sparse.csr_matrix((np.r_[legs, legs], edges), (degree + 1, degree + 1))
    places = UMAP(metric="precomputed", n_epochs=200).fit_transform(star)
    assert np.ptp(places, axis=0).max() < most
