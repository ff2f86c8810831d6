"""PCA against the singular value decomposition, on data of every kind, and its promises."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import decomposition
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from fastxai import PCA
from fastxai.embed import blocks, decompose
from fastxai.errors import FastxaiError, FastxaiWarning, InvalidInputError, NotEnoughMemoryError


@parametrize_with_checks([PCA(), PCA(n_components=1, whiten=True), PCA(1, solver="randomized")])
def test_it_is_an_estimator(estimator, check):
    check(estimator)


def rng():
    return np.random.default_rng(0)


def structured(n, d, rank=8):
    """A few strong directions off the origin, and noise."""
    strong = (rng().standard_normal((n, rank)) * np.logspace(1, 0, rank)) @ rng().standard_normal(
        (rank, d)
    )
    return strong + 0.1 * rng().standard_normal((n, d)) + 3


def sparse_points(n, d):
    dense = structured(n, d) * (rng().random((n, d)) < 0.2)
    return sparse.csr_array(dense)


def truth(X, count):
    """Variances and directions by the SVD in float64, and all the variance."""
    dense = np.asarray(X.toarray() if sparse.issparse(X) else X, np.float64)
    moved = dense - dense.mean(axis=0)
    with threadpool_limits(1):  # quicker for matrices so small
        _, values, directions = np.linalg.svd(moved, full_matrices=False)
    variance = values**2 / (len(dense) - 1)
    return variance[:count], directions[:count], variance.sum()


DATA = {
    "more rows": lambda: structured(500, 30),
    "more features": lambda: structured(40, 300),
    "square": lambda: structured(50, 50),
    "far from the origin": lambda: structured(500, 30) + 1e4,
    "digits": lambda: load_digits().data,
    "sparse, more rows": lambda: sparse_points(300, 40),
    "sparse, more features": lambda: sparse_points(40, 300),
}
SOLVERS = ["covariance", "randomized"]


@pytest.mark.parametrize("make", DATA.values(), ids=DATA.keys())
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_components_are_those_of_the_svd(make, solver, dtype):
    X = make().astype(dtype)
    pca = PCA(3, solver=solver).fit(X)
    variance, directions, total = truth(X, 3)
    loose = 1e-3 if solver == "randomized" else 1e-5
    np.testing.assert_allclose(pca.explained_variance_, variance, rtol=loose)
    np.testing.assert_allclose(pca.explained_variance_ratio_, variance / total, rtol=loose)
    cosines = np.abs((pca.components_ * directions).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=loose)
    assert pca.components_.dtype == pca.mean_.dtype == dtype


@pytest.mark.parametrize("make", DATA.values(), ids=DATA.keys())
def test_it_agrees_with_scikit_learn(make):
    X = make()
    dense = X.toarray() if sparse.issparse(X) else X
    with threadpool_limits(1):
        ours, theirs = PCA(4).fit(X), decomposition.PCA(4, svd_solver="full").fit(dense)
    turn = np.sign((ours.components_ * theirs.components_).sum(axis=1))
    np.testing.assert_allclose(ours.transform(X), theirs.transform(dense) * turn, atol=1e-6)
    np.testing.assert_allclose(ours.singular_values_, theirs.singular_values_, rtol=1e-9)
    assert ours.noise_variance_ == pytest.approx(theirs.noise_variance_)


def test_many_float32_points_are_multiplied_in_float32(monkeypatch):
    monkeypatch.setattr(decompose, "_QUICK", 0)
    for X in (structured(5000, 60), structured(60, 5000)):
        pca = PCA(3).fit(X.astype(np.float32))
        np.testing.assert_allclose(pca.explained_variance_, truth(X, 3)[0], rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_range_of_float32_is_no_limit(monkeypatch, scale):
    monkeypatch.setattr(decompose, "_QUICK", 0)
    X = (structured(300, 20) * scale).astype(np.float32)
    pca = PCA(2).fit(X)
    np.testing.assert_allclose(pca.explained_variance_, truth(X, 2)[0], rtol=1e-5)
    assert np.isfinite(pca.transform(X)).all()


def test_variance_beyond_float64_is_refused():
    with pytest.raises(InvalidInputError, match="column 1 is beyond float64"):
        PCA(1).fit([[0.0, 1e300], [0.0, -1e300], [1.0, 0.0]])


@pytest.mark.parametrize("shape", [(60, 10), (10, 60)], ids=["more rows", "more features"])
def test_all_components_restore_the_points(shape):
    X = structured(*shape)
    pca = PCA(None)
    restored = pca.inverse_transform(pca.fit_transform(X))
    assert pca.n_components_ == 10 and pca.noise_variance_ == 0
    np.testing.assert_allclose(restored, X, atol=1e-9)
    np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(10), atol=1e-9)
    assert pca.explained_variance_ratio_.sum() == pytest.approx(1)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_a_share_of_the_variance_is_kept_by_as_few_as_can(share):
    X = load_digits().data
    ratios = PCA(share).fit(X).explained_variance_ratio_
    assert ratios.sum() >= share > ratios[:-1].sum()
    held = np.cumsum(truth(X, 64)[0]) / truth(X, 64)[2]
    assert len(ratios) == (held < share).sum() + 1


def test_the_largest_loading_is_positive():
    components = PCA(20).fit(load_digits().data).components_
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(20), largest] > 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_equally_large_loadings_the_first_is_positive(dtype):
    steps = rng().standard_normal((100, 1))
    components = PCA(1).fit((steps * [-1, 1, -1]).astype(dtype)).components_
    np.testing.assert_allclose(components[0], np.array([1, -1, 1]) / np.sqrt(3), atol=1e-6)


def test_loadings_are_covariances_with_the_whitened_components():
    X = structured(200, 6)
    pca = PCA(3, whiten=True)
    whitened = pca.fit_transform(X)
    expected = (X - X.mean(axis=0)).T @ whitened / 199
    np.testing.assert_allclose(pca.loadings_, expected, atol=1e-9)


def test_whitened_components_have_unit_variance_and_can_be_inverted():
    X = structured(200, 6)
    pca = PCA(6, whiten=True)
    whitened = pca.fit_transform(X)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(6), atol=1e-9)
    np.testing.assert_allclose(pca.inverse_transform(whitened), X, atol=1e-9)


FORMS = {
    "float16": lambda X: X.astype(np.float16),
    "int64": lambda X: X.astype(np.int64),
    "uint8": lambda X: X.astype(np.uint8),
    "bool": lambda X: X > 7,
    "Fortran order": lambda X: np.asfortranarray(X, np.float32),
    "read-only": lambda X: np.frombuffer(X.astype(np.float32).tobytes(), np.float32).reshape(
        X.shape
    ),
    "list": lambda X: X.astype(np.int64).tolist(),
    "DataFrame": lambda X: pd.DataFrame(X.astype(np.float32)),
    "csr_matrix": lambda X: sparse.csr_matrix(X.astype(np.float32)),
    "csc_array": lambda X: sparse.csc_array(X.astype(np.float32)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_any_form_of_the_points_gives_the_same_map(form):
    X = form(load_digits().data[:500])
    dense = np.asarray(X.toarray() if sparse.issparse(X) else X, np.float32)
    expected = PCA(2).fit_transform(dense)
    pca = PCA(2)
    embedding = pca.fit_transform(X)
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, expected, atol=1e-4)
    assert np.array_equal(pca.transform(X), embedding)


def test_large_integers_keep_their_digits():
    X = 1_700_000_000 + np.arange(100)[:, None] * [1, 2]
    assert np.ptp(PCA(1).fit_transform(X)) == pytest.approx(99 * np.sqrt(5), rel=1e-5)


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_a_memory_map_is_never_loaded_whole(tmp_path, dtype):
    whole = structured(100_000, 40)
    np.save(tmp_path / "X.npy", (whole if dtype != "u1" else whole.clip(0, 255)).astype(dtype))
    del whole
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    tracemalloc.start()
    embedding = PCA(2, n_jobs=1).fit_transform(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < embedding.nbytes + 4_000_000  # as float32 it would be 16 MB
    assert np.array_equal(embedding, PCA(2).fit_transform(np.array(X)))


def test_sparse_points_are_never_made_dense():
    X = sparse.random_array((3000, 5000), density=0.002, format="csr", rng=rng())
    tracemalloc.start()
    PCA(2).fit_transform(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3000 * 5000 * 8 / 4


CASES = {
    "covariance, float32": (lambda: structured(9000, 50).astype(np.float32), "covariance"),
    "covariance, float64": (lambda: structured(9000, 50), "covariance"),
    "inner products": (lambda: structured(60, 9000).astype(np.float32), "covariance"),
    "randomised, float32": (lambda: structured(9000, 50).astype(np.float32), "randomized"),
    "randomised, float64": (lambda: structured(9000, 50), "randomized"),
    "sparse": (lambda: sparse_points(9000, 50), "covariance"),
    "sparse, randomised": (lambda: sparse_points(9000, 50), "randomized"),
}


@pytest.mark.parametrize(("make", "solver"), CASES.values(), ids=CASES.keys())
def test_the_number_of_threads_changes_no_bit(monkeypatch, make, solver):
    monkeypatch.setattr(decompose, "_QUICK", 0)
    X = make()
    models = [PCA(5, solver=solver, n_jobs=count) for count in (1, 2, 8)]
    maps = [model.fit_transform(X) for model in models]
    for model, embedding in zip(models[1:], maps[1:], strict=True):
        assert np.array_equal(embedding, maps[0])
        assert np.array_equal(model.components_, models[0].components_)
        assert np.array_equal(model.explained_variance_, models[0].explained_variance_)


@pytest.mark.parametrize("whiten", [False, True], ids=["plain", "whitened"])
@pytest.mark.parametrize(("make", "solver"), CASES.values(), ids=CASES.keys())
def test_fit_transform_is_fit_then_transform(make, solver, whiten):
    X = make()
    pca = PCA(3, solver=solver, whiten=whiten)
    embedding = pca.fit_transform(X)
    assert np.array_equal(PCA(3, solver=solver, whiten=whiten).fit(X).transform(X), embedding)


@pytest.mark.parametrize("count", [1, 2, 9, 40])
@pytest.mark.parametrize(
    "form", [np.float32, np.float64, sparse.csr_array], ids=["float32", "float64", "sparse"]
)
def test_a_row_is_transformed_alike_in_any_batch(count, form):
    X = form(structured(2000, 100))
    pca = PCA(count).fit(X)
    whole = pca.transform(X)
    order = rng().permutation(2000)
    assert np.array_equal(pca.transform(X[order]), whole[order])
    for rows in ([1999], [3, 4, 5], order[:129], order[:700]):
        assert np.array_equal(pca.transform(X[rows]), whole[rows])
        assert np.array_equal(
            pca.inverse_transform(whole[rows]), pca.inverse_transform(whole)[rows]
        )


def test_an_unknown_blas_costs_time_only(monkeypatch):
    X = structured(1000, 30).astype(np.float32)
    pca = PCA(11).fit(X)
    expected = pca.transform(X)
    monkeypatch.setattr(blocks, "_rows_are_alike", lambda d, dtype: False)
    whole = pca.transform(X)
    np.testing.assert_allclose(whole, expected, atol=1e-4)
    assert np.array_equal(pca.transform(X[[777]]), whole[[777]])


@pytest.mark.parametrize("solver", SOLVERS)
def test_constant_features_are_left_out_exactly(solver):
    X = structured(100, 5).astype(np.float32)
    X[:, 2] = 0.1
    pca = PCA(2, solver=solver).fit(X)
    assert (np.abs(pca.components_[:, 2]) < 1e-12).all()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(20, 4), (4, 20)], ids=["more rows", "more features"])
@pytest.mark.parametrize("whiten", [False, True], ids=["plain", "whitened"])
def test_equal_rows_are_warned_of_and_lie_in_one_place(solver, shape, whiten):
    X = np.full(shape, 0.3)
    with pytest.warns(FastxaiWarning, match="all rows are equal"):
        embedding = PCA(2, solver=solver, whiten=whiten).fit_transform(X)
    assert not embedding.any()


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("shape", [(30, 8), (8, 30)], ids=["more rows", "more features"])
def test_beyond_the_rank_directions_are_orthonormal_and_empty(form, shape):
    X = rng().standard_normal((shape[0], 2)) @ rng().standard_normal((2, shape[1]))
    pca = PCA(6).fit(form(X))
    np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(6), atol=1e-9)
    np.testing.assert_allclose(pca.explained_variance_[2:], 0, atol=1e-12)
    np.testing.assert_allclose(pca.inverse_transform(pca.transform(form(X))), X, atol=1e-9)


def test_copies_of_points_change_nothing():
    X = structured(100, 10)
    once, twice = PCA(2).fit(X), PCA(2).fit(np.repeat(X, 2, axis=0))
    np.testing.assert_allclose(twice.components_, once.components_, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "count", "solver"),
    [
        ((50, 40), 2, "covariance"),
        ((50, 40), None, "covariance"),
        ((2500, 2100), 2, "randomized"),
        ((2500, 20), 2, "covariance"),
    ],
    ids=["few", "all", "many features and rows", "few features"],
)
def test_the_solver_follows_the_shape(shape, count, solver):
    X = rng().standard_normal(shape, np.float32)
    assert PCA(count).fit(X).solver_ == solver


def test_the_randomised_solver_follows_its_seed():
    X = rng().standard_normal((300, 50))
    one, same, other = (PCA(2, solver="randomized", random_state=s).fit(X) for s in (1, 1, 2))
    assert np.array_equal(one.components_, same.components_)
    assert not np.array_equal(one.components_, other.components_)


def test_a_drawn_seed_is_kept():
    X = rng().standard_normal((300, 50))
    drawn = PCA(2, solver="randomized", random_state=None).fit(X)
    again = PCA(2, solver="randomized", random_state=drawn.random_state_).fit(X)
    assert np.array_equal(drawn.components_, again.components_)


BAD = {
    "too many": ({"n_components": 5}, r"at most .* = 4 \(n_samples = 9, n_features = 4\)"),
    "none": ({"n_components": 0}, "n_components=0"),
    "a share of all": ({"n_components": 1.0}, "between 0 and 1"),
    "a name": ({"n_components": "mle"}, "n_components='mle'"),
    "a bool": ({"n_components": True}, "n_components=True"),
    "an unknown solver": ({"solver": "full"}, "auto, covariance, randomized"),
    "a share at random": ({"n_components": 0.5, "solver": "randomized"}, "solver='covariance'"),
    "jobs": ({"n_jobs": 0}, "n_jobs=0"),
    "seed": ({"random_state": "x"}, "random_state='x'"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD.keys())
def test_wrong_parameters_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        PCA(**options).fit(rng().standard_normal((9, 4)))


def test_one_point_has_no_variance():
    with pytest.raises(InvalidInputError, match="n_samples = 1 "):
        PCA(1).fit([[1.0, 2.0]])


def test_points_that_do_not_fit_the_model_are_refused():
    pca = PCA(2).fit(structured(20, 5))
    with pytest.raises(InvalidInputError, match=r"3 features.* expecting 5"):
        pca.transform(np.zeros((2, 3)))
    with pytest.raises(InvalidInputError, match=r"3 columns.* 2 components"):
        pca.inverse_transform(np.zeros((2, 3)))


def test_an_eigenproblem_beyond_memory_is_refused():
    X = sparse.csr_array(([1.0], ([0], [0])), shape=(3_000_000, 2_000_000))
    with pytest.raises(NotEnoughMemoryError, match="solver='randomized'") as caught:
        PCA(None).fit(X)
    assert isinstance(caught.value, FastxaiError)


def test_columns_have_names():
    frame = pd.DataFrame(structured(30, 4), columns=list("abcd"))
    pca = PCA(2).set_output(transform="pandas")
    assert pca.fit_transform(frame).columns.tolist() == ["pca0", "pca1"]
    assert pca.get_feature_names_out().tolist() == ["pca0", "pca1"]
    assert pca.feature_names_in_.tolist() == list("abcd")


def test_it_works_in_a_pipeline_and_after_pickling():
    X = structured(50, 6)
    pipeline = make_pipeline(PCA(4), PCA(2)).fit(X)
    again = pickle.loads(pickle.dumps(pipeline))
    assert np.array_equal(again.transform(X), pipeline.transform(X))


def test_stages_are_shown_where_asked(capsys):
    PCA(verbose=True).fit_transform(structured(50, 6))
    shown = capsys.readouterr()
    assert "pca: " in shown.err and "project: " in shown.err and not shown.out
