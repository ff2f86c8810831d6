"""t-SNE as an estimator: what scikit-learn asks, attributes, parameters, new points."""

import inspect
import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastxai
from fastxai import TSNE, DivergedError
from fastxai.embed.tsne_repulsion import choose

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
    assert other.kl_divergence_ == pytest.approx(model.kl_divergence_, abs=0.02)


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
    model = TSNE(**(FAST | {"max_iter": 600})).fit(X)
    iterations, divergences = model.kl_history_.T
    assert iterations.tolist() == [50, *range(110, 601, 50), 600][: len(iterations)]
    assert divergences[-1] < divergences[1]
    assert model.kl_divergence_ == pytest.approx(divergences[-1], abs=1e-3)


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


def test_a_callback_ends_the_work():
    model = TSNE(**FAST, callbacks=[lambda *_: True], callbacks_every_iters=30).fit(X)
    assert model.n_iter_ == 30


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


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_new_points_join_their_class(n_components):
    model = TSNE(**(FAST | {"max_iter": 400}), n_components=n_components).fit(X)
    near = KNeighborsClassifier(5).fit(model.embedding_, CLASSES)
    assert near.score(model.transform(NEW), NEW_CLASSES) > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_a_new_points_bits_do_not_depend_on_the_batch(method):
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


def test_a_layout_that_leaves_the_numbers_is_not_returned():
    model = TSNE(**FAST, learning_rate=1e38, max_step_norm=None)
    with pytest.raises(DivergedError, match=r"iteration \d+.*lower learning_rate"):
        model.fit(X)
    assert not hasattr(model, "embedding_")
