"""Where layouts start: the smooth functions of a graph, components apart, given positions."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import eigsh
from scipy.spatial.distance import cdist

import fastxai
from fastxai import UMAP, InvalidInputError
from fastxai.embed import umap_layout
from fastxai.embed.initialise import check_init, scaled, start_positions
from fastxai.embed.spectral import leading_vectors, spectral_start


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


def points(n, d=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def fuzzy(X, k=10):
    return UMAP(n_neighbors=k, n_epochs=0, init="random").fit(X).graph_


def ring(n):
    """Each vertex joined to the next."""
    rows = np.arange(n)
    edges = sparse.coo_array((np.ones(n), (rows, (rows + 1) % n)), (n, n)).tocsr()
    return sparse.csr_array((edges + edges.T).astype(np.float32))


def several(*graphs):
    return sparse.csr_array(sparse.block_diag(graphs, format="csr", dtype=np.float32))


# --- eigenvectors --------------------------------------------------------------------------

# Solved whole; by a filtered block; begun with the vectors of a smaller graph.
SIZES = [150, 1200, 3000]


def truth(graph, count):
    whole = sparse.eye_array(graph.shape[0]) - laplacian(graph.astype(np.float64), normed=True)
    values, vectors = eigsh(whole, count + 1, which="LA", v0=np.ones(graph.shape[0]))
    return values[-2::-1], vectors[:, -2::-1]


@pytest.mark.parametrize("n", SIZES)
def test_the_smoothest_functions_of_a_graph(n):
    X = points(n, 3)
    X[:, 0] *= 4  # a long cloud: the first vectors are well apart
    graph = fuzzy(X)
    values, vectors = truth(graph, 2)
    found = leading_vectors(graph, 2, seed=0)
    np.testing.assert_allclose(found.values, values, atol=1e-4)
    cosines = np.abs(np.sum(found.vectors * vectors, axis=0))
    assert (cosines > 0.99).all()
    assert (found.residuals < 2e-3).all()
    assert (found.vectors[np.abs(found.vectors).argmax(axis=0), range(2)] > 0).all()


@pytest.mark.parametrize("n", SIZES)
def test_the_seed_hardly_matters(n):
    graph = fuzzy(points(n, 2) * [5, 1])
    first, second = leading_vectors(graph, 2, 0).vectors, leading_vectors(graph, 2, 1).vectors
    assert same(first, leading_vectors(graph, 2, 0).vectors)
    assert (np.abs(np.sum(first * second, axis=0)) > 0.98).all()


def test_a_ring_becomes_a_circle():
    places = spectral_start(ring(100), 2, seed=0)
    radii = np.linalg.norm(places - places.mean(axis=0), axis=1)
    np.testing.assert_allclose(radii, radii.mean(), rtol=1e-3)


@pytest.mark.parametrize("n_components", [1, 2, 3, 5, 8])
def test_any_number_of_components(n_components):
    found = leading_vectors(fuzzy(points(500)), n_components, 0)
    products = found.vectors.T @ found.vectors
    np.testing.assert_allclose(products, np.eye(n_components), atol=1e-4)
    assert (np.diff(found.values) <= 1e-6).all()


def test_progress_is_told_to_the_end():
    told = []
    spectral_start(several(ring(50), ring(30)), 2, 0, advance=told.append)
    assert sum(told) == pytest.approx(1)


# --- components ----------------------------------------------------------------------------

COMPONENTS = {
    "equal": [40] * 7,
    "two": [100, 30],
    "many small": [200] + [5] * 30,
    "falling": [1000, 370, 207, 137, 100, 77, 62, 51, 43, 37],
}


def overlaps(places, sizes):
    """Pairs of components whose discs about their middles meet."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    parts = [places[owner == c] for c in range(len(sizes))]
    middles = np.array([(part.max(axis=0) + part.min(axis=0)) / 2 for part in parts])
    pairs = zip(parts, middles, strict=True)
    radii = np.array([np.linalg.norm(p - m, axis=1).max() for p, m in pairs])
    gaps = cdist(middles, middles) - radii[:, None] - radii + 1e9 * np.eye(len(sizes))
    return np.argwhere(gaps < 0).tolist(), radii


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("sizes", COMPONENTS.values(), ids=COMPONENTS.keys())
def test_components_lie_apart(sizes, n_components):
    places = spectral_start(several(*map(ring, sizes)), n_components, seed=0)
    assert overlaps(places, sizes)[0] == []


def test_larger_components_have_more_room():
    sizes = [400, 100, 100, 25]
    _, radii = overlaps(spectral_start(several(*map(ring, sizes)), 2, seed=0), sizes)
    np.testing.assert_allclose(radii / radii[0], np.sqrt(np.array(sizes) / 400), rtol=0.05)


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_tiny_components(n, n_components):
    whole = sparse.csr_array(np.ones((n, n), np.float32) - np.eye(n, dtype=np.float32))
    places = spectral_start(several(whole, ring(30)), n_components, seed=0)
    assert places.shape == (n + 30, n_components)
    assert np.isfinite(places).all()


def test_vertices_without_edges_have_places_of_their_own():
    lonely = several(ring(40), sparse.csr_array((6, 6)))
    places = spectral_start(lonely, 2, seed=0)
    assert len(np.unique(places[40:], axis=0)) == 6
    assert overlaps(places, [40] + [1] * 6)[0] == []


# --- starts by name ------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["spectral", "pca", "random"])
@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_every_axis_runs_from_0_to_10(init, n_components):
    X = points(200)
    places = start_positions(init, fuzzy(X), X, n_components, seed=0)
    assert (places.dtype, places.shape) == (np.float32, (200, n_components))
    assert places.flags.c_contiguous
    np.testing.assert_allclose(places.min(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(places.max(axis=0), 10, atol=1e-5)
    assert same(places, start_positions(init, fuzzy(X), X, n_components, seed=0))


def test_the_layout_starts_there():
    X = points(100)
    model = UMAP(n_epochs=0, random_state=3).fit(X)
    assert same(model.embedding_, start_positions("spectral", model.graph_, X, 2, seed=3))


def test_another_seed_is_another_random_start():
    X = points(100)
    graph = fuzzy(X)
    first, second = (start_positions("random", graph, X, 2, seed) for seed in (0, 1))
    assert not same(first, second)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_a_start_by_principal_components(kind):
    X = points(150)
    places = start_positions("pca", fuzzy(X), kind(X), 2, seed=0)
    expected = fastxai.PCA(n_components=2).fit_transform(X)
    for axis in range(2):
        assert abs(np.corrcoef(places[:, axis], expected[:, axis])[0, 1]) > 0.9999


def test_more_components_than_features():
    X = points(60, 2)
    places = start_positions("pca", fuzzy(X), X, 4, seed=0)
    assert places.shape == (60, 4)
    assert np.ptp(places, axis=0).min() > 9  # noise where there is nothing else


def test_equal_places_are_told_apart_by_noise():
    places = scaled(np.ones((50, 2), np.float32), np.random.default_rng(0))
    assert len(np.unique(places, axis=0)) == 50


# --- given positions -----------------------------------------------------------------------

GRAPH = fuzzy(points(80))
GIVEN = np.random.default_rng(0).uniform(-3, 12, (80, 2)).astype(np.float32)


@pytest.mark.parametrize("form", [np.asarray, np.float64, np.asfortranarray, np.ndarray.tolist])
def test_given_positions_stay_as_they_are(form):
    before = GIVEN.copy()
    assert same(start_positions(form(GIVEN), GRAPH, None, 2, seed=0), GIVEN)
    assert same(GIVEN, before)


@pytest.mark.parametrize("size", [1e-6, 1e4])
def test_positions_that_are_no_map_are_brought_to_the_size_of_one(size):
    places = start_positions(GIVEN * size, GRAPH, None, 2, seed=0)
    assert np.ptp(places, axis=0).max() == pytest.approx(10, rel=1e-5)
    expected = (GIVEN - GIVEN.min(axis=0)) * 10 / np.ptp(GIVEN, axis=0).max()
    np.testing.assert_allclose(places, expected, atol=1e-3)


@pytest.mark.parametrize("places", [1, 2], ids=["one place", "two places"])
def test_points_given_the_same_place_part(places):
    start = np.zeros((80, 2))
    start[np.arange(80) % places == 1] = 5
    moved = UMAP(init=start, n_epochs=50).fit_transform(points(80))
    assert np.linalg.svd(moved - moved.mean(axis=0))[1][1] > 1  # not on a line either


@pytest.mark.parametrize("form", ["fewer rows", "NaN rows", "one NaN a row"])
def test_points_without_a_place_start_among_their_neighbours(form):
    if form == "fewer rows":
        given, missing = GIVEN[:60], np.arange(60, 80)
    else:
        given, missing = GIVEN.copy(), np.arange(5, 80, 7)
        given[missing, : 2 if form == "NaN rows" else 1] = np.nan
    places = start_positions(given, GRAPH, None, 2, seed=0)
    kept = np.setdiff1d(np.arange(80), missing)
    assert same(places[kept], GIVEN[kept])
    low, high = GIVEN[kept].min(axis=0) - 0.1, GIVEN[kept].max(axis=0) + 0.1
    assert ((places[missing] >= low) & (places[missing] <= high)).all()
    one = next(i for i in missing if set(GRAPH[[i]].indices) <= set(kept))
    weights = GRAPH.toarray()[one]
    mean = weights @ np.where(np.isnan(places), 0, places) / weights.sum()
    np.testing.assert_allclose(places[one], mean, atol=0.05)


def test_points_that_no_place_reaches_start_anywhere():
    given = GIVEN[:40] / 2
    places = start_positions(given, several(ring(40), ring(40)), None, 2, seed=0)
    assert np.isfinite(places).all()
    assert len(np.unique(places[40:], axis=0)) == 40
    low, high = given.min(axis=0), given.max(axis=0)
    assert ((places[40:] >= low) & (places[40:] <= high)).all()


def test_a_map_that_grows_keeps_its_shape():
    X = points(300)
    X[:, 0] += 6 * (np.arange(300) % 3)
    old = UMAP(n_epochs=100).fit_transform(X[:250])
    grown = UMAP(n_epochs=50, init=old, learning_rate=0.2).fit_transform(X)
    fresh = UMAP(n_epochs=100, random_state=5, init="random").fit_transform(X)
    moved = [
        np.median(np.linalg.norm(fastxai.align(new, old)[:250] - old, axis=1))
        for new in (grown, fresh)
    ]
    assert moved[0] < 0.5 * moved[1]


@pytest.mark.parametrize(
    ("init", "message"),
    [
        pytest.param("nonsense", "spectral, pca, random", id="unknown name"),
        pytest.param(GIVEN[:, :1], r"shape \(80, 1\)", id="columns"),
        pytest.param(np.zeros((81, 2)), "fewer rows", id="more rows than points"),
        pytest.param(np.zeros((0, 2)), r"shape \(0, 2\)", id="no rows"),
        pytest.param(np.full((80, 2), np.inf), "infinity", id="infinity"),
    ],
)
def test_bad_starts_are_found_before_the_work(init, message):
    with pytest.raises(InvalidInputError, match=message):
        check_init(init, 80, 2)


def test_nothing_but_nan_is_no_start():
    with pytest.raises(InvalidInputError, match="NaN"):
        start_positions(np.full((80, 2), np.nan), GRAPH, None, 2, seed=0)


def test_points_are_stored_along_a_curve_when_there_are_many(monkeypatch):
    X = points(300)
    X[:, 0] += 6 * (np.arange(300) % 3)
    plain = UMAP(n_epochs=100).fit_transform(X)
    monkeypatch.setattr(umap_layout, "_CACHED", 10)
    stored = UMAP(n_epochs=100).fit_transform(X)
    assert not np.array_equal(stored, plain)
    for places in (plain, stored):  # each row is still its own point
        near = np.argsort(cdist(places, places), axis=1)[:, 1:6]
        assert (near % 3 == np.arange(300)[:, None] % 3).mean() > 0.95


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_curve_is_an_order_of_all_points(width):
    places = np.random.default_rng(0).random((500, width)).astype(np.float32)
    order = umap_layout.along_a_curve(places)
    assert sorted(order.tolist()) == list(range(500))
    steps = np.linalg.norm(np.diff(places[order, :2], axis=0), axis=1)
    assert np.median(steps) < 0.2
