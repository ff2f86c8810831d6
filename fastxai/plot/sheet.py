"""A sheet of equal panels with their texts, and the one legend beside them."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..errors import InvalidInputError
from . import canvas
from .colours import UNLABELLED
from .inks import ClassInks, ValueInks
from .names import MOST_NAMED, legend_width, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = 0.14  # inches between panels
_EDGE = 0.08
_LINE = 0.165  # inches of a line of a title
_SMALL = 0.15  # ... of a caption
_LETTER = 0.075  # inches of a letter of a title, about
_BAR = 0.75  # inches of a colour bar with its numbers
_FRAME = "#D4D4D4"


def read_texts(given: Sequence[str] | None, count: int, what: str, inches: float) -> list[str]:
    """A text a panel, broken into at most two lines."""
    if given is None:
        return [""] * count
    if isinstance(given, str) or len(given) != count:
        n = 1 if isinstance(given, str) else len(given)
        raise InvalidInputError(f"{n} {what} for {count} embeddings: give one for each")
    letters = int(inches / _LETTER)
    return ["\n".join(_wrap(str(text), letters)) for text in given]


def _wrap(text: str, letters: int) -> list[str]:
    """Lines of a text, at most two for each of its own; broken at a dot between items first."""
    return [line for part in text.split("\n") for line in _broken(part, letters) or [""]]


def _broken(text: str, letters: int) -> list[str]:
    items = text.split(" · ")
    if len(items) > 1 and max(map(len, items)) + 2 <= letters:
        tied = " · ".join(item.replace(" ", "\N{NO-BREAK SPACE}") for item in items)
        lines = textwrap.wrap(tied, letters, max_lines=2, placeholder=" …")
        return [line.removesuffix(" ·").replace("\N{NO-BREAK SPACE}", " ") for line in lines]
    return textwrap.wrap(text, letters, max_lines=2, placeholder=" …")


class Sheet:
    """The figure: where each panel stands on it, in inches from its left and upper edge."""

    def __init__(
        self,
        count: int,
        columns: int | None,
        size: float,
        above: list[str],
        below: list[str],
        title: str | None,
        beside: float,
        blank: Collection[int] = (),
    ) -> None:
        if columns is not None and columns < 1:
            raise InvalidInputError(f"columns={columns}: at least one is needed")
        self.columns = min(columns or _columns(count), count)
        self.rows = -(-count // self.columns)
        self.size, self.above, self.below = size, above, below
        # A row is as high as its longest texts ask for.
        lines = [
            [_lines(texts[start : start + self.columns]) for texts in (above, below)]
            for start in range(0, count, self.columns)
        ]
        self.head = [_LINE * t + (0.06 if t else 0.0) for t, _ in lines]
        self.foot = [_SMALL * c + (0.06 if c else 0.0) for _, c in lines]
        top = _EDGE + (0.34 if title else 0.0)
        self.tops = [top]
        for head, foot in zip(self.head, self.foot, strict=True):
            self.tops.append(self.tops[-1] + head + size + foot + _GAP)
        self.right = _EDGE + self.columns * (size + _GAP) - _GAP
        # What explains the colours stands to the right of the first row, or in its empty places.
        there = [column for column in range(self.columns) if column not in blank]
        self.free = _EDGE + (there[-1] + 1 if there else 0) * (size + _GAP) - _GAP
        self.width = max(self.right, self.free + beside) + _EDGE
        self.height = self.tops[-1] - _GAP + _EDGE
        self.figure = canvas.MapFigure(figsize=(self.width, self.height))
        if title:
            middle = (self.right + _EDGE) / 2 / self.width
            place = {"x": middle, "y": 1 - _EDGE / self.height, "va": "top"}
            self.figure.suptitle(title, fontsize=11.5, color=canvas.INK, **place)

    def box(
        self, left: float, top: float, wide: float, high: float
    ) -> tuple[float, float, float, float]:
        """A box in shares of the figure, from its lower left corner."""
        bottom = self.height - top - high
        return left / self.width, bottom / self.height, wide / self.width, high / self.height

    def open(self, number: int) -> Axes:
        """The axes of a panel, with its texts."""
        row, column = divmod(number, self.columns)
        left = _EDGE + column * (self.size + _GAP)
        top = self.tops[row] + self.head[row]
        axes = self.figure.add_axes(self.box(left, top, self.size, self.size))
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=_FRAME, linewidth=0.6)
        if self.above[number]:
            axes.set_title(self.above[number], fontsize=9, color=canvas.INK, pad=4, linespacing=1.1)
        if self.below[number]:
            axes.set_xlabel(self.below[number], fontsize=7.5, color=canvas.FAINT, labelpad=3)
        return axes


def _columns(count: int) -> int:
    """Columns of a grid that is not much higher than wide, with few empty places."""
    if count <= 4:
        return count
    return min(range(3, 6), key=lambda c: (-(-count // c) * c - count, abs(c - count**0.5)))


def _lines(texts: list[str]) -> int:
    return max((text.count("\n") + 1 for text in texts if text), default=0)


def legend_room(inks: ClassInks | ValueInks | None, legend: bool, size: float) -> float:
    """Inches that the legend or the colour bar takes on the right."""
    if inks is None or not legend:
        return 0.0
    if isinstance(inks, ValueInks):
        return _BAR
    named = [inks.names[k] for k in _named(inks)]
    return legend_width(named, max(size, 2.5)) if named else 0.0


def _named(inks: ClassInks) -> NDArray[np.int64]:
    """The classes in the legend: all, or the largest."""
    sizes = np.bincount(inks.codes[~inks.missing], minlength=len(inks.names))
    return np.sort(np.argsort(-sizes, kind="stable")[:MOST_NAMED])


def explain(sheet: Sheet, inks: ClassInks | ValueInks | None, label: str | None) -> None:
    """One legend or colour bar, to the right of the upper panels."""
    if isinstance(inks, ValueInks):
        top = sheet.tops[0] + sheet.head[0]
        box = sheet.box(sheet.free + 0.12, top + 0.1 * sheet.size, 0.09, 0.8 * sheet.size)
        axes = sheet.figure.add_axes(box)
        bar = sheet.figure.colorbar(inks.scale, cax=axes, extend=inks.extend)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, colors=canvas.INK, width=0.6)
        if label is not None:
            bar.set_label(label, fontsize=9, color=canvas.INK)
    elif inks is not None and inks.names:
        kept = _named(inks)
        entries: list[tuple[str, Any]] = [(shorten(inks.names[k]), inks.colours[k]) for k in kept]
        if inks.missing.any():
            entries.append(("unlabelled", UNLABELLED))
        style: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5.5}
        spots = [
            Line2D([], [], markeredgewidth=0, color=colour, label=name, **style)
            for name, colour in entries
        ]
        room = max(sheet.size, 2.5) / 0.19
        left, top = sheet.free / sheet.width, 1 - (sheet.tops[0] + sheet.head[0]) / sheet.height
        sheet.figure.legend(
            handles=spots,
            ncols=int(np.ceil(len(spots) / max(4, int(room)))),
            loc="upper left",
            bbox_to_anchor=(left, top),
            frameon=False,
            fontsize=8.5,
            labelcolor=canvas.INK,
            handletextpad=0.2,
            columnspacing=1.0,
            borderaxespad=0.2,
            title=None if len(kept) == len(inks.names) else f"the {len(kept)} largest classes",
        )
