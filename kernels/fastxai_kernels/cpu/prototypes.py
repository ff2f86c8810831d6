"""Prototypes and criticisms (MMD-critic), without the n x n matrix.

    k(x, y)  = exp(-gamma |x - y|^2)
    c_i      = 1/n sum_j k(x_i, x_j)
    MMD^2(S) = 1/n sum_i c_i - 2/m sum_{j in S} c_j + 1/m^2 sum_{j, l in S} k(x_j, x_l),  m = |S|
    f_i      = c_i - 1/m sum_{j in S} k(x_i, x_j)

(Kim, Khanna and Koyejo 2016).  With s_i = sum_{j in S} k(x_i, x_j) kept, the point that leaves
the least MMD^2 has the largest c_i - s_i / (m + 1); with the Cholesky factor of K_CC kept, a
criticism adds |f_i| + log of its next diagonal squared.  A step takes one column of kernel
values, by direct differences.

The limit is c: n^2 d flops, half of all pairs by |x|^2 + |y|^2 - 2 xy about a centre; n^2 / 2
exponentials are some percent of them.  Tiles of products stay in the cache.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._blas import single_threaded_blas
from ._jit import array_in, array_out, b1, f32, f64, i64, kernel
from ._threads import parallel_for
from ._vectors import LANES, squared_distance
from ._wide import at_least, constant, exp, fma, load, splat, store, total64

_COLUMNS = 512  # of a tile
_SPAN = 64  # rows whose sums are float32
_ROUNDING = 2e-7  # of a squared distance out of products, relative to the norms
_ERROR = 1e-5  # of an exponent: more is mended
_DOUBT = np.float32(0.01)  # squared distances this small beside the norms are mended
_GRAIN = 512
_LEAST = 1e-6  # of the next diagonal squared: what is left of a copy is rounding


@kernel(
    *(array_in(f32, 2), array_in(f32, 1), f32, array_out(f32, 2), array_out(f32, 1), i64, i64),
)
def _centred(X, centre, scale, rows, norms, start, stop):
    """Rows of X about the centre, scaled, and their squared norms; nothing behind them."""
    zero = np.zeros(centre.shape[0], np.float32)
    for r in range(rows.shape[0]):
        row = rows[r]
        if start + r < stop:
            values = X[start + r]
            for j in range(row.shape[0]):
                row[j] = scale * (values[j] - centre[j])
            norms[r] = squared_distance(row, zero)
        else:
            row[:] = np.float32(0.0)
            norms[r] = np.float32(np.inf)  # far from everything


@kernel(
    *(array_in(f32, 2), array_in(f32, 1), array_in(f32, 1), array_in(f32, 2), array_in(f32, 2)),
    *(b1, array_out(f64, 1), array_out(f64, 1)),
)
def _tile_sums(products, norms_a, norms_b, a, b, mended, row_sums, column_sums):
    """Sums of the kernel values of a tile, by rows and by columns."""
    width = products.shape[1]
    squares = np.empty(width, np.float32)
    columns = np.zeros(width, np.float32)
    zero = constant(0.0)
    for r in range(products.shape[0]):
        line = products[r]
        norm = splat(norms_a[r])
        for at in range(0, width, LANES):
            square = fma(constant(-2.0), load(line, at), norm + load(norms_b, at))
            store(squares, at, at_least(square, zero))
        if mended:
            for c in range(width):
                if squares[c] < _DOUBT * (norms_a[r] + norms_b[c]) and norms_b[c] < np.inf:
                    squares[c] = squared_distance(a[r], b[c])
        summed = zero
        for at in range(0, width, LANES):
            value = exp(constant(-1.0) * load(squares, at))
            summed += value
            store(columns, at, load(columns, at) + value)
        row_sums[r] = total64(summed)
        if r % _SPAN == _SPAN - 1 or r == products.shape[0] - 1:
            for c in range(width):
                column_sums[c] += columns[c]
                columns[c] = np.float32(0.0)


class _Room:
    """Rows whose squared distances are the exponents, and their squared norms."""

    def __init__(self, count: int, d: int) -> None:
        self.rows, self.norms = np.empty((count, d), np.float32), np.empty(count, np.float32)

    def fill(
        self, X: NDArray[np.float32], centre: NDArray[np.float32], gamma: float, at: int, stop: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rows ``at`` to ``stop``, and nothing behind them up to a multiple of 16."""
        count = -(-(stop - at) // LANES) * LANES
        rows, norms = self.rows[:count], self.norms[:count]
        _centred(X, centre, np.float32(np.sqrt(gamma)), rows, norms, at, stop)
        return rows, norms


def kernel_sums(
    X: NDArray[np.float32],
    centre: NDArray[np.float32],
    gamma: float,
    start: int,
    stop: int,
    first: int,
    last: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of the rows and of the columns of k(X[start:stop], X[first:last])."""
    count, d = stop - start, X.shape[1]
    a, norms_a = _Room(count + LANES, d).fill(X, centre, gamma, start, stop)
    a, norms_a = a[:count], norms_a[:count]
    chunks = -(-(last - first) // _COLUMNS)
    row_sums, column_sums = np.zeros((chunks, count)), np.zeros((chunks, _COLUMNS))
    unused: list[tuple[_Room, NDArray[np.float32]]] = []  # of threads that are done with one

    def work(begin: int, end: int) -> None:
        try:
            room, tile = unused.pop()
        except IndexError:
            room, tile = _Room(_COLUMNS, d), np.empty(count * _COLUMNS, np.float32)
        for chunk in range(begin, end):
            low = first + chunk * _COLUMNS
            high = min(low + _COLUMNS, last)
            b, norms_b = room.fill(X, centre, gamma, low, high)
            products = tile[: count * len(b)].reshape(count, len(b))
            np.matmul(a, b.T, out=products)
            largest = float(norms_a.max()) + float(norms_b[: high - low].max())
            mended = largest * _ROUNDING > _ERROR
            given = (products, norms_a, norms_b, a, b, mended)
            _tile_sums(*given, row_sums[chunk], column_sums[chunk])
        unused.append((room, tile))

    with single_threaded_blas():
        parallel_for(work, chunks, 1)
    return row_sums.sum(axis=0), column_sums.ravel()[: last - first]


@kernel(
    *(array_in(f32, 2), i64, f64, array_in(f64, 1), array_in(b1, 1), f64, array_out(f64, 1)),
    *(array_out(f64, 1), array_out(i64, 1), i64, i64),
)
def _attract(X, point, gamma, means, taken, size, sums, best, where, start, stop):
    """Add the column of a point to the sums; the best candidate of the rows."""
    chunk = start // _GRAIN
    for i in range(start, stop):
        if point >= 0:
            sums[i] += np.exp(-gamma * squared_distance(X[i], X[point]))
        score = means[i] - sums[i] / size
        if not taken[i] and score > best[chunk]:
            best[chunk], where[chunk] = score, i


def _search(n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The best score of each chunk of rows and where it is: none yet."""
    chunks = -(-n // _GRAIN)
    return np.full(chunks, -np.inf), np.full(chunks, -1, np.int64)


def _taken(n: int, points: Sequence[int]) -> NDArray[np.bool_]:
    taken = np.zeros(n, np.bool_)
    taken[list(points)] = True
    return taken


def next_prototype(
    X: NDArray[np.float32],
    gamma: float,
    means: NDArray[np.float64],
    chosen: Sequence[int],
    sums: NDArray[np.float64],
) -> int:
    """The point (the lowest of equals) that, put to those chosen, leaves the least MMD^2.

    ``means`` (n,) are c.  ``sums`` (n,) hold sum_{j in S} k(x_i, x_j) over all chosen but the
    last, whose column is added.
    """
    n, last = len(X), chosen[-1] if chosen else -1
    best, where = _search(n)
    given = (X, last, gamma, means, _taken(n, chosen), len(chosen) + 1.0, sums, best, where)
    parallel_for(_attract, n, _GRAIN, *given)
    return int(where[best.argmax()])


def witness(
    X: NDArray[np.float32],
    gamma: float,
    means: NDArray[np.float64],
    chosen: Sequence[int],
    sums: NDArray[np.float64],
) -> NDArray[np.float64]:
    """f (n,) of the prototypes chosen; to ``sums`` the column of the last one is added."""
    next_prototype(X, gamma, means, chosen, sums)
    return means - sums / len(chosen)


@kernel(
    *(array_in(f32, 2), i64, i64, f64, array_in(f64, 1), array_in(b1, 1), array_in(f64, 1)),
    *(f64, array_out(f64, 2), array_out(f64, 1), array_out(f64, 1), array_out(i64, 1), i64, i64),
)
def _diverge(
    X, point, size, gamma, witness, taken, factor, pivot, factors, left, best, where, start, stop
):  # fmt: skip
    """Put one column to the Cholesky factor; the best candidate of the rows."""
    chunk = start // _GRAIN
    for i in range(start, stop):
        if point >= 0:
            value = np.exp(-gamma * squared_distance(X[i], X[point]))
            for r in range(size - 1):
                value -= factors[i, r] * factor[r]
            value /= np.sqrt(pivot)
            factors[i, size - 1] = value
            left[i] -= value * value
        if not taken[i] and left[i] > _LEAST:
            score = np.abs(witness[i]) + np.log(left[i])
            if score > best[chunk]:
                best[chunk], where[chunk] = score, i


def next_criticism(
    X: NDArray[np.float32],
    gamma: float,
    witness: NDArray[np.float64],
    prototypes: Sequence[int],
    chosen: Sequence[int],
    factors: NDArray[np.float64],
    left: NDArray[np.float64],
) -> int:
    """The point (the lowest of equals) that, put to those chosen, adds most; -1 if none can.

    None can where all that is left are copies of those chosen.  ``factors`` (n, room) are the
    rows of the Cholesky factor of K belonging to all chosen but the last, whose column is
    added; ``left`` (n,), which begins as 1, the squares of its next diagonal.
    """
    n, last = len(X), chosen[-1] if chosen else -1
    best, where = _search(n)
    taken = _taken(n, [*prototypes, *chosen])
    factor, pivot = factors[last].copy(), float(left[last])
    given = (X, last, len(chosen), gamma, witness, taken, factor, pivot, factors, left)
    parallel_for(_diverge, n, _GRAIN, *given, best, where)
    return int(where[best.argmax()])
