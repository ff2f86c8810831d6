"""Conditions and numbers as a reader wants them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .columns import Columns


def number(value: float, beside: float | None = None, digits: int = 4) -> str:
    """A number of few digits, and more where another would else look the same."""
    for count in range(digits, 17):
        text = f"{value:.{count}g}"
        if beside is None or value == beside or text != f"{beside:.{count}g}":
            break
    return text.replace("e+0", "e").replace("e-0", "e-").replace("-", "−")


class Question(NamedTuple):
    """What a split asks: the feature's name, and what its left and right sides say."""

    name: str
    left: str
    right: str


def question(columns: Columns, place: int, threshold: float) -> Question:
    """What a split of an encoded column asks.

    Examples
    --------
    >>> from fastxai.surrogates.columns import Column, Columns
    >>> question(Columns((Column("width"),)), 0, 0.8)
    Question(name='width', left='≤ 0.8', right='> 0.8')
    """
    k, level = columns.encoded[place]
    column = columns.columns[k]
    if not level:
        return Question(column.name, f"≤ {number(threshold)}", f"> {number(threshold)}")
    other = column.levels[0] if len(column.levels) == 2 else None
    return Question(column.name, f"is {other}" if other else f"is not {level}", f"is {level}")


def value_text(columns: Columns, column: int, row: Any, beside: float | None = None) -> str:
    """A feature's value in an encoded row."""
    found, places = columns.columns[column], columns.places(column)
    if not found.levels:
        value = float(row[places[0]])
        return "missing" if np.isnan(value) else number(value, beside)
    on = [level for level, j in zip(found.shown, places, strict=True) if row[j] > 0.5]
    return on[0] if on else found.levels[0]


def counted(count: int, word: str) -> str:
    """A count with its word, "1 leaf" and "3 leaves"."""
    plural = {"leaf": "leaves"}.get(word, f"{word}s")
    return f"{count:,} {word if count == 1 else plural}"


def size_text(size: dict[str, int]) -> str:
    """How large a surrogate is, in words."""
    if "leaves" in size:
        return f"{counted(size['leaves'], 'leaf')}, depth {size['depth']}"
    return counted(size["terms"], "term")
