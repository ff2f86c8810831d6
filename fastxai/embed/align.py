"""Turn one map onto another, so that a map that grew can be compared with the old one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FastxaiWarning, InvalidInputError

Float = NDArray[np.float64]


def align(
    new: Any, old: Any, *, new_ids: Any = None, old_ids: Any = None, scaling: bool = False
) -> NDArray[np.float32]:
    """Move the map ``new`` onto the map ``old`` without changing its shape.

    An embedding may be turned, mirrored and moved at will: nothing of what it says changes.
    Of all such motions this is the one that brings the shared points closest to their old
    places in the sense of least squares (orthogonal Procrustes, Schönemann 1966).

    Parameters
    ----------
    new : array of shape (n, c)
        The map to be moved.  Rows with NaN stay NaN.
    old : array of shape (m, c)
        The map to be moved onto.
    new_ids, old_ids : array-like of length n and m, optional
        Names of the rows; those in both are the shared points.  Without them row i is the
        same point in both maps, for the first ``min(n, m)`` rows.
    scaling : bool, default False
        Also scale, by one factor.

    Returns
    -------
    ndarray of shape (n, c), float32
        All rows of ``new``, moved.

    Raises
    ------
    InvalidInputError
        If the maps are not two-dimensional, have different numbers of columns or infinite
        values, or if there are no shared points, or the same name twice.

    Warns
    -----
    FastxaiWarning
        If the shared points lie on a line (a plane, ...), so that a rotation or reflection is
        left open; the smaller one is taken.

    Examples
    --------
    >>> import numpy as np
    >>> old = np.array([[0, 0], [2, 0], [0, 1]], np.float32)
    >>> turned = old @ np.array([[0, 1], [-1, 0]], np.float32) + 5
    >>> bool(np.allclose(align(turned, old), old, atol=1e-6))
    True
    """
    moving, fixed = _as_map(new, "new"), _as_map(old, "old")
    if moving.shape[1] != fixed.shape[1]:
        raise InvalidInputError(
            f"new has {moving.shape[1]} columns and old has {fixed.shape[1]}: maps of different "
            "n_components can not be aligned"
        )
    rows, places = _shared_rows(len(moving), len(fixed), new_ids, old_ids)
    there = ~(np.isnan(moving[rows]).any(axis=1) | np.isnan(fixed[places]).any(axis=1))
    if not there.any():
        raise InvalidInputError(
            "new and old share no points that have a place in both: every shared row has NaN"
        )
    a, b = moving[rows[there]], fixed[places[there]]
    from_centre, to_centre = a.mean(axis=0), b.mean(axis=0)
    motion = _rotation(a - from_centre, b - to_centre, scaling)
    # Not by BLAS, whose rounding depends on the number of its threads.
    moved: Float = np.einsum("ij,jk->ik", moving - from_centre, motion) + to_centre
    return moved.astype(np.float32)


def _rotation(a: Float, b: Float, scaling: bool) -> Float:
    """The orthogonal matrix R (times a scale) that makes |a R - b| smallest."""
    products = np.einsum("ij,ik->jk", a, b)
    left, values, right = np.linalg.svd(products)
    if values[-1] <= 1e-12 * values[0] or values[0] == 0:
        warnings.warn(
            f"the {len(a)} shared points do not fix the rotation in {a.shape[1]} dimensions: "
            "share more points",
            FastxaiWarning,
            stacklevel=3,
        )
        # Among the best rotations the one closest to none.
        left, _, right = np.linalg.svd(products + 1e-6 * (values[0] or 1.0) * np.eye(len(values)))
    rotation: Float = left @ right
    spread = float(np.einsum("ij,ij->", a, a))
    return rotation * (float(values.sum()) / spread) if scaling and spread > 0 else rotation


def _as_map(values: Any, name: str) -> Float:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} is no map of numbers: {error}") from None
    if array.ndim != 2 or array.shape[1] == 0:
        raise InvalidInputError(
            f"{name} must be a 2D array, one row a point; its shape is {array.shape}"
        )
    if np.isinf(array).any():
        row, column = np.argwhere(np.isinf(array))[0]
        raise InvalidInputError(f"{name} contains inf at row {row}, column {column}")
    return array


def _shared_rows(
    n: int, m: int, new_ids: Any, old_ids: Any
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the new map and rows of the old one that are the same points."""
    if (new_ids is None) != (old_ids is None):
        raise InvalidInputError("give both new_ids and old_ids, or neither")
    if new_ids is None:
        if min(n, m) == 0:
            raise InvalidInputError(f"the maps share no points: they have {n} and {m} rows")
        return np.arange(min(n, m)), np.arange(min(n, m))
    in_old = _rows_by_id(old_ids, m, "old")
    pairs = [
        (row, in_old[name])
        for name, row in _rows_by_id(new_ids, n, "new").items()
        if name in in_old
    ]
    if not pairs:
        raise InvalidInputError(
            "new_ids and old_ids have no id in common (are they of the same type?)"
        )
    rows, places = np.array(pairs, np.intp).T
    return rows, places


def _rows_by_id(ids: Any, count: int, name: str) -> dict[Any, int]:
    names = np.asarray(ids)
    if names.shape != (count,):
        raise InvalidInputError(
            f"{name}_ids must name each of the {count} rows of {name}; its shape is {names.shape}"
        )
    rows: dict[Any, int] = {}
    for row, key in enumerate(names.tolist()):
        try:
            first = rows.setdefault(key, row)
        except TypeError:
            raise InvalidInputError(
                f"{name}_ids has a {type(key).__name__} at row {row}: use numbers or strings"
            ) from None
        if first != row:
            raise InvalidInputError(f"{name}_ids has {key!r} twice: at rows {first} and {row}")
    return rows
