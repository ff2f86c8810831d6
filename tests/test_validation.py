"""What comes from outside: converted without needless copies, or refused with the place."""

import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator

from fastxai.embed.jobs import resolve_jobs
from fastxai.embed.validation import check_points, check_seed
from fastxai.errors import InvalidInputError
from fastxai_kernels.cpu import _threads


def rng():
    return np.random.default_rng(0)


def check(X, **options):
    return check_points(None, X, reset=True, **options)


class Array:
    """Knows how to become an array, and no more."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


VALUES = [[0, 1, 2], [3, 4, 5]]
FORMS = {
    "list": VALUES,
    "float16": np.array(VALUES, np.float16),
    "float64": np.array(VALUES, np.float64),
    "uint8": np.array(VALUES, np.uint8),
    "int64": np.array(VALUES),
    "big-endian": np.array(VALUES, ">f4"),
    "long double": np.array(VALUES, np.longdouble),
    "Fortran order": np.asfortranarray(VALUES, np.float32),
    "strided": np.repeat(np.array(VALUES, np.float32), 2, axis=1)[:, ::2],
    "unaligned": np.frombuffer(b"x" + np.array(VALUES, np.float32).tobytes(), np.uint8)[1:]
    .view(np.float32)
    .reshape(2, 3),
    "object": np.array(VALUES, object),
    "matrix": np.asmatrix(VALUES),
    "__array__": Array(VALUES),
    "masked array without mask": np.ma.masked_array(VALUES),
    "DataFrame": pd.DataFrame(VALUES),
    "DataFrame, mixed": pd.DataFrame(VALUES, columns=list("abc")).astype({"a": np.float32}),
    "DataFrame, nullable": pd.DataFrame(VALUES).astype("Int64"),
}


@pytest.mark.parametrize("X", FORMS.values(), ids=FORMS.keys())
def test_numbers_of_any_kind_become_contiguous_float32(X):
    points = check(X)
    assert type(points) is np.ndarray
    assert points.dtype == np.float32
    assert points.flags.c_contiguous and points.flags.aligned
    assert points.tolist() == VALUES


def test_booleans_become_zero_and_one():
    assert check(np.array([[True, False]])).tolist() == [[1, 0]]


@pytest.mark.parametrize("read_only", [False, True], ids=["writable", "read-only"])
def test_what_is_right_is_not_copied(read_only):
    X = rng().standard_normal((10, 3), np.float32)
    X.flags.writeable = not read_only
    assert check(X) is X


def test_float64_is_kept_where_asked():
    X = rng().standard_normal((10, 3))
    assert check(X, keep_float64=True) is X
    assert check(X.astype(np.float32), keep_float64=True).dtype == np.float32
    assert check(X.astype(np.int64), keep_float64=True).dtype == np.float32


@pytest.fixture
def mapped(tmp_path):
    def save(X):
        np.save(tmp_path / "X.npy", X)
        return np.load(tmp_path / "X.npy", mmap_mode="r")

    return save


def test_a_memory_map_stays_one(mapped):
    X = mapped(rng().standard_normal((10, 3), np.float32))
    assert np.shares_memory(check(X), X)


@pytest.mark.parametrize(
    ("dtype", "options"),
    [("f4", {}), ("f8", {"keep_float64": True}), ("u1", {"in_blocks": True})],
    ids=["float32", "float64", "uint8 in blocks"],
)
def test_checking_takes_no_memory_of_the_size_of_the_data(dtype, options):
    X = np.ones((500_000, 20), dtype)
    tracemalloc.start()
    check(X, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 4


def test_a_memory_map_of_another_dtype_is_converted_block_by_block(mapped):
    X = mapped(np.ones((500_000, 20), np.float64))
    tracemalloc.start()
    points = check(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * points.nbytes


def test_in_blocks_leaves_dtype_and_order_to_the_caller():
    X = np.asfortranarray(VALUES, np.float16)
    assert check(X, in_blocks=True) is X


PLACES = {
    "in front": (0, 0),
    "in a later block": (70_000, 5),
    "in the last row": (99_999, 9),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("value", "name"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf")], ids=str
)
def test_the_first_number_that_is_not_finite_is_named(place, dtype, value, name):
    X = np.zeros((100_000, 10), dtype)
    X[place] = value
    X[-1, -1] = value
    with pytest.raises(InvalidInputError, match=f"{name} at row {place[0]}, column {place[1]}"):
        check(X, in_blocks=dtype != np.float64)


@pytest.mark.parametrize("make", [np.array, sparse.csr_array], ids=["dense", "sparse"])
def test_numbers_beyond_float32_are_refused_or_kept(make):
    X = make([[1.0, 0], [0, -1e300]])
    with pytest.raises(InvalidInputError, match=r"-1e\+300 at row 1, column 1.*float32"):
        check(X)
    assert check(X, keep_float64=True).max() == 1


BAD = {
    "a scalar": (3.0, "float"),
    "a name": ("points.npy", "X is a str"),
    "None": (None, "NoneType"),
    "one-dimensional": (np.zeros(3), r"\(3,\).*Reshape your data"),
    "a Series": (pd.Series([1, 2]), "Reshape your data"),
    "images": (np.zeros((5, 28, 28)), r"\(5, 28, 28\).*reshape\(len\(X\), -1\)"),
    "no rows": (np.zeros((0, 3)), r"0 sample\(s\) \(shape=\(0, 3\)\) while a minimum of 1"),
    "no columns": (
        np.zeros((12, 0)),
        r"0 feature\(s\) \(shape=\(12, 0\)\) while a minimum of 1 is required\.",
    ),
    "ragged": ([[1, 2], [3]], "list can not be read"),
    "complex": (np.array([[1j]]), "Complex data not supported"),
    "complex sparse": (sparse.csr_array([[1j]]), "Complex data not supported"),
    "strings": ([["1", "2"]], "encode text"),
    "dates": (np.array([["2020-01-01"]], "M8[D]"), "dates"),
    "masked": (np.ma.masked_array([[1, 2]], [[0, 1]]), "masked"),
    "strings among objects": (np.array([[1, 2], [3, "4"]], object), "str at row 1, column 1"),
    "an object": (np.array([[1, {}]], object), "dict at row 0, column 1"),
    "a column of text": (pd.DataFrame({"a": [1], "b": ["x"]}), "str at row 0, column 1"),
    "missing": (pd.DataFrame({"a": [1, None]}).astype("Int64"), "NaN at row 1, column 0"),
    "None among objects": (np.array([[1, None]], object), "NaN at row 0, column 1"),
    "sparse NaN": (sparse.coo_array([[0, 0], [0, np.nan]]), "NaN at row 1, column 1"),
    "one-dimensional sparse": (sparse.coo_array([1.0, 2.0]), "Reshape your data"),
}


@pytest.mark.parametrize(("X", "message"), BAD.values(), ids=BAD.keys())
def test_what_can_not_be_worked_with_is_refused(X, message):
    with pytest.raises(InvalidInputError, match=message):
        check(X)


def test_too_few_rows_are_counted():
    with pytest.raises(InvalidInputError, match=r"n_samples = 1 .*minimum of 2"):
        check(np.zeros((1, 3)), min_rows=2)


def matrices():
    dense = rng().standard_normal((20, 7)) * (rng().random((20, 7)) < 0.3)
    for name in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia"):
        for make in (sparse.csr_matrix, sparse.csr_array):
            yield pytest.param(make(dense).asformat(name), id=f"{make.__name__[4:]} {name}")


@pytest.mark.parametrize("X", list(matrices()))
def test_sparse_input_becomes_sorted_csr(X):
    points = check(X)
    assert points.format == "csr" and points.dtype == np.float32
    assert points.has_canonical_format
    assert isinstance(points, sparse.sparray) == isinstance(X, sparse.sparray)
    np.testing.assert_array_equal(points.toarray(), X.toarray().astype(np.float32))


def test_sparse_input_that_is_right_is_not_copied():
    X = sparse.csr_array(np.eye(3, dtype=np.float32))
    assert check(X) is X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unsorted_duplicates_are_summed_without_touching_the_callers_matrix(dtype):
    parts = np.array([1, 2, 4], dtype), np.array([2, 0, 2]), np.array([0, 3, 3])
    X = sparse.csr_matrix(parts, shape=(2, 3))
    assert check(X).toarray().tolist() == [[2, 0, 5], [0, 0, 0]]
    assert X.data.tolist() == [1, 2, 4] and X.indices.tolist() == [2, 0, 2]


def test_small_integers_are_summed_without_overflow():
    X = sparse.coo_array((np.array([100, 100], np.int8), ([0, 0], [0, 0])), shape=(1, 1))
    assert check(X).toarray() == 200


def test_a_sparse_frame_stays_sparse():
    X = pd.DataFrame(np.eye(4)).astype(pd.SparseDtype("float", 0))
    assert sparse.issparse(check(X)) and check(X).nnz == 4


def test_sparse_input_is_refused_where_it_must_be_dense():
    with pytest.raises(TypeError, match=r"toarray\(\)") as caught:
        check(sparse.eye_array(3), accept_sparse=False)
    assert isinstance(caught.value, InvalidInputError)


def test_features_are_remembered_and_compared():
    model, frame = BaseEstimator(), pd.DataFrame(VALUES, columns=list("abc"))
    check_points(model, frame, reset=True)
    assert model.n_features_in_ == 3 and model.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.raises(InvalidInputError, match="feature names"):
        check_points(model, frame[["b", "a", "c"]], reset=False)
    with pytest.warns(UserWarning, match="valid feature names"):
        check_points(model, VALUES, reset=False)


@pytest.mark.parametrize("make", [list, np.asarray, sparse.csr_array], ids=["list", "array", "csr"])
def test_another_number_of_features_is_refused(make):
    model = BaseEstimator()
    check_points(model, make(VALUES), reset=True)
    with pytest.raises(InvalidInputError, match=r"2 features.* expecting 3 features"):
        check_points(model, make([[0, 1]]), reset=False)


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**32 - 1])
def test_a_whole_number_is_the_seed(seed):
    assert check_seed(seed) == seed and type(check_seed(seed)) is int


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_generators_are_drawn_from(make):
    source = make(3)
    drawn = check_seed(source), check_seed(source)
    assert drawn[0] != drawn[1]
    assert drawn[0] == check_seed(make(3)) and 0 <= drawn[0] < 2**32


def test_without_a_seed_one_is_drawn():
    assert len({check_seed(None) for _ in range(5)}) > 1


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", True, [1]], ids=str)
def test_other_seeds_are_refused(seed):
    with pytest.raises(InvalidInputError, match="random_state"):
        check_seed(seed)


@pytest.mark.parametrize(
    ("n_jobs", "count"), [(None, 4), (1, 1), (np.int64(9), 9), (-1, 4), (-2, 3), (-9, 1)], ids=str
)
def test_jobs_are_threads(monkeypatch, n_jobs, count):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "4")
    assert resolve_jobs(n_jobs) == count


def test_without_jobs_the_surroundings_decide():
    with _threads.threads(3):
        assert resolve_jobs(None) == 3


@pytest.mark.parametrize("n_jobs", [0, True, "2", 1.0], ids=str)
def test_other_jobs_are_refused(n_jobs):
    with pytest.raises(InvalidInputError, match="n_jobs"):
        resolve_jobs(n_jobs)


# --- single precision ------------------------------------------------------------------------


@pytest.mark.parametrize("offset, warned", [(0, False), (1e3, False), (1e7, True), (1e9, True)])
def test_a_spread_that_single_precision_loses_is_told(offset, warned):
    points = np.random.default_rng(0).standard_normal((50, 3))
    points[:, 1] += offset
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        check_points(None, points, reset=False)
    assert bool(seen) == warned
    if warned:
        assert "column 1 of X (and 0 more) varies by" in str(seen[0].message)
        assert seen[0].filename == __file__


def test_constant_columns_have_nothing_to_lose():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_points(None, np.full((9, 2), 1e9), reset=False)
