"""Tables as numbers: names of features, categories as one column of 0 and 1 a level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

MISSING = "(missing)"
_MOST_LEVELS = 20  # more levels than this are names or identifiers, and no tree of them is read
_FLOAT32 = float(np.finfo(np.float32).max)

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """A feature as the user knows it.

    Attributes
    ----------
    name : str
    levels : tuple of str
        Of a category, sorted; empty for numbers.
    """

    name: str
    levels: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The levels with a column of 0 and 1: of two levels, the second tells all."""
        return self.levels[1:] if len(self.levels) == 2 else self.levels

    @property
    def width(self) -> int:
        """How many encoded columns it has."""
        return len(self.shown) if self.levels else 1


@dataclass(frozen=True)
class Columns:
    """How a table becomes a matrix of numbers; made by `read_table`.

    Attributes
    ----------
    columns : tuple of Column
    own : tuple of str or None
        Names that came with the table, whatever is shown: those of other tables must match.
    """

    columns: tuple[Column, ...]
    own: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(column.name for column in self.columns)

    @property
    def keys(self) -> tuple[str, ...]:
        """Names by which a row's values are given."""
        return self.own or self.names

    @property
    def encoded(self) -> list[tuple[int, str]]:
        """Of each encoded column the feature's number, and its level ("" for numbers)."""
        return [
            (k, level)
            for k, column in enumerate(self.columns)
            for level in (column.shown if column.levels else ("",))
        ]

    @property
    def encoded_names(self) -> list[str]:
        """Names of the encoded columns, "colour = red" for a level."""
        return [
            f"{self.names[k]} = {level}" if level else self.names[k] for k, level in self.encoded
        ]

    def places(self, column: int) -> list[int]:
        """The encoded columns of a feature."""
        return [j for j, (k, _) in enumerate(self.encoded) if k == column]

    def encode(self, X: Any, missing: bool = True) -> Numbers:
        """Rows of another table as numbers.

        Raises
        ------
        InvalidInputError
            If features or levels are not those of the first table.
        """
        parts = _parts(X, self.keys if isinstance(X, Mapping) else self.own)
        if len(parts) != len(self.columns):
            raise InvalidInputError(
                f"X has {len(parts)} features, the surrogate {len(self.columns)}: "
                f"{_listed(self.names)}"
            )
        read = []
        for column, part in zip(self.columns, parts, strict=True):
            if column.levels:
                read.append(_one_hot(column, _as_text(part)))
            else:
                read.append(_as_numbers(column.name, part)[:, None])
        matrix = np.hstack(read)
        check_finite(matrix, self.encoded_names, missing)
        return matrix


def read_table(X: Any, feature_names: Sequence[str] | None = None) -> tuple[Columns, Numbers]:
    """The features of a table, and its rows as numbers.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n, d)
        Columns of text, of categories and of truth values are encoded, a column of 0 and 1 for
        each level (of two levels, for the second alone); what is missing there is a level, too.
    feature_names : sequence of str, optional
        One a column; by default those of the DataFrame, else "feature 0" and so on.

    Returns
    -------
    Columns
    ndarray of shape (n, encoded columns), float64
        A copy: whatever the model does to X, these stay.

    Raises
    ------
    InvalidInputError
        If X is empty, sparse, no table, or holds columns that are neither numbers nor
        categories, or names do not match.
    """
    own = _own_names(X)
    parts = _parts(X, None)
    if not parts:
        raise InvalidInputError("X has no columns: there is nothing to tell the rows apart by")
    if not len(parts[0]):
        raise InvalidInputError("X has no rows: a surrogate is fitted to answers about rows")
    names = _check_names(feature_names, own, len(parts))
    columns, read = [], []
    for name, part in zip(names, parts, strict=True):
        column, numbers = _read_column(name, part)
        columns.append(column)
        read.append(numbers)
    found = Columns(tuple(columns), own)
    matrix = np.hstack(read)
    empty = np.isnan(matrix).all(axis=0)
    if empty.any():
        name = found.encoded_names[int(empty.argmax())]
        raise InvalidInputError(f"column {name!r} of X holds no value at all: leave it out")
    check_finite(matrix, found.encoded_names, missing=True)
    return found, matrix


def check_finite(matrix: Numbers, names: Sequence[str], missing: bool) -> None:
    """Refuse infinity, numbers beyond float32, and NaN where it can not be worked with."""
    with np.errstate(invalid="ignore"):
        bad = np.abs(matrix) > _FLOAT32
    if not missing:
        bad |= np.isnan(matrix)
    if not bad.any():
        return
    row, column = map(int, np.argwhere(bad)[0])
    where = f"at row {row}, column {names[column]!r}"
    if np.isnan(matrix[row, column]):
        raise InvalidInputError(
            f"X contains NaN {where}: only a tree can work with missing values (kind='tree'); "
            "else fill them in (sklearn.impute.SimpleImputer) or drop the rows"
        )
    raise InvalidInputError(
        f"X contains {matrix[row, column]:g} {where}: drop such rows or scale the feature"
    )


def _own_names(X: Any) -> tuple[str, ...] | None:
    """Names that a DataFrame brings along."""
    if not hasattr(X, "columns"):
        return None
    names = tuple(str(name) for name in X.columns)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"X has several columns named {_listed(twice)}: rename them")
    return names


def _check_names(
    given: Sequence[str] | None, own: tuple[str, ...] | None, n_features: int
) -> tuple[str, ...]:
    if given is None:
        return own or tuple(f"feature {k}" for k in range(n_features))
    if isinstance(given, str) or len(given) != n_features:
        count = 1 if isinstance(given, str) else len(given)
        raise InvalidInputError(f"{count} feature_names for {n_features} features: give one each")
    names = tuple(str(name) for name in given)
    if len(set(names)) < len(names):
        raise InvalidInputError("feature_names holds a name twice: give each feature its own")
    if own is not None and set(own) == set(names) and own != names:
        raise InvalidInputError(
            "feature_names holds the names of X's columns in another order: leave it out"
        )
    return names


def _parts(X: Any, names: tuple[str, ...] | None) -> list[NDArray[Any]]:
    """The columns of X, in the order of ``names`` where both have names."""
    if hasattr(X, "columns") or isinstance(X, Mapping):
        if isinstance(X, Mapping):
            found = {str(name): np.atleast_1d(value) for name, value in X.items()}
        else:
            found = {str(name): np.asarray(X[name]) for name in X.columns}
        if names is None:
            return list(found.values())
        missing = [name for name in names if name not in found]
        if missing:
            strange = [name for name in found if name not in names]
            more = f", and has {_listed(strange)} instead" if strange else ""
            raise InvalidInputError(f"X lacks the features {_listed(missing)}{more}")
        return [found[name] for name in names]
    if hasattr(X, "toarray"):
        raise InvalidInputError("X is sparse: pass X.toarray(), or a DataFrame of few columns")
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise InvalidInputError(f"X can not be read as a table: {error}") from None
    if array.ndim != 2:
        raise InvalidInputError(
            f"X has the shape {array.shape}: a table of shape (rows, features) is expected"
        )
    if array.dtype.kind in "USTV":
        raise InvalidInputError(
            "X is an array of text, in which numbers can not be told from categories: pass a "
            "DataFrame, or an array of numbers"
        )
    return list(array.T)


def _read_column(name: str, part: NDArray[Any]) -> tuple[Column, Numbers]:
    if part.dtype.kind in "iuf" or (part.dtype.kind == "O" and _all_numbers(part)):
        return Column(name), _as_numbers(name, part)[:, None]
    if part.dtype.kind in "Mmc" or part.ndim != 1:
        raise InvalidInputError(
            f"column {name!r} holds {part.dtype}: only numbers and categories can be explained; "
            "make numbers of it (days since a date, say) or leave it out"
        )
    text = _as_text(part)
    levels = tuple(sorted(set(text.tolist())))
    if len(levels) > _MOST_LEVELS:
        raise InvalidInputError(
            f"column {name!r} holds {len(levels)} different words, {_listed(levels)}: at most "
            f"{_MOST_LEVELS} can be read in a picture; group the rare ones, or leave it out"
        )
    column = Column(name, levels)
    return column, _one_hot(column, text)


def _all_numbers(part: NDArray[Any]) -> bool:
    known = [value for value in part.tolist() if not _is_missing(value)]
    return bool(known) and all(
        isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
        for value in known
    )


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def _as_numbers(name: str, part: NDArray[Any]) -> Numbers:
    if part.dtype.kind == "O":
        part = np.array([np.nan if _is_missing(value) else value for value in part.tolist()])
    try:
        return np.array(part, np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"column {name!r} holds {str(part[0])!r}, and numbers were expected"
        ) from None


def _as_text(part: NDArray[Any]) -> NDArray[Any]:
    return np.array([MISSING if _is_missing(v) else str(v) for v in part.tolist()], object)


def _one_hot(column: Column, text: NDArray[Any]) -> Numbers:
    unknown = sorted(set(text.tolist()) - set(column.levels))
    if unknown:
        raise InvalidInputError(
            f"column {column.name!r} holds {_listed(unknown)}, which the surrogate was never "
            f"shown; it knows {_listed(column.levels)}"
        )
    return np.asarray(text[:, None] == np.array(column.shown, object), np.float64)


def _listed(names: Sequence[Any], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(str(name)) for name in names[:most]) + more
