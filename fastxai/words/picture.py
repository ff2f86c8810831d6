"""A picture of a sentence: the image once for each word, with where the word looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import check_whole
from ..errors import InvalidInputError
from ..plot import canvas, pictures
from ..plot.overlay import Shades, draw_image, draw_map, evidence_colours
from ..plot.strips import Row, Strips, Text, draw_bar, lines_of, score_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .result import TextExplanation, TextExplanations
    from .training import Curve

MOST = 12  # images on a picture
NO_LOOK = 0.1  # of a look: a word with less of it is said without
_LETTER = 0.068  # inches of a letter, about
_SURE = 0.9999  # no word is certain, whatever is left of it in float32
_HIGH = (0.5, 2.0)  # height by width of a panel, within reason
_ENDINGS = (".png", ".pdf", ".svg")


def draw(
    found: TextExplanations,
    path: Any = None,
    *,
    display: Any = None,
    title: str | None = None,
    columns: int = 10,
    size: float = 1.0,
    background: Any = "faded",
    alpha: float = 0.8,
    colorbar: bool = True,
) -> Figure:
    """Draw each image, then once more for each of its words, the look laid over it.

    Above each panel stand the word and its probability.  All words of a sentence share one scale
    of colours; a word that gave less than a tenth of its look to the image says so instead.

    Parameters
    ----------
    found : TextExplanations
        At most 12: take some, ``found[:6]``.
    path : str or Path, optional
        Where to write it: .png, .pdf or .svg.
    display : array, optional
        The images to show, of any size, where the explained ones are not fit to be seen.
    title : str, optional
        Above everything.
    columns : int, default 10
        Words in a row; longer sentences take several.
    size : float, default 1.0
        Inches of the width of a panel.
    background, alpha
        As for `fastxai.plot.overlay`.
    colorbar : bool, default True
        Show the scale.

    Raises
    ------
    InvalidInputError
        More images than can be looked at, images that are no pictures, or an option without
        meaning.
    """
    from ..plot.overlay import check_look

    check_look(background, alpha, "sum")
    check_whole("columns", columns, 1)
    if not 0.4 <= size <= 10:
        raise InvalidInputError(f"size={size!r}: choose 0.4 to 10 inches")
    if not 1 <= len(found) <= MOST:
        raise InvalidInputError(
            f"a picture of {len(found)} images: choose 1 to {MOST}, such as found[:6].picture()"
        )
    path = _output(path)
    shown = _shown(found, display)
    columns = min(columns, max(1, *(len(item.words) for item in found)))
    rows = [row for n, item in enumerate(found) for row in _rows(n, item, columns, size)]
    high = max(len(image) / image.shape[1] for image in shown)
    sheet = Strips(
        rows, (size, size * float(np.clip(high, *_HIGH))), title, "right" if colorbar else ""
    )
    colours = evidence_colours(False, alpha)
    number = 0
    for image, item in zip(shown, found, strict=True):
        shades = Shades((0.0, 1.0), False, colours)
        maps = item.maps
        if maps.size:
            shades = Shades(pictures.reach(maps, False, 2), False, colours)
            shades = shades._replace(limits=(0.0, shades.limits[1]))
        draw_image(sheet.open(number, 0), image)
        for place, map in enumerate(maps):
            at = number + place // columns, 1 + place % columns
            status = "did not look" if item.looked[place] < NO_LOOK else ""
            draw_map(sheet.open(*at), image, map, shades, status, background)
        if number == 0 and colorbar:
            draw_bar(sheet.bar_beside(0), shades.scale(), ("0", "most"), True)
        number += max(1, -(-len(item.words) // columns))
    return _saved(sheet.figure, path)


def _rows(number: int, item: TextExplanation, columns: int, size: float) -> list[Row]:
    """The rows of panels of one sentence, the texts above them."""
    pairs = [
        [
            *lines_of(word, int(size / _LETTER), most=1),
            (score_text(min(float(p), _SURE)), canvas.FAINT),
        ]
        for word, p in zip(item.words, item.probabilities, strict=True)
    ]
    beside: Text = []
    if item.status != "ok":
        beside = lines_of(item.status.replace("_", " "), 12, canvas.FAINT)
    rows = []
    for first in range(0, max(len(pairs), 1), columns):
        part = pairs[first : first + columns]
        empty: list[Text] = [[] for _ in range(columns - len(part))]
        rows.append(Row(number, beside if first == 0 else [], [[], *part, *empty]))
    return rows


def _shown(found: TextExplanations, display: Any) -> list[pictures.Pixels]:
    if found.images.ndim != 4:
        raise InvalidInputError(
            f"images of {found.images.ndim - 2} spatial axes can not be drawn: .maps holds what "
            "the words looked at"
        )
    if display is not None and len(display) != len(found):
        raise InvalidInputError(
            f"display= holds {len(display)} images, and {len(found)} were explained"
        )
    return pictures.read_images(found.images if display is None else display)


def draw_curve(curve: Curve, path: Any = None) -> Figure:
    """Draw the loss of each epoch, and which epoch was kept."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    path = _output(path)
    figure = canvas.MapFigure(figsize=(4.5, 2.8), layout="constrained")
    axes = figure.add_subplot()
    epochs = np.arange(1, len(curve.training) + 1)
    lines = [("training", curve.training, "#0072B2")]
    if np.isfinite(curve.validation).any():
        lines.append(("held out", curve.validation, "#D55E00"))
    for name, values, colour in lines:
        axes.plot(epochs, values, color=colour, label=name, linewidth=1.5)
    kept = lines[-1][1][curve.best]
    axes.plot(curve.best + 1, kept, "o", color=lines[-1][2], markersize=5)
    axes.annotate(  # below, since it is the lowest of its line
        *("kept", (curve.best + 1, kept), (0, -6)), textcoords="offset points",
        fontsize=8, ha="center", va="top",
    )  # fmt: skip
    axes.set_yscale("log")
    # Where a curve spans about a decade, matplotlib's own labels are 2 × 10⁰ and the like.
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    subs = (1.0, 2.0, 5.0) if high > 8 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("epoch", fontsize=9)
    axes.set_ylabel("−log p a word, nats", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.legend(frameon=False, fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return _saved(figure, path)


def _output(path: Any) -> Any:
    if path is None:
        return None
    from ..io import check_output

    return check_output(path, _ENDINGS)


def _saved(figure: Figure, path: Any) -> Figure:
    if path is not None:
        from ..io import atomic_write

        with atomic_write(path) as temporary:
            figure.savefig(temporary)
    return figure
