"""What t-SNE makes of points of every form, and of input it can not work with."""

import numpy as np
import pytest
from scipy import sparse

import fastxai
from fastxai import TSNE, FastxaiWarning, InvalidInputError, NotEnoughMemoryError

FAST = {"max_iter": 40, "early_exaggeration_iter": 20, "perplexity": 5}
X = np.random.default_rng(0).standard_normal((60, 4)).round(2).astype(np.float32)


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b)


def expected():
    return TSNE(**FAST).fit_transform(X)


FORMS = {
    "float64": lambda X: X.astype(np.float64),
    "Fortran order": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "list": lambda X: X.tolist(),
    "objects that are numbers": lambda X: X.astype(object),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_form_of_the_points_does_not_matter(form):
    assert same(TSNE(**FAST).fit_transform(form(X)), TSNE(**FAST).fit_transform(X))


def test_read_only_points():
    points = X.copy()
    points.flags.writeable = False
    assert same(TSNE(**FAST).fit(points).transform(points), TSNE(**FAST).fit_transform(X))


def test_a_memory_map_stays_one(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert np.shares_memory(TSNE(**FAST).fit(mapped).neighbors_.X, mapped)


def test_sparse_points():
    points = np.where(np.random.default_rng(1).random((60, 30)) < 0.2, 1.0, 0.0) * range(1, 31)
    model = TSNE(**FAST).fit(sparse.csr_matrix(points))
    assert same(model.transform(points), model.embedding_)


@pytest.mark.parametrize("method", ["exact", "barnes_hut", "particle_mesh"])
@pytest.mark.parametrize("init", ["pca", "spectral", "random"])
def test_identical_points(method, init):
    model = TSNE(**FAST, method=method, init=init).fit(np.ones((40, 3)))
    assert np.isfinite(model.embedding_).all()
    assert np.ptp(model.embedding_, axis=0).min() > 0


@pytest.mark.parametrize("copies", [2, 10])
def test_copies_of_points(copies):
    points = np.repeat(X[:20], copies, axis=0)
    model = TSNE(**FAST).fit(points)
    assert np.isfinite(model.embedding_).all()
    assert same(model.transform(points[::copies]), model.embedding_[::copies])


def test_points_on_a_line_do_not_stay_on_one():
    line = np.arange(50.0)[:, None]
    assert np.ptp(TSNE(**FAST).fit_transform(line), axis=0).min() > 1e-5


@pytest.mark.parametrize("scale", [2.0**-50, 2.0**50])
def test_any_scale(scale):
    assert same(TSNE(**FAST).fit_transform(X * scale), TSNE(**FAST).fit_transform(X))


@pytest.mark.parametrize("n", [3, 4, 7])
@pytest.mark.parametrize("n_components", [1, 2, 3, 4])
def test_few_points(n, n_components):
    model = TSNE(n_components, perplexity=2, max_iter=50).fit(X[:n])
    assert model.embedding_.shape == (n, n_components)
    assert np.isfinite(model.embedding_).all()
    assert np.isfinite(model.transform(X[n : n + 2])).all()


def test_two_points():
    assert np.isfinite(TSNE(perplexity=1.5, max_iter=50).fit_transform(X[:2])).all()


# --- refused ---------------------------------------------------------------------------------

WRONG = {
    "perplexity of n": (
        {"perplexity": 60},
        r"perplexity \(60\) must be less than n_samples \(60\)",
    ),
    "perplexity of 1": ({"perplexity": 1}, "perplexity=1: choose a number of more than 1"),
    "no perplexity": ({"perplexity": []}, "perplexity is an empty list"),
    "one perplexity of many": ({"perplexity": [5, 0.5]}, "perplexity=0.5"),
    "perplexity of a word": ({"perplexity": "high"}, "perplexity='high'"),
    "negative exaggeration": ({"early_exaggeration": -1.0}, "early_exaggeration=-1.0"),
    "no exaggeration": ({"exaggeration": 0}, "exaggeration=0"),
    "no iterations": ({"max_iter": 0}, "max_iter=0: choose a whole number of 1 or more"),
    "negative iterations": ({"max_iter": -5}, "max_iter=-5"),
    "half an iteration": ({"max_iter": 2.5}, "max_iter=2.5"),
    "learning rate": ({"learning_rate": 0}, "learning_rate=0"),
    "learning rate of a word": ({"learning_rate": "fast"}, "learning_rate='fast'"),
    "method": ({"method": "magic"}, "method='magic' is unknown; choose one of auto, exact"),
    "too many components": (
        {"n_components": 4, "method": "barnes_hut"},
        "'n_components' should be at most 3",
    ),
    "a mesh in 3-D": (
        {"n_components": 3, "method": "particle_mesh"},
        "'n_components' should be at most 2",
    ),
    "angle": ({"angle": 2}, "angle=2: choose a number of 1 or less"),
    "dof": ({"dof": 0}, "dof=0"),
    "dof beyond single precision": ({"dof": 1e8}, "dof=100000000.0: choose a number of 100"),
    "init far out": ({"init": np.full((60, 2), 1e30)}, "init holds coordinates up to 1e"),
    "arguments of the metric": ({"metric_params": 5}, "metric_params=5"),
    "callbacks that end": ({"callbacks": iter([print])}, "callbacks must be a function"),
    "neighbours of other points": (
        {"neighbors": fastxai.neighbors(X[::-1].copy(), 20)},
        "row 0 of X is another than the one whose neighbours",
    ),
    "force error": ({"force_error": 1}, "force_error=1"),
    "init": ({"init": "umap"}, "unknown init 'umap'"),
    "init of another shape": ({"init": np.zeros((60, 3))}, r"init has the shape \(60, 3\)"),
    "init of NaN": ({"init": np.full((60, 2), np.nan)}, "NaN or infinity in row 0"),
    "device": ({"device": "tpu"}, "device='tpu'"),
    "callbacks": ({"callbacks": 3}, "callbacks must be a function"),
    "distances and PCA": ({"metric": "precomputed"}, "init='pca' cannot be used with"),
    "distances and components": (
        {"metric": "precomputed", "init": "random", "pca_components": 2},
        "pca_components= changes the points",
    ),
    "neighbours of others": (
        {"neighbors": (np.zeros((9, 3), int), np.zeros((9, 3)))},
        "neighbours of 9 points are given for 60",
    ),
    "metric": ({"metric": "nonsense"}, "nonsense"),
}


@pytest.mark.parametrize("options, message", WRONG.values(), ids=WRONG.keys())
def test_refused(options, message):
    data = X if options.get("metric") != "precomputed" else np.zeros((60, 60))
    with pytest.raises(InvalidInputError, match=message):
        TSNE(**(FAST | options)).fit(data)


@pytest.mark.parametrize(
    "points, message",
    [
        (np.full((9, 2), np.nan), "NaN"),
        (np.empty((0, 3)), "0 sample"),
        (np.ones((1, 3)), "n_samples = 1"),
        (np.ones(9), "1-dimensional|1D|two-dimensional|2D"),
    ],
    ids=["NaN", "empty", "one point", "one dimension"],
)
def test_refused_points(points, message):
    with pytest.raises(InvalidInputError, match=message):
        TSNE(**FAST).fit(points)


def test_distances_must_be_square():
    with pytest.raises(InvalidInputError, match="square matrix of distances"):
        TSNE(**FAST, metric="precomputed", init="random").fit(X)


def test_a_graph_of_too_few_neighbours_warns_and_says_what_it_supports():
    graph = fastxai.neighbors(X, 9)
    with pytest.warns(FastxaiWarning, match=r"wants 15 .* are 9: .* perplexity of about 3;"):
        TSNE(**FAST, neighbors=graph).fit(X)


def test_perplexity_counts_distinct_rows():
    twice = np.repeat(X[:10], 6, axis=0)
    graph = fastxai.neighbors(twice, 9, unique=True)
    with pytest.raises(InvalidInputError, match=r"perplexity \(30\) must be less .* \(10\)"):
        TSNE(perplexity=30, neighbors=graph).fit(twice)


@pytest.mark.parametrize("perplexity", [np.array(5.0), np.float32(5), [np.array(5)]], ids=repr)
def test_a_number_of_any_kind(perplexity):
    assert same(TSNE(**(FAST | {"perplexity": perplexity})).fit_transform(X), expected())


def test_a_perplexity_beyond_a_third_of_the_points_warns():
    with pytest.warns(FastxaiWarning, match=r"wants 150 .* 59 other points: .* of about 20$"):
        TSNE(**(FAST | {"perplexity": 50})).fit(X)


def test_a_graph_of_another_metric_than_asked_for_warns():
    graph = fastxai.neighbors(X, 15)
    with pytest.warns(FastxaiWarning, match="metric='cosine' and neighbors= of metric='eucl"):
        TSNE(**FAST, neighbors=graph, metric="cosine").fit(X)


def test_points_without_neighbours_are_named():
    D = sparse.lil_matrix((10, 10))
    for i in range(9):
        D[i, (i + 1) % 9] = D[(i + 1) % 9, i] = 1.0
    model = TSNE(**(FAST | {"perplexity": 1.5}), metric="precomputed", init="random")
    with pytest.raises(InvalidInputError, match=r"1 of 10 points .* \(the first is row 9\)"):
        model.fit(D.tocsr())


def test_one_place_for_all_warns():
    with pytest.warns(FastxaiWarning, match="all points at one place"):
        TSNE(**FAST, init=np.ones((60, 2))).fit(X)


def _lists():
    graph = fastxai.neighbors(X, 15)
    return graph.indices, graph.distances


def test_new_rows_without_neighbours_are_nan_with_a_warning():
    D = np.linalg.norm(X[:, None] - X, axis=2)
    model = TSNE(**FAST, metric="precomputed", init="random").fit(D)
    indices, distances = (part[:3].copy() for part in _lists())
    distances[1] = np.inf
    with pytest.warns(FastxaiWarning, match="1 of 3 rows have no neighbours"):
        places = model.transform((indices, distances))
    assert np.isnan(places).any(axis=1).tolist() == [False, True, False]


def test_too_much_for_the_memory_is_refused_before_the_work(monkeypatch):
    monkeypatch.setattr("fastxai.system.available_memory", lambda: 10_000)
    with pytest.raises(NotEnoughMemoryError, match="t-SNE of 60 x 4"):
        TSNE(**FAST).fit(X)
