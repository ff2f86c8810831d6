"""All maps on one sheet: a method a row, turned alike, with their figures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..embed.align import align
from ..errors import FastxaiWarning
from .tables import TITLES, Result, caption, methods_of, runs_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(
    result: Result, map_file: Callable[[dict[str, Any]], Path], colours: dict[str, Any]
) -> Figure | None:
    """The first map of each contestant, Procrustes-aligned; None if there is none.

    Parameters
    ----------
    result : dict
        Of a `Comparison`.
    map_file : callable
        Where the embedding of a run lies.
    colours : dict
        ``labels`` or ``values``, and ``names``, as `fastxai.plot.panels` takes them.
    """
    from .. import plot

    maps: list[Any] = []
    titles, captions = [], []
    fixed: Any = None
    libraries = [runs_of(result, method) for method in methods_of(result)]
    columns = max((len(runs) for runs in libraries), default=0)
    for method, runs_by in zip(methods_of(result), libraries, strict=True):
        for library, runs in runs_by.items():
            done = [run for run in runs if "first" in run]
            titles.append(f"{TITLES[method]}, {library}")
            if not done:
                maps.append(None)
                captions.append(runs[0]["reason"])
                continue
            places = np.load(map_file(done[0]))
            fixed = places if fixed is None else fixed
            maps.append(_turned(places, fixed))
            captions.append(caption(runs))
        for _ in range(columns - len(runs_by)):
            maps.append(None)
            titles.append("")
            captions.append("")
    if fixed is None:
        return None
    data = result["data"]
    title = f"{data['name']}, {data['points']:,} points"
    return plot.panels(maps, titles, captions=captions, columns=columns, title=title, **colours)


def _turned(places: Any, fixed: Any) -> Any:
    """As the first map lies, and of its size."""
    if not np.isfinite(places).any():
        return places
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastxaiWarning)  # points on a line may lie either way
        return align(places, fixed, scaling=True)
