"""UMAP's parameters: values it can not work with, and those of umap-learn."""

import inspect
import re
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from fastxai import UMAP, FastxaiWarning, InvalidInputError
from fastxai.embed.umap_options import fit_curve

FAST = {"n_epochs": 10, "n_neighbors": 8}
X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
LISTS = (np.arange(60)[:, None] + np.arange(1, 9)) % 60
STEPS = np.tile(np.arange(1.0, 9.0), (60, 1))

# --- values that make no sense ---------------------------------------------------------------

BAD_VALUES = {
    "n_neighbors": [1, 0, 2.5, "15", True, None],
    "n_components": [0, -1, 2.0, None],
    "n_epochs": [-1, 10.5, "many"],
    "learning_rate": [0, -1, np.nan, np.inf, "1", True],
    "min_dist": [-0.1, 1.5, np.nan, None],
    "spread": [0, -1, np.inf, 1e-30],
    "set_op_mix_ratio": [-0.1, 1.1, None],
    "local_connectivity": [-1, np.nan],
    "repulsion_strength": [-1, np.inf],
    "negative_sample_rate": [-1, "5"],
    "target_n_neighbors": [0, 1, -2, 2.5],
    "target_weight": [-0.1, 1.1],
    "target_metric_kwds": [{"p": 2}],
    "recall": [0, 1.1, "all"],
    "random_state": [-1, 2**32, 1.5, "0", True],
    "transform_seed": [-1, 1.5, "0", None],
    "n_jobs": [0, 1.5, "all"],
    "device": ["gpu", "reference", 3],
    "disconnection_distance": [0, -1, np.nan, "far"],
    "init": ["nonsense", X[:, :3], np.zeros((61, 2)), np.zeros(60), np.full((60, 2), np.inf)],
    "metric": ["nonsense"],
    "metric_kwds": [{"p": 3}],
    "a": [1.0, 0],
    "b": [1.0],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}-{i}")
        for name, values in BAD_VALUES.items()
        for i, value in enumerate(values)
    ],
)
def test_bad_values_are_refused_by_name(name, value):
    with pytest.raises(InvalidInputError) as raised, warnings.catch_warnings():
        warnings.simplefilter("error")
        UMAP(**(FAST | {name: value})).fit(X)
    assert re.search(rf"\b{name}\b", str(raised.value))


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({"init": "nonsense"}, ["spectral", "pca", "random"]),
        (
            {"metric": "nonsense"},
            ["euclidean", "cosine", "correlation", "manhattan", "precomputed"],
        ),
    ],
    ids=["init", "metric"],
)
def test_unknown_names_list_the_known_ones(options, known):
    with pytest.raises(InvalidInputError) as raised:
        UMAP(**FAST, **options).fit(X)
    assert all(name in str(raised.value) for name in known)


def test_distances_have_no_principal_components():
    with pytest.raises(InvalidInputError, match="init='pca' needs the vectors"):
        UMAP(metric="precomputed", init="pca", **FAST).fit(np.zeros((60, 60)))


def test_two_sources_of_neighbours_are_one_too_many():
    with pytest.raises(InvalidInputError, match="give one of them"):
        UMAP(neighbors=(LISTS, STEPS), precomputed_knn=(LISTS, STEPS), **FAST).fit(X)
    UMAP(neighbors=(LISTS, STEPS), precomputed_knn=(None, None, None), **FAST).fit(X)
    UMAP(neighbors=(LISTS, STEPS), precomputed_knn=None, **FAST).fit(X)
    with pytest.raises(InvalidInputError, match="unique=True"):
        UMAP(neighbors=(LISTS, STEPS), unique=True, **FAST).fit(X)


# --- the curve -------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
@pytest.mark.parametrize("spread", [0.001, 0.1, 1, 10, 1000])
def test_the_curve_is_the_same_in_any_unit(spread, share):
    a, b = fit_curve(spread, share * spread)
    one_a, one_b = fit_curve(1.0, share)
    assert b == pytest.approx(one_b)
    assert a * spread ** (2 * b) == pytest.approx(one_a)
    d = np.linspace(0.01, 3, 50)
    wanted = np.where(d < share, 1, np.exp(share - d))
    assert np.abs(1 / (1 + one_a * d ** (2 * one_b)) - wanted).max() < 0.2


# --- umap-learn's parameters -----------------------------------------------------------------

# Names and defaults of umap-learn 0.5.12, in their order.
THEIRS = {
    "n_neighbors": 15,
    "n_components": 2,
    "metric": "euclidean",
    "metric_kwds": None,
    "output_metric": "euclidean",
    "output_metric_kwds": None,
    "n_epochs": None,
    "learning_rate": 1.0,
    "init": "spectral",
    "min_dist": 0.1,
    "spread": 1.0,
    "low_memory": True,
    "n_jobs": -1,
    "set_op_mix_ratio": 1.0,
    "local_connectivity": 1.0,
    "repulsion_strength": 1.0,
    "negative_sample_rate": 5,
    "transform_queue_size": 4.0,
    "a": None,
    "b": None,
    "random_state": None,
    "angular_rp_forest": False,
    "target_n_neighbors": -1,
    "target_metric": "categorical",
    "target_metric_kwds": None,
    "target_weight": 0.5,
    "transform_seed": 42,
    "transform_mode": "embedding",
    "force_approximation_algorithm": False,
    "verbose": False,
    "tqdm_kwds": None,
    "unique": False,
    "densmap": False,
    "dens_lambda": 2.0,
    "dens_frac": 0.3,
    "dens_var_shift": 0.1,
    "output_dens": False,
    "disconnection_distance": None,
    "precomputed_knn": (None, None, None),
}
OTHERWISE = {"random_state": 0, "n_jobs": None}  # ours by intent


def test_their_parameters_have_their_defaults_here():
    ours = {name: p.default for name, p in inspect.signature(UMAP).parameters.items()}
    shared = {name: value for name, value in THEIRS.items() if name in ours}
    assert len(shared) == 26
    assert {name: ours[name] for name in shared} == shared | OTHERWISE
    assert list(ours)[:4] == list(THEIRS)[:4]  # those that code gives by position


def test_all_of_their_defaults_are_accepted_in_silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = UMAP(**(THEIRS | FAST | {"random_state": 3})).fit(X)
    assert np.array_equal(model.embedding_, UMAP(random_state=3, **FAST).fit_transform(X))


@pytest.mark.parametrize(
    ("name", "value", "feature"),
    [
        ("densmap", True, "densMAP"),
        ("dens_lambda", 1.0, "densMAP"),
        ("dens_frac", 0.5, "densMAP"),
        ("dens_var_shift", 0.2, "densMAP"),
        ("output_dens", True, "densMAP"),
        ("output_metric", "haversine", "Euclidean"),
        ("output_metric_kwds", {"p": 2}, "Euclidean"),
        ("transform_mode", "graph", "graph"),
    ],
)
def test_what_is_not_here_yet_is_refused(name, value, feature):
    with pytest.raises(InvalidInputError, match=f"{name}=.*{feature}.* is not in fastxai"):
        UMAP(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("low_memory", False),
        ("angular_rp_forest", True),
        ("force_approximation_algorithm", True),
        ("transform_queue_size", 8.0),
        ("tqdm_kwds", {"desc": "epochs"}),
    ],
)
def test_what_has_no_effect_is_said_so(name, value):
    with pytest.warns(FastxaiWarning, match=f"{name}=.* has no effect"):
        model = UMAP(**{name: value})
    assert not hasattr(model, name)
    assert name not in clone(model).get_params()


def test_a_parameter_that_nobody_knows():
    with pytest.raises(TypeError, match="UMAP has no parameter 'n_neighbours'"):
        UMAP(n_neighbours=5)
    with pytest.raises(ValueError, match="n_neighbours"):
        UMAP().set_params(n_neighbours=5)
