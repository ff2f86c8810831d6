"""How often the network was right, and how sure it was: in all, by class and by group."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..image_sets.results import Results
from ..metrics._estimate import Estimate
from ..metrics._map_result import over_set

MOST_CLASSES = 24
_LISTED = 8  # files of a reason


class Facts(NamedTuple):
    """Figures of some images.

    Attributes
    ----------
    name : str
        Of the class or group.
    rows : ndarray
        The images that were explained.
    labelled : int
        How many have a true class.
    accuracy : Estimate or None
        The share of those that is right.
    score : Estimate or None
        The mean score of the predicted class.
    """

    name: str
    rows: NDArray[np.int64]
    labelled: int
    accuracy: Estimate | None
    score: Estimate | None


class Failure(NamedTuple):
    """A reason, how many images failed for it, and some of them."""

    reason: str
    images: int
    files: list[str]


def facts(name: str, table: Any) -> Facts:
    """The figures of rows that were explained."""
    known = table["correct"].dropna()
    right = over_set(known.to_numpy(np.float64), 0, 1) if len(known) else None
    # A regression names no class that could have a score.
    scores = table.loc[table["predicted"].notna(), "score"].dropna().to_numpy(np.float64)
    bounded = len(scores) > 0 and scores.min() >= 0 and scores.max() <= 1
    sure = over_set(scores, 0, 1) if bounded else over_set(scores) if len(scores) else None
    return Facts(name, table.index.to_numpy(), len(known), right, sure)


def explained(results: Results) -> Any:
    """The rows of the table that have maps."""
    return results.table[results.table["status"] == "ok"]


def class_column(table: Any) -> str:
    """By which column images are put into classes: the true one, or else the predicted one."""
    return "label_class" if table["label_class"].notna().any() else "predicted"


def by_class(results: Results, table: Any) -> list[Facts]:
    """Of each class, the commonest first."""
    column = class_column(table)
    counts = table[column].dropna().value_counts()
    # Of equally common ones the lower class first, the same every time.
    order = sorted(counts.index, key=lambda k: (-int(counts[k]), int(k)))
    parts = dict(iter(table.groupby(column)))
    return [facts(results.class_name(int(k)), parts[k]) for k in order]


def by_group(table: Any, reference: str | None = None) -> list[Facts]:
    """Of each group, first the one that others are compared with, then by their names.

    That is the one asked for, else one that is called after training, else the largest.

    Raises
    ------
    InvalidInputError
        If there is no such group.
    """
    parts = {str(name): part for name, part in table.groupby("group")}
    if reference is not None and reference not in parts:
        raise InvalidInputError(
            f"reference={reference!r} is no group; there are {', '.join(sorted(parts))}"
        )

    def place(name: str) -> tuple[Any, ...]:
        return name != reference, name != "train", "train" not in name.lower(), -len(parts[name])

    first = min(parts, key=lambda name: (place(name), name), default=None)
    return [facts(name, parts[name]) for name in sorted(parts, key=lambda n: (n != first, n))]


def accuracies(table: Any) -> dict[int, Estimate]:
    """The share that is right of each class."""
    column = class_column(table)
    known = table[[column, "correct"]].dropna()
    return {
        int(k): over_set(some.to_numpy(np.float64), 0, 1)
        for k, some in known.groupby(column)["correct"]
    }


def failures(results: Results) -> list[Failure]:
    """Why images failed, the commonest reason first."""
    failed = results.table[results.table["status"] == "failed"]
    found = []
    for reason, count in sorted(Counter(failed["reason"]).items(), key=lambda item: -item[1]):
        rows = failed.index[failed["reason"] == reason]
        found.append(Failure(str(reason), count, [file_of(results, row) for row in rows[:_LISTED]]))
    return found


def file_of(results: Results, row: int) -> str:
    """The file of an image with its folder, since names alone are often the same."""
    path = results.table["path"].get(row)
    parts = Path(path).parts[-2:] if isinstance(path, str) else ()
    return "/".join(parts) or results.title(row)


def difference(one: Estimate | None, other: Estimate | None) -> Estimate | None:
    """other - one, its interval from both (Newcombe 1998, method 10, for independent samples)."""
    if one is None or other is None:
        return None
    value = other.value - one.value
    low = value - float(np.hypot(other.value - other.low, one.high - one.value))
    high = value + float(np.hypot(other.high - other.value, one.value - one.low))
    return Estimate(value, low, high)
