"""What colours the points of a map: their classes, their values, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from . import density
from .categories import read_categories
from .colours import PLAIN, UNLABELLED, class_colours, rgb

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap

_ROBUST = (1.0, 99.0)  # percentiles of the values at the ends of the colours
_GREY = rgb([UNLABELLED])


class ClassInks(NamedTuple):
    """The class of each point (-1: none), and a colour and a name for each class."""

    codes: NDArray[np.int64]
    colours: NDArray[np.float64]
    names: list[str]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Points without a class."""
        return self.codes < 0

    def of_points(self) -> NDArray[np.float64]:
        """Return the colours (n, 3) of the points."""
        return np.concatenate([self.colours, _GREY])[self.codes]

    def of_pixels(self, grid: density.Grid, some: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return a picture (rows, columns, 4) of some of the points, which have classes."""
        return density.shade_classes(grid, self.codes[some], self.colours)


class ValueInks(NamedTuple):
    """The value of each point, within the scale of colours, and what lies beyond that."""

    values: NDArray[np.float64]
    scale: ScalarMappable
    extend: str

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Points without a value."""
        return np.isnan(self.values)

    def of_points(self) -> NDArray[np.float64]:
        """Return the colours (n, 3) of the points."""
        colours = np.array(self.scale.to_rgba(self.values), np.float64)[:, :3]
        colours[self.missing] = _GREY
        return colours

    def of_pixels(self, grid: density.Grid, some: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return a picture (rows, columns, 4) of some of the points, which have values."""
        return density.shade_values(grid, self.values[some], self.scale.to_rgba)


def grey_pixels(grid: density.Grid) -> NDArray[np.float32]:
    """Return a picture of the points that have neither a class nor a value."""
    return density.shade_classes(grid, np.zeros(len(grid.pixels), np.int64), _GREY)


def read_inks(
    labels: Any,
    values: ArrayLike | None,
    shown: NDArray[np.bool_],
    names: Sequence[str] | Mapping[Any, str] | None,
    palette: Any,
    cmap: str | Colormap,
) -> ClassInks | ValueInks:
    """Read labels or values of all the points and keep those of the points shown."""
    if values is not None:
        return _read_values(values, shown, cmap)
    if labels is None:
        return ClassInks(np.zeros(int(shown.sum()), np.int64), rgb([PLAIN]), [])
    codes, classes = read_categories(labels, len(shown), names)
    return ClassInks(codes[shown], class_colours(classes, palette), classes)


def _read_values(values: ArrayLike, shown: NDArray[np.bool_], cmap: str | Colormap) -> ValueInks:
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    given = np.asarray(values)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.dtype.kind not in "biuf" or given.ndim != 1:
        raise InvalidInputError(
            f"values must be one number a point, not {given.dtype} of shape {given.shape}; "
            "classes are shown by labels=..."
        )
    if len(given) != len(shown):
        raise InvalidInputError(f"{len(given):,} values for an embedding of {len(shown):,} points")
    if isinstance(cmap, str) and cmap not in matplotlib.colormaps:
        raise InvalidInputError(f"cmap={cmap!r} is no matplotlib colour map")
    numbers = given[shown].astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        raise InvalidInputError(f"none of the {len(numbers):,} points shown has a finite value")
    low, high = np.percentile(finite, _ROBUST)
    if low == high:  # hardly anything differs: then the extremes say more
        low, high = finite.min(), finite.max()
    below, above = bool((numbers < low).any()), bool((numbers > high).any())
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]
    # A pixel's mean must not be that of one wild value, nor infinite; NaN stays.
    scale = ScalarMappable(Normalize(float(low), float(high)), cmap)
    return ValueInks(np.clip(numbers, low, high), scale, extend)
