"""A sheet of explanations: a row an image and class, a column a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..errors import InvalidInputError
from . import canvas, pictures
from .evidence import Method, Targets, read_image_names, read_methods, read_targets
from .overlay import (
    Limits,
    Shades,
    check_look,
    check_scale,
    draw_image,
    draw_map,
    evidence_colours,
)
from .strips import Row, Strips, Text, draw_bar, file_line, lines_of, method_lines, score_text

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MOST_ROWS, MOST_COLUMNS = 60, 20  # more would be no picture that one can look at
_BESIDE = 15  # letters of a line beside a row
_LETTER = 0.076  # inches of a letter above a panel
_TALL, _FLAT = 1.6, 0.5  # the extreme shapes of a panel


class _Cell(NamedTuple):
    """Which map a panel shows: of which method, of which of the image's classes."""

    method: Method
    place: int


class _Look(NamedTuple):
    """How maps are drawn."""

    scale: Any
    background: str
    alpha: float
    cmap: Any


def contact_sheet(
    images: Any,
    panels: Mapping[str, Any],
    classes: Any = None,
    scores: Any = None,
    *,
    signed: Mapping[str, bool] | None = None,
    status: Mapping[str, Any] | None = None,
    names: Sequence[str] | Mapping[Any, str] | None = None,
    image_names: Sequence[str] | None = None,
    scale: Literal["image", "set"] | Limits = "image",
    across: Literal["auto", "methods", "classes"] = "auto",
    title: str | None = None,
    size: float = 1.5,
    background: Literal["faded", "grey", "colour"] = "faded",
    alpha: float = 0.8,
    cmap: str | Colormap | None = None,
    channels: Literal["sum", "absmax"] = "sum",
    mean: Any = None,
    std: Any = None,
    colorbar: bool = True,
    path: str | Path | None = None,
) -> Figure:
    """Lay images and their maps side by side: a row an image and class, a column a method.

    Evidence for a class is red and against it blue over the faded image, or red, green and
    blue around mid-grey where a map has three channels (see `overlay`).  A map that has
    nothing to show says why.

    Parameters
    ----------
    images : array or tensor of shape (N, ...), or sequence of N images
        As `overlay` takes them; each is drawn in full and its maps over its whole extent.
    panels : mapping of str to arrays or tensors of shape (N, K, H, W) or (N, K, C, H, W)
        The maps of each method for each image's K classes; without the axis K where
        ``classes`` has none or is not given.
    classes : array-like of int of shape (N, K) or (N,), optional
        What is explained; negative where it is no class.
    scores : array-like of float of the shape of ``classes``, optional
        Written beside the classes.
    signed : mapping of str to bool, optional
        Whether a method's values below zero are evidence against; by default whether it has
        any.
    status : mapping of str to array-like of str of the shape of ``classes``, optional
        Anything but "ok" is written on the panel instead of the map.
    names : sequence or mapping of class to str, optional
        Shown instead of the numbers of the classes; long ones are shortened.
    image_names : sequence of N str, optional
        Written beside the first row of each image.
    scale : {"image", "set"} or (low, high), default "image"
        What the ends of the colours stand for: each map's own extremes, those of all maps of
        the method, or values for every method (where signed, the farther one on both sides).
        Extremes are as `overlay` says.
    across : {"auto", "methods", "classes"}, default "auto"
        What the columns are.  "classes" lays the classes of an image side by side, the class
        and its score above each map, with a row for each method; "auto" does so for one
        method and several classes.
    title : str, optional
        Above everything.
    size : float, default 1.5
        Inches of the width of a panel.
    background, alpha, cmap, channels, mean, std
        As for `overlay`.
    colorbar : bool, default True
        Show the scale below each method's column.
    path : str or Path, optional
        Where to save the picture: .png, .pdf or .svg.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If shapes do not match, there are more than 60 rows or 20 columns, or an option has no
        meaning.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai import plot
    >>> rng = np.random.default_rng(0)
    >>> images, maps = rng.random((2, 3, 16, 16)), rng.normal(size=(2, 1, 16, 16))
    >>> figure = plot.contact_sheet(images, {"occlusion": maps}, [[3], [5]], [[0.9], [0.7]])
    """
    check_scale(scale, ("image", "set"))
    check_look(background, alpha, channels)
    if across not in ("auto", "methods", "classes"):
        raise InvalidInputError(f"across={across!r}: choose 'auto', 'methods' or 'classes'")
    if not 0.4 <= size <= 10:
        raise InvalidInputError(f"size={size!r}: choose 0.4 to 10 inches")
    if path is not None:
        from ..io import check_output

        path = check_output(path, (".png", ".pdf", ".svg"))
    shown = pictures.read_images(images, mean, std)
    targets = read_targets(classes, scores, len(shown))
    methods = read_methods(panels, targets, signed, status, channels)
    titles = read_image_names(image_names, len(shown))
    by_class = across == "classes" or (
        across == "auto" and len(methods) == 1 and targets.classes.shape[1] > 1
    )
    plan = _by_class if by_class else _by_method
    texts = [
        [_text(targets, n, k, names) for k in range(targets.classes.shape[1])]
        for n in range(len(shown))
    ]
    rows, cells = plan(methods, texts, titles, int(size / _LETTER))
    _check_size(len(rows), len(cells[0]) + 1)
    bars = "right" if by_class else "under"
    shape = (size, size * _shape(shown))
    sheet = Strips(rows, shape, title, bars if colorbar else "")
    look = _Look(scale, background, alpha, cmap)
    _fill(sheet, rows, cells, shown, look)
    if colorbar:
        _explain(sheet, rows, cells, look, by_class)
    if path is not None:
        from ..io import atomic_write

        with atomic_write(path) as temporary:
            sheet.figure.savefig(temporary)
    return sheet.figure


def _text(targets: Targets, image: int, place: int, names: Any) -> tuple[str, str]:
    """The name of a class and its score."""
    return targets.name(image, place, names), score_text(float(targets.scores[image, place]))


def _by_method(
    methods: list[Method], texts: list[list[tuple[str, str]]], titles: list[str], letters: int
) -> tuple[list[Row], list[list[_Cell]]]:
    """A row an image and class, a column a method."""
    rows: list[Row] = []
    cells: list[list[_Cell]] = []
    for n, pairs in enumerate(texts):
        for k, (name, score) in enumerate(pairs):
            beside = file_line(titles[n]) if k == 0 else []
            beside = beside + lines_of(name, _BESIDE, most=3)
            beside += [(score, canvas.FAINT)] if score else []
            above: list[Text] = [[], *([] for _ in methods)]
            if not rows:
                above = [[], *(method_lines(m.name, letters) for m in methods)]
            rows.append(Row(n, beside, above))
            cells.append([_Cell(method, k) for method in methods])
    return rows, cells


def _by_class(
    methods: list[Method], texts: list[list[tuple[str, str]]], titles: list[str], letters: int
) -> tuple[list[Row], list[list[_Cell]]]:
    """A row an image and method, a column a class; the class and its score above the map."""
    rows: list[Row] = []
    cells: list[list[_Cell]] = []
    for n, pairs in enumerate(texts):
        for m, method in enumerate(methods):
            beside = file_line(titles[n]) if m == 0 else []
            if len(methods) > 1 or n == 0:
                beside = beside + method_lines(method.name, _BESIDE, most=3)
            above: list[Text] = [[] for _ in pairs]
            if m == 0:
                above = [
                    lines_of(name, letters) + ([(score, canvas.FAINT)] if score else [])
                    for name, score in pairs
                ]
            rows.append(Row(n, beside, [[], *above]))
            cells.append([_Cell(method, k) for k in range(len(pairs))])
    return rows, cells


def _check_size(n_rows: int, n_columns: int) -> None:
    for count, most, what in ((n_rows, MOST_ROWS, "rows"), (n_columns, MOST_COLUMNS, "columns")):
        if count > most:
            raise InvalidInputError(
                f"a sheet of {count} {what} is more than one can look at (at most {most}): draw "
                "several sheets, of some of the images each, or choose fewer classes or methods"
            )


def _shape(images: list[pictures.Pixels]) -> float:
    """Height of the panels by their width: that of the highest image, within reason."""
    return float(np.clip(max(len(i) / i.shape[1] for i in images), _FLAT, _TALL))


def _fill(
    sheet: Strips,
    rows: list[Row],
    cells: list[list[_Cell]],
    images: list[pictures.Pixels],
    look: _Look,
) -> None:
    """Draw every image and map."""
    colours = {sign: evidence_colours(sign, look.alpha, look.cmap) for sign in (False, True)}
    for number, (row, line) in enumerate(zip(rows, cells, strict=True)):
        draw_image(sheet.open(number, 0), images[row.image])
        for column, (method, place) in enumerate(line, start=1):
            limits = method.limits(look.scale, row.image, place)
            shades = Shades(limits, method.signed, colours[method.signed])
            draw_map(
                sheet.open(number, column),
                images[row.image],
                method.maps[row.image][place],
                shades,
                method.written[row.image][place],
                look.background,
            )


def _explain(
    sheet: Strips, rows: list[Row], cells: list[list[_Cell]], look: _Look, by_class: bool
) -> None:
    """The scale of each column's method, or of each row's."""
    lines = [(k, cell.method) for k, cell in enumerate(cells[0], start=1)]
    if by_class:  # once, beside the rows of the first image
        lines = [(k, line[0].method) for k, line in enumerate(cells) if rows[k].image == 0]
    for number, method in lines:
        if method.maps[0][0].ndim == 3:  # red, green and blue are the channels
            if not by_class:
                sheet.note_under(number, "grey is 0" if method.signed else "black is 0")
            continue
        each = look.scale == "image"
        limits = (-1.0, 1.0) if method.signed else (0.0, 1.0)
        if not each:
            limits = method.limits(look.scale, 0, 0)
        shades = Shades(
            limits, method.signed, evidence_colours(method.signed, look.alpha, look.cmap)
        )
        ends = (("against", "for") if method.signed else ("0", "max")) if each else None
        axes = sheet.bar_beside(number) if by_class else sheet.bar_under(number)
        draw_bar(axes, shades.scale(), ends, by_class)
