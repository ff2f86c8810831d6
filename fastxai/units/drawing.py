"""Pictures of units, filters and feature maps: equal panels with a line of text above each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..plot import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .results import UnitScan

_EDGE = 0.1  # inches around everything
_GAP = 0.16  # between panels
_LINE = 0.2  # of a text above a panel
_TITLE = 0.34
_SMALL = 64  # pixels of a panel below which each is to be seen
_PAPER = 255
_MOSAIC = 1.45  # inches of a mosaic's longer side


class Panel(NamedTuple):
    """Pictures (H, W, 3) side by side, of uint8, and the text above them."""

    pictures: Sequence[NDArray[np.uint8]]
    text: str


def panels(
    found: Sequence[Panel],
    title: str | None,
    columns: int,
    inches: float,
    notes: Sequence[str] = (),
) -> Figure:
    """Lay panels on a sheet, row by row; ``inches`` is the longer side of a picture.

    ``notes`` stand under the pictures of the last panel of the first column.
    """
    columns = min(columns, len(found))
    high, wide = found[0].pictures[0].shape[:2]
    scale = inches / max(high, wide)
    size = wide * scale, high * scale
    each = len(found[0].pictures)
    width = each * size[0] + (each - 1) * _GAP / 2
    line = _LINE * max(panel.text.count("\n") + 1 for panel in found)
    rows = -(-len(found) // columns)
    top = _EDGE + (_TITLE if title else 0.0)
    under = _LINE if notes else 0.0
    whole = (
        2 * _EDGE + columns * width + (columns - 1) * 1.5 * _GAP,
        top + rows * (line + size[1] + _GAP) - _GAP + under + _EDGE,
    )
    figure, axes = _paper(whole)
    place: Any = {"ha": "left", "va": "top", "color": canvas.INK}
    if title:
        axes.text(_EDGE, _EDGE, title, fontsize=10.5, **place)
    for number, panel in enumerate(found):
        row, column = divmod(number, columns)
        left = _EDGE + column * (width + 1.5 * _GAP)
        y = top + row * (line + size[1] + _GAP)
        axes.text(left, y + 0.03, panel.text, fontsize=7.5, linespacing=1.2, **place)
        y += line
        for at, picture in enumerate(panel.pictures):
            x = left + at * (size[0] + _GAP / 2)
            grain = "nearest" if _is_small(picture) else "antialiased"
            box = (x, x + size[0], y + size[1], y)
            axes.imshow(picture, extent=box, aspect="auto", interpolation=grain)
            if row == rows - 1 and column == 0 and at < len(notes):
                faint = {**place, "color": canvas.FAINT}
                axes.text(x, y + size[1] + 0.04, notes[at], fontsize=7, **faint)
    axes.set(xlim=(0, whole[0]), ylim=(whole[1], 0))
    return figure


def _paper(inches: tuple[float, float]) -> tuple[Figure, Axes]:
    """A figure and axes all over it, in inches from the upper left corner.

    One for all pictures: axes take longer than what is drawn on them.
    """
    figure = canvas.MapFigure(figsize=inches)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _is_small(picture: NDArray[np.uint8]) -> bool:
    return bool(max(picture.shape[:2]) <= 4 * _SMALL)


def mosaic(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures (k, h, w, 3) in a square, with thin lines between them."""
    k, high, wide, _ = tiles.shape
    columns = int(np.ceil(np.sqrt(k)))
    rows = -(-k // columns)
    gap = max(1, round(max(high, wide) / 24))
    shape = rows * (high + gap) - gap, columns * (wide + gap) - gap, 3
    whole = np.full(shape, _PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        y, x = row * (high + gap), column * (wide + gap)
        whole[y : y + high, x : x + wide] = tile
    return whole


def units_figure(
    scan: UnitScan, layer: str, units: Sequence[int], title: str | None, page: tuple[int, int]
) -> Figure:
    """Of each unit the patches that excite it most, and their projections (`UnitScan.figure`)."""
    if not units:
        raise InvalidInputError("units=[] names no unit to draw")
    if len(scan.manifest.image_shape) != 3:
        raise InvalidInputError("pictures of units are of images of two axes, (C, H, W)")
    found = scan[layer]
    drawn = []
    for unit in units:
        portrait = scan.portrait(layer, unit)
        pictures = [mosaic(portrait.patches)]
        if portrait.projections is not None:
            pictures.append(mosaic(portrait.projections))
        drawn.append(Panel(pictures, _unit_text(found, unit)))
    if any(len(panel.pictures) < 2 for panel in drawn):
        drawn = [Panel(panel.pictures[:1], panel.text) for panel in drawn]
    projected = len(drawn[0].pictures) == 2
    notes = ("patches", "projections: grey is 0") if projected else ("patches",)
    title = _title(scan, layer, page) if title is None else title
    return panels(drawn, title, 4 if projected else 8, _MOSAIC, notes)


def _unit_text(found: Any, unit: int) -> str:
    share = float(found.active[unit])
    if not np.isfinite(found.maximum[unit]):
        return f"unit {unit} · never finite"
    if share == 0:
        return f"unit {unit} · never active"
    values = found.values[unit]
    tied = " (all)" if len(values) > 1 and values[0] == values[-1] else ""
    return f"unit {unit} · max {found.maximum[unit]:.3g}{tied} · active {_percent(share)}"


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "< 0.1%"
    if 0.999 < share < 1:
        return "> 99.9%"
    return f"{share:.1%}" if share < 0.0995 else f"{share:.0%}"


def _title(scan: UnitScan, layer: str, page: tuple[int, int]) -> str:
    found = scan[layer]
    size, field = found.field, scan.manifest.layers[layer].field
    much = f"{size[0]} × {size[1]} pixels"
    if size == field.image:
        much = "the whole image" if field.whole else "up to the whole image"
    text = f"{layer}: {len(found.mean)} units, each reads {much}"
    seen = scan.done - len(scan.failed)
    text += f"; the {min(scan.manifest.k, seen)} strongest of {seen:,} images"
    return text if page[1] == 1 else f"{text} (page {page[0] + 1} of {page[1]})"
