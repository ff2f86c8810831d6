"""Labels as numbers or names, and which of the model's classes they mean."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np

from .._warn import warn
from ..errors import InvalidInputError

Label = int | str | None
UNKNOWN = -1
_LISTED = 5


def class_of(label: Any, names: Sequence[str] | None) -> int:
    """Which class a label means.

    Parameters
    ----------
    label : int, str or None
        A number is the class itself.  A text is one of ``names``, in capitals or not, with
        spaces or underscores; failing that, a number written out.
    names : sequence of str, optional
        Names of the classes in the order of the model's outputs.

    Returns
    -------
    int
        -1 where there is no label, or no class of that name.

    Examples
    --------
    >>> [class_of(label, ("cat", "polar bear")) for label in (1, "Cat", "POLAR_BEAR", "dog", None)]
    [1, 0, 1, -1, -1]
    """
    if label is None:
        return UNKNOWN
    if not isinstance(label, str):
        return int(label) if label >= 0 else UNKNOWN
    exact, loose = _index(tuple(names or ()))
    found = exact.get(label, loose.get(_folded(label)))
    if found is not None:
        return found
    # 1.0 is how columns of numbers with gaps are written.
    number = re.fullmatch(r"([0-9]+)(\.0*)?", label.strip())
    return int(number[1]) if number else UNKNOWN


def classes_of(labels: Sequence[Any], names: Sequence[str] | None) -> list[int]:
    """`class_of` for each of many labels, each different one looked up once."""
    names = None if names is None else tuple(names)
    found = {label: class_of(label, names) for label in set(labels)}
    return [found[label] for label in labels]


def check_labels(
    labels: Sequence[Label], names: Sequence[str] | None, n_classes: int | None = None
) -> None:
    """Find out before any work whether labels can be compared with what the model answers.

    Parameters
    ----------
    labels : sequence of int, str or None
    names : sequence of str, optional
        Without them texts that are no numbers are kept, and a warning says so.
    n_classes : int, optional
        How many classes the model knows, if that is known; else the number of names.

    Raises
    ------
    InvalidInputError
        If a text names no class, or several, or a number is none of the classes.
    """
    known = {label: count for label, count in Counter(labels).items() if label is not None}
    count = n_classes if n_classes is not None else (len(names) if names else None)
    classes = {label: class_of(label, names) for label in known}
    nameless = [label for label in known if isinstance(label, str) and classes[label] < 0]
    if nameless and names is None:
        warn(
            f"labels are names ({_some(nameless)}) and the classes have none: the labels are kept "
            "as text, and which predictions are right stays unknown; give names=, the names in "
            "the order of the model's outputs"
        )
    elif nameless:
        raise InvalidInputError(_strangers(nameless, known, list(names or ())))
    beyond = [label for label in known if count is not None and classes[label] >= count]
    low = [label for label in known if not isinstance(label, str) and int(label) < UNKNOWN]
    if beyond or low:
        raise InvalidInputError(
            f"labels: {sum(known[label] for label in beyond + low):,} images have a class that "
            f"is not there ({_some(beyond + low)}); classes are counted from 0"
            + (f" to {count - 1}" if count is not None else "")
            + ", and -1 is no label"
        )


def plain(values: Any, what: str) -> list[Label]:
    """Labels from any sequence as numbers, texts and None (NaN and "" count as none).

    Raises
    ------
    InvalidInputError
        If one is something else.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    if hasattr(values, "tolist"):
        values = values.tolist()
    return [_plain(value, what, i) for i, value in enumerate(values)]


def _plain(value: Any, what: str, place: int) -> Label:
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # of pandas
        return None
    if isinstance(value, str):  # a table holds no bytes that are no UTF-8
        return value.encode("utf-8", "backslashreplace").decode() or None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and (math.isnan(value) or value.is_integer()):
        return None if math.isnan(value) else int(value)
    raise InvalidInputError(
        f"{what}[{place}] is {value!r}: whole numbers or names are expected, None where unknown"
    )


def _folded(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


@lru_cache(maxsize=4)
def _index(names: tuple[str, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Classes by their name as it is, and by a loose reading; what is ambiguous is in neither."""
    found = []
    for keys in (names, tuple(map(_folded, names))):
        counts = Counter(keys)
        found.append({key: k for k, key in enumerate(keys) if counts[key] == 1})
    return found[0], found[1]


def _strangers(labels: list[str], known: dict[Any, int], names: list[str]) -> str:
    """What to say of texts that name no class, or several."""
    folded = Counter(map(_folded, names))
    known_as = dict(zip(map(_folded, names), names, strict=True))
    parts = []
    for label in labels[:_LISTED]:
        close = get_close_matches(_folded(label), known_as, n=2, cutoff=0.6)
        near = f" (near it: {', '.join(known_as[name] for name in close)})" if close else ""
        if folded[_folded(label)] > 1:
            which = [k for k, name in enumerate(names) if _folded(name) == _folded(label)]
            parts.append(f"{label!r} names the classes {_some(which)}: give the number")
        else:
            parts.append(repr(label) + near)
    more = f" and {len(labels) - _LISTED} more" if len(labels) > _LISTED else ""
    return (
        f"labels: {len(labels):,} names of {sum(known[label] for label in labels):,} images are "
        f"none of the {len(names):,} classes: {'; '.join(parts)}{more}. Correct them, or leave "
        "them empty where the class is unknown"
    )


def _some(items: Sequence[Any]) -> str:
    return ", ".join(map(str, items[:_LISTED])) + (", ..." if len(items) > _LISTED else "")
