"""What UMAP makes of points of every form, and of input it can not work with."""

import warnings

import numpy as np
import pytest
from scipy import sparse

from fastxai import UMAP, FastxaiWarning, InvalidInputError, NotEnoughMemoryError

FAST = {"n_epochs": 10, "n_neighbors": 8}
X = np.random.default_rng(0).standard_normal((60, 4)).round(2).astype(np.float32)


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


# --- forms -----------------------------------------------------------------------------------

FORMS = {
    "float64": lambda X: X.astype(np.float64),
    "big-endian": lambda X: X.astype(">f8"),
    "Fortran order": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "list": lambda X: X.tolist(),
    "objects that are numbers": lambda X: X.astype(object),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_form_of_the_points_does_not_matter(form):
    assert same(UMAP(**FAST).fit_transform(form(X)), UMAP(**FAST).fit_transform(X))


@pytest.mark.parametrize("dtype", ["float16", "int64", "uint8", "bool"])
def test_dtypes_count_as_float32(dtype):
    points = (np.abs(X) * 10 if dtype != "bool" else X > 0).astype(dtype)
    expected = UMAP(**FAST).fit_transform(points.astype(np.float32))
    assert same(UMAP(**FAST).fit_transform(points), expected)


def test_read_only_points():
    points = X.copy()
    points.flags.writeable = False
    assert same(UMAP(**FAST).fit(points).transform(points), UMAP(**FAST).fit_transform(X))


def test_a_memory_map_stays_one(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = UMAP(**FAST).fit(mapped)
    assert np.shares_memory(model.neighbors_.X, mapped)
    assert same(model.embedding_, UMAP(**FAST).fit_transform(X))


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array])
def test_sparse_points(kind):
    points = np.where(np.random.default_rng(1).random((60, 30)) < 0.2, 1.0, 0.0) * range(1, 31)
    model = UMAP(**FAST).fit(kind(points))
    assert sparse.issparse(model.neighbors_.X)
    assert same(model.embedding_, UMAP(**FAST).fit_transform(sparse.csr_matrix(points)))
    assert same(model.transform(points), model.embedding_)
    assert same(model.transform(kind(points[:9] + 1)), model.transform(points[:9] + 1))


def test_sparse_rows_among_dense_points():
    model = UMAP(**FAST).fit(X)
    new = X[:7] * (X[:7] > 0)
    assert same(model.transform(sparse.csr_matrix(new)), model.transform(new))


def test_identical_points():
    model = UMAP(**FAST).fit(np.ones((40, 3)))
    assert np.isfinite(model.embedding_).all()
    assert same(model.transform(np.ones((2, 3))), model.embedding_[[0, 0]])


def test_constant_features_change_nothing():
    wide = np.concatenate([X, np.full((60, 2), 7, np.float32)], axis=1)
    np.testing.assert_array_equal(
        UMAP(**FAST).fit(wide).neighbors_.indices, UMAP(**FAST).fit(X).neighbors_.indices
    )
    assert np.isfinite(UMAP(**FAST).fit_transform(wide)).all()


@pytest.mark.parametrize("n", [2, 3, 5, 8])
@pytest.mark.parametrize("init", ["spectral", "pca", "random"])
@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_few_points_lower_n_neighbors_with_a_warning(n, init, n_components):
    reduced = max(2, n - 1)
    with pytest.warns(FastxaiWarning, match=f"there are {n} points: reduced to {reduced}") as seen:
        model = UMAP(init=init, n_components=n_components, **FAST).fit(X[:n])
    assert len(seen) == 1
    assert model.n_neighbors_ == reduced
    assert model.embedding_.shape == (n, n_components)
    assert np.isfinite(model.embedding_).all()
    assert np.isfinite(model.transform(X[n : n + 2])).all()


def test_two_points_and_two_neighbours_are_no_reason_to_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        UMAP(n_neighbors=2, n_epochs=5).fit(X[:2])


# --- what can not be worked with -------------------------------------------------------------


def holed(value):
    points = X.copy()
    points[3, 1] = points[7, 0] = value
    return points


BAD_POINTS = {
    "NaN": (holed(np.nan), "NaN at row 3, column 1"),
    "infinity": (holed(-np.inf), "inf at row 3, column 1"),
    "beyond float32": (X.astype(np.float64) + 1e300, "row 0, column 0"),
    "sparse NaN": (sparse.csr_matrix(holed(np.nan)), "NaN at row 3, column 1"),
    "1-D": (X[0], "2D"),
    "3-D": (X.reshape(6, 10, 4), "2D"),
    "a number": (3.0, "2D"),
    "strings": (X.astype(str), "must hold numbers"),
    "objects": (np.array([[object()] * 2] * 20), "row 0, column 0"),
    "complex": (X + 1j, "Complex"),
    "no rows": (X[:0], "0 sample"),
    "no columns": (X[:, :0], "0 feature"),
    "one point": (X[:1], "n_samples = 1"),
}


@pytest.mark.parametrize(("points", "message"), BAD_POINTS.values(), ids=BAD_POINTS.keys())
def test_bad_points(points, message):
    with pytest.raises(InvalidInputError, match=message):
        UMAP(**FAST).fit(points)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        pytest.param(X[:, :3], "3 features, but UMAP is expecting 4", id="other features"),
        pytest.param(holed(np.nan), "NaN at row 3, column 1", id="NaN"),
        pytest.param(X[0], "2D", id="1-D"),
        pytest.param(X[:0], "0 sample", id="no rows"),
        pytest.param((np.tile([1, 2], (3, 1)), np.ones((3, 2))), "7 neighb", id="short lists"),
        pytest.param((np.full((2, 7), 60), np.ones((2, 7))), "0 to 59", id="no such point"),
    ],
)
def test_bad_new_points(points, message):
    with pytest.raises(InvalidInputError, match=message):
        UMAP(**FAST).fit(X).transform(points)


LISTS = np.tile(np.arange(1, 9), (60, 1)) + np.arange(60)[:, None]
LISTS %= 60
STEPS = np.tile(np.arange(1.0, 9.0), (60, 1))


def _changed(values, row, column, value):
    values = values.copy()
    values[row, column] = value
    return values


BAD_NEIGHBORS = {
    "too few points": ((LISTS[:50], STEPS[:50]), "50 points are given for 60"),
    "too few neighbours": ((LISTS[:, :5], STEPS[:, :5]), "7 neighbours a point are needed"),
    "unlike shapes": ((LISTS, STEPS[:, :5]), "same shape"),
    "unsorted": ((LISTS, _changed(STEPS, 4, 2, 0.5)), "row 4"),
    "out of range": ((_changed(LISTS, 4, 2, 60), STEPS), "0 to 59"),
    "NaN": ((LISTS, _changed(STEPS, 4, 2, np.nan)), "NaN"),
    "not square": (sparse.csr_matrix((60, 50)), r"\(60, 50\)"),
    "a word": ("nonsense", "NeighborGraph"),
}


@pytest.mark.parametrize("name", ["neighbors", "precomputed_knn"])
@pytest.mark.parametrize(("given", "message"), BAD_NEIGHBORS.values(), ids=BAD_NEIGHBORS.keys())
def test_bad_neighbours(given, message, name):
    with pytest.raises(InvalidInputError, match=message):
        UMAP(**{name: given}, **FAST).fit(X)


@pytest.mark.parametrize(
    ("distances", "message"),
    [
        pytest.param(np.ones((60, 50)), "square", id="not square"),
        pytest.param(np.ones((60, 60)), "from itself", id="similarities"),
        pytest.param(-1.0 + np.eye(60), "negative", id="negative"),
        pytest.param(np.full((60, 60), np.nan), "NaN", id="NaN"),
        pytest.param(np.full((60, 60), "a"), "numbers", id="strings"),
        pytest.param(np.zeros((1, 1)), "n_samples = 1", id="one point"),
    ],
)
def test_bad_distances(distances, message):
    with pytest.raises(InvalidInputError, match=message), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        UMAP(metric="precomputed", **FAST).fit(distances)


def test_too_little_memory_is_refused_with_the_figure(monkeypatch):
    monkeypatch.setattr("fastxai.system.available_memory", lambda: 1000)
    with pytest.raises(NotEnoughMemoryError, match=r"60 x 4.* GiB .*fewer points") as raised:
        UMAP(**FAST).fit(X)
    assert isinstance(raised.value, MemoryError)
