"""Small multiples: maps of the same points side by side, in the same colours."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from . import canvas
from .colours import rgb
from .density import lay_grid
from .inks import ClassInks, ValueInks, grey_pixels, read_inks
from .maps import DENSE
from .sheet import Sheet, explain, legend_room, read_texts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_COVER = 0.12  # share of a panel that the dots would cover, laid side by side
_GRAIN = 0.5  # pixels of a density in a pixel of the picture: single points must be seen
_PLAIN = "#5F6670"  # points of panels in one colour


class _Map(NamedTuple):
    """Places that can be drawn, which points they are, and whether the colours are theirs."""

    places: NDArray[np.float64]
    shown: NDArray[np.bool_]
    plain: bool


def panels(
    embeddings: Sequence[ArrayLike | None] | Mapping[str, ArrayLike | None],
    titles: Sequence[str] | None = None,
    *,
    labels: Any = None,
    values: ArrayLike | None = None,
    names: Sequence[str] | Mapping[Any, str] | None = None,
    captions: Sequence[str] | None = None,
    plain: Collection[int] = (),
    title: str | None = None,
    columns: int | None = None,
    size: float = 2.5,
    limits: Literal["each", "shared"] = "each",
    point_size: float | None = None,
    legend: bool = True,
    density: Literal["auto"] | bool = "auto",
    palette: Sequence[Any] | Mapping[str, Any] | str | None = None,
    cmap: str | Colormap = "viridis",
    value_label: str | None = None,
    random_state: int = 0,
) -> Figure:
    """Draw maps side by side: equal frames, equal dots, the same colours, one legend.

    Align the maps first (`fastxai.align`): an embedding may be turned and mirrored at will,
    and the eye would take that for a difference.

    Parameters
    ----------
    embeddings : sequence or mapping of arrays of shape (n, 2)
        The maps; a mapping has the titles as its keys.  Rows with NaN are left out, and the
        caption says how many.  None leaves a frame empty, and without a title and a caption
        its place.
    titles : sequence of str, optional
        Written above the panels, on two lines where one is too short.
    labels : array-like of shape (n,), optional
        A class for each point, the same in all panels; see `fastxai.plot.scatter`.
    values : array-like of shape (n,), optional
        A number for each point, shown as a colour, with one colour bar.
    names : sequence or mapping, optional
        Shown instead of the labels.
    captions : sequence of str, optional
        Small print below the panels: the figures of each.
    plain : collection of int, default ()
        Numbers of panels, from 0, whose points are others than those that have labels or
        values: drawn in grey.  They may have another number of points.
    title : str, optional
        Above everything.
    columns : int, optional
        Panels in a row; by default about as many as there are rows, at most five.
    size : float, default 2.5
        Inches of the side of a panel.
    limits : {"each", "shared"}, default "each"
        Whether each map fills its frame, or all are drawn to one scale.
    point_size : float, optional
        Area of a dot in square points; by default from the size and the number of points.
    legend : bool, default True
        Name the classes (of more than 60 the 60 largest), or show the colour bar.
    density : {"auto", True, False}, default "auto"
        Whether to draw the density instead of dots; "auto" does where there are more points
        for the size than `scatter` draws as dots.
    palette, cmap, value_label
        As in `fastxai.plot.scatter`.
    random_state : int, default 0
        Seed of the order in which dots are drawn.

    Returns
    -------
    matplotlib.figure.Figure
        Its first axes are the panels, in order.

    Raises
    ------
    InvalidInputError
        If there is nothing to draw, shapes or lengths do not match, or an option has no
        meaning with the others.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai import plot
    >>> places = np.random.default_rng(0).normal(size=(200, 2))
    >>> figure = plot.panels({"one": places, "twice as large": 2 * places}, labels=["a", "b"] * 100)
    >>> [axes.get_title() for axes in figure.axes[:2]]
    ['one', 'twice as large']
    """
    _check_options(labels, values, names, palette, value_label, limits, density, size)
    if isinstance(embeddings, Mapping):
        if titles is not None:
            raise InvalidInputError("a mapping of embeddings has titles already: leave titles out")
        titles, embeddings = [str(name) for name in embeddings], list(embeddings.values())
    count = len(embeddings)
    above = read_texts(titles, count, "titles", size)
    maps = [_read_map(e, number, number in plain) for number, e in enumerate(embeddings)]
    inks = _read_inks(maps, labels, values, names, palette, cmap)
    below = _captions(read_texts(captions, count, "captions", 1.25 * size), maps)
    blank = {k for k, m in enumerate(maps) if m is None and not above[k] and not below[k]}
    sheet = Sheet(count, columns, size, above, below, title, legend_room(inks, legend, size), blank)
    most = max((len(m.places) for m in maps if m is not None), default=0)
    dense = most > DENSE * (size / canvas.SIDE) ** 2 if density == "auto" else bool(density)
    if dense and point_size is not None:
        raise InvalidInputError(
            f"point_size is for dots and {most:,} points are drawn as a density: pass "
            "density=False, or leave point_size out"
        )
    area = float(np.clip(_COVER * (size * 72) ** 2 / max(most, 1), 0.8, 12.0))
    half = [0.0 if m is None else _reach(m.places) for m in maps]
    for number, found in enumerate(maps):
        axes = sheet.open(number)
        if found is None:
            axes.set_visible(number not in blank)
            continue
        frame = _frame(found.places, max(half) if limits == "shared" else half[number])
        own = _inks_of(inks, found)
        if dense:
            _draw_density(axes, found.places, frame, own, int(_GRAIN * size * canvas.DPI))
        else:
            _draw_dots(axes, found.places, own, point_size or area, random_state)
        axes.set(xlim=frame[:2], ylim=frame[2:])
    if legend:
        explain(sheet, inks, value_label)
    return sheet.figure


def _check_options(
    labels: Any,
    values: Any,
    names: Any,
    palette: Any,
    value_label: Any,
    limits: Any,
    density: Any,
    size: Any,
) -> None:
    if labels is not None and values is not None:
        raise InvalidInputError("labels and values are both colours: give one of them")
    if labels is None:
        for name, given in (("names", names), ("palette", palette)):
            if given is not None:
                raise InvalidInputError(f"{name} is for classes: give labels too")
    if values is None and value_label is not None:
        raise InvalidInputError("value_label is for the colour bar: give values too")
    if limits not in ("each", "shared"):
        raise InvalidInputError(f"limits={limits!r}: choose 'each' or 'shared'")
    if density not in ("auto", True, False):
        raise InvalidInputError(f"density={density!r}: choose 'auto', True or False")
    if not 0.5 <= size <= 20:
        raise InvalidInputError(f"size={size!r}: choose 0.5 to 20 inches")


def _read_map(embedding: ArrayLike | None, number: int, plain: bool) -> _Map | None:
    if embedding is None:
        return None
    given = np.asarray(embedding)
    if given.dtype.kind not in "iuf" or given.ndim != 2 or given.shape[1] != 2:
        raise InvalidInputError(
            f"embedding {number} is {given.dtype} of shape {given.shape}: numbers of shape (n, 2) "
            "are expected"
        )
    shown = np.isfinite(given).all(axis=1)
    if not shown.any():
        raise InvalidInputError(
            f"none of {len(given):,} points of embedding {number} has coordinates: all are NaN"
        )
    return _Map(given[shown].astype(np.float64), shown, plain)


def _read_inks(
    maps: list[_Map | None], labels: Any, values: Any, names: Any, palette: Any, cmap: Any
) -> ClassInks | ValueInks | None:
    """The colours of the points that all but the plain panels show."""
    if not any(m is not None for m in maps):
        raise InvalidInputError("no embeddings: there is nothing to draw")
    if labels is None and values is None:
        return None
    coloured = {number: m for number, m in enumerate(maps) if m is not None and not m.plain}
    n = len(labels) if labels is not None else len(np.asarray(values))
    for number, m in coloured.items():
        if len(m.shown) != n:
            what = "labels" if labels is not None else "values"
            raise InvalidInputError(
                f"{n:,} {what} and embedding {number} has {len(m.shown):,} points; name panels of "
                "other points in plain"
            )
    return read_inks(labels, values, np.ones(n, np.bool_), names, palette, cmap)


def _inks_of(inks: ClassInks | ValueInks | None, found: _Map) -> ClassInks | ValueInks:
    if inks is None or found.plain:
        return ClassInks(np.zeros(len(found.places), np.int64), rgb([_PLAIN]), [])
    if isinstance(inks, ValueInks):
        return inks._replace(values=inks.values[found.shown])
    return inks._replace(codes=inks.codes[found.shown])


def _captions(captions: list[str], maps: list[_Map | None]) -> list[str]:
    """Captions, and below them what the panel does not show."""
    written = []
    for caption, found in zip(captions, maps, strict=True):
        lines = [caption] if caption else []
        if found is not None and (hidden := len(found.shown) - len(found.places)):
            lines.append(f"{hidden:,} isolated points not shown")
        written.append("\n".join(lines))
    return written


def _reach(places: NDArray[np.float64]) -> float:
    """Half the side of the square that holds a map and a margin."""
    extent = float((places.max(axis=0) - places.min(axis=0)).max())
    return 0.53 * (extent or 1.0)


def _frame(places: NDArray[np.float64], half: float) -> canvas.Limits:
    x, y = ((places.min(axis=0) + places.max(axis=0)) / 2).tolist()
    return x - half, x + half, y - half, y + half


def _draw_dots(
    axes: Axes, places: NDArray[np.float64], inks: ClassInks | ValueInks, area: float, seed: int
) -> None:
    """Dots in a random order, those without a class or a value beneath."""
    order = np.random.default_rng(seed).permutation(len(places))
    order = order[np.argsort(~inks.missing[order], kind="stable")]
    x, y = places[order].T
    colours: Any = inks.of_points()[order]
    axes.scatter(x, y, s=area, c=colours, alpha=0.85, linewidths=0, rasterized=True)


def _draw_density(
    axes: Axes,
    places: NDArray[np.float64],
    frame: canvas.Limits,
    inks: ClassInks | ValueInks,
    side: int,
) -> None:
    """The picture of those without a class or a value, and over it that of the others."""
    missing = inks.missing
    for some, grey in ((missing, True), (~missing, False)):
        if some.any():
            grid = lay_grid(places[some], frame, side)
            pixels = grey_pixels(grid) if grey else inks.of_pixels(grid, some)
            axes.imshow(pixels, origin="lower", extent=grid.extent, aspect="equal")
