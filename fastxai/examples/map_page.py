"""The page of a map of a set: one file, in which every point shows its image."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from PIL import Image

from .._checks import check_whole
from ..image_sets.embed_page import _script, _uri
from .map_picture import coloured_by, inks_of

if TYPE_CHECKING:
    from .feature_map import FeatureMap

_DRAWN, _SEEN = 23, 24  # stirred into the seeds of which points are there, and have pictures
_PLAIN = "#4a78b5"


def write(found: FeatureMap, path: str | Path, pictures: int, points: int) -> Path:
    """Write the page; see `FeatureMap.html`."""
    from ..io import atomic_write, check_output

    check_whole("pictures", pictures, 0)
    check_whole("points", points, 1)
    path = check_output(path, (".html",))
    rows = np.flatnonzero(np.isfinite(found.embedding).all(axis=1))
    rows = np.sort(np.random.default_rng(_DRAWN).permutation(rows)[:points])
    shown = np.random.default_rng(_SEEN).permutation(rows)[:pictures]
    codes, groups = _groups(found)
    text = Template(_PAGE).substitute(
        title=escape(f"How the network sees {len(found):,} images"),
        about=escape(_about(found, len(rows), len(shown))),
        points=_script(_points(found, rows, set(shown.tolist()), codes)),
        groups=_script(groups),
        places=_script(_places(found.embedding[rows])),
    )
    with atomic_write(path) as temporary:
        temporary.write_text(text, "utf-8")
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
            uri = _uri(Image.fromarray(np.asarray(bank.thumbnails[row])))
        lines.append({"g": int(codes[row]), "x": int(wrong[row]), "w": words, "p": uri})
    return lines


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { margin: 0; font: 14px/1.45 system-ui, sans-serif; color: #222; background: #fff; }
main { display: flex; flex-wrap: wrap; gap: 24px; padding: 20px; }
h1 { font-size: 18px; margin: 0 0 2px; }
p { margin: 0 0 10px; color: #666; }
#map { flex: 2 1 420px; max-width: 900px; }
svg { width: 100%; height: auto; max-height: 80vh; display: block; }
svg g { cursor: pointer; }
svg .on { stroke: #222; stroke-width: 3; }
aside { flex: 1 1 220px; }
#card { position: sticky; top: 20px; min-height: 260px; }
#card img { width: 100%; max-width: 240px; border: 1px solid #ddd; image-rendering: pixelated; }
#card div { overflow-wrap: anywhere; }
label { margin-right: 14px; white-space: nowrap; }
.dot { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 4px; }
</style>
</head>
<body>
<main>
<section id="map">
<h1>$title</h1>
<p>$about</p>
<div id="legend"></div>
<svg viewBox="-30 -30 1060 1060" role="img" aria-label="$title"></svg>
</section>
<aside><div id="card"><p>Point at the map to see an image; click to keep it.</p></div></aside>
</main>
<script>
const points = $points, groups = $groups, places = $places;
const space = "http://www.w3.org/2000/svg", svg = document.querySelector("svg");
const card = document.getElementById("card"), legend = document.getElementById("legend");
const size = Math.max(3, Math.min(11, 240 / Math.sqrt(points.length)));
let kept = -1, lit = -1;
const marks = points.map((point, i) => {
  const [x, y] = places[i];
  const mark = document.createElementNS(space, "g");
  const shape = document.createElementNS(space, "circle");
  shape.setAttribute("cx", x); shape.setAttribute("cy", y); shape.setAttribute("r", size * 0.75);
  shape.setAttribute("fill", groups[point.g][1]);
  mark.append(shape);
  if (point.x) {
    const cross = document.createElementNS(space, "path"), r = size * 0.6;
    cross.setAttribute("d", "M" + [x - r, y - r, "L", x + r, y + r, "M", x - r, y + r, "L", x + r,
      y - r].join(" "));
    cross.setAttribute("stroke", "#222"); cross.setAttribute("stroke-width", size * 0.25);
    mark.append(cross);
  }
  mark.addEventListener("pointerenter", () => { if (kept < 0) show(i); });
  mark.addEventListener("click", () => { kept = kept === i ? -1 : i; show(i); });
  svg.append(mark);
  return mark;
});
function show(i) {
  if (lit >= 0) marks[lit].firstChild.classList.remove("on");
  lit = i;
  marks[i].firstChild.classList.add("on");
  card.replaceChildren();
  if (points[i].p) {
    const image = document.createElement("img");
    image.src = points[i].p; image.alt = "the image";
    card.append(image);
  }
  for (const words of [...points[i].w, ...(points[i].x ? ["not predicted as labelled"] : [])]) {
    const line = document.createElement("div");
    line.textContent = words;
    card.append(line);
  }
}
groups.forEach(([name, colour], k) => {
  const count = points.filter(point => point.g === k).length;
  if (!count || groups.length < 2) return;
  const label = document.createElement("label"), box = document.createElement("input");
  const dot = document.createElement("span");
  box.type = "checkbox"; box.checked = true;
  dot.className = "dot"; dot.style.background = colour;
  box.addEventListener("change", () => points.forEach((point, i) => {
    if (point.g === k) marks[i].style.display = box.checked ? "" : "none";
  }));
  label.append(box, dot, name + " (" + count + ")");
  legend.append(label);
});
</script>
</body>
</html>
"""
