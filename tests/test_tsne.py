"""t-SNE as an estimator: what scikit-learn asks, attributes, parameters, new points."""

import inspect
import pickle
import re

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastxai
from fastxai import TSNE, DivergedError
from fastxai.embed import tsne_descent, tsne_repulsion, tsne_transform
from fastxai.embed.tsne_repulsion import Repulsion, choose
from fastxai.embed.tsne_schedule import phases
from fastxai_kernels import select

N, D = 150, 6
FAST = {"max_iter": 120, "early_exaggeration_iter": 60, "perplexity": 10}
METHODS = ["exact", "barnes_hut", "particle_mesh"]


def blobs(n=N, seed=0):
    """Three clusters, and which of them each point belongs to."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 3
    centres = np.random.default_rng(9).standard_normal((3, D)) * 8
    return (centres[classes] + rng.standard_normal((n, D))).astype(np.float32), classes


X, CLASSES = blobs()
NEW, NEW_CLASSES = blobs(40, seed=1)


def embed(**options):
    return TSNE(**(FAST | options)).fit_transform(X)


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b)


@pytest.fixture(scope="module")
def fitted():
    return TSNE(**FAST).fit(X)


@pytest.fixture(scope="module")
def digits():
    data = fastxai.datasets.digits()
    return data, TSNE().fit(data.data)


@parametrize_with_checks([TSNE(max_iter=20, early_exaggeration_iter=10, perplexity=2)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# --- fit -----------------------------------------------------------------------------------


def test_the_embedding_is_float32_and_whole(fitted):
    assert fitted.embedding_.shape == (N, 2)
    assert fitted.embedding_.dtype == np.float32
    assert np.isfinite(fitted.embedding_).all()


def test_fit_transform_is_the_embedding(fitted):
    assert same(TSNE(**FAST).fit_transform(X), fitted.embedding_)


def test_digits_keep_their_classes_and_their_neighbours(digits):
    data, model = digits
    places = model.embedding_
    near = KNeighborsClassifier(10).fit(places[::2], data.target[::2])
    assert near.score(places[1::2], data.target[1::2]) > 0.96
    assert trustworthiness(data.data, places, n_neighbors=15) > 0.98


@pytest.mark.parametrize("n_components", [2, 3])
def test_the_divergence_is_as_low_as_scikit_learns(n_components):
    from sklearn.manifold import TSNE as TheirTSNE

    points = fastxai.datasets.digits().data[::3]
    ours = TSNE(n_components=n_components).fit(points)
    theirs = TheirTSNE(n_components=n_components, random_state=0).fit(points)
    assert ours.kl_divergence_ < theirs.kl_divergence_ * 1.02  # local minima differ by that


@pytest.mark.parametrize("method", METHODS[1:])
def test_every_method_reaches_the_same_divergence(method, digits):
    data, model = digits
    other = TSNE(method=method).fit(data.data)
    assert other.method_ == method
    assert other.kl_divergence_ == pytest.approx(model.kl_divergence_, abs=0.005)


def test_the_tree_at_angle_0_is_exact():
    # Few points: with these the affinities of "exact" are those of the others too.
    options = {"perplexity": 14, "learning_rate": 1.0, "max_iter": 250, "init": "random"}
    exact, tree = (
        TSNE(method=method, angle=0, **options).fit_transform(X[:30])
        for method in ("exact", "barnes_hut")
    )
    np.testing.assert_allclose(tree, exact, atol=1e-4 * np.abs(exact).max())


@pytest.mark.parametrize(
    "n, n_components, method",
    [
        (500, 2, "exact"),
        (70_000, 2, "particle_mesh"),
        (70_000, 1, "particle_mesh"),
        (70_000, 3, "barnes_hut"),
        (70_000, 4, "exact"),
    ],
)
def test_auto_is(n, n_components, method):
    assert choose("auto", n, n_components) == method


def test_the_divergence_is_that_of_the_embedding(digits):
    data, model = digits
    exact = fastxai.metrics.embedding.kl_divergence(model.embedding_, data.data, perplexity=30)
    assert model.kl_divergence_ == pytest.approx(float(exact), abs=2e-3)


def test_every_documented_attribute():
    documented = inspect.getdoc(TSNE).split("Attributes\n----------")[1].split("Examples")[0]
    names = re.findall(r"^([a-z_, ]+_\w*) :", documented, flags=re.MULTILINE)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"f{i}" for i in range(D)])
    model = TSNE(**FAST, pca_components=4).fit(frame)
    assert len(names) >= 10
    assert all(hasattr(model, name) for name in names)
    assert (model.n_iter_, model.learning_rate_, model.random_state_) == (120, 50.0, 0)
    assert model.neighbors_.indices.shape == (N, 30)


def test_names_of_columns_and_rows():
    pandas = pytest.importorskip("pandas")
    names = [f"f{i}" for i in range(D)]
    frame = pandas.DataFrame(X, columns=names, index=[f"row{i}" for i in range(N)])
    model = TSNE(**FAST).set_output(transform="pandas")
    out = model.fit_transform(frame)
    assert out.columns.tolist() == ["tsne0", "tsne1"]
    assert out.index[:2].tolist() == ["row0", "row1"]


def test_nothing_before_fit():
    with pytest.raises(NotFittedError):
        TSNE().transform(X)


def test_clones_and_pickles(fitted):
    assert clone(fitted).get_params() == fitted.get_params()
    again = pickle.loads(pickle.dumps(fitted))
    assert same(again.transform(NEW), fitted.transform(NEW))


@pytest.mark.parametrize("method", METHODS)
def test_the_threads_do_not_matter(method):
    alone, two, eight = (embed(method=method, n_jobs=jobs) for jobs in (1, 2, 8))
    assert same(alone, two) and same(alone, eight)


def test_the_seed_decides():
    assert same(embed(init="random", random_state=3), embed(init="random", random_state=3))
    assert not same(embed(init="random", random_state=3), embed(init="random", random_state=4))


# --- parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"perplexity": 4},
        {"perplexity": [4, 30]},
        {"early_exaggeration": 4.0},
        {"learning_rate": 10.0},
        {"max_iter": 100},
        {"metric": "cosine"},
        {"init": "random"},
        {"init": "spectral"},
        {"early_exaggeration_iter": 20},
        {"exaggeration": 2.0},
        {"dof": 0.5},
        {"initial_momentum": 0.3},
        {"final_momentum": 0.5},
        {"max_step_norm": 0.05},
        {"pca_components": 3},
    ],
    ids=str,
)
def test_every_parameter_changes_the_map(options, fitted):
    assert not same(embed(**options), fitted.embedding_)


def test_a_list_of_one_perplexity_is_that_perplexity(fitted):
    assert same(embed(perplexity=[10]), fitted.embedding_)


def test_exaggeration_draws_clusters_together():
    widths = [
        np.mean([np.ptp(Y[c == CLASSES], axis=0).mean() for c in range(3)])
        for Y in (embed(max_iter=400), embed(max_iter=400, exaggeration=4.0))
    ]
    assert widths[1] < 0.7 * widths[0]


def test_more_iterations_lower_the_divergence():
    model = TSNE(**(FAST | {"max_iter": 620})).fit(X)
    iterations, divergences = model.kl_history_.T
    assert iterations.tolist() == [*range(50, 601, 50), 620]
    assert divergences[-1] < divergences[1]
    assert model.kl_divergence_ == divergences[-1]


def test_the_history_is_that_of_the_maps():
    seen = {}

    def watch(iteration, divergence, embedding):
        seen[iteration] = divergence, embedding

    model = TSNE(**FAST, callbacks=watch, callbacks_every_iters=50).fit(X)
    for iteration, divergence in model.kl_history_[:-1]:
        told, embedding = seen[iteration]
        exact = fastxai.metrics.embedding.kl_divergence(embedding, X, perplexity=10)
        assert told == divergence == pytest.approx(float(exact), abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_points_in_the_order_of_a_curve_end_in_the_same_map(method, monkeypatch):
    maps = []

    def watch(*seen):
        maps.append(seen[2])

    plain = embed(method=method, init="random", max_iter=61, early_exaggeration_iter=0)
    monkeypatch.setattr(tsne_descent, "_MANY", 0)
    options = {"callbacks": watch, "callbacks_every_iters": 61, "early_exaggeration_iter": 0}
    ordered = embed(method=method, init="random", max_iter=61, **options)
    # Sums in another order differ by rounding, which 61 steps let grow a little.
    np.testing.assert_allclose(ordered, plain, atol=0.01 * np.abs(plain).max())
    assert same(maps[0], ordered)


@pytest.mark.parametrize(
    "n, rates, momentum",
    [(100, (50.0, 50.0), 0.8), (10_000, (10_000 / 48, 2500.0), 0.8), (48_000, (1e3, 12e3), 0.9)],
)
def test_steps_grow_with_the_number_of_points(n, rates, momentum):
    early, main = phases(TSNE(), n)
    assert (early.learning_rate, main.learning_rate) == pytest.approx(rates)
    assert (early.momentum, main.momentum) == (0.5, momentum)
    assert (early.iterations, main.iterations) == (250, 750)


def test_a_mesh_too_large_gives_way_to_the_tree(monkeypatch):
    monkeypatch.setattr(tsne_repulsion, "_NODES_AT_LEAST", {})
    monkeypatch.setattr(tsne_repulsion, "_EXACT_UP_TO", {2: 0})
    with pytest.warns(fastxai.FastxaiWarning, match="Barnes-Hut takes over") as seen:
        monkeypatch.setitem(tsne_repulsion._NODES, "particle_mesh", 1)
        asked = TSNE(**FAST, method="particle_mesh").fit(X)
    assert asked.method_ == "barnes_hut"
    assert seen[0].filename == __file__
    monkeypatch.setitem(tsne_repulsion._NODES, "auto", 1)
    assert TSNE(**FAST).fit(X).method_ == "barnes_hut"


@pytest.mark.parametrize("method", METHODS)
def test_the_forces_on_a_real_map(method, digits):
    _, model = digits
    Y = model.embedding_
    kernels = select("cpu")
    exact, total = select("reference").exact_repulsion(Y, 1.0)
    repulsion = Repulsion(kernels, method, len(Y), 2, 1.0, 0.5, 0.01)
    forces, found = repulsion(Y)
    error = np.sqrt(((forces - exact) ** 2).sum() / (exact**2).sum())
    assert error < {"exact": 1e-5, "barnes_hut": 0.005, "particle_mesh": 0.01}[method]
    assert found == pytest.approx(total, rel={"exact": 1e-5}.get(method, 2e-3))


@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_is_that_of_the_divergence(method, n_components, dof):
    if method == "particle_mesh" and n_components == 3:
        pytest.skip("a mesh has up to two dimensions")
    rng = np.random.default_rng(0)
    Y = rng.normal(scale=2, size=(25, n_components)).astype(np.float32)
    p = np.abs(rng.normal(size=(25, 25)))
    p = p + p.T
    np.fill_diagonal(p, 0)
    p /= p.sum()
    kernels, graph = select("cpu"), sparse.csr_array(p)
    parts = graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data
    repulsion, total = Repulsion(kernels, method, 25, n_components, dof, 0.0, 1e-4)(Y)
    attraction = kernels.attraction(Y, parts[0], parts[1], parts[2].astype(np.float32), dof)
    gradient = 4 * (attraction - repulsion / total)

    def divergence(places):
        square = ((places[:, None] - places) ** 2).sum(axis=2)
        w = (1 + square / dof) ** -dof
        np.fill_diagonal(w, 0)
        off = ~np.eye(25, dtype=bool)
        return (p[off] * np.log(p[off] / (w[off] / w.sum()))).sum()

    numeric, step = np.empty(Y.shape), 1e-5
    for i, c in np.ndindex(Y.shape):
        moved = np.repeat(Y[None].astype(np.float64), 2, axis=0)
        moved[:, i, c] += (step, -step)
        numeric[i, c] = (divergence(moved[0]) - divergence(moved[1])) / (2 * step)
    np.testing.assert_allclose(gradient, numeric, atol=1e-3 * np.abs(numeric).max())


def test_an_early_stop_saves_iterations_and_no_more_than_its_tolerance():
    options = FAST | {"max_iter": 2000}
    whole, stopped = TSNE(**options).fit(X), TSNE(**options, tol=1e-3).fit(X)
    assert stopped.n_iter_ < whole.n_iter_
    assert stopped.kl_divergence_ < whole.kl_divergence_ + 0.05


def test_no_early_stop_by_default():
    assert TSNE(**(FAST | {"max_iter": 350})).fit(X).n_iter_ == 350


def test_it_ends_without_progress():
    # Steps that are far too long: the divergence does not fall.
    options = FAST | {"max_iter": 3000, "n_iter_without_progress": 50, "learning_rate": 1e5}
    assert TSNE(**options).fit(X).n_iter_ < 3000


def test_it_ends_at_a_small_gradient():
    assert TSNE(**(FAST | {"min_grad_norm": 1e3})).fit(X).n_iter_ == 50 + 50


def test_callbacks_see_the_map_grow():
    seen = []

    def watch(iteration, divergence, embedding):
        seen.append((iteration, divergence, embedding))

    model = TSNE(**FAST, callbacks=watch, callbacks_every_iters=40).fit(X)
    assert [iteration for iteration, *_ in seen] == [40, 80, 120]
    assert all(np.isfinite(divergence) for _, divergence, _ in seen)
    assert same(seen[-1][2], model.embedding_)


def test_each_callback_has_a_copy_of_its_own():
    def spoil(_iteration, _divergence, embedding):
        embedding[:] = 0

    seen = []
    model = TSNE(**FAST, callbacks=[spoil, lambda *told: seen.append(told[2])]).fit(X)
    assert all(np.ptp(embedding) > 0 for embedding in seen)
    assert same(model.embedding_, embed())


def test_a_callback_ends_the_work():
    seen = []

    def end(iteration, *_):
        seen.append(iteration)
        return iteration == 60

    model = TSNE(**FAST, callbacks=[end], callbacks_every_iters=30).fit(X)
    assert model.n_iter_ == 60
    assert seen == [30, 60]
    assert model.kl_history_[:, 0].tolist() == [50, 60]


def test_what_a_callback_returns_by_the_way_ends_nothing():
    assert TSNE(**FAST, callbacks=lambda *told: told[2]).fit(X).n_iter_ == 120


@pytest.mark.parametrize("options", [{"tol": 1e9}, {"min_grad_norm": 1e9}], ids=str)
def test_no_iteration_is_recorded_twice(options):
    seen = []
    told = {"callbacks": lambda iteration, *_: seen.append(iteration)}
    model = TSNE(**FAST, **options, **told).fit(X)
    for iterations in (seen, model.kl_history_[:, 0].tolist()):
        assert iterations == sorted(set(iterations))


@pytest.mark.parametrize("n_components", [2, 3])
@pytest.mark.parametrize("options", [{}, {"dof": 0.5}, {"method": "exact"}], ids=str)
def test_new_points_come_to_rest(n_components, options, monkeypatch):
    model = TSNE(n_components, **FAST, **options).fit(X)
    places = model.transform(NEW)
    monkeypatch.setattr(tsne_transform, "_ITERATIONS", 4000)
    apart = np.linalg.norm(model.transform(NEW) - places, axis=1)
    assert apart.max() < 0.01 * np.ptp(model.embedding_, axis=0).max()


def test_given_neighbours_give_the_same_map(fitted):
    graph = fastxai.neighbors(X, 40)
    assert same(embed(neighbors=graph), fitted.embedding_)
    assert same(embed(neighbors=(graph.indices, graph.distances)), fitted.embedding_)


def test_equal_rows_of_a_distinct_graph_share_a_place():
    twice = np.concatenate([X, X])
    model = TSNE(**FAST, neighbors=fastxai.neighbors(twice, 40, unique=True)).fit(twice)
    assert same(model.embedding_[:N], model.embedding_[N:])


def test_distances_instead_of_points():
    from sklearn.metrics import pairwise_distances

    graph = fastxai.neighbors(X, 30)
    model = TSNE(**FAST, metric="precomputed", init="spectral").fit(pairwise_distances(X))
    np.testing.assert_array_equal(model.neighbors_.indices, graph.indices)
    assert trustworthiness(X, model.embedding_, n_neighbors=10) > 0.9


# --- new points ------------------------------------------------------------------------------


def test_training_rows_keep_their_places(fitted):
    assert same(fitted.transform(X), fitted.embedding_)


@pytest.fixture(params=["all pairs", "mesh or tree"])
def field(request, monkeypatch):
    """How the repulsion on new points is computed."""
    if request.param != "all pairs":
        monkeypatch.setattr(tsne_repulsion, "_EXACT_UP_TO", {2: 0, 3: 0})


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_new_points_join_their_class(n_components, field):
    model = TSNE(**(FAST | {"max_iter": 400}), n_components=n_components).fit(X)
    near = KNeighborsClassifier(5).fit(model.embedding_, CLASSES)
    assert near.score(model.transform(NEW), NEW_CLASSES) > 0.95


@pytest.mark.parametrize("n_components", [2, 3])
def test_all_kinds_of_repulsion_place_new_points_alike(n_components, monkeypatch):
    model = TSNE(n_components, **FAST).fit(X)
    exact = model.transform(NEW)
    monkeypatch.setattr(tsne_repulsion, "_EXACT_UP_TO", {2: 0, 3: 0})
    extent = np.ptp(model.embedding_, axis=0).max()
    apart = np.linalg.norm(model.transform(NEW) - exact, axis=1)
    assert np.quantile(apart, 0.9) < 0.01 * extent


def test_parameters_set_after_the_fit_move_no_new_point(fitted):
    model = pickle.loads(pickle.dumps(fitted))
    model.set_params(exaggeration=4.0, perplexity=3, dof=0.5, method="exact", angle=0.9)
    assert same(model.transform(NEW), fitted.transform(NEW))


@pytest.mark.parametrize("method", METHODS)
def test_a_new_points_bits_do_not_depend_on_the_batch(method, field):
    model = TSNE(**FAST, method=method).fit(X)
    together = model.transform(NEW)
    for i in (0, 17, 39):
        assert same(model.transform(NEW[i : i + 1])[0], together[i])
    assert same(model.transform(NEW[::-1])[::-1], together)


def test_new_digits_come_to_lie_where_training_would_have_put_them(digits):
    data, _ = digits
    half = TSNE().fit(data.data[::2])
    near = KNeighborsClassifier(10).fit(half.embedding_, data.target[::2])
    assert near.score(half.transform(data.data[1::2]), data.target[1::2]) > 0.94


def test_new_points_by_their_neighbours(fitted):
    graph = fastxai.neighbors(X, 30)
    lists = graph.query(NEW, 30)
    model = TSNE(**FAST, neighbors=(graph.indices, graph.distances)).fit(X)
    np.testing.assert_allclose(model.transform(lists), fitted.transform(NEW), atol=1e-4)


def test_new_points_after_a_pca():
    model = TSNE(**FAST, pca_components=3).fit(X)
    assert same(model.transform(X), model.embedding_)
    assert np.isfinite(model.transform(NEW)).all()


# --- what can go wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("max_iter", [1, 2, 120])
@pytest.mark.parametrize("method", METHODS)
def test_a_layout_that_leaves_the_numbers_is_not_returned(method, max_iter):
    options = FAST | {"max_iter": max_iter, "method": method}
    model = TSNE(**options, learning_rate=1e38, max_step_norm=None)
    with pytest.raises(DivergedError, match=r"iteration \d+.*lower learning_rate"):
        model.fit(X)
    assert not hasattr(model, "embedding_")
