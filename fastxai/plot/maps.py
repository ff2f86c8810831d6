"""The map of an embedding: points, or above fifty thousand of them their density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from . import canvas
from . import names as naming
from .colours import readable
from .density import Grid, lay_grid
from .inks import ClassInks, ValueInks, grey_pixels, read_inks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

DENSE = 50_000  # more points than this are shown as a density
_LEGEND = 12  # more classes than this are named on the map
_BAR = 0.9  # inches of a colour bar with its numbers
_COVER = 0.1  # share of the map that the dots would cover, laid side by side


def scatter(
    embedding: ArrayLike,
    *,
    labels: Any = None,
    values: ArrayLike | None = None,
    names: Sequence[str] | Mapping[Any, str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
    point_size: float | None = None,
    legend: Literal["auto", "legend", "medians", False] = "auto",
    density: Literal["auto"] | bool = "auto",
    palette: Sequence[Any] | Mapping[str, Any] | str | None = None,
    cmap: str | Colormap = "viridis",
    value_label: str | None = None,
    random_state: int = 0,
) -> Figure:
    """Draw a map of an embedding, coloured by classes or by values.

    Up to 50,000 points are drawn as dots in a random (seeded) order, so that no class covers
    the others; more are counted on a grid of pixels, whose colour is the mix of the points
    there and whose opacity grows with their number.  Scales are equal and axes have no
    ticks, since the axes of an embedding mean nothing.

    Parameters
    ----------
    embedding : array-like of shape (n, 2) or (n, 3)
        Places of the points.  Rows with NaN (isolated points) are left out, and the picture
        says how many.  Three columns are drawn in space, up to 50,000 points.
    labels : array-like of shape (n,), optional
        A class for each point: strings, integers, booleans, pandas categories.  None, NaN
        and -1 are "unlabelled": grey, beneath the others.
    values : array-like of shape (n,), optional
        A number for each point, shown as a colour, with a colour bar from the 1st to the
        99th percentile.  NaN is grey.
    names : sequence or mapping, optional
        Shown instead of the labels: ``{label: name}``, or a sequence that integer labels
        point into.
    title : str, optional
        Written above the map.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure, made without pyplot.
    figsize : (float, float), optional
        Inches of the new figure; by default the map is 5.5 inches long.
    point_size : float, optional
        Area of a dot in square points; by default from the number of points.
    legend : {"auto", "legend", "medians", False}, default "auto"
        A legend beside the map, or the names on it where the classes lie ("auto": up to 12
        classes, and in space, a legend).  Of more than 60 classes the 60 largest are named.
    density : {"auto", True, False}, default "auto"
        Whether to draw the density instead of dots; "auto" does above 50,000 points.
    palette : sequence, mapping or str, optional
        Colours of the classes: in order, by name, or a matplotlib colour map.  By default 12
        colours that colour-blind people can tell apart; for more classes, hues a golden
        angle apart in three lightnesses.
    cmap : str or Colormap, default "viridis"
        Colours of the values.
    value_label : str, optional
        Written at the colour bar.
    random_state : int, default 0
        Seed of the order in which dots are drawn.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``figure.savefig``; its axes are ``figure.axes[0]``.  Dots and density
        are pixels in PDF and SVG files too, text is text.

    Raises
    ------
    InvalidInputError
        If shapes or lengths do not match, no point has coordinates, both labels and values
        are given, or an option has no meaning with the others.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai import plot
    >>> places = np.random.default_rng(0).normal(size=(200, 2))
    >>> figure = plot.scatter(places, labels=["a", "b"] * 100, title="Two classes")
    >>> figure.axes[0].get_title()
    'Two classes'
    """
    _check_options(labels, values, legend, density, names, palette, value_label)
    places, shown = _read_places(embedding)
    n_hidden = len(shown) - len(places)
    dense = len(places) > DENSE if density == "auto" else bool(density)
    if dense and point_size is not None:
        raise InvalidInputError(
            f"point_size is for dots and {len(places):,} points are drawn as a density: "
            "pass density=False, or leave point_size out"
        )
    inks = read_inks(labels, values, shown, names, palette, cmap)
    where = _where_to_name(legend, inks, places.shape[1])
    notes = _notes(n_hidden, inks, where)
    if places.shape[1] == 3:
        if dense:
            raise InvalidInputError(
                f"a density of {len(places):,} points has two dimensions: take two columns, "
                "embedding[:, :2]"
            )
        figure, axes = canvas.open_space(ax, figsize, places)
        _draw_dots(axes, places, inks, point_size, random_state)
    else:
        limits = canvas.limits_of(places)
        beside = _beside(where, inks)
        figure, axes = canvas.open_map(ax, figsize, limits, beside)
        if dense:
            width, height = figure.get_size_inches()
            room = (width - beside, height) if ax is None else canvas.inches(axes)
            _draw_density(axes, places, limits, inks, canvas.inches_of_map(room, limits))
        else:
            _draw_dots(axes, places, inks, point_size, random_state)
    canvas.set_title(axes, title)
    if isinstance(inks, ValueInks):
        _add_colour_bar(figure, axes, inks, value_label)
        canvas.write_notes(axes, notes)
    else:
        _name_classes(axes, places, inks, where, notes)
    return figure


def _notes(n_hidden: int, inks: ClassInks | ValueInks, where: str) -> list[str]:
    """What the picture does not say by itself."""
    notes = [f"{n_hidden:,} isolated points not shown"] if n_hidden else []
    n_grey = int(inks.missing.sum())
    if n_grey and where != "legend":
        what = "value" if isinstance(inks, ValueInks) else "label"
        notes.append(f"{n_grey:,} points without a {what} in grey")
    return notes


def _check_options(
    labels: Any, values: Any, legend: Any, density: Any, names: Any, palette: Any, value_label: Any
) -> None:
    if labels is not None and values is not None:
        raise InvalidInputError("labels and values are both colours: give one of them")
    if legend not in ("auto", "legend", "medians", False):
        raise InvalidInputError(f"legend={legend!r}: choose 'auto', 'legend', 'medians' or False")
    if density not in ("auto", True, False):
        raise InvalidInputError(f"density={density!r}: choose 'auto', True or False")
    if labels is None:
        for name, given in (("names", names), ("palette", palette)):
            if given is not None:
                raise InvalidInputError(f"{name} is for classes: give labels too")
        if legend in ("legend", "medians"):
            raise InvalidInputError(f"legend={legend!r} names classes: give labels too")
    if values is None and value_label is not None:
        raise InvalidInputError("value_label is for the colour bar: give values too")


def _read_places(embedding: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The places that can be drawn, and which points they are."""
    given = np.asarray(embedding)
    if given.dtype.kind not in "iuf":
        raise InvalidInputError(f"an embedding holds numbers, not {given.dtype}")
    if given.ndim != 2 or given.shape[1] < 2:
        raise InvalidInputError(
            f"an embedding of shape {given.shape} has no two columns to draw: (n, 2) is expected"
        )
    if given.shape[1] > 3:
        raise InvalidInputError(
            f"an embedding of {given.shape[1]} columns: choose two, e.g. embedding[:, :2]"
        )
    shown = np.isfinite(given).all(axis=1)
    if not shown.any():
        raise InvalidInputError(f"none of {len(given):,} points has coordinates: all are NaN")
    return given[shown].astype(np.float64), shown


def _where_to_name(legend: Any, inks: ClassInks | ValueInks, n_columns: int) -> str:
    if isinstance(inks, ValueInks) or not inks.names or legend is False:
        return "nowhere"
    if n_columns == 3:
        if legend == "medians":
            raise InvalidInputError("names are written on maps in the plane: take two columns")
        return "legend"
    if legend == "auto":
        return "legend" if len(inks.names) <= _LEGEND else "medians"
    return str(legend)


def _beside(where: str, inks: ClassInks | ValueInks) -> float:
    """Inches kept free to the right of a new map."""
    if isinstance(inks, ValueInks):
        return _BAR
    return naming.legend_width(inks.names, canvas.SIDE) if where == "legend" else 0.0


def _draw_dots(
    axes: Any,
    places: NDArray[np.float64],
    inks: ClassInks | ValueInks,
    size: float | None,
    seed: int,
) -> None:
    """Dots in a random order, those without a class or a value beneath."""
    n = len(places)
    width, height = canvas.inches(axes)
    area = float(np.clip(_COVER * width * height * 72**2 / n, 0.8, 30.0)) if size is None else size
    alpha = float(np.clip(1.25 - 0.15 * np.log10(n), 0.55, 0.9))
    order = np.random.default_rng(seed).permutation(n)
    order = order[np.argsort(~inks.missing[order], kind="stable")]
    depth = {"depthshade": False} if places.shape[1] == 3 else {}
    axes.scatter(
        *places[order].T,
        s=area,
        c=inks.of_points()[order],
        alpha=alpha,
        linewidths=0,
        rasterized=True,
        **depth,
    )


def _draw_density(
    axes: Axes,
    places: NDArray[np.float64],
    limits: canvas.Limits,
    inks: ClassInks | ValueInks,
    inches: float,
) -> None:
    """The picture of those without a class or a value, and over it that of the others."""
    side = int(np.clip(inches * canvas.DPI, 100, 4000))
    missing = inks.missing
    if missing.any():
        grid = lay_grid(places[missing], limits, side)
        axes.imshow(grey_pixels(grid), **_picture(grid))
    if not missing.all():
        grid = lay_grid(places[~missing], limits, side)
        axes.imshow(inks.of_pixels(grid, ~missing), **_picture(grid))
    axes.set(xlim=limits[:2], ylim=limits[2:])


def _picture(grid: Grid) -> dict[str, Any]:
    return {"origin": "lower", "extent": grid.extent, "aspect": "equal"}


def _add_colour_bar(figure: Figure, axes: Any, inks: ValueInks, label: str | None) -> None:
    bar = figure.colorbar(inks.scale, ax=axes, extend=inks.extend, shrink=0.6, aspect=25, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=canvas.INK, width=0.6)
    if label is not None:
        bar.set_label(label, fontsize=9, color=canvas.INK)


def _name_classes(
    axes: Any, places: NDArray[np.float64], inks: ClassInks, where: str, notes: list[str]
) -> None:
    """A legend or names on the map, and notes below."""
    if where != "medians":
        if where == "legend":
            naming.add_legend(axes, inks.names, inks.colours, bool(inks.missing.any()))
        canvas.write_notes(axes, notes)
        return
    sizes = np.bincount(inks.codes[~inks.missing], minlength=len(inks.names))
    largest = np.argsort(-sizes, kind="stable")[: naming.MOST_NAMED]
    largest = np.sort(largest[sizes[largest] > 0])
    if len(largest) < np.count_nonzero(sizes):
        notes.append(f"the {len(largest)} largest of {len(inks.names)} classes are named")
    canvas.write_notes(axes, notes)
    named = np.isin(inks.codes, largest)
    anchors = naming.class_places(places[named], inks.codes[named])
    naming.write_names(
        axes, anchors, [inks.names[k] for k in largest], colours=readable(inks.colours[largest])
    )
