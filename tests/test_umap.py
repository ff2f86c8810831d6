"""UMAP as an estimator: what scikit-learn asks, attributes, parameters, new points."""

import inspect
import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.manifold import trustworthiness
from sklearn.model_selection import ParameterGrid
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastxai
from fastxai import UMAP, InvalidInputError
from fastxai.embed.umap_layout import default_epochs

N, D = 150, 6
FAST = {"n_epochs": 30}


def blobs(n=N, seed=0):
    """Three clusters, and which of them each point belongs to."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 3
    centres = np.random.default_rng(9).standard_normal((3, D)) * 8
    return (centres[classes] + rng.standard_normal((n, D))).astype(np.float32), classes


X, CLASSES = blobs()
NEW, NEW_CLASSES = blobs(40, seed=1)


def embed(**options):
    return UMAP(**(FAST | options)).fit_transform(X)


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


@pytest.fixture(scope="module")
def fitted():
    return UMAP(**FAST).fit(X)


@parametrize_with_checks([UMAP(n_epochs=20)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# --- fit -----------------------------------------------------------------------------------


def test_the_embedding_is_float32_and_whole(fitted):
    assert fitted.embedding_.shape == (N, 2)
    assert fitted.embedding_.dtype == np.float32
    assert np.isfinite(fitted.embedding_).all()
    assert fitted.embedding_.flags.c_contiguous


def test_fit_transform_is_the_embedding(fitted):
    assert same(UMAP(**FAST).fit_transform(X), fitted.embedding_)


def test_the_input_stays_as_it_was():
    points = X.copy()
    UMAP(**FAST).fit(points)
    assert same(points, X)


def test_digits_keep_their_classes_and_their_neighbours():
    digits = fastxai.datasets.digits()
    places = UMAP(n_epochs=100).fit_transform(digits.data)
    near = KNeighborsClassifier(10).fit(places[::2], digits.target[::2])
    assert near.score(places[1::2], digits.target[1::2]) > 0.95
    assert trustworthiness(digits.data, places, n_neighbors=15) > 0.97


def test_every_documented_attribute(fitted):
    documented = inspect.getdoc(UMAP).split("Attributes\n----------")[1].split("Examples")[0]
    names = re.findall(r"^([a-z_, ]+_\w*) :", documented, flags=re.MULTILINE)
    named = UMAP(**FAST).fit(_frame(X))
    found = [name for line in names for name in line.split(", ")]
    assert len(found) >= 9
    assert all(hasattr(named, name) for name in found)
    assert (fitted.n_neighbors_, fitted.n_epochs_, fitted.random_state_) == (15, 30, 0)
    assert (fitted.a_, fitted.b_) == pytest.approx((1.5769, 0.8951), abs=1e-4)
    assert fitted.n_features_in_ == D
    assert not hasattr(fitted, "feature_names_in_")
    assert fitted.neighbors_.indices.shape == (N, 14)


def _frame(points):
    pandas = pytest.importorskip("pandas")
    names = [f"f{i}" for i in range(points.shape[1])]
    return pandas.DataFrame(points, columns=names, index=[f"row{i}" for i in range(len(points))])


def test_names_of_columns_and_rows():
    model = UMAP(**FAST).set_output(transform="pandas")
    frame = model.fit_transform(_frame(X))
    assert frame.columns.tolist() == model.get_feature_names_out().tolist() == ["umap0", "umap1"]
    assert frame.index[:2].tolist() == ["row0", "row1"]
    assert model.feature_names_in_.tolist() == [f"f{i}" for i in range(D)]
    assert same(frame.to_numpy(), model.embedding_)


@pytest.mark.parametrize("use", ["transform", "get_feature_names_out"])
def test_nothing_before_fit(use):
    with pytest.raises(NotFittedError):
        getattr(UMAP(), use)(*([X] if use == "transform" else []))


def test_a_failed_fit_is_none():
    model = UMAP(metric="nonsense")
    with pytest.raises(InvalidInputError, match="nonsense"):
        model.fit(X)
    with pytest.raises(NotFittedError):
        model.transform(X)


def test_a_clone_has_the_parameters_and_nothing_else(fitted):
    copy = clone(UMAP(n_neighbors=7, init=np.zeros((N, 2)), neighbors=fitted.neighbors_))
    assert copy.n_neighbors == 7
    assert not hasattr(copy, "embedding_")
    assert same(clone(fitted).fit_transform(X), fitted.embedding_)


def test_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), UMAP(**FAST))
    pipeline.set_params(umap__n_neighbors=6)
    places = pipeline.fit_transform(X)
    scaled = StandardScaler().fit_transform(X)
    assert same(places, UMAP(n_neighbors=6, **FAST).fit_transform(scaled))
    assert same(pipeline.transform(X), places)


def test_a_grid_of_parameters(fitted):
    grid = ParameterGrid({"n_neighbors": [5, 15], "min_dist": [0.1, 0.5]})
    maps = [clone(fitted).set_params(**options).fit_transform(X) for options in grid]
    assert len({places.tobytes() for places in maps}) == 4
    assert any(same(places, fitted.embedding_) for places in maps)


def test_fitting_again_forgets_what_was():
    model = UMAP(**FAST).fit(NEW[:, :3])
    assert same(model.set_params(n_components=3).fit_transform(X), embed(n_components=3))
    assert model.n_features_in_ == D


# --- parameters ----------------------------------------------------------------------------


@pytest.mark.parametrize("n_components", [1, 2, 3, 5])
@pytest.mark.parametrize("init", ["spectral", "pca", "random"])
def test_any_number_of_components_from_any_start(n_components, init):
    places = embed(n_components=n_components, init=init)
    assert places.shape == (N, n_components)
    assert np.isfinite(places).all()
    near = KNeighborsClassifier(1).fit(places[1:], CLASSES[1:])
    assert near.score(places, CLASSES) > (0.8 if n_components == 1 else 0.98)


def test_the_seed_decides(fitted):
    assert same(embed(random_state=0), fitted.embedding_)
    assert not same(embed(random_state=1), fitted.embedding_)


def test_no_seed_draws_one_and_records_it():
    model = UMAP(random_state=None, **FAST).fit(X)
    assert same(embed(random_state=model.random_state_), model.embedding_)
    assert UMAP(random_state=None, **FAST).fit(X).random_state_ != model.random_state_


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_generators_are_drawn_from(make):
    generator = make(3)
    first, second = embed(random_state=generator), embed(random_state=generator)
    assert same(first, embed(random_state=make(3)))
    assert not same(first, second)


def test_the_curve_can_be_given(fitted):
    assert same(embed(a=fitted.a_, b=fitted.b_), fitted.embedding_)
    model = UMAP(a=2, b=1, **FAST).fit(X)
    assert (model.a_, model.b_) == (2.0, 1.0)
    assert not same(model.embedding_, fitted.embedding_)


def test_min_dist_keeps_points_apart():
    def closest(places):
        gaps = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(N)
        return np.median(gaps.min(axis=1))

    assert closest(embed(min_dist=0.8)) > 1.5 * closest(embed(min_dist=0.0))


def test_repulsion_spreads_the_map(fitted):
    wide = embed(repulsion_strength=3.0)
    assert np.ptp(wide, axis=0).max() > np.ptp(fitted.embedding_, axis=0).max()
    assert not same(embed(negative_sample_rate=1), fitted.embedding_)
    assert np.ptp(embed(negative_sample_rate=0), axis=0).max() < np.ptp(wide, axis=0).max()


def test_the_learning_rate_scales_the_steps():
    start = embed(n_epochs=0)
    steps = [np.abs(embed(learning_rate=rate) - start).mean() for rate in (1e-6, 0.1, 1.0)]
    assert steps[0] < 1e-3 < steps[1] < steps[2]


def test_the_usual_number_of_epochs():
    assert UMAP().fit(X[:20]).n_epochs_ == 500
    assert (default_epochs(10_000), default_epochs(10_001)) == (500, 200)


def test_progress_names_the_stages(capfd):
    embed(verbose=True)
    shown = capfd.readouterr().err
    assert all(stage in shown for stage in ("neighbours", "fuzzy set", "spectral", "layout"))
    embed()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["inverse_transform", "update"])
def test_methods_that_are_not_here_say_so(fitted, name):
    assert not hasattr(fitted, name)
    with pytest.raises(AttributeError, match=f"{name} is not in fastxai"):
        getattr(fitted, name)


# --- new points ----------------------------------------------------------------------------


def test_training_rows_have_their_places(fitted):
    assert same(fitted.transform(X), fitted.embedding_)
    order = np.random.default_rng(0).permutation(N)
    assert same(fitted.transform(X[order].astype(np.float64)), fitted.embedding_[order])
    assert same(fitted.transform(X[7:8].tolist()), fitted.embedding_[7:8])


def test_of_equal_rows_the_lowest_one_counts():
    doubled = np.concatenate([X, X[:20]])
    model = UMAP(**FAST).fit(doubled)
    assert not same(model.embedding_[:20], model.embedding_[N:])
    assert same(model.transform(X[:20]), model.embedding_[:20])


def test_new_points_come_to_lie_among_their_like(fitted):
    near = KNeighborsClassifier(5).fit(fitted.embedding_, CLASSES)
    assert near.score(fitted.transform(NEW), NEW_CLASSES) == 1.0


def test_new_points_do_not_depend_on_their_batch(fitted):
    together = fitted.transform(NEW)
    assert same(np.concatenate([fitted.transform(NEW[i : i + 1]) for i in range(40)]), together)
    order = np.random.default_rng(0).permutation(40)
    assert same(fitted.transform(NEW[order]), together[order])
    mixed = fitted.transform(np.concatenate([X[:3], NEW[:5], NEW[:5]]))
    assert same(mixed[3:8], together[:5])
    assert same(mixed[8:], together[:5])


def test_far_points_in_the_batch_change_nothing(fitted):
    close = X[:5] + np.float32(1e-4)
    batch = np.concatenate([close, np.full((1, D), 1e6, np.float32)])
    assert same(fitted.transform(batch)[:5], fitted.transform(close))


def test_transform_leaves_the_map_as_it_is(fitted):
    before, first = fitted.embedding_.copy(), fitted.transform(NEW)
    places = fitted.transform(X)
    places[:] = 0  # is the caller's
    assert same(fitted.embedding_, before)
    assert same(fitted.transform(NEW), first)


def test_the_transform_seed_decides(fitted):
    other = UMAP(transform_seed=1, **FAST).fit(X)
    assert same(other.embedding_, fitted.embedding_)
    assert not same(other.transform(NEW), fitted.transform(NEW))


def test_without_epochs_new_points_lie_between_their_neighbours():
    model = UMAP(n_epochs=0).fit(X)
    places = model.transform(NEW)
    low, high = model.embedding_.min(axis=0), model.embedding_.max(axis=0)
    assert ((places >= low) & (places <= high)).all()
