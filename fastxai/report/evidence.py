"""Where the evidence lies on average: mean maps, their centres, shares inside boxes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..image_sets.pooled import cells_of, in_parts
from ..image_sets.results import Results
from ..metrics._estimate import Estimate
from ..metrics._map_result import over_set
from ..metrics.maps import evidence_share

SIDE = 48  # cells of a mean map along its longer side
SAMPLE = 4000  # maps that are read; the page says so where there are more


class Spread(NamedTuple):
    """Of some images by one method.

    Attributes
    ----------
    n : int
        Maps that have positive evidence.
    mean : ndarray or None
        (h, w): the mean of the maps, each divided by the sum of its positive evidence.
    area : Estimate or None
        The mean of the smallest share of pixels that holds half of a map's positive evidence.
    x, y : Estimate or None
        The mean of their centres.
    inside : Estimate or None
        The mean share of evidence inside of boxes.
    """

    n: int
    mean: NDArray[np.float64] | None
    area: Estimate | None
    x: Estimate | None
    y: Estimate | None
    inside: Estimate | None


class Evidence:
    """The pooled maps of one method of a sample of the images.

    Parameters
    ----------
    results : Results
    name : str
        Of an array of maps with two spatial axes.
    rows : ndarray
        The images, see `sample`.
    boxes : sequence, optional
        A box, or some, an image of the set, in pixels of the network's input.
    """

    def __init__(
        self, results: Results, name: str, rows: NDArray[np.int64], boxes: Any = None
    ) -> None:
        self.results, self.name, self.rows = results, name, rows
        self._place = {int(row): i for i, row in enumerate(rows)}
        parts, inside = [], []
        first = np.zeros(len(rows), np.int64)
        start = 0
        for maps in in_parts(results, name, rows, first):
            parts.append(_shares(maps))
            if boxes is not None:
                some = [boxes[int(row)] for row in rows[start : start + len(maps)]]
                inside.append(_inside(maps, some))
            start += len(maps)
        self._maps = np.concatenate(parts)
        self._inside = np.concatenate(inside) if inside else None

    def of(self, rows: NDArray[np.int64]) -> Spread:
        """The mean of those images of the sample that are among ``rows``."""
        places = [self._place[int(row)] for row in rows if int(row) in self._place]
        maps = self._maps[places]
        known = np.isfinite(maps).all((1, 2)) if len(maps) else np.zeros(0, bool)
        mean = maps[known].mean(0, dtype=np.float64) if known.any() else None
        inside = None
        if self._inside is not None and places:
            inside = _mean(self._inside[places], 0, 1)
        found = {figure: self._figure(figure, rows) for figure in ("area", "x", "y")}
        return Spread(int(known.sum()), mean, inside=inside, **found)

    def _figure(self, figure: str, rows: NDArray[np.int64]) -> Estimate | None:
        column = self.results.table.loc[rows, f"{self.name}_{figure}"]
        if not self.results.single:
            column = column.map(lambda values: np.nan if values is None else values[0])
        return _mean(column.to_numpy(np.float64), 0, 1)


def _inside(maps: NDArray[np.float32], boxes: list[Any]) -> NDArray[np.float64]:
    """The share of each map's evidence in its boxes; NaN for images without one."""
    given = [i for i, some in enumerate(boxes) if some is not None and len(some)]
    found = np.full(len(maps), np.nan)
    if given:
        found[given] = evidence_share(maps[given], [boxes[i] for i in given]).values
    return found


def _mean(values: NDArray[np.float64], low: float, high: float) -> Estimate | None:
    known = values[np.isfinite(values)]
    return over_set(known, low, high) if len(known) else None


def _shares(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, h, w): positive evidence by cell, a sum of 1 a map; NaN without any."""
    high, wide = maps.shape[1:]
    longer = max(high, wide)
    down = cells_of(high, max(1, round(SIDE * high / longer))).astype(np.float32)
    across = cells_of(wide, max(1, round(SIDE * wide / longer))).astype(np.float32)
    found = down @ np.maximum(maps, 0) @ across.T
    total = found.sum((1, 2), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: NDArray[np.float32] = np.where(total > 0, found / total, np.nan)
    return shares


def sample(rows: NDArray[np.int64], random_state: int = 0) -> NDArray[np.int64]:
    """At most `SAMPLE` of the images, drawn at random, in their order."""
    if len(rows) <= SAMPLE:
        return rows
    drawn = np.random.default_rng([random_state, 23]).choice(len(rows), SAMPLE, replace=False)
    return np.sort(rows[drawn])
