"""Supervised UMAP: targets pull their like together, as far as their weight says."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import fastxai
from fastxai import UMAP, FastxaiWarning, InvalidInputError
from fastxai.embed.umap_graph import encode_classes

N, D = 160, 6
FAST = {"n_epochs": 60}
rng = np.random.default_rng(0)
# Two classes that overlap in the data, and numbers along its first axis, shuffled a little.
X = rng.standard_normal((N, D)).astype(np.float32)
CLASSES = np.arange(N) % 2
X[:, 0] += 1.5 * CLASSES
NUMBERS = (X[:, 1] + 0.3 * rng.standard_normal(N)).astype(np.float32)
NAMES = np.array(["left", "right"])[CLASSES]
FEW = np.arange(N) % 4 < 2  # points whose target is known


def embed(y=None, **options):
    return UMAP(**(FAST | options)).fit_transform(X, y)


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


def mixed(places, classes=CLASSES, k=8):
    """The share of other classes among the k nearest in the map."""
    near = np.argsort(cdist(places, places), axis=1)[:, 1 : k + 1]
    return float((classes[near] != classes[:, None]).mean())


def roughness(places, numbers=NUMBERS, k=8):
    """How much numbers differ among the k nearest in the map."""
    near = np.argsort(cdist(places, places), axis=1)[:, 1 : k + 1]
    return float(np.abs(numbers[near] - numbers[:, None]).mean())


@pytest.fixture(scope="module")
def plain():
    return embed()


# --- classes -------------------------------------------------------------------------------


def test_classes_are_pulled_together(plain):
    assert mixed(plain) > 0.2
    assert mixed(embed(CLASSES)) < 0.05


def test_classes_of_digits_move_apart():
    digits = fastxai.datasets.digits()
    some = slice(0, 600)
    options = {"n_epochs": 60, "n_neighbors": 10}
    data, classes = digits.data[some], digits.target[some]
    alone = UMAP(**options).fit_transform(data)
    told = UMAP(**options).fit_transform(data, classes)
    assert mixed(told, classes) < 0.5 * mixed(alone, classes)


def test_the_weight_goes_from_the_data_to_the_targets(plain):
    by_weight = [mixed(embed(CLASSES, target_weight=weight)) for weight in (0.0, 0.5, 1.0)]
    assert by_weight[0] > by_weight[1] >= by_weight[2]
    assert by_weight[2] < 0.01
    assert np.isfinite(embed(CLASSES, target_weight=1.0)).all()


UNKNOWN_CLASSES = {
    "-1": np.where(FEW, CLASSES, -1),
    "-1.0": np.where(FEW, CLASSES, -1).astype(float),
    "NaN": np.where(FEW, CLASSES, np.nan),
    "None": np.where(FEW, CLASSES, None),
    "None among words": np.where(FEW, NAMES, None),
    "NaN among words": np.where(FEW, NAMES.astype(object), np.nan),
}


@pytest.mark.parametrize("y", UNKNOWN_CLASSES.values(), ids=UNKNOWN_CLASSES.keys())
def test_points_of_unknown_class(y, plain):
    places = embed(y)
    assert same(places, embed(UNKNOWN_CLASSES["-1"]))
    assert mixed(embed(CLASSES)) < mixed(places) < mixed(plain)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda y: y.tolist(), id="list"),
        pytest.param(lambda y: y[:, None], id="column"),
        pytest.param(lambda y: y.astype(bool), id="bool"),
        pytest.param(lambda y: y.astype(np.uint8), id="uint8"),
        pytest.param(lambda y: y.astype(np.float32) + 7, id="float"),
        pytest.param(lambda y: np.array(["a", "b"])[y], id="words"),
        pytest.param(lambda y: np.array(["a", "b"], object)[y], id="objects"),
    ],
)
def test_the_form_of_the_classes_does_not_matter(form):
    assert same(embed(form(CLASSES)), embed(CLASSES))


@pytest.mark.parametrize("dtype", ["category", "string", "Int64"])
def test_pandas_classes(dtype):
    pandas = pytest.importorskip("pandas")
    values = CLASSES if dtype == "Int64" else NAMES
    y = pandas.Series(np.where(FEW, values.astype(object), None), dtype=dtype)
    assert same(embed(y), embed(UNKNOWN_CLASSES["-1"]))


def test_classes_are_numbered_by_name():
    words = np.array(["b", "a", None, "b", float("nan"), -1], object)
    assert encode_classes(words).tolist() == [1, 0, -1, 1, -1, -1]
    assert encode_classes(np.array([5, -1, 3])).tolist() == [1, -1, 0]
    assert encode_classes(np.array([None, None])).tolist() == [-1, -1]


def test_all_unknown_is_no_supervision():
    model = UMAP(**FAST).fit(X, np.full(N, -1))
    pattern = UMAP(**FAST).fit(X).graph_ > 0
    assert ((model.graph_ > 0) != pattern).nnz == 0
    assert np.isfinite(model.embedding_).all()


def test_each_point_stays_connected():
    graph = UMAP(**FAST).fit(X, CLASSES).graph_
    np.testing.assert_allclose(graph.max(axis=1).toarray().ravel(), 1, atol=1e-6)
    assert (abs(graph - graph.T) > 1e-6).nnz == 0
    assert graph.data.min() > 0


def test_a_point_whose_neighbours_are_all_of_other_classes():
    y = CLASSES.copy()
    y[5] = 2  # the only one of its class
    with pytest.warns(FastxaiWarning, match="1 of 160 points"):
        places = embed(y, target_weight=1.0)
    assert np.flatnonzero(np.isnan(places).any(axis=1)).tolist() == [5]
    assert np.isfinite(embed(y, target_weight=0.9)).all()


def test_equal_rows_take_the_first_ones_class():
    doubled = np.concatenate([X, X])
    y = np.concatenate([CLASSES, np.full(N, -1)])
    model = UMAP(unique=True, **FAST).fit(doubled, y)
    assert same(model.embedding_[:N], embed(CLASSES))


def test_new_points_find_their_class():
    model = UMAP(**FAST).fit(X, CLASSES)
    assert same(model.transform(X), model.embedding_)
    new = X + np.float32(0.01)
    near = np.argmin(cdist(model.transform(new), model.embedding_), axis=1)
    assert (CLASSES[near] == CLASSES).mean() > 0.8


# --- numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["euclidean", "l1", "manhattan", "chebyshev"])
def test_numbers_are_pulled_together(metric, plain):
    places = embed(NUMBERS, target_metric=metric)
    assert roughness(places) < 0.7 * roughness(plain)


def test_the_weight_of_numbers():
    by_weight = [
        roughness(embed(NUMBERS, target_metric="l2", target_weight=weight))
        for weight in (0.0, 0.5, 1.0)
    ]
    assert by_weight[0] > by_weight[1] > by_weight[2]


def test_points_of_unknown_number(plain):
    y = np.where(FEW, NUMBERS, np.nan)
    places = embed(y, target_metric="euclidean", target_weight=0.8)
    assert np.isfinite(places).all()
    assert roughness(places[FEW], NUMBERS[FEW]) < 0.6 * roughness(plain[FEW], NUMBERS[FEW])


def test_several_numbers_a_point(plain):
    y = X[:, 1:3]
    places = embed(y, target_metric="euclidean")
    for column in y.T:
        assert roughness(places, column) < roughness(plain, column)


def test_the_neighbourhood_among_numbers():
    narrow = embed(NUMBERS, target_metric="euclidean", target_n_neighbors=3)
    assert not same(narrow, embed(NUMBERS, target_metric="euclidean"))
    given = embed(NUMBERS, target_metric="euclidean", target_n_neighbors=15)
    assert same(given, embed(NUMBERS, target_metric="euclidean"))


@pytest.mark.parametrize("known", [0, 1, 2])
def test_hardly_any_numbers(known):
    y = np.where(np.arange(N) < known, NUMBERS, np.nan)
    assert np.isfinite(embed(y, target_metric="euclidean")).all()


# --- bad targets ---------------------------------------------------------------------------

NUMERIC = {"target_metric": "euclidean"}
BAD = {
    "too few": (CLASSES[:50], {}, "50 targets for 160 points"),
    "too many": (np.zeros(161), {}, "161 targets for 160 points"),
    "one value": (3, {}, "a single value for 160 points"),
    "two classes a point": (np.zeros((N, 2)), {}, "one class a point"),
    "unknown metric": (CLASSES, {"target_metric": "nonsense"}, "choose 'categorical'.*euclidean"),
    "words as numbers": (NAMES, NUMERIC, "takes numbers"),
    "infinity": (np.full(N, np.inf), NUMERIC, "infinity"),
    "too few numbers": (NUMBERS[:9], NUMERIC, "9 targets for 160 points"),
}


@pytest.mark.parametrize(("y", "options", "message"), BAD.values(), ids=BAD.keys())
def test_bad_targets(y, options, message):
    with pytest.raises(InvalidInputError, match=message):
        embed(y, **options)
