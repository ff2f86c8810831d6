"""The picture of a visualisation: a grid of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._checks import check_number, check_whole
from ..errors import InvalidInputError
from ..plot.pictures import read_image
from ..plot.sheet import Sheet, read_texts

if TYPE_CHECKING:
    from .visualization import Visualization

_COLOURS = (1, 3)


def draw(
    found: Visualization,
    titles: Sequence[str] | None,
    title: str | None,
    columns: int | None,
    size: float,
) -> Any:
    """See `Visualization.to_picture`."""
    check_number("size", size, 0.2, high=20)
    if columns is not None:
        check_whole("columns", columns, 1)
    if titles is not None and (isinstance(titles, str) or len(titles) != len(found)):
        n = 1 if isinstance(titles, str) else len(titles)
        raise InvalidInputError(f"{n} titles for {len(found)} images: give one for each")
    columns = columns or _columns(len(found), found.copies)
    above = read_texts(found.titles if titles is None else titles, len(found), "titles", size)
    below = [
        "no gradient" if status != "ok" else f"{value:.3g}"
        for value, status in zip(found.activations, found.status, strict=True)
    ]
    sheet = Sheet(len(found), columns, size, above, below, title or found.layer or None, 0.0)
    for number, image in enumerate(found.images):
        axes = sheet.open(number)
        axes.imshow(visible(image), interpolation="antialiased", aspect="equal")
        for spine in axes.spines.values():
            spine.set_visible(False)
    return sheet.figure


def visible(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """(H, W, 3): grey and colour images as they are, of others the mean of their channels."""
    return read_image(image if len(image) in _COLOURS else image.mean(0))


def _columns(count: int, copies: int) -> int:
    """As many columns as rows, about; a whole number of units in a row."""
    wanted = max(1, math.isqrt(count - 1) + 1)
    return wanted if copies == 1 else copies * max(1, round(wanted / copies))
