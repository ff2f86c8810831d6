"""Single images of a set, with the map on them and what the network said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..image_sets.pooled import in_parts, two_sided
from ..image_sets.results import Results
from ..image_sets.sheets import is_missing
from ..plot.overlay import read_status
from . import pictures
from .facts import explained, file_of

WRONG, ENDS = 24, 12  # images in a section


class Card(NamedTuple):
    """An image: its picture, the picture with the map, and the words below."""

    image: str
    overlay: str
    said: str
    score: str
    truth: str
    file: str
    note: str


def cards(results: Results, name: str, rows: Sequence[int]) -> list[Card]:
    """Of some images that were explained; none where the set has no thumbnails."""
    if results.thumbnails is None or not len(rows):
        return []
    places = np.asarray(rows, np.int64)
    signed = two_sided(results, name)
    maps = in_parts(results, name, places, np.zeros(len(places), np.int64))
    shown = results.pictures(places)
    overlays = [pictures.overlaid(p, m, signed) for p, m in zip(shown, _each(maps), strict=True)]
    return [
        Card(pictures.thumbnail(picture), overlay, *_words(results, name, row))
        for picture, overlay, row in zip(shown, overlays, rows, strict=True)
    ]


def _each(parts: Any) -> Any:
    for part in parts:
        yield from part


def _words(results: Results, name: str, row: int) -> tuple[str, ...]:
    line = results.table.loc[row]
    predicted = line["predicted"]
    said = "" if is_missing(predicted) else results.class_name(int(predicted))
    truth = line["label_class"]
    status = line[f"{name}_status"]
    note = read_status(status if results.single else status[0], np.ones(1))
    true = "" if is_missing(truth) else results.class_name(int(truth))
    return said, f"{line['score']:.2f}", true, file_of(results, row), note


def chosen(results: Results) -> dict[str, list[int]]:
    """Which images are shown: wrong ones the surest first, and the two ends of confidence."""
    table = explained(results)
    ordered = table.sort_values("score", ascending=False, kind="stable")
    wrong = ordered.index[ordered["correct"].eq(False).fillna(False)]
    return {
        "wrong": wrong[:WRONG].tolist(),
        "most": ordered.index[:ENDS].tolist(),
        "least": ordered.index[::-1][:ENDS].tolist(),
    }
