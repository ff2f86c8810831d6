"""Principal components: the smaller of the two eigenproblems, or a randomised one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from fastxai_kernels.cpu._threads import parallel_for

from ..system import require_memory
from .blocks import (
    ROWS,
    Advance,
    Float,
    Moments,
    is_wide,
    moments,
    read_rows,
    rows_per_block,
    sum_products,
)
from .spaces import is_sparse

FEW = 2000  # up to so many features (or rows) the whole eigenproblem is quick
_QUICK = 2e10  # multiplications so few that float64 costs nothing
_OVERSAMPLE = 10
_PASSES = (3, 12)  # fewest and most rounds of the subspace iteration
_RESIDUAL = 1e-4  # of an eigenpair, relative to its variance
_NOISE = 1e-6  # ... or to the largest variance


class Components(NamedTuple):
    """Orthonormal directions (k, d) and the variances (k,) along them, largest first."""

    directions: Float
    variance: Float


class Decomposition(NamedTuple):
    """Mean (d,), directions (k, d), variances (k,), their total over all d, and who found them."""

    mean: Float
    directions: Float
    variance: Float
    total: float
    solver: str


def decompose(
    X: Any, n_components: float | None, solver: str, seed: int, advance: Callable[[float], Any]
) -> Decomposition:
    """The principal components of checked points X (n, d), dense or CSR.

    ``n_components`` is a number, a share of the variance, or None for all of them; ``advance``
    is told of shares of the work.
    """
    n, d = X.shape
    count = int(n_components) if n_components is not None and n_components >= 1 else None
    if solver == "auto":
        few = min(n, d) <= FEW or count is None or count > min(n, d) // 2
        solver = "covariance" if few else "randomized"
    # One pass for the moments, and then ...
    whole = n + (n * _PASSES[1] if solver == "randomized" else n if d <= n else d)

    def advance_rows(rows: int) -> None:
        advance(rows / whole)

    about = moments(X, advance_rows)
    total = float(about.scatter.sum()) / (n - 1)
    if solver == "randomized" and count is not None:
        found = randomized_components(X, about, count, seed, advance_rows)
    else:
        found = exact_components(X, about, count, advance_rows)
    directions, variance = found
    if n_components is not None and count is None:
        held = np.cumsum(variance) / (total or 1.0)
        enough = min(int(np.searchsorted(held, n_components)) + 1, len(variance))
        directions, variance = directions[:enough], variance[:enough]
    return Decomposition(about.mean, directions, variance, total, solver)


def _precision(X: Any, about: Moments, multiplications: float) -> type[np.floating[Any]]:
    """float32 where it saves time and its range holds the products, else float64."""
    largest = float(about.scatter.max()) / X.shape[0]
    few = multiplications <= _QUICK
    return np.float64 if few or is_wide(X) or not 1e-20 < largest < 1e20 else np.float32


def exact_components(
    X: Any, about: Moments, n_components: int | None, advance: Advance
) -> Components:
    """The leading eigenvectors of the covariance, or of the inner products if rows are fewer.

    All of them if ``n_components`` is None.
    """
    n, d = X.shape
    small = min(n, d)
    require_memory(
        small * small * 8.0 * (3 if n_components is None else 2),
        f"the exact PCA of {n:,} x {d:,}",
        "give a small n_components and solver='randomized'",
    )
    count = small if n_components is None else n_components
    solve = _by_covariance if d <= n else _by_inner_products
    directions, scatter = solve(X, about, count, advance)
    return Components(_with_signs(directions), np.maximum(scatter, 0) / (n - 1))


def _by_covariance(X: Any, about: Moments, count: int, advance: Advance) -> tuple[Float, Float]:
    n, d = X.shape
    dtype = _precision(X, about, float(n) * d * d)
    mean = about.mean.astype(dtype)

    def multiply(start: int, stop: int, out: NDArray[Any]) -> None:
        moved = read_rows(X, start, stop, dtype) - mean
        np.matmul(moved.T, moved, out=out)

    products = sum_products(n, rows_per_block(d), (d, d), dtype, multiply, advance)
    # The mean was rounded: what was summed is the scatter about a point beside it.
    beside = about.mean - mean
    products -= n * np.outer(beside, beside)
    scatter, vectors = _leading(products, count)
    return vectors.T, scatter


def _by_inner_products(X: Any, about: Moments, count: int, advance: Advance) -> tuple[Float, Float]:
    """X X' = U S^2 U' has as many rows as there are points; the directions are U' X / S."""
    n, d = X.shape
    block = rows_per_block(n)
    dtype = _precision(X, about, float(n) * n * d)

    def columns(start: int, stop: int, dtype: Any) -> NDArray[Any]:
        some = np.ascontiguousarray(X[:, start:stop], dtype=dtype)
        moved: NDArray[Any] = some - about.mean[start:stop].astype(dtype)
        return moved

    def multiply(start: int, stop: int, out: NDArray[Any]) -> None:
        moved = columns(start, stop, dtype)
        np.matmul(moved, moved.T, out=out)

    if is_sparse(X):
        points = X.astype(np.float64)
        products = np.asarray((points @ points.T).toarray())
        advance(d)
    else:
        products = sum_products(d, block, (n, n), dtype, multiply, advance)
    # Centres sparse points, and takes away what the rounding of the mean left.
    products -= products.mean(axis=0)
    products -= products.mean(axis=1)[:, None]
    scatter, vectors = _leading(products, count)
    directions = np.empty((count, d))
    if is_sparse(X):
        directions[:] = (points.T @ vectors).T - np.outer(vectors.sum(axis=0), about.mean)
    else:

        def combine(start: int, stop: int) -> None:
            np.matmul(vectors.T, columns(start, stop, np.float64), out=directions[:, start:stop])

        parallel_for(combine, d, block)
    return _orthonormal(directions, scatter), scatter


def _leading(products: Float, count: int) -> tuple[Float, Float]:
    """The ``count`` largest eigenvalues, in falling order, and their vectors (columns)."""
    m = len(products)
    if count > m // 4:
        values, vectors = linalg.eigh(products, overwrite_a=True, check_finite=False, driver="evd")
    else:
        wanted = (m - count, m - 1)
        values, vectors = linalg.eigh(
            products, overwrite_a=True, check_finite=False, subset_by_index=wanted, driver="evr"
        )
    return values[::-1][:count], vectors[:, ::-1][:, :count]


def _orthonormal(directions: Float, scatter: Float) -> Float:
    """Directions along which nothing varies came out as noise: any orthogonal ones will do."""
    lengths = np.linalg.norm(directions, axis=1)
    flat = (scatter <= 1e-13 * max(scatter[0], 0.0)) | (lengths == 0)
    directions[~flat] /= lengths[~flat, None]
    directions[flat] = np.random.default_rng(0).standard_normal((flat.sum(), directions.shape[1]))
    return np.ascontiguousarray(np.linalg.qr(directions.T)[0].T)


def _with_signs(directions: Float) -> Float:
    """Turn each direction so that its largest loading is positive; the first of equal ones."""
    sizes = np.abs(directions)
    # Equal but for rounding counts as equal, so that rounding does not choose.
    first = np.argmax(sizes >= sizes.max(axis=1, keepdims=True) * (1 - 1e-5), axis=1)
    signs = np.where(directions[np.arange(len(directions)), first] < 0, -1.0, 1.0)
    return np.ascontiguousarray(directions * signs[:, None])


def randomized_components(
    X: Any, about: Moments, n_components: int, seed: int, advance: Advance
) -> Components:
    """The leading components by subspace iteration from random directions.

    Halko, Martinsson and Tropp (2011), algorithm 4.4, on the covariance, until the residuals
    of the eigenpairs are small; one pass through the data a round.
    """
    n, d = X.shape
    width = min(n_components + _OVERSAMPLE, n, d)
    start = np.random.default_rng(seed).standard_normal((d, width))
    for done in range(1, _PASSES[1] + 1):
        basis = np.linalg.qr(start)[0]
        start = _times_scatter(X, about, basis, advance) / (n - 1)
        variance, turn = _leading(basis.T @ start, width)
        variance, turn = variance[:n_components], turn[:, :n_components]
        directions = basis @ turn
        residuals = np.linalg.norm(start @ turn - directions * variance, axis=0)
        allowed = np.maximum(_RESIDUAL * variance, _NOISE * variance[0])
        if done >= _PASSES[0] and (residuals <= allowed).all():
            break
    return Components(_with_signs(directions.T), np.maximum(variance, 0))


def _times_scatter(X: Any, about: Moments, basis: Float, advance: Advance) -> Float:
    """The scatter matrix of X times ``basis`` (d, l), without forming it."""
    n, d = X.shape
    dtype = np.float64 if is_sparse(X) else _precision(X, about, np.inf)
    mean, towards = about.mean.astype(dtype), basis.astype(dtype)
    offset = mean @ towards

    def multiply(start: int, stop: int, out: NDArray[Any]) -> None:
        if is_sparse(X):
            rows = X[start:stop].astype(np.float64)
            along = rows @ towards - offset
            out[:] = rows.T @ along - np.outer(mean, along.sum(axis=0))
        else:
            moved = read_rows(X, start, stop, dtype) - mean
            np.matmul(moved.T, moved @ towards, out=out)

    block = ROWS if is_sparse(X) else rows_per_block(d)
    products = sum_products(n, block, basis.shape, dtype, multiply, advance)
    beside = about.mean - mean
    products -= n * np.outer(beside, beside @ basis)
    return products
