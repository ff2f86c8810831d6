"""What the measures take: tables of numbers, labels, samples; and what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._warn import warn
from ..errors import InvalidInputError


def numbers(values: ArrayLike, name: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InvalidInputError(f"{name} must hold numbers, not {array.dtype}")
    if array.ndim != 2 or array.shape[1] == 0:
        raise InvalidInputError(f"{name} must be a table of shape (n, d), not {array.shape}")
    return array


def points(values: ArrayLike, name: str) -> NDArray[np.float32]:
    return np.ascontiguousarray(numbers(values, name), dtype=np.float32)


def same_length(one: str, n_one: int, other: str, n_other: int) -> None:
    if n_one != n_other:
        raise InvalidInputError(f"{one} has {n_one:,} rows and {other} has {n_other:,}")


def warn_if_swapped(embedding: NDArray[Any], X: Any) -> None:
    """An embedding with more columns than the data has mostly changed places with them."""
    if embedding.shape[1] > X.shape[1]:
        warn(
            f"the embedding has {embedding.shape[1]} columns and X {X.shape[1]}: are the two "
            "arguments swapped?"
        )


def known_metric(metric: str) -> None:
    from ..embed.spaces import NATIVE

    if metric not in NATIVE:
        raise InvalidInputError(f"metric={metric!r} is not one of {', '.join(NATIVE)}")


def check_finite(block: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        row = rows[~finite].min()
        raise InvalidInputError(f"X holds NaN or infinity (in row {row}): leave such rows out")


def classes(labels: ArrayLike) -> NDArray[np.int64]:
    """Classes numbered in sorted order; -1 where there is no label."""
    given = np.asarray(labels)
    if given.ndim != 1:
        raise InvalidInputError(f"labels must be one column of shape (n,), not {given.shape}")
    if given.dtype.kind == "O":
        missing = np.array([value is None or value != value for value in given], bool)
    else:
        missing = given != given
    codes = np.full(len(given), -1, np.int64)
    try:
        codes[~missing] = np.unique(given[~missing], return_inverse=True)[1]
    except TypeError:
        raise InvalidInputError(
            "labels mix kinds that have no order, such as numbers and strings: "
            "make all of them strings"
        ) from None
    return codes


def sample(
    n_points: int, n_neighbors: int, n_samples: int | None, random_state: int | None
) -> NDArray[np.int64]:
    """Rows to judge, sorted."""
    if n_neighbors < 1:
        raise InvalidInputError(f"n_neighbors={n_neighbors}: at least one is needed")
    if n_samples is not None and n_samples < 1:
        raise InvalidInputError(f"n_samples={n_samples}: at least one is needed; None takes all")
    if n_points <= n_neighbors:
        raise InvalidInputError(
            f"{n_points} points with coordinates and labels are too few for "
            f"n_neighbors={n_neighbors}: at least {n_neighbors + 1} are needed"
        )
    if n_samples is None or n_samples >= n_points:
        return np.arange(n_points)
    chosen = np.random.default_rng(random_state).choice(n_points, n_samples, replace=False)
    return np.sort(chosen).astype(np.int64)


def known_points(
    X: ArrayLike, embedding: ArrayLike, measure: str, metric: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Data and places of the points that have a place; Euclidean distances rank both."""
    from ..embed.spaces import to_euclidean

    known_metric(metric)
    if hasattr(X, "toarray"):
        raise InvalidInputError(
            f"{measure} takes dense X: reduce sparse vectors first, e.g. with PCA, or ask for "
            "random_triplet_accuracy or distance_correlation"
        )
    data, places = points(X, "X"), points(embedding, "embedding")
    same_length("X", len(data), "embedding", len(places))
    warn_if_swapped(places, data)
    known = with_place(places)
    if len(known) < len(places):
        data, places = data[known], places[known]
    check_finite(data, known)
    return to_euclidean(data, metric), places


def with_place(places: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers of the points that have coordinates."""
    return np.flatnonzero(np.isfinite(places).all(axis=1))


def some_rows(data: Any, rows: NDArray[np.int64], metric: str) -> NDArray[np.float32]:
    """Some rows of dense or sparse data, as vectors whose Euclidean distances rank as `metric`."""
    from ..embed.spaces import to_euclidean

    some = data[rows]
    block = np.ascontiguousarray(some.toarray() if hasattr(some, "toarray") else some, np.float32)
    check_finite(block, rows)
    return to_euclidean(block, metric)
