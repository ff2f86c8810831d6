"""The one place where points that come from outside are checked and converted.

Whatever scikit-learn takes is taken: arrays, lists, DataFrames, sparse matrices, memory
maps.  What leaves is finite, two-dimensional and contiguous, or was refused with row and
column.  Rows are read in blocks: no temporary of the size of the data is made.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from numbers import Integral
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import InvalidInputError
from .rounding import warn_of_rounding

_BLOCK = 2**18  # elements looked at together: they stay in the cache
_NUMBERS = "biuf"


class InvalidTypeError(InvalidInputError, TypeError):
    """Input of a type that holds no numbers that could be worked with."""


def check_points(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    keep_float64: bool = False,
    accept_sparse: bool = True,
    min_rows: int = 1,
    in_blocks: bool = False,
) -> Any:
    """Points as the kernels want them, one row a point.

    Parameters
    ----------
    estimator : estimator or None
        Whose ``n_features_in_`` and ``feature_names_in_`` are set or compared; None in plain
        functions.
    X : array, list, DataFrame, sparse matrix or array, of shape (n, d)
        Real numbers of any dtype.
    reset : bool
        True where an estimator is fitted: it takes the number and names of features from X.
    keep_float64 : bool, default False
        Leave float64 as it is.
    accept_sparse : bool, default True
        False refuses sparse input.
    min_rows : int, default 1
        The fewest rows that can be worked with.
    in_blocks : bool, default False
        Check a dense array but leave its dtype and order as they are, for a caller that
        converts rows as it reads them.

    Returns
    -------
    ndarray or CSR of shape (n, d)
        C-contiguous float32 (or float64), X itself where it is that already, also if it is
        read-only or a memory map.  Sparse input becomes CSR with sorted indices and without
        duplicates; the caller's matrix stays as it is.

    Raises
    ------
    InvalidInputError
        If X has NaN, inf or numbers beyond float32 (naming row and column), is empty, not
        two-dimensional, not real, has fewer than ``min_rows`` rows or other features than
        the estimator was fitted with.  It is a TypeError too where X holds no numbers, or
        is sparse and must not be.

    Examples
    --------
    >>> check_points(None, [[1, 2], [3, 4]], reset=True)
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    if sparse.issparse(X) or _is_sparse_frame(X):
        if not accept_sparse:
            raise InvalidTypeError(
                "sparse input is not accepted here: pass X.toarray() if that fits into memory, "
                "or fastxai.PCA(n_components=50).fit_transform(X)"
            )
        array: Any = X if sparse.issparse(X) else X.sparse.to_coo()
    else:
        array = _as_array(X)
    _check_shape(array.shape, min_rows)
    if estimator is not None:
        _check_features(estimator, X if hasattr(X, "columns") else array, reset)
    if array.dtype.kind not in _NUMBERS:
        array = _numbers(array)
    wide = keep_float64 and array.dtype.kind == "f" and array.dtype.itemsize >= 8
    dtype = np.dtype(np.float64 if wide else np.float32)
    if sparse.issparse(array):
        return _to_csr(array, dtype)
    points = _to_contiguous(array, dtype, in_blocks)
    if not wide and not in_blocks:
        warn_of_rounding(array)
    return points


def check_seed(random_state: Any) -> int:
    """A seed in [0, 2**32) out of scikit-learn's ``random_state``.

    Parameters
    ----------
    random_state : int, None, numpy Generator or RandomState
        None draws from the system's entropy, generators are drawn from.

    Returns
    -------
    int

    Raises
    ------
    InvalidInputError
        If it is anything else, or out of range.

    Examples
    --------
    >>> check_seed(7)
    7
    """
    if random_state is None:
        return secrets.randbits(32)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**32))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**32, dtype=np.uint32))
    whole = isinstance(random_state, Integral) and not isinstance(random_state, bool)
    if not whole or not 0 <= int(random_state) < 2**32:
        raise InvalidInputError(
            f"random_state={random_state!r}: give an int in [0, 2**32), None, or a numpy "
            "Generator or RandomState"
        )
    return int(random_state)


def _is_sparse_frame(X: Any) -> bool:
    """True for a pandas DataFrame all of whose columns are sparse."""
    return hasattr(X, "columns") and hasattr(X, "sparse") and hasattr(X.sparse, "to_coo")


def _as_array(X: Any) -> NDArray[Any]:
    if np.ma.isMaskedArray(X) and np.ma.is_masked(X):
        raise InvalidInputError(
            "X is a masked array with masked values: fill them in (X.filled(...)) or drop the rows"
        )
    try:
        array = np.asarray(X)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors with grad
        raise InvalidTypeError(
            f"X of type {type(X).__name__} can not be read as an array: {error}"
        ) from error
    if array.ndim == 0:
        raise InvalidTypeError(f"X is a {type(X).__name__}: pass a 2D array, one row a point")
    return array


def _check_shape(shape: tuple[int, ...], min_rows: int) -> None:
    if len(shape) < 2:
        raise InvalidInputError(
            f"Expected a 2D array, one row a point; X has shape {shape}. Reshape your data: "
            "X.reshape(-1, 1) if it has a single feature, X.reshape(1, -1) if it is a single point"
        )
    if len(shape) > 2:
        raise InvalidInputError(
            f"Expected a 2D array, one row a point; X has shape {shape}. Reshape your data: "
            "X.reshape(len(X), -1) makes one row of each of its items"
        )
    n, d = shape
    if n == 0:
        raise InvalidInputError(
            f"Found array with 0 sample(s) (shape={shape}) while a minimum of {min_rows} is "
            "required."
        )
    if d == 0:
        raise InvalidInputError(
            f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )
    if n < min_rows:
        raise InvalidInputError(
            f"too few points: n_samples = {n} (shape={shape}) while a minimum of {min_rows} is "
            "required."
        )


def _check_features(estimator: Any, X: Any, reset: bool) -> None:
    """Number and names of features, by scikit-learn's own rules."""
    from sklearn.utils.validation import validate_data

    try:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    except ValueError as error:
        raise InvalidInputError(str(error)) from None


def _numbers(array: Any) -> Any:
    """Objects that are all numbers as float64; other types are refused."""
    kind = array.dtype.kind
    if kind == "c":
        raise InvalidInputError(
            f"Complex data not supported: X has dtype {array.dtype}; pass its real and imaginary "
            "parts as columns"
        )
    if kind != "O" or sparse.issparse(array):
        raise InvalidTypeError(
            f"X has dtype {array.dtype} and must hold numbers: encode text and dates first, or "
            "leave these columns out"
        )
    numbers = np.empty(array.shape, np.float64)
    for start, stop in _blocks(array.shape):
        try:
            if any(isinstance(value, str | bytes) for value in array[start:stop].flat):
                raise TypeError("text")
            numbers[start:stop] = array[start:stop]
        except (TypeError, ValueError, OverflowError):
            _refuse_object(array, start)
    return numbers


def _refuse_object(array: NDArray[Any], first_row: int) -> NoReturn:
    """Name the first object that is no number."""
    for place, value in np.ndenumerate(array[first_row:]):
        row, column = first_row + place[0], place[1]
        try:
            if isinstance(value, str | bytes):
                raise TypeError(f"argument must be a number, not a string: {value!r}")
            float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidTypeError(
                f"X holds a {type(value).__name__} at row {row}, column {column}: {error}"
            ) from None
    raise InvalidTypeError("X holds objects that can not be converted to numbers")


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    rows = max(1, _BLOCK // max(1, shape[1]))
    for start in range(0, shape[0], rows):
        yield start, min(start + rows, shape[0])


def _to_contiguous(array: NDArray[Any], dtype: np.dtype[Any], in_blocks: bool) -> NDArray[Any]:
    """Convert and check block by block; without need for conversion only the check."""
    ready = array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned
    result = array if ready or in_blocks else np.empty(array.shape, dtype)
    always_finite = array.dtype.kind in "biu"
    for start, stop in _blocks(array.shape):
        block = array[start:stop]
        if result is not array:
            with np.errstate(over="ignore", invalid="ignore"):
                result[start:stop] = block
            converted = result[start:stop]
        elif always_finite:
            break
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                converted = block.astype(dtype, copy=False)
        if not always_finite:
            finite = np.isfinite(converted)
            if not finite.all():
                row, column = divmod(int(np.argmin(finite)), array.shape[1])
                _refuse(block[row, column], start + row, column, dtype)
    return result


def _refuse(value: Any, row: int, column: int, dtype: np.dtype[Any]) -> NoReturn:
    where = f"at row {row}, column {column}"
    if np.isnan(value):
        raise InvalidInputError(
            f"X contains NaN {where}: drop such rows or fill them in "
            "(e.g. sklearn.impute.SimpleImputer)"
        )
    if np.isinf(value):
        raise InvalidInputError(f"X contains inf {where}: drop such rows or replace the value")
    raise InvalidInputError(
        f"X contains {value:g} {where}, beyond the range of {dtype} "
        f"(about {np.finfo(dtype).max:.1e}): scale the features"
    )


def _to_csr(matrix: Any, dtype: np.dtype[Any]) -> Any:
    """CSR with sorted indices and summed duplicates; the caller's matrix is not touched."""
    with np.errstate(over="ignore", invalid="ignore"):
        csr = matrix.astype(dtype, copy=False).tocsr()
        if not csr.has_canonical_format:
            csr = csr.copy()
            csr.sum_duplicates()
    for start in range(0, csr.nnz, _BLOCK):
        finite = np.isfinite(csr.data[start : start + _BLOCK])
        if not finite.all():
            at = start + int(np.argmin(finite))
            row = int(np.searchsorted(csr.indptr, at, side="right")) - 1
            column = int(csr.indices[at])
            _refuse(matrix.tocsr()[row, column], row, column, dtype)
    return csr
