"""Names of the classes: a legend beside the map, or written on it where the classes lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from .canvas import INK, inches, root_figure
from .colours import UNLABELLED

MOST_NAMED = 60  # names on a map; more would be a carpet of text
_LONGEST = 32  # letters of a name
_LINE = 0.19  # inches of a line of the legend
_ROUNDS = 400


def shorten(name: str) -> str:
    """Cut a name that is too long to be shown."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1].rstrip() + "…"


def legend_width(names: list[str], height: float) -> float:
    """Inches that a legend takes, roughly: for the size of a new figure."""
    columns = _columns(len(names), height)
    return columns * (0.45 + 0.075 * max(len(shorten(name)) for name in names))


def _columns(n_names: int, height: float) -> int:
    return int(np.ceil(n_names / max(4, int(height / _LINE))))


def add_legend(ax: Any, names: list[str], colours: NDArray[np.float64], unlabelled: bool) -> None:
    """List the classes to the right of the map, in as many columns as its height asks for."""
    shown = [*zip(map(shorten, names), colours, strict=True)]
    if unlabelled:
        shown.append(("unlabelled", UNLABELLED))
    spots = [
        Line2D([], [], linestyle="", marker="o", markersize=6, markeredgewidth=0, color=c, label=n)
        for n, c in shown
    ]
    ax.legend(
        handles=spots,
        ncols=_columns(len(spots), inches(ax)[1]),
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handletextpad=0.2,
        columnspacing=1.0,
        borderaxespad=0.3,
    )


def class_places(places: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The member of each class nearest to the class's median, so that the name lies on it."""
    order = np.argsort(codes, kind="stable")
    order = order[np.searchsorted(codes[order], 0) :]
    borders = np.flatnonzero(np.diff(codes[order])) + 1
    found = []
    for members in np.split(places[order, :2], borders):
        away = ((members - np.median(members, axis=0)) ** 2).sum(axis=1)
        found.append(members[int(away.argmin())])
    return np.array(found).reshape(-1, 2)


def write_names(
    ax: Any,
    anchors: NDArray[np.float64],
    names: list[str],
    *,
    colours: NDArray[np.float64] | None = None,
    outward: NDArray[np.float64] | None = None,
) -> None:
    """Write names where they belong, moved apart until none covers another.

    A name that had to move is tied to its place by a line.  With ``outward`` directions (k, 2)
    names begin at their anchors and do not cover them.  Sizes are those of the figure as it is.
    """
    if not names:
        return
    size = 9 if len(names) <= 15 else 8 if len(names) <= 30 else 7
    inks = [INK] * len(names) if colours is None else list(colours)
    style: dict[str, Any] = {"fontsize": size, "ha": "center", "va": "center", "zorder": 5}
    halo = [withStroke(linewidth=2.2, foreground="white")]
    texts = [
        ax.annotate(shorten(name), anchor, anchor, path_effects=halo, color=ink, **style)
        for name, anchor, ink in zip(names, anchors, inks, strict=True)
    ]
    figure = root_figure(ax)
    figure.draw_without_rendering()  # places the axes: only now do pixels mean something
    pixel = figure.dpi / 72
    boxes = [text.get_window_extent() for text in texts]
    sizes = np.array([(box.width, box.height) for box in boxes]) + 2.0 * pixel
    here = ax.transData.transform(anchors)
    if outward is not None:
        here = here + _to_the_rim(sizes, outward)
    frame = ax.get_window_extent()
    moved = move_apart(here, sizes, (frame.x0, frame.x1, frame.y0, frame.y1))
    places = ax.transData.inverted().transform(moved)
    far = (np.abs(moved - here) > 0.55 * sizes).any(axis=1) & (outward is None)
    for text, anchor, place, ink, tied in zip(texts, anchors, places, inks, far, strict=True):
        text.set_position(place)
        if tied:
            _tie(ax, anchor, place, ink, halo)


def _to_the_rim(sizes: NDArray[np.float64], outward: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each box is shifted along its direction until its rim is where its middle was."""
    with np.errstate(divide="ignore"):
        steps = (sizes / 2 / np.abs(outward)).min(axis=1, keepdims=True)
    shift: NDArray[np.float64] = outward * steps
    return shift


def _tie(ax: Any, anchor: Any, place: Any, ink: Any, halo: list[Any]) -> None:
    both = np.stack([anchor, place])
    ax.plot(
        *both.T, color=ink, linewidth=0.7, path_effects=halo, zorder=4, scalex=False, scaley=False
    )
    ax.plot(*anchor, color=ink, marker="o", markersize=2.2, zorder=4, scalex=False, scaley=False)


def move_apart(
    centres: NDArray[np.float64],
    sizes: NDArray[np.float64],
    frame: tuple[float, float, float, float],
) -> NDArray[np.float64]:
    """Shift boxes as little as need be until none overlaps another, inside a frame.

    Each pair that overlaps gives way along the axis where that takes less, half each; of
    boxes at the same place the first goes up.
    """
    moved = centres.astype(np.float64)
    first, second = np.triu_indices(len(moved), 1)
    room = (sizes[first] + sizes[second]) / 2
    low = np.array([frame[0], frame[2]]) + sizes / 2
    high = np.maximum(np.array([frame[1], frame[3]]) - sizes / 2, low)
    moved = np.clip(moved, low, high)
    for _ in range(_ROUNDS):
        gap = moved[first] - moved[second]
        overlap = room - np.abs(gap)
        hits = (overlap > 0.01).all(axis=1)
        if not hits.any():
            break
        a, b, needed, side = first[hits], second[hits], overlap[hits], gap[hits]
        axis = (needed[:, 1] > needed[:, 0]).astype(int) ^ 1  # the axis with less overlap
        rows = np.arange(len(a))
        step = np.zeros_like(needed)
        step[rows, axis] = needed[rows, axis] / 2 * np.where(side[rows, axis] >= 0, 1, -1)
        np.add.at(moved, a, step)
        np.add.at(moved, b, -step)
        moved = np.clip(moved, low, high)
    return moved
