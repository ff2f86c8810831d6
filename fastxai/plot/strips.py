"""Rows of panels with texts beside and above them, and the scales of their colours."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import canvas
from .overlay import dress_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = 0.06  # inches between panels
_PAUSE = 0.2  # ... between the rows of two images, where images have several
_ABOVE = 0.1  # ... more where texts stand between two rows
_EDGE = 0.08
_LINE = 0.155  # inches of a line of text
_LETTER = 0.068  # inches of a letter, about
_BAR = 0.075  # inches of the thickness of a colour bar
_UNDER, _RIGHT = 0.3, 0.62  # inches that a colour bar takes with its numbers
_TITLES = {
    "attentionrollout": "Attention rollout",
    "cam": "CAM",
    "deconvnet": "DeconvNet",
    "gradcam": "Grad-CAM",
    "gradcampp": "Grad-CAM++",
    "gradcamplusplus": "Grad-CAM++",
    "guidedbackprop": "Guided backprop",
    "guidedgradcam": "Guided Grad-CAM",
    "hirescam": "HiResCAM",
    "integratedgradients": "Integrated gradients",
    "kernelshap": "KernelSHAP",
    "layercam": "LayerCAM",
    "lime": "LIME",
    "occlusion": "Occlusion",
    "rise": "RISE",
    "rollout": "Attention rollout",
    "saliency": "Saliency",
    "smoothgrad": "SmoothGrad",
}

_NAME = 18  # letters of the name of an image

Text = list[tuple[str, str]]  # lines and their colours


class Row(NamedTuple):
    """One row of panels: its image, and the texts beside it and above each panel."""

    image: int
    beside: Text
    above: list[Text]


def method_lines(name: str, letters: int, most: int = 2) -> Text:
    """The method as papers write it; what follows a line break or a colon is small print."""
    method, _, rest = name.replace("\n", ":", 1).partition(":")
    known = _TITLES.get(method.lower().replace("_", "").replace("-", "").replace("+", "plus"))
    return [
        *lines_of(known or method, letters, most=most),
        *lines_of(rest.strip(), letters, canvas.FAINT),
    ]


def score_text(score: float) -> str:
    """A probability with two decimals, another score with three digits."""
    if np.isnan(score):
        return ""
    if 0 <= score <= 1:
        if 0 < score < 0.005 or 0.995 <= score < 1:
            return "< 0.01" if score < 0.5 else "> 0.99"
        return f"{score:.2f}"
    return f"{score:.3g}".replace("-", "\N{MINUS SIGN}")


def lines_of(text: str, letters: int, colour: str = canvas.INK, most: int = 2) -> Text:
    """Lines of a text; what is too long ends with an ellipsis."""
    found = textwrap.wrap(
        text, max(letters, 4), max_lines=most, placeholder=" …", break_on_hyphens=False
    )
    return [(line, colour) for line in found]


def file_line(name: str) -> Text:
    """The name of an image on one line; a long one loses its middle, not its ending."""
    if len(name) > _NAME:
        name = f"{name[: _NAME - 9]}…{name[-8:]}"
    return [(name, canvas.FAINT)] if name else []


class Strips:
    """The figure: where each panel stands on it, in inches from its left and upper edge.

    ``bars`` says where room for colour bars is kept: "under" the last row, on the "right", or
    nowhere.
    """

    def __init__(
        self, rows: list[Row], size: tuple[float, float], title: str | None, bars: str
    ) -> None:
        wide, high = self.size = size
        longest = max((len(line) for row in rows for line, _ in row.beside), default=0)
        left = _EDGE + (longest * _LETTER + 0.12 if longest else 0.0)
        self.lefts = [left + k * (wide + _GAP) for k in range(len(rows[0].above))]
        self.tops: list[float] = []
        top = _EDGE + (0.3 if title else 0.0)
        pause = _PAUSE if len(rows) > len({row.image for row in rows}) else _GAP
        for k, row in enumerate(rows):
            if k:
                top += _GAP if rows[k - 1].image == row.image else pause
                top += _ABOVE if any(row.above) else 0.0
            top += _LINE * max(map(len, row.above)) + (0.03 if any(row.above) else 0.0)
            self.tops.append(top)
            top += high
        self.width = self.lefts[-1] + wide + _EDGE + _RIGHT * (bars == "right")
        self.height = top + _EDGE + _UNDER * (bars == "under")
        self.figure = canvas.MapFigure(figsize=(self.width, self.height))
        if title:
            middle = (left + self.lefts[-1] + wide) / 2 / self.width
            self._write(title, middle * self.width, _EDGE, canvas.INK, 11, "center")
        for k, row in enumerate(rows):
            self._write_row(k, row)

    def _write(self, text: str, x: float, y: float, colour: str, size: float, side: str) -> None:
        place: Any = {"ha": side, "va": "top", "fontsize": size, "color": colour}
        self.figure.text(x / self.width, 1 - y / self.height, text, **place)

    def _write_row(self, number: int, row: Row) -> None:
        """Texts beside the row, in the middle of its height, and above its panels."""
        wide, high = self.size
        y = self.tops[number] + (high - _LINE * len(row.beside)) / 2
        for line, colour in row.beside:
            self._write(line, self.lefts[0] - 0.1, y, colour, 8.5, "right")
            y += _LINE
        for left, text in zip(self.lefts, row.above, strict=True):
            y = self.tops[number] - _LINE * len(text) - 0.03
            for line, colour in text:
                self._write(line, left + wide / 2, y, colour, 8.5, "center")
                y += _LINE

    def _axes(self, left: float, top: float, wide: float, high: float) -> Axes:
        bottom = self.height - top - high
        box = (left / self.width, bottom / self.height, wide / self.width, high / self.height)
        return self.figure.add_axes(box)

    def open(self, row: int, column: int) -> Axes:
        """The axes of a panel."""
        return self._axes(self.lefts[column], self.tops[row], *self.size)

    def bar_under(self, column: int) -> Axes:
        """Axes for a colour bar under a column."""
        wide, high = self.size
        return self._axes(
            self.lefts[column] + 0.05 * wide, self.tops[-1] + high + 0.08, 0.9 * wide, _BAR
        )

    def bar_beside(self, row: int) -> Axes:
        """Axes for a colour bar to the right of a row."""
        wide, high = self.size
        left, top = self.lefts[-1] + wide + 0.1, self.tops[row] + 0.1 * high
        return self._axes(left, top, _BAR, 0.8 * high)

    def note_under(self, column: int, text: str) -> None:
        """Small print under a column."""
        x, y = self.lefts[column] + self.size[0] / 2, self.tops[-1] + self.size[1] + 0.06
        self._write(text, x, y, canvas.FAINT, 7, "center")


def draw_bar(axes: Axes, scale: Any, ends: tuple[str, str] | None, upright: bool) -> None:
    """A colour bar with its ends and its zero named, by numbers where there are no ``ends``."""
    bar = canvas.root_figure(axes).colorbar(
        scale, cax=axes, orientation="vertical" if upright else "horizontal"
    )
    low, high = scale.norm.vmin, scale.norm.vmax
    ticks = [low, 0.0, high] if low < 0 < high else [low, high]
    names = [_number(tick) for tick in ticks]
    if ends is not None:
        names[0], names[-1] = ends
    bar.set_ticks(ticks, labels=names)
    dress_bar(bar, 7.0)
    if not upright:  # inside of the panel's width
        labels = axes.get_xticklabels()
        labels[0].set_horizontalalignment("left")
        labels[-1].set_horizontalalignment("right")


def _number(value: float) -> str:
    text = f"{value:.2g}"
    return text.replace("-", "\N{MINUS SIGN}")
