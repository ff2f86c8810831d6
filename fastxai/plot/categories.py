"""Labels of any kind as numbered classes with names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

_FLOATS = 256  # more different fractions than this are no classes


class Categories(NamedTuple):
    """The class of each point (-1: unlabelled) and the names of the classes."""

    codes: NDArray[np.int64]
    names: list[str]


def read_categories(
    labels: Any, n_points: int, names: Sequence[str] | Mapping[Any, str] | None = None
) -> Categories:
    """Number the classes in their order: of categories, of numbers, of strings as people sort.

    ``names`` are shown instead of the labels: a mapping, or a sequence that integer labels
    point into.
    """
    codes, classes = _factorise(labels)
    if len(codes) != n_points:
        raise InvalidInputError(f"{len(codes):,} labels for an embedding of {n_points:,} points")
    return Categories(codes, [_name(label, names) for label in classes])


def _factorise(labels: Any) -> tuple[NDArray[np.int64], list[Any]]:
    kind: Any = getattr(labels, "dtype", None)
    if hasattr(kind, "categories"):  # a pandas Series, Index or Categorical
        own = getattr(labels, "cat", labels).codes
        return _drop_unused(np.asarray(own, np.int64), list(kind.categories))
    try:
        given = np.asarray(labels)
    except ValueError:
        raise InvalidInputError("labels hold lists or the like: make them strings") from None
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim != 1:
        raise InvalidInputError(f"labels must be one column of shape (n,), not {given.shape}")
    if given.dtype.kind in "biuf":
        return _factorise_numbers(given)
    if given.dtype.kind not in "OUST":
        raise InvalidInputError(f"labels of type {given.dtype} are no classes: make them strings")
    first_seen: dict[Any, int] = {}
    rows = given.tolist()
    if given.dtype.kind == "O":
        rows = [v.item() if isinstance(v, np.generic) else v for v in rows]
    try:
        codes = np.fromiter((first_seen.setdefault(v, len(first_seen)) for v in rows), np.int64)
    except TypeError:
        raise InvalidInputError("labels hold lists or the like: make them strings") from None
    found = list(first_seen)
    kept = [k for k, label in enumerate(found) if not _missing(label)]
    kept.sort(key=lambda k: _reading_order(found[k]))
    rank = np.full(len(found), -1, np.int64)
    rank[kept] = np.arange(len(kept))
    return rank[codes], [found[k] for k in kept]


def _factorise_numbers(given: NDArray[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    classes, codes = np.unique(given, return_inverse=True)
    if given.dtype.kind == "f" and len(classes) > _FLOATS and (classes % 1 != 0).any():
        raise InvalidInputError(
            f"labels hold {len(classes):,} different fractions: "
            "numbers are shown as colours by values=..."
        )
    numbered = codes.reshape(-1).astype(np.int64)
    unlabelled = (classes != classes) | ((classes == -1) if given.dtype.kind != "b" else False)
    numbered[unlabelled[numbered]] = -1
    return _drop_unused(numbered, classes.tolist())


def _drop_unused(
    codes: NDArray[np.int64], classes: list[Any]
) -> tuple[NDArray[np.int64], list[Any]]:
    used = np.bincount(codes[codes >= 0], minlength=len(classes)) > 0
    rank = np.append(np.cumsum(used) - 1, -1)  # code -1 finds the -1 at the end
    return rank[codes], [label for label, there in zip(classes, used, strict=True) if there]


def _missing(label: Any) -> bool:
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(label, float | int) and (label != label or label == -1)


def _reading_order(label: Any) -> tuple[Any, ...]:
    """Numbers before text, and "class 10" after "class 9"."""
    if isinstance(label, int | float):
        return (0, label)
    parts = re.split(r"(\d+)", str(label))
    return (1, [(int(p), "") if p.isdecimal() else (-1, p.casefold()) for p in parts], str(label))


def _name(label: Any, names: Sequence[str] | Mapping[Any, str] | None) -> str:
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if names is None:
        return str(label)
    try:
        if isinstance(names, Mapping):
            return str(names[label])
        if isinstance(label, int) and label >= 0:
            return str(names[label])
    except (KeyError, IndexError):
        pass
    raise InvalidInputError(
        f"names holds no name for the label {label!r}: give a mapping with all the labels, or a "
        "sequence that integer labels point into"
    )
