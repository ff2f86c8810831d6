"""What is explained of every image of a set, or of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..explain.networks.loading import near
from .labels import class_of

_SAID = re.compile(r"label|top\d+|[+-]\d+")


def read_target(
    target: Any, n: int, names: Sequence[str] | None
) -> tuple[Any, NDArray[np.int64] | None]:
    """What is explained of all images, or an array (n,) or (n, K) of what is of each.

    Raises
    ------
    InvalidInputError
        If it is a function, of another shape, or names no class.
    """
    if target is None or isinstance(target, (int, np.integer)):
        return (None if target is None else int(target)), None
    if isinstance(target, str):
        if _SAID.fullmatch(target.lower()):
            return target.lower(), None
        if "," not in target or class_of(target, names) >= 0:  # of names that hold a comma
            return _named(target, names), None
        target = [[_number(part.strip()) for part in target.split(",")]]
    if callable(target):
        raise InvalidInputError(
            "target= is a function, which a set can not write down: use fastxai.explain"
        )
    array = _classes(target, names)
    if array.ndim == 2 and len(array) == 1:
        array = np.repeat(array, n, axis=0)
    if array.ndim not in (1, 2) or len(array) != n:
        raise InvalidInputError(
            f"target= has the shape {array.shape}; {n} images need ({n},), ({n}, K), or (1, K) "
            "for the same classes of every image"
        )
    return None, array


def _number(text: str) -> int | str:
    return int(text) if re.fullmatch("[0-9]+", text) else text


def _named(target: Any, names: Sequence[str] | None) -> int:
    """The class of a number or a name."""
    found = class_of(target, names)
    if found < 0:
        hint = "; the names of the classes are not known" if names is None else near(target, names)
        raise InvalidInputError(f"target {target!r}: no class has this name{hint}")
    return found


def _classes(target: Any, names: Sequence[str] | None) -> NDArray[np.int64]:
    try:
        given = np.asarray(target)
        if given.dtype.kind in "UO":
            found = [_named(one, names) for one in np.asarray(target, object).ravel()]
            given = np.array(found).reshape(given.shape)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"target={target!r}: give a class an image") from None
    if given.dtype.kind not in "iu":
        raise InvalidInputError(f"target= holds {given.dtype}: classes are whole numbers or names")
    return given.astype(np.int64)
