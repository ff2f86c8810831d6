"""The picture of an explanation by example: the image, and beside it what it is like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..plot import canvas, pictures
from ..plot.names import shorten
from ..plot.overlay import draw_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .by_example import ByExample
    from .nearest import Near

_INCH, _GAP = 1.0, 0.12  # inches of a small picture, and between two
_QUERY = 1.9  # inches of the image itself
_LINE, _HEAD = 0.15, 0.3  # inches of a line below a picture, and above a row of them
_TOP, _BOTTOM, _SIDE = 0.45, 0.25, 0.15
_ACROSS = 8  # pictures side by side
_LETTERS = 15  # of a line below a small picture


def draw(found: ByExample, path: str | Path | None, title: str | None) -> Figure:
    """Draw it; see `ByExample.plot`."""
    if path is not None:
        from ..io import check_output

        path = check_output(path, (".png", ".pdf", ".svg"))
    if found.shown is None:
        raise InvalidInputError(
            f"{found.title}: images of {len(found.bank.manifest.layout.image_shape) - 1} spatial "
            "axes are no pictures, or the bank was built with thumbnail=0: .lines() says it in "
            "words"
        )
    lists = _lists(found)
    below = [
        [_below(found, *one) for one in zip(near.rows.tolist(), near.distances, strict=True)]
        for _, near in lists
    ]
    high = max(len(lines) for some in below for lines in some)
    sheet = _Sheet([len(near) for _, near in lists], high)
    _write_head(sheet, found, title)
    rows = zip(lists, sheet.small, sheet.corners, below, strict=True)
    for (words, near), axes, corner, captions in rows:
        sheet.write(*corner, words, size=8.5)
        if not len(near):
            sheet.write(corner[0], corner[1] + 0.22, "none in the bank", size=8, faint=True)
        for one, row, lines in zip(axes, near.rows.tolist(), captions, strict=True):
            _example(sheet, one, found.bank.shown(row), lines)
    if path is not None:
        from ..io import atomic_write

        with atomic_write(path) as temporary:
            sheet.figure.savefig(temporary)
    figure: Figure = sheet.figure
    return figure


def _lists(found: ByExample) -> list[tuple[str, Near]]:
    if found.label is None:
        return [("nearest", found.nearest)]
    return [
        (f"nearest labelled {shorten(found.label)}", found.same),
        ("nearest with another label", found.other),
    ]


class _Sheet:
    """A figure laid out in inches: the image on the left, rows of small pictures beside it."""

    def __init__(self, counts: list[int], captions: int) -> None:
        across, words = min(max(3, *counts, 0), _ACROSS), captions * _LINE + 0.12
        left = 2 * _SIDE + _QUERY + 2 * _GAP
        self.wide = left + across * (_INCH + _GAP) + _SIDE
        top, spots, self.corners = _TOP, list[list[tuple[float, float]]](), []
        for count in counts:
            self.corners.append((left, top + 0.05))
            top += _HEAD
            lines = -(-count // across)
            spots.append(
                [
                    (left + i % across * (_INCH + _GAP), top + i // across * (_INCH + words))
                    for i in range(count)
                ]
            )
            top += lines * (_INCH + words) or words
        self.high = max(top, _TOP + _HEAD + _QUERY + 0.65) + _BOTTOM
        self.figure: Any = canvas.MapFigure(figsize=(self.wide, self.high))
        self.query = self._axes(_SIDE, _TOP + _HEAD, _QUERY)
        self.small = [[self._axes(x, y, _INCH) for x, y in some] for some in spots]

    def _axes(self, left: float, top: float, side: float) -> Axes:
        box = (left / self.wide, 1 - (top + side) / self.high, side / self.wide, side / self.high)
        found: Axes = self.figure.add_axes(box, anchor="N")
        return found

    def write(
        self, left: float, top: float, text: str, size: float = 8.0, faint: bool = False
    ) -> None:
        """Words whose upper left corner is so many inches from the sheet's."""
        self.figure.text(
            left / self.wide, 1 - top / self.high, text, fontsize=size, va="top", ha="left",
            color=canvas.FAINT if faint else canvas.INK, linespacing=1.35,
        )  # fmt: skip


def _write_head(sheet: _Sheet, found: ByExample, title: str | None) -> None:
    """The title, the image itself, and what is known of it."""
    sheet.write(_SIDE, 0.14, title or _title(found), size=11)
    assert found.shown is not None
    draw_image(sheet.query, pictures.read_image(found.shown))
    share = found.shown.shape[0] / max(found.shown.shape[:2])
    lines = [shorten(found.title)]
    if found.prediction is not None:
        lines.append(f"predicted {shorten(found.prediction)} ({found.score:.2f})")
    if found.truth is not None:
        lines.append(f"labelled {shorten(found.truth)}")
    sheet.write(_SIDE, _TOP + _HEAD + _QUERY * share + 0.08, "\n".join(lines))
    notes = [f"{found.metric} distance at {found.bank.layer}; median of all {found.median:.3g}"]
    if len(found.copies):
        many = "one image" if len(found.copies) == 1 else f"{len(found.copies):,} images"
        notes.append(f"{many} of the bank with the very same features")
    sheet.write(_SIDE, sheet.high - 0.2, "; ".join(notes), size=7, faint=True)


def _title(found: ByExample) -> str:
    if not (words := found.votes()):
        return f"What the network takes to be like {shorten(found.title)}"
    said = "" if found.prediction is None else f"Predicted {shorten(found.prediction)}: "
    return said + words


def _below(found: ByExample, row: int, distance: float) -> list[tuple[str, str]]:
    """What stands below an image of the bank: label, another prediction, distance."""
    label, predicted = found.bank.labels[row], found.bank.predictions[row]
    lines = [(_short(found.bank.title(row) if label is None else label), canvas.INK)]
    if predicted not in (None, label) and (label is None or found.label is not None):
        lines.append((f"→ {_short(str(predicted))}", canvas.INK))
    return [*lines, (f"at {distance:#.3g}", canvas.FAINT)]


def _example(
    sheet: _Sheet, axes: Axes, shown: NDArray[np.uint8] | None, lines: list[tuple[str, str]]
) -> None:
    """One image of the bank, and what stands below it."""
    blank = np.full((8, 8, 3), 230, np.uint8)
    draw_image(axes, pictures.read_image(blank if shown is None else shown))
    line = _LINE / (axes.get_position().height * sheet.high)
    place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "fontsize": 7.5}
    for k, (text, ink) in enumerate(lines, start=1):
        axes.text(0.5, -line * k, text, color=ink, va="baseline", **place)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1].rstrip()}…"
