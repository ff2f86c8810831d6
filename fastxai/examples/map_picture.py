"""The picture of a map of a set: dots, small pictures where there is room, crosses where wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._checks import check_whole
from ..errors import InvalidInputError
from ..plot import canvas, maps
from ..plot.inks import ClassInks, read_inks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .feature_map import FeatureMap

_SIDE = 7.5  # inches of the map, larger than one of dots alone
_PICTURE = 0.25  # inches of the longer side of a small picture
_APART = 1.06  # sides between the middles of two pictures
_CROSSED = 2000  # wrong images, of more the crosses would hide the map
_MANY, _EACH = 60, 3  # classes at most, images of each on average at least: else no colours


def draw(
    found: FeatureMap, path: str | Path | None, pictures: int, title: str | None, seed: int,
    options: dict[str, Any],
) -> Figure:  # fmt: skip
    """Draw it; see `FeatureMap.plot`."""
    check_whole("pictures", pictures, 0)
    if path is not None:
        from ..io import check_output

        path = check_output(path, (".png", ".pdf", ".svg"))
    what, named = found.colours
    known, classes = {one for one in named if one is not None}, coloured_by(found)
    labels = {} if classes is None else {"labels": np.array(classes, object)}
    look = {"figsize": _size(found.embedding, bool(labels), known), **labels, **options}
    figure = maps.scatter(found.embedding, title=title or _title(found), **look)
    axes = figure.axes[0]
    inks = None if classes is None else inks_of(classes).of_points()
    notes = [f"{found.kind} of {len(found):,} images at {found.bank.layer}"]
    notes.append(f"{len(known):,} {what}s, without colours" if inks is None else f"colours: {what}")
    if found.wrong.any():
        notes.append(_cross(axes, found))
    canvas.write_notes(axes, [*notes, *_taken_notes(axes)])
    figure.draw_without_rendering()  # the layout is known
    if pictures and found.bank.thumbnails is not None:
        rows = _scattered(axes, found.embedding, pictures, seed)
        _place(axes, found, rows, inks)
    if path is not None:
        from ..io import atomic_write

        with atomic_write(path) as temporary:
            figure.savefig(temporary)
    return figure


def _taken_notes(axes: Axes) -> list[str]:
    """The notes that the map of dots has below it, taken off to stand with further ones."""
    below = [text for text in axes.texts if text.get_position() == (0.0, -0.01)]
    for text in below:
        text.remove()
    return [text.get_text() for text in below]


def _title(found: FeatureMap) -> str:
    known = found.bank.table["correct"].dropna()
    which = "" if len(known) == len(found) else f"of the {len(known):,} labelled "
    right = f", {known.mean():.1%} {which}right" if len(known) else ""
    return f"How the network sees {len(found):,} images{right}"


def _size(places: NDArray[np.float32], legend: bool, known: set[str]) -> tuple[float, float]:
    """Inches of a figure whose map is `_SIDE` long, with room for a legend."""
    from ..plot.names import legend_width

    shown = places[np.isfinite(places).all(axis=1)].astype(np.float64)
    if not len(shown):
        raise InvalidInputError("no image has a place on the map")
    left, right, bottom, top = canvas.limits_of(shown)
    inch = _SIDE / max(right - left, top - bottom)
    beside = legend_width(sorted(known), _SIDE) if legend and len(known) <= 12 else 0.0
    return (right - left) * inch + beside, (top - bottom) * inch


def coloured_by(found: FeatureMap) -> list[str | None] | None:
    """The class of each point; None where there are so many that colours tell nothing."""
    classes = found.colours[1]
    known = [one for one in classes if one is not None]
    kinds = len(set(known))
    return classes if 0 < kinds <= _MANY and len(known) >= _EACH * kinds else None


def inks_of(classes: list[str | None]) -> ClassInks:
    """The colour of each class, as the map of dots draws it."""
    inks = read_inks(
        np.array(classes, object), None, np.ones(len(classes), bool), None, None, "viridis"
    )
    assert isinstance(inks, ClassInks)
    return inks


def _cross(axes: Axes, found: FeatureMap) -> str:
    """Cross out images whose label the network does not predict; say how many."""
    wrong = np.flatnonzero(found.wrong)
    if len(wrong) > _CROSSED:
        return f"{len(wrong):,} are not predicted as labelled"
    size = float(np.clip(6000 / len(found), 8, 24))
    places = found.embedding[wrong]
    for wide, colour in ((2.4, "white"), (1.0, canvas.INK)):
        axes.scatter(
            places[:, 0], places[:, 1], s=size, c=colour, marker="x", linewidths=wide, zorder=3
        )
    return f"✕ {len(wrong):,} not predicted as labelled"


def _scattered(axes: Axes, places: NDArray[np.float32], most: int, seed: int) -> NDArray[np.int64]:
    """Images whose pictures do not cover each other: in a random order, each that has room."""
    shown = np.flatnonzero(np.isfinite(places).all(axis=1))
    points = places.astype(np.float64)
    wide, high = canvas.inches(axes)
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    inch = max((right - left) / wide, (top - bottom) / high)
    taken = np.empty((0, 2))
    chosen: list[int] = []
    for row in np.random.default_rng(seed).permutation(shown).tolist():
        away = np.abs(taken - points[row]).max(axis=1) if len(taken) else np.array([np.inf])
        if away.min() < _PICTURE * _APART * inch:
            continue
        chosen.append(row)
        taken = np.vstack([taken, points[row]])
        if len(chosen) == most:
            break
    return np.sort(np.array(chosen, np.int64))


def _place(
    axes: Axes, found: FeatureMap, rows: NDArray[np.int64], inks: NDArray[np.float64] | None
) -> None:
    """Put small pictures where their images lie, framed in their colours, crossed where wrong."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage
    from matplotlib.patheffects import withStroke

    pictures = found.bank.thumbnails
    assert pictures is not None
    points, wrong = _PICTURE * 72.0, found.wrong
    for row in rows.tolist():
        pixels = np.asarray(pictures[row])
        box = OffsetImage(
            pixels, zoom=points / max(pixels.shape[:2]), interpolation="antialiased",
            resample=True, dpi_cor=True,
        )  # fmt: skip
        place = found.embedding[row].tolist()
        edge = canvas.FAINT if inks is None else tuple(inks[row])
        frame = {"edgecolor": edge, "linewidth": 1.3, "boxstyle": "square,pad=0"}
        axes.add_artist(AnnotationBbox(box, place, pad=0.0, bboxprops=frame, zorder=4))
        if wrong[row]:
            corner = (points / 2, points * pixels.shape[0] / max(pixels.shape[:2]) / 2)
            look: Any = {"ha": "center", "va": "center", "fontsize": 8, "zorder": 5}
            halo = [withStroke(linewidth=2.5, foreground="white")]
            how: Any = {"textcoords": "offset points", "color": canvas.INK, "path_effects": halo}
            axes.annotate("✕", place, corner, **look, **how)
