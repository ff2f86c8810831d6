"""The sheet a picture is drawn on: a figure that notebooks show, axes without axes.

Figures are made without pyplot: nothing is kept alive, no window system is asked for, and
threads may draw at once.
"""

from __future__ import annotations

import struct
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 5.5  # inches of the longest side of a map
DPI = 200
INK = "#222222"
FAINT = "#666666"
_LONGEST = 2.0  # a map is at most so many times as long as wide
_MARGIN = 0.03

_DATES = {"pdf": "CreationDate", "svg": "Date"}  # what metadata call the time of writing

Limits = tuple[float, float, float, float]


class MapFigure(Figure):
    """A matplotlib figure that notebooks show without pyplot, and whose files repeat.

    ``savefig`` takes 200 dots an inch unless told otherwise, for the pixels in a PDF as well,
    and writes no dates: the same picture makes the same file.
    """

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """Save as matplotlib's ``Figure.savefig`` does; see there."""
        if rcParams["savefig.dpi"] == "figure":
            kwargs.setdefault("dpi", DPI)
        suffix = Path(fname).suffix[1:] if isinstance(fname, str | PathLike) else ""
        kind = kwargs.get("format") or suffix or rcParams["savefig.format"]
        if kind in _DATES:
            kwargs["metadata"] = {_DATES[kind]: None, **kwargs.get("metadata", {})}
        salt = rcParams["svg.hashsalt"] or "fastxai"
        with rc_context({"svg.hashsalt": salt}):
            super().savefig(fname, **kwargs)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        file = BytesIO()
        super().savefig(file, format="png", dpi=2 * self.dpi, bbox_inches="tight")
        image = file.getvalue()
        width, height = struct.unpack(">II", image[16:24])
        return image, {"width": width // 2, "height": height // 2}


def limits_of(places: NDArray[np.float64]) -> Limits:
    """Borders about some places: a margin around them, and never a sliver."""
    low, high = places[:, :2].min(axis=0), places[:, :2].max(axis=0)
    longest = float((high - low).max()) or max(abs(float(high[0])) * 1e-3, 1.0)
    half = np.maximum((high - low) / 2, longest / _LONGEST / 2) + _MARGIN * longest
    middle = (low + high) / 2
    return (
        float(middle[0] - half[0]),
        float(middle[0] + half[0]),
        float(middle[1] - half[1]),
        float(middle[1] + half[1]),
    )


def open_map(
    ax: Axes | None, figsize: tuple[float, float] | None, limits: Limits, beside: float
) -> tuple[Figure, Axes]:
    """Return axes with equal scales and nothing on them, and their figure.

    ``beside`` inches are kept free on the right for a legend or a colour bar.
    """
    left, right, bottom, top = limits
    if ax is None:
        inch = SIDE / max(right - left, top - bottom)
        size = figsize or ((right - left) * inch + beside, (top - bottom) * inch)
        ax = MapFigure(figsize=size, layout="constrained").add_subplot()
    elif figsize is not None:
        raise InvalidInputError("figsize is for a new figure: give it where ax was made")
    elif getattr(ax, "name", "") == "3d":
        raise InvalidInputError("ax is a 3-D axes and the embedding has two columns")
    ax.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    ax.set_aspect("equal")
    for spine in ax.spines.values():
        spine.set_visible(False)
    return root_figure(ax), ax


def open_space(
    ax: Axes | None, figsize: tuple[float, float] | None, places: NDArray[np.float64]
) -> tuple[Figure, Any]:
    """Return 3-D axes with equal scales and empty walls, and their figure."""
    if ax is None:
        figure = MapFigure(figsize=figsize or (SIDE + 1.0, SIDE), layout="constrained")
        space: Any = figure.add_subplot(projection="3d")
    elif figsize is not None:
        raise InvalidInputError("figsize is for a new figure: give it where ax was made")
    elif getattr(ax, "name", "") != "3d":
        raise InvalidInputError(
            "the embedding has three columns and ax is not 3-D: make it with projection='3d', "
            "or take two columns: embedding[:, :2]"
        )
    else:
        space = ax
    low, high = places.min(axis=0), places.max(axis=0)
    half = (float((high - low).max()) or 1.0) / 2
    for name, middle in zip("xyz", (low + high) / 2, strict=True):
        space.set(**{f"{name}lim": (middle - half, middle + half), f"{name}ticks": []})
        getattr(space, f"{name}axis").line.set_visible(False)
    space.set_box_aspect((1, 1, 1))
    return root_figure(space), space


def root_figure(ax: Axes) -> Figure:
    """Return the whole figure that axes are part of, not the subfigure."""
    figure = ax.figure.figure
    assert isinstance(figure, Figure)
    return figure


def inches(ax: Axes) -> tuple[float, float]:
    """Width and height of axes."""
    box = ax.get_window_extent()
    dpi = root_figure(ax).dpi
    return box.width / dpi, box.height / dpi


def inches_of_map(size: tuple[float, float], limits: Limits) -> float:
    """Length of the longer side of a map with equal scales in a room of that size."""
    wide, high = limits[1] - limits[0], limits[3] - limits[2]
    return max(wide, high) * min(size[0] / wide, size[1] / high)


def set_title(ax: Axes, title: str | None) -> None:
    """Write a title above the axes, if there is one."""
    if title is not None:
        ax.set_title(title, fontsize=11, color=INK)


def write_notes(ax: Any, notes: list[str]) -> None:
    """Say below the picture, in small print, what it does not show."""
    if notes:
        place = {"transform": ax.transAxes, "ha": "left", "va": "top"}
        write = ax.text2D if ax.name == "3d" else ax.text
        write(0.0, -0.01, "; ".join(notes), fontsize=7, color=FAINT, **place)
