"""The picture of embedded maps: the points, and beside them what their regions look like."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._checks import check_whole
from ..plot import canvas, pictures
from ..plot import names as naming
from ..plot.colours import UNLABELLED
from ..plot.inks import ClassInks, read_inks
from ..plot.overlay import Shades, draw_image, draw_map, evidence_colours
from .pooled import in_parts, two_sided

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .embed import MapEmbedding

MARKERS = {True: ("o", "right"), False: ("X", "wrong"), None: ("o", "no label")}
_POINTS = 8  # at least so many on average a region
_MEAN_OF = 256  # maps of a region, drawn at random
_INCH, _GAP = 1.1, 0.1  # inches of a small picture, and between two
_ABOVE, _BELOW, _LOWEST = 0.42, 0.15, 4.0  # room for words; the least height of the points
_NAME = 0.19  # inches of a line that names a colour or a marker
_LETTERS = 84  # of such a line
_SHORT = 14  # letters of a group's name above a region
_SEED = 0


class Region(NamedTuple):
    """Points that lie together.

    Attributes
    ----------
    members : ndarray of int
        Numbers of the points.
    middle : int
        The one nearest to the median of their places.
    """

    members: NDArray[np.int64]
    middle: int


def draw(found: MapEmbedding, path: str | Path | None, regions: int, title: str | None) -> Figure:
    """Draw them; see `MapEmbedding.plot`."""
    check_whole("regions", regions, 1)
    if path is not None:
        from ..io import check_output

        path = check_output(path, (".png", ".pdf", ".svg"))
    parts = regions_of(found.embedding, regions)
    inks = inks_of(found)
    spots = _spots(found, inks)
    columns = _columns(spots)
    figure, axes, panels = _sheet(found, len(parts), -(-len(spots) // columns))
    _points(axes, found, inks)
    canvas.set_title(axes, title or f"{found.method} maps of {found.title}")
    if spots:
        _legend(axes, spots, columns)
    canvas.write_notes(axes, _notes(found))
    for number, (part, line) in enumerate(zip(parts, panels, strict=False), start=1):
        _fill(line, found, part, f"{number}  {_words(found, part)}")
        _number(axes, found.embedding[part.middle], number)
    if path is not None:
        from ..io import atomic_write

        with atomic_write(path) as temporary:
            figure.savefig(temporary)
    return figure


def regions_of(places: NDArray[np.float32], most: int) -> list[Region]:
    """Points that lie together, by k-means, the largest region first."""
    from sklearn.cluster import KMeans

    count = int(np.clip(len(places) // _POINTS, 1, most))
    count = min(count, len(np.unique(places, axis=0)))
    codes = KMeans(count, n_init=10, random_state=_SEED).fit_predict(places)
    found = []
    for code in range(count):
        members = np.flatnonzero(codes == code)
        away = places[members] - np.median(places[members], axis=0)
        found.append(Region(members, int(members[(away**2).sum(axis=1).argmin()])))
    return sorted(found, key=lambda region: (-len(region.members), region.middle))


def inks_of(found: MapEmbedding) -> ClassInks:
    """A colour for each point, of its group."""
    labels = None if all(group is None for group in found.groups) else found.groups
    inks = read_inks(labels, None, np.ones(len(found), bool), None, None, "viridis")
    assert isinstance(inks, ClassInks)
    return inks


def _sheet(found: MapEmbedding, count: int, named: int) -> tuple[Figure, Axes, list[list[Axes]]]:
    """A figure, the axes of the points, and three small axes for each region.

    Below the points is room for so many lines that name colours and markers.
    """
    flat = len(found.results.manifest.layout.image_shape) == 3
    columns = (1 + (count > 3)) if flat else 0
    lines = -(-count // columns) if columns else 0
    block = 3 * (_INCH + _GAP) + 2 * _GAP
    wide = canvas.SIDE + 4 * _GAP + columns * block
    under = 0.35 + _NAME * named
    high = max(_LOWEST + under, lines * (_INCH + _ABOVE) + _BELOW)
    room = (canvas.SIDE, high - 0.35 - under)
    figure: Any = canvas.MapFigure(figsize=(wide, high))

    def place(left: float, top: float, width: float, height: float) -> Any:
        """Axes in inches from the upper left corner."""
        box = (left / wide, 1 - (top + height) / high, width / wide, height / high)
        return figure.add_axes(box)

    axes = place(_GAP, 0.35, *room)
    canvas.open_map(axes, None, _limits(found.embedding, room[0] / room[1]), 0)
    panels = []
    for number in range(count if columns else 0):
        line, column = number // columns, number % columns
        left = canvas.SIDE + 4 * _GAP + column * block
        top = line * (_INCH + _ABOVE) + _ABOVE - 0.05
        panels.append([place(left + k * (_INCH + _GAP), top, _INCH, _INCH) for k in range(3)])
    return figure, axes, panels


def _limits(places: NDArray[np.float32], shape: float) -> canvas.Limits:
    """Borders about the places, as much wider or higher as the room's shape asks for."""
    left, right, bottom, top = canvas.limits_of(places.astype(np.float64))
    wide, high = right - left, top - bottom
    x, y = (max(shape * high, wide) - wide) / 2, (max(wide / shape, high) - high) / 2
    return left - x, right + x, bottom - y, top + y


def _points(axes: Axes, found: MapEmbedding, inks: ClassInks) -> None:
    """Points in a random order, so that no group covers the others; the marker tells right."""
    colours = inks.of_points()
    size = float(np.clip(6000 / len(found), 6, 36))
    for truth, (marker, _) in MARKERS.items():
        some = np.flatnonzero([one is truth for one in found.correct])
        some = np.random.default_rng(_SEED).permutation(some)
        rim: Any = colours[some] if truth is None else "white"
        axes.scatter(
            found.embedding[some, 0],
            found.embedding[some, 1],
            s=size * (1.4 if truth is False else 1.0),
            facecolors="white" if truth is None else colours[some],
            edgecolors=rim,
            marker=marker,
            alpha=0.8,
            linewidths=1.2 if truth is None else 0.4,
            rasterized=True,
        )


def _number(axes: Axes, place: NDArray[np.float32], number: int) -> None:
    """The number of a region, beside the point in its middle."""
    axes.annotate(
        str(number),
        (float(place[0]), float(place[1])),
        (7, 7),
        textcoords="offset points",
        fontsize=8,
        color=canvas.INK,
        bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": canvas.FAINT},
        zorder=5,
    )


def _spots(found: MapEmbedding, inks: ClassInks) -> list[Any]:
    """What is to be named: groups by colour, right and wrong by marker."""
    from matplotlib.lines import Line2D

    look: dict[str, Any] = {"linestyle": "", "markersize": 6, "markeredgewidth": 0}
    ring = {**look, "markerfacecolor": "white", "markeredgewidth": 1.2}

    def spot(name: str, count: int, marker: str, colour: Any, how: dict[str, Any]) -> Any:
        label = f"{naming.shorten(name)} ({count:,})"
        return Line2D([], [], marker=marker, color=colour, label=label, **how)

    counts, truths = Counter(inks.codes.tolist()), Counter(found.correct)
    spots = [spot(name, counts[k], "s", inks.colours[k], look) for k, name in enumerate(inks.names)]
    if spots and counts[-1]:
        spots.append(spot("no group", counts[-1], "s", UNLABELLED, look))
    if set(truths) != {None}:
        spots += [
            spot(word, truths[one], marker, canvas.FAINT, ring if one is None else look)
            for one, (marker, word) in MARKERS.items()
            if truths[one]
        ]
    return spots


def _columns(spots: list[Any]) -> int:
    """How many of the names stand side by side."""
    longest = max((len(spot.get_label()) for spot in spots), default=0)
    return int(np.clip(_LETTERS // (longest + 6), 1, max(len(spots), 1)))


def _legend(axes: Axes, spots: list[Any], columns: int) -> None:
    """Names of colours and markers, below the points and the notes."""
    inch = 1 / canvas.inches(axes)[1]
    axes.legend(
        handles=spots,
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.2 * inch),
        ncols=columns,
        frameon=False,
        fontsize=8,
        labelcolor=canvas.INK,
        handletextpad=0.2,
        columnspacing=1.0,
        borderaxespad=0,
    )


def _notes(found: MapEmbedding) -> list[str]:
    notes = [f"{found.kind} of {len(found):,} maps; beside it: an image, its map, the mean map"]
    return notes + [f"{count:,} {why} left out" for why, count in found.left_out.items()]


def _words(found: MapEmbedding, part: Region) -> str:
    """How many points a region has, of which groups, and how many are right."""
    lines = [f"{len(part.members):,} maps"]
    counts = Counter(found.groups[i] for i in part.members if found.groups[i] is not None)
    total = len(part.members)
    for name, count in counts.most_common(2):
        name = str(name)
        name = name if len(name) <= _SHORT else f"{name[: _SHORT - 1].rstrip()}…"
        lines.append(f"{name} {round(100 * count / total)}%")
    known = [found.correct[i] for i in part.members if found.correct[i] is not None]
    if known:
        lines.append(f"right {round(100 * sum(map(bool, known)) / len(known))}%")
    return " · ".join(lines)


def _fill(line: list[Axes], found: MapEmbedding, part: Region, words: str) -> None:
    """The image in the middle of a region, its map, and the mean of the region's maps."""
    signed = two_sided(found.results, found.method)
    colours = evidence_colours(signed, 0.9)
    image, map, mean = examples(found, part)
    draw_image(line[0], np.ones((*map.shape, 3)) if image is None else image)
    for axes, below, values in ((line[1], image, map), (line[2], None, mean)):
        shades = Shades(pictures.reach(values, signed, 2), signed, colours)
        draw_map(axes, below, values, shades, "")
    look: dict[str, Any] = {"fontsize": 7.5, "color": canvas.INK, "va": "bottom"}
    line[0].text(0, 1.04, words, transform=line[0].transAxes, **look)


def examples(
    found: MapEmbedding, part: Region
) -> tuple[pictures.Pixels | None, NDArray[np.float64], NDArray[np.float64]]:
    """The image of the middle point, its map, and the mean of the maps of a region."""
    image = None
    if found.results.thumbnails is not None:
        image = pictures.read_image(found.results.shown(int(found.rows[part.middle])))
    drawn = np.random.default_rng(_SEED).permutation(part.members)[:_MEAN_OF]
    total, count = 0.0, 0
    for maps in maps_of(found, np.sort(drawn)):
        sums = np.abs(maps, dtype=np.float64).sum(axis=(1, 2), keepdims=True)
        total = total + (maps / np.where(sums > 0, sums, 1.0)).sum(axis=0)
        count += len(maps)
    middle = next(iter(maps_of(found, np.array([part.middle]))))[0]
    return image, middle.astype(np.float64), np.asarray(total / max(count, 1))


def maps_of(found: MapEmbedding, points: NDArray[np.int64]) -> Any:
    """The maps of some points, some at a time."""
    return in_parts(found.results, found.method, found.rows[points], found.places[points])
