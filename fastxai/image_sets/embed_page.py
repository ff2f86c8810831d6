"""The page of embedded maps: one file, in which every point shows its image and its map."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from PIL import Image

from .._checks import check_whole
from ..plot.overlay import evidence_colours
from ..plot.page import Look, picture_uri, write_page
from ..plot.pictures import Pixels, faded, reach, read_image
from .embed_picture import inks_of, maps_of
from .pooled import two_sided

if TYPE_CHECKING:
    from .embed import MapEmbedding

_WITHOUT = 96  # pixels of a map where there is no picture of its image
_TRUTHS = {True: 1, False: 0, None: -1}
_DRAWN = 23  # stirred into the seed of which points have pictures


def write(found: MapEmbedding, path: str | Path, pictures: int) -> Path:
    """Write the page; see `MapEmbedding.html`."""
    from ..io import check_output

    check_whole("pictures", pictures, 0)
    path = check_output(path, (".html",))
    write_page(
        path, f"{found.method} maps of {found.title}", _about(found, pictures),
        _points(found, pictures), _groups(found), _places(found), _LOOK,
    )  # fmt: skip
    return path


def _about(found: MapEmbedding, pictures: int) -> str:
    words = [f"{found.kind} of {len(found):,} maps"]
    words += [f"{count:,} {why} left out" for why, count in found.left_out.items()]
    if len(found) > pictures:
        words.append(f"{pictures:,} of them, drawn at random, have a picture")
    return "; ".join(words)


def _groups(found: MapEmbedding) -> list[list[str]]:
    """Name and colour of each group; the last is of points without one."""
    inks = inks_of(found)
    known = [[name, to_hex(c)] for name, c in zip(inks.names, inks.colours, strict=False)]
    return [*known, ["no group", to_hex(inks.of_points()[0] if not known else (0.74,) * 3)]]


def _places(found: MapEmbedding) -> list[list[float]]:
    """Places in 0..1000, the scales equal."""
    low, high = found.embedding.min(axis=0), found.embedding.max(axis=0)
    scale = 1000.0 / (float((high - low).max()) or 1.0)
    places = (found.embedding - (low + high) / 2) * scale + 500
    return [[round(float(x), 1), round(1000 - float(y), 1)] for x, y in places]


def _points(found: MapEmbedding, pictures: int) -> list[dict[str, Any]]:
    """What is shown of each point."""
    inks, table = inks_of(found), found.results.table.loc[found.rows]
    codes = np.where(inks.codes < 0, len(inks.names), inks.codes) if inks.names else inks.codes
    shown = _pictures(found, pictures)
    names = found.results.names
    lines = []
    for i, (row, values) in enumerate(
        zip(found.rows.tolist(), table.to_dict("records"), strict=True)
    ):
        words = [found.results.title(row)]
        predicted = values["predicted"]
        if isinstance(predicted, int | np.integer):
            name = str(predicted) if names is None else names[int(predicted)]
            words.append(f"predicted {name} ({float(values['score']):.2f})")
        if isinstance(values["label"], str):
            words.append(f"label {values['label']}")
        truth = _TRUTHS[found.correct[i]]
        lines.append({"g": int(codes[i]), "t": truth, "w": words, "p": shown.get(i, "")})
    return lines


def _pictures(found: MapEmbedding, most: int) -> dict[int, str]:
    """Image and map, side by side, of some of the points, as data: URIs."""
    if len(found.results.manifest.layout.image_shape) != 3:
        return {}
    points = np.random.default_rng(_DRAWN).permutation(len(found))[:most]
    points = np.sort(points).astype(np.int64)
    signed = two_sided(found.results, found.method)
    colours = evidence_colours(signed, 0.9)
    uris: dict[int, str] = {}
    size = int(found.results.maps[found.method].chunks[0])
    for first in range(0, len(points), size):
        some = points[first : first + size]
        images = _images(found, some)
        maps = chain.from_iterable(maps_of(found, some))
        for map, image, point in zip(maps, images, some.tolist(), strict=True):
            uris[point] = picture_uri(_beside(map, image, signed, colours))
    return uris


def _images(found: MapEmbedding, points: NDArray[np.int64]) -> list[Pixels | None]:
    if found.results.thumbnails is None:
        return [None] * len(points)
    return [read_image(one) for one in found.results.pictures(found.rows[points])]


def _beside(map: NDArray[Any], image: Pixels | None, signed: bool, colours: Any) -> Image.Image:
    """An image, and beside it its map upon it."""
    if image is None:
        scale = min(1.0, _WITHOUT / max(map.shape))
        size = (max(1, round(map.shape[1] * scale)), max(1, round(map.shape[0] * scale)))
    else:
        size = (image.shape[1], image.shape[0])
    values = np.asarray(map, np.float64)
    low, high = reach(values, signed, 2)
    unit = ((values - low) / ((high - low) or 1.0)).clip(0, 1).astype(np.float32)
    small: Any = Image.fromarray(unit).resize(size, Image.Resampling.BOX)
    paint = colours(np.asarray(small))
    below = np.ones((*size[::-1], 3)) if image is None else faded(image, "faded")
    upon = below * (1 - paint[..., 3:]) + paint[..., :3] * paint[..., 3:]
    both = [upon] if image is None else [image, np.ones((size[1], max(2, size[0] // 24), 3)), upon]
    pixels = (np.concatenate(both, axis=1) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels)


_LOOK = Look(
    hint="Point at a map to see its image; click to keep it.",
    alt="the image, and its map",
    note="<p>● right &nbsp; ✖ wrong &nbsp; ○ no label</p>\n",
    beside=280,
    widest=480,
    size="Math.max(5, Math.min(13, 260 / Math.sqrt(points.length)))",
    words="""...(groups.length > 1 ? ["group " + groups[point.g][0]] : []),
    ...(point.t < 0 ? [] : [point.t ? "right" : "wrong"])""",
    mark="""  const shape = document.createElementNS(space, point.t === 0 ? "path" : "circle");
  if (point.t === 0) {
    const r = size * 0.85, d = size * 0.34;
    shape.setAttribute("d", "M" + [[-r, d - r], [d - r, -r], [0, -d], [r - d, -r], [r, d - r],
      [d, 0], [r, r - d], [r - d, r], [0, d], [d - r, r], [-r, r - d], [-d, 0]]
      .map(([a, b]) => (x + a).toFixed(1) + " " + (y + b).toFixed(1)).join("L") + "Z");
  } else {
    shape.setAttribute("cx", x); shape.setAttribute("cy", y);
    shape.setAttribute("r", size * (point.t === 1 ? 0.75 : 0.6));
  }
  shape.setAttribute("fill", point.t < 0 ? "#fff" : colour);
  shape.setAttribute("stroke", point.t < 0 ? colour : "#fff");
  shape.setAttribute("stroke-width", point.t < 0 ? 2.5 : 1);
  mark.append(shape);
""",
)
