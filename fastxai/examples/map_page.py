"""The page of a map of a set: one file, in which every point shows its image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from PIL import Image

from .._checks import check_whole
from ..plot.page import Look, picture_uri, write_page
from .map_picture import coloured_by, inks_of

if TYPE_CHECKING:
    from .feature_map import FeatureMap

_DRAWN, _SEEN = 23, 24  # stirred into the seeds of which points are there, and have pictures
_PLAIN = "#4a78b5"


def write(found: FeatureMap, path: str | Path, pictures: int, points: int) -> Path:
    """Write the page; see `FeatureMap.html`."""
    from ..io import check_output

    check_whole("pictures", pictures, 0)
    check_whole("points", points, 1)
    path = check_output(path, (".html",))
    rows = np.flatnonzero(np.isfinite(found.embedding).all(axis=1))
    rows = np.sort(np.random.default_rng(_DRAWN).permutation(rows)[:points])
    shown = np.random.default_rng(_SEEN).permutation(rows)[:pictures]
    codes, groups = _groups(found)
    write_page(
        path, f"How the network sees {len(found):,} images", _about(found, len(rows), len(shown)),
        _points(found, rows, set(shown.tolist()), codes), groups, _places(found.embedding[rows]),
        _LOOK,
    )  # fmt: skip
    return path


def _places(embedding: NDArray[np.float32]) -> list[list[float]]:
    """Places in 0..1000, the scales equal, counted from above."""
    low, high = embedding.min(axis=0), embedding.max(axis=0)
    scale = 1000.0 / (float((high - low).max()) or 1.0)
    places = (embedding - (low + high) / 2) * [scale, -scale] + 500
    found: list[list[float]] = places.astype(np.float64).round(1).tolist()
    return found


def _about(found: FeatureMap, points: int, pictures: int) -> str:
    words = [f"{found.kind} of the features at {found.bank.layer}"]
    if points < len(found):
        words.append(f"{points:,} points, drawn at random")
    if pictures < points and found.bank.thumbnails is not None:
        words.append(f"{pictures:,} of them have a picture")
    return "; ".join(words)


def _groups(found: FeatureMap) -> tuple[NDArray[np.int64], list[list[str]]]:
    """The group of each point, and name and colour of each; the last is of points without one."""
    classes = coloured_by(found)
    if classes is None:
        return np.zeros(len(found), np.int64), [["all", _PLAIN]]
    inks = inks_of(classes)
    names = [[name, to_hex(c)] for name, c in zip(inks.names, inks.colours, strict=True)]
    return np.where(inks.codes < 0, len(names), inks.codes), [*names, ["no label", "#bdbdbd"]]


def _points(
    found: FeatureMap, rows: NDArray[np.int64], pictured: set[int], codes: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """What is shown of each point."""
    bank, lines = found.bank, []
    labels, predictions, wrong = bank.labels, bank.predictions, found.wrong
    scores = bank.table["score"].to_numpy(np.float64)
    for row in rows.tolist():
        words = [bank.title(row)]
        if predictions[row] is not None:
            words.append(f"predicted {predictions[row]} ({scores[row]:.2f})")
        if labels[row] is not None:
            words.append(f"label {labels[row]}")
        uri = ""
        if row in pictured and bank.thumbnails is not None:
            uri = picture_uri(Image.fromarray(np.asarray(bank.thumbnails[row])))
        lines.append({"g": int(codes[row]), "x": int(wrong[row]), "w": words, "p": uri})
    return lines


_LOOK = Look(
    hint="Point at the map to see an image; click to keep it.",
    alt="the image",
    note="",
    beside=220,
    widest=240,
    size="Math.max(3, Math.min(11, 240 / Math.sqrt(points.length)))",
    words="""...(point.x ? ["not predicted as labelled"] : [])""",
    mark="""  const shape = document.createElementNS(space, "circle");
  shape.setAttribute("cx", x); shape.setAttribute("cy", y); shape.setAttribute("r", size * 0.75);
  shape.setAttribute("fill", colour);
  mark.append(shape);
  if (point.x) {
    const cross = document.createElementNS(space, "path"), r = size * 0.6;
    cross.setAttribute("d", "M" + [x - r, y - r, "L", x + r, y + r, "M", x - r, y + r, "L", x + r,
      y - r].join(" "));
    cross.setAttribute("stroke", "#222"); cross.setAttribute("stroke-width", size * 0.25);
    mark.append(cross);
  }
""",
)
