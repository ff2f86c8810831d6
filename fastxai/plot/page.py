"""A page of points: one HTML file without a server, in which each point shows its picture."""

from __future__ import annotations

import json
from base64 import b64encode
from html import escape
from io import BytesIO
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from PIL import Image

_SMALL = 64  # pixels: such pictures are kept exact, larger ones as JPEG


class Look(NamedTuple):
    """What differs between pages: words, sizes, and how a point is drawn, in JavaScript.

    Attributes
    ----------
    hint, alt : str
        What the card says before a point is chosen; of its picture.
    note : str
        HTML below the map.
    beside, widest : int
        Pixels of the card, and of the pictures on it.
    size, mark, words : str
        Expression of a point's size by `points`; statements that draw into `mark`, at x and y, in
        `colour`; items that follow the words of `point`.
    """

    hint: str
    alt: str
    note: str
    beside: int
    widest: int
    size: str
    mark: str
    words: str


def write_page(
    path: Path, title: str, about: str, points: Any, groups: Any, places: Any, look: Look
) -> None:
    """Write the page.

    Parameters
    ----------
    points : list of dict
        Of each "g", its group; "w", lines of words; "p", its picture or ""; and what the
        look reads.
    groups : list of (name, colour)
    places : list of (x, y)
        In 0..1000, counted from above.
    """
    from ..io import atomic_write

    text = Template(_PAGE).substitute(
        look._asdict(),
        title=escape(title),
        about=escape(about),
        points=_script(points),
        groups=_script(groups),
        places=_script(places),
    )
    with atomic_write(path) as temporary:
        temporary.write_text(text, "utf-8")


def _script(value: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")


def picture_uri(picture: Image.Image) -> str:
    """A picture as the page holds it."""
    kind: tuple[str, dict[str, Any]] = ("png", {"optimize": True})
    if picture.height > _SMALL:
        kind = ("jpeg", {"quality": 85})
    file = BytesIO()
    picture.save(file, kind[0], **kind[1])
    return f"data:image/{kind[0]};base64,{b64encode(file.getvalue()).decode('ascii')}"


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
aside { flex: 1 1 ${beside}px; }
#card { position: sticky; top: 20px; min-height: 260px; }
#card img { width: 100%; max-width: ${widest}px; border: 1px solid #ddd;
  image-rendering: pixelated; }
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
$note</section>
<aside><div id="card"><p>$hint</p></div></aside>
</main>
<script>
const points = $points, groups = $groups, places = $places;
const space = "http://www.w3.org/2000/svg", svg = document.querySelector("svg");
const card = document.getElementById("card"), legend = document.getElementById("legend");
const size = $size;
let kept = -1, lit = -1;
const marks = points.map((point, i) => {
  const [x, y] = places[i], colour = groups[point.g][1];
  const mark = document.createElementNS(space, "g");
$mark  mark.addEventListener("pointerenter", () => { if (kept < 0) show(i); });
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
    image.src = points[i].p; image.alt = "$alt";
    card.append(image);
  }
  const point = points[i];
  for (const words of [...point.w, $words]) {
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
