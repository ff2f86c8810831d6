"""Where the evidence of one map lies: numbers of an array, and the names of places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

TOP = 0.1  # the share of the pixels whose share of the evidence is told
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "middle", "right")
_ALONG = ("beginning", "middle", "end")
_SLICES = ("first", "middle", "last")
_EQUAL = 1e-9  # boxes whose evidence differs by less, relative to the strongest, are equal


class Box(NamedTuple):
    """A part of the image: where it begins and how long it is, an axis each, in pixels."""

    start: tuple[int, ...]
    size: tuple[int, ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        """Its pixels."""
        return tuple(slice(a, a + b) for a, b in zip(self.start, self.size, strict=True))


class Places(NamedTuple):
    """Where the evidence lies.

    Attributes
    ----------
    box : Box
        A third of the image along each axis, at the place where it holds most.
    box_share, box_area : float
        Its share of the evidence and of the pixels.
    parts : dict of str to float
        The share of each of the 3^axes equal parts, the strongest first.
    top_share : float
        The share of the strongest tenth of the pixels.
    top_pixels : float
        How large this tenth is, in whole pixels.
    centre : tuple of float
        The centre of mass, an axis each, from 0 to 1.
    spread : float
        Root of the mean squared distance from it, relative to that of an even map.
    """

    box: Box
    box_share: float
    box_area: float
    parts: dict[str, float]
    top_share: float
    top_pixels: float
    centre: tuple[float, ...]
    spread: float


def find_places(evidence: Numbers) -> Places:
    """Measure a map (*spatial) float64 that is nowhere negative and somewhere positive."""
    share = evidence / evidence.max()  # so that no sum overflows
    share = share / share.sum()
    box = strongest_box(share)
    area = float(np.prod(box.size)) / share.size
    flat = np.sort(share, axis=None)[::-1]
    count = max(1, round(TOP * flat.size))
    centre, spread = _centre(share)
    within = float(share[box.slices].sum())
    return Places(
        box=box,
        box_share=min(1.0, within),
        box_area=area,
        parts=_parts(share),
        top_share=min(1.0, float(flat[:count].sum())),
        top_pixels=count / flat.size,
        centre=centre,
        spread=spread,
    )


def strongest_box(share: Numbers) -> Box:
    """The box of a third of each axis that holds most; of equal ones the middle one."""
    size = tuple(max(1, round(pixels / 3)) for pixels in share.shape)
    sums = share
    for axis, length in enumerate(size):
        padded = np.insert(np.cumsum(sums, axis=axis), 0, 0, axis=axis)
        last = np.take(padded, range(length, padded.shape[axis]), axis=axis)
        sums = last - np.take(padded, range(last.shape[axis]), axis=axis)
    # A single bright pixel lies in many boxes: the one in the middle of them has it in its own.
    equal = np.argwhere(sums >= sums.max() * (1 - _EQUAL))
    away = ((equal - equal.mean(axis=0)) ** 2).sum(axis=1)
    return Box(tuple(int(place) for place in equal[np.argmin(away)]), size)


def boxes_elsewhere(box: Box, shape: Sequence[int], count: int, random: Any) -> list[Box]:
    """Boxes of the same size that do not overlap this one, drawn evenly; fewer where few are."""
    room = [pixels - length + 1 for pixels, length in zip(shape, box.size, strict=True)]
    starts = np.indices(room).reshape(len(room), -1).T
    apart = (np.abs(starts - np.array(box.start)) >= np.array(box.size)).any(axis=1)
    starts = starts[apart]
    chosen = random.permutation(len(starts))[:count]
    return [Box(tuple(int(place) for place in starts[one]), box.size) for one in chosen]


def place_name(position: Sequence[float]) -> str:
    """The name of the third, ninth or twenty-seventh of the image where a point in [0, 1) lies."""
    thirds = [min(2, int(3 * place + 1e-9)) for place in position]
    if len(thirds) == 1:
        return _ALONG[thirds[0]]
    *slices, row, column = thirds
    name = "centre" if row == column == 1 else f"{_ROWS[row]} {_COLUMNS[column]}"
    return f"{name} of the {_SLICES[slices[0]]} third of the slices" if slices else name


def box_name(box: Box, shape: Sequence[int]) -> str:
    """The name of the place where the middle of a box lies."""
    middles = [start + length / 2 for start, length in zip(box.start, box.size, strict=True)]
    return place_name([middle / pixels for middle, pixels in zip(middles, shape, strict=True)])


def _parts(share: Numbers) -> dict[str, float]:
    """The evidence in each of the equal parts; a pixel belongs where its middle lies."""
    sums: dict[str, float] = {}
    borders = [[round(third * pixels / 3) for third in range(4)] for pixels in share.shape]
    for part in np.ndindex(*[3] * share.ndim):
        some = tuple(slice(b[i], b[i + 1]) for b, i in zip(borders, part, strict=True))
        sums[place_name([(i + 0.5) / 3 for i in part])] = float(share[some].sum())
    # Sums that differ in the last bits alone are equal: then the order of reading decides.
    return dict(sorted(sums.items(), key=lambda pair: -round(pair[1], 9)))


def _centre(share: Numbers) -> tuple[tuple[float, ...], float]:
    """Centre of mass and spread; an even map of as many pixels has the spread 1."""
    centre, squares, even = [], 0.0, 0.0
    for axis, pixels in enumerate(share.shape):
        along = share.sum(axis=tuple(other for other in range(share.ndim) if other != axis))
        places = (np.arange(pixels) + 0.5) / pixels
        middle = float(along @ places)
        centre.append(middle)
        squares += float(along @ (places - middle) ** 2)
        even += float(places.var())
    return tuple(centre), float(np.sqrt(squares / even)) if even > 0 else 0.0
