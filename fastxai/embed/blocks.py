"""Points read in blocks: sums over rows, and products row by row, for data of any size.

Fixed blocks, each by single-threaded BLAS, added up in float64 in a fixed order: neither the
number of threads nor the memory for all of the data at once plays a part.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastxai_kernels.cpu._threads import parallel_for

from ..errors import InvalidInputError
from .spaces import is_sparse

Float = NDArray[np.float64]
Advance = Callable[[int], Any]

ROWS = 2048
_ELEMENTS = 2**22  # of a block that is converted and centred at once
# A product of so many rows and columns treats all of its rows alike in the BLAS that we know;
# wider ones do not (OpenBLAS for AVX2, float32).
_TILE = 192
_STRIP = 8
_HELD = 2**28  # bytes of block products held before they are added up


class Moments(NamedTuple):
    """Mean and sum of squared deviations of each feature."""

    mean: Float
    scatter: Float


def is_wide(X: Any) -> bool:
    """True where float32 does not hold the digits of X's numbers."""
    return bool(X.dtype.itemsize >= (8 if X.dtype.kind == "f" else 4))


def rows_per_block(d: int) -> int:
    """Rows of d features that are read, converted and multiplied at once."""
    return min(ROWS, max(64, _ELEMENTS // d))


def read_rows(X: Any, start: int, stop: int, dtype: Any) -> NDArray[Any]:
    """Rows ``[start, stop)``, dense, contiguous, of the given dtype."""
    rows = X[start:stop]
    return np.ascontiguousarray(rows.toarray() if is_sparse(rows) else rows, dtype=dtype)


def sum_products(
    n: int,
    block: int,
    shape: tuple[int, ...],
    dtype: Any,
    product: Callable[[int, int, NDArray[Any]], None],
    advance: Advance,
) -> Float:
    """Sum over blocks of ``[0, n)`` of what ``product(start, stop, out)`` writes, in float64."""
    blocks = -(-n // block)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    held = min(blocks, 64, max(2, _HELD // size))
    parts = np.empty((held, *shape), dtype)
    total = np.zeros(shape, np.float64)
    for first in range(0, blocks, held):
        count = min(held, blocks - first)

        def multiply(start: int, stop: int, first: int = first) -> None:
            for at in range(start, stop):
                low = (first + at) * block
                product(low, min(low + block, n), parts[at])

        parallel_for(multiply, count, 1)
        for part in parts[:count]:
            total += part
        advance(min((first + count) * block, n) - first * block)
    return total


def moments(X: Any, advance: Advance) -> Moments:
    """Means and scatters of the features, in one pass."""
    n = X.shape[0]
    with np.errstate(over="ignore", invalid="ignore"):
        origin, sums, squares = (_sparse_sums if is_sparse(X) else _dense_sums)(X, advance)
        scatter = np.maximum(squares - sums * (sums / n), 0)
    if not np.isfinite(scatter).all():
        raise InvalidInputError(
            f"the variance of column {int(np.argmin(np.isfinite(scatter)))} is beyond float64: "
            "scale the features"
        )
    return Moments(origin + sums / n, scatter)


def _dense_sums(X: Any, advance: Advance) -> tuple[Float, Float, Float]:
    """The first row, and sums and squares of the differences from it."""
    n, d = X.shape
    origin = np.asarray(X[0], dtype=np.float64)

    def add(start: int, stop: int, out: Float) -> None:
        moved = X[start:stop] - origin
        moved.sum(axis=0, out=out[0])
        np.einsum("ij,ij->j", moved, moved, out=out[1])

    sums, squares = sum_products(n, rows_per_block(d), (2, d), np.float64, add, advance)
    return origin, sums, squares


def _sparse_sums(X: Any, advance: Advance) -> tuple[Float, Float, Float]:
    """Zero, sums and squares: what is not stored adds nothing."""
    n, d = X.shape
    sums, squares = np.zeros(d), np.zeros(d)
    for start in range(0, X.nnz, _ELEMENTS):
        columns = X.indices[start : start + _ELEMENTS]
        values = X.data[start : start + _ELEMENTS].astype(np.float64)
        sums += np.bincount(columns, values, d)
        squares += np.bincount(columns, values * values, d)
    advance(n)
    return np.zeros(d), sums, squares


@cache
def _rows_are_alike(d: int, dtype: str) -> bool:
    """True if BLAS gives a row of a tile the same bits wherever in the tile it stands."""
    random = np.random.default_rng(0)
    strip = random.standard_normal((d, _STRIP)).astype(dtype)
    for _ in range(3):
        row = random.standard_normal(d).astype(dtype)
        products = np.ascontiguousarray(np.broadcast_to(row, (_TILE, d))) @ strip
        if (products != products[0]).any():
            return False
    return True


def _multiply_tile(tile: NDArray[Any], strips: list[NDArray[Any]], out: NDArray[Any]) -> None:
    """Write the first rows of ``tile @ matrix``, each with the same bits in any place."""
    alike = _rows_are_alike(tile.shape[1], tile.dtype.name)
    for at, strip in enumerate(strips):
        if alike:
            product = tile @ strip
        else:  # a BLAS that we do not know: slow, but sure
            product = np.zeros((len(tile), _STRIP), tile.dtype)
            for column, weights in zip(tile.T, strip, strict=True):
                product += column[:, None] * weights
        to = out[:, at * _STRIP : (at + 1) * _STRIP]
        to[:] = product[: len(to), : to.shape[1]]


def multiply_rows(
    X: Any, shift: NDArray[Any], matrix: NDArray[Any], dtype: Any, advance: Advance
) -> NDArray[Any]:
    """(X - shift) @ matrix, each row with the same bits whatever other rows there are."""
    n, width = X.shape[0], matrix.shape[1]
    result = np.empty((n, width), dtype)
    # BLAS rounds products of other shapes otherwise: always a whole tile and a whole strip.
    padded = np.zeros((len(matrix), -(-width // _STRIP) * _STRIP), dtype)
    padded[:, :width] = matrix
    strips = [np.ascontiguousarray(s) for s in np.hsplit(padded, padded.shape[1] // _STRIP)]
    offset = shift.astype(np.float64) @ matrix
    shift = shift.astype(np.float64 if is_wide(X) else np.float32)

    def multiply(start: int, stop: int) -> None:
        if is_sparse(X):
            result[start:stop] = X[start:stop].astype(np.float64) @ matrix - offset
            return
        tile = np.zeros((_TILE, X.shape[1]), dtype)
        for low in range(start, stop, _TILE):
            high = min(low + _TILE, stop)
            np.subtract(X[low:high], shift, out=tile[: high - low], casting="same_kind")
            _multiply_tile(tile, strips, result[low:high])

    for first in range(0, n, 256 * _TILE):
        last = min(first + 256 * _TILE, n)
        parallel_for(
            lambda a, b, first=first: multiply(first + a, first + b), last - first, 4 * _TILE
        )
        advance(last - first)
    return result
