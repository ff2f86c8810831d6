"""The picture of prototypes and criticisms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._checks import check_number, check_whole
from ..errors import InvalidInputError
from ..plot import canvas
from ..plot.categories import _name
from ..plot.overlay import draw_image
from ..plot.pictures import Pixels, read_image
from ..plot.strips import Row, Strips, Text, lines_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .prototypes import Prototypes

_MOST_ROWS, _MOST_COLUMNS = 60, 40  # more would be no picture that one can look at
_BESIDE = 15  # letters of a line beside a row
_TALL, _FLAT = 1.6, 0.5  # the extreme shapes of a panel
_MINUS = "\N{MINUS SIGN}"


class _Line(NamedTuple):
    """A row of the picture: what it says, and rows of X, -1 where a place stays empty."""

    beside: Text
    points: list[int]
    first: bool  # of its block


def draw(
    found: Prototypes,
    images: Any,
    *,
    names: Any,
    columns: int,
    size: float,
    title: str | None,
    mean: Any,
    std: Any,
    path: Any,
) -> Figure:
    """See `Prototypes.plot`."""
    check_whole("columns", columns, 1)
    check_number("size", size, 0.3, high=10)
    if images is None:
        raise InvalidInputError(
            "images= is missing: give the picture of each row of X, e.g. X.reshape(-1, 28, 28); "
            "rows of a table have none, look at X[found.indices]"
        )
    if not hasattr(images, "__len__") or len(images) != len(found.witness):
        given = f"{len(images):,}" if hasattr(images, "__len__") else f"a {type(images).__name__}"
        raise InvalidInputError(
            f"images: {given} for {len(found.witness):,} rows of X; give one image a row, e.g. "
            "X.reshape(-1, 28, 28)"
        )
    if path is not None:
        from ..io import check_output

        path = check_output(path, (".png", ".pdf", ".svg"))
    lines = _blocks(found, columns) if found.labels is None else _classes(found, names)
    width = max(len(line.points) for line in lines)
    if len(lines) > _MOST_ROWS or width > _MOST_COLUMNS:
        raise InvalidInputError(
            f"a picture of {len(lines)} rows of {width} images is more than one can look at (at "
            f"most {_MOST_ROWS} of {_MOST_COLUMNS}): choose fewer, or some of the classes"
        )
    pictures = {
        point: read_image(images[point], mean, std)
        for line in lines
        for point in line.points
        if point >= 0
    }
    figure = _sheet(found, lines, width, pictures, size, title)
    if path is not None:
        from ..io import atomic_write

        with atomic_write(path) as temporary:
            figure.savefig(temporary)
    return figure


def _blocks(found: Prototypes, columns: int) -> list[_Line]:
    """All prototypes, then all criticisms."""
    lines = []
    for word, points in (("Prototypes", found.indices), ("Criticisms", found.criticisms)):
        for at in range(0, len(points), columns):
            beside = lines_of(word, _BESIDE) if at == 0 else []
            lines.append(_Line(beside, points[at : at + columns].tolist(), at == 0))
    return lines


def _classes(found: Prototypes, names: Any) -> list[_Line]:
    """A row a class: its prototypes, a gap, its criticisms."""
    assert found.labels is not None
    assert found.criticism_labels is not None
    classes = list(dict.fromkeys(found.labels.tolist()))
    of_class = [
        (
            found.indices[found.labels == label].tolist(),
            found.criticisms[found.criticism_labels == label].tolist(),
        )
        for label in classes
    ]
    room = max(len(first) for first, _ in of_class)
    lines = []
    for number, (label, (first, second)) in enumerate(zip(classes, of_class, strict=True)):
        points = first + [-1] * (room - len(first)) + ([-1, *second] if second else [])
        beside = lines_of(_name(label, names), _BESIDE, most=2)
        lines.append(_Line(beside, points, number == 0))
    return lines


def _sheet(
    found: Prototypes,
    lines: list[_Line],
    width: int,
    pictures: dict[int, Pixels],
    size: float,
    title: str | None,
) -> Figure:
    shape = float(np.clip(max(len(i) / i.shape[1] for i in pictures.values()), _FLAT, _TALL))
    criticised = set(found.criticisms.tolist())
    rows = []
    for number, line in enumerate(lines):
        above: list[Text] = [_above(found, point, criticised) for point in line.points]
        above += [[] for _ in range(width - len(line.points))]
        if found.labels is not None and number == 0:
            above = _headings(line.points, above)
        rows.append(Row(number, line.beside, above))
    sheet = Strips(rows, (size, size * shape), title, "")
    for number, line in enumerate(lines):
        for column, point in enumerate(line.points):
            if point >= 0:
                draw_image(sheet.open(number, column), pictures[point])
    return sheet.figure


def _above(found: Prototypes, point: int, criticised: set[int]) -> Text:
    """The witness of a criticism: above 0 where the prototypes stand for too little."""
    if point not in criticised:
        return []
    return [(f"{found.witness[point]:+.3f}".replace("-", _MINUS), canvas.FAINT)]


def _headings(points: list[int], above: list[Text]) -> list[Text]:
    """The words over the two halves of the first row."""
    split = points.index(-1) if -1 in points else len(points)
    above = [list(text) for text in above]
    under = [("", canvas.INK)] if max(map(len, above)) else []  # as high as the other word
    above[0] = [("Prototypes", canvas.INK), *under]
    for column in range(split, len(points)):
        if points[column] >= 0:
            above[column] = [("Criticisms", canvas.INK), *above[column]]
            break
    return above
