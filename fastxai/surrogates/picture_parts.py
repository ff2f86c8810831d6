"""What all pictures of surrogates share: the fidelity above them, and widths of text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..plot.canvas import FAINT, INK, MapFigure

AGAINST, TOWARDS = "#0072B2", "#D55E00"  # less, more
RULE = "#C9C9C9"
_LINE = 0.21  # inches of a line of the heading
_SIZE = 10.0
_HINTED = 1.05  # letters are fitted to pixels: few dots an inch make them wider


@lru_cache(maxsize=4096)
def width_of(text: str, size: float, bold: bool = False) -> float:
    """Inches that a line of text takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    font = FontProperties(weight="bold" if bold else "normal")
    path = TextPath((0, 0), text.replace("$", r"\$"), size, prop=font)
    return _HINTED * float(path.get_extents().width) / 72


def cut(text: str, size: float, width: float) -> str:
    """Text that fits into so many inches."""
    if width_of(text, size) <= width + 1e-3:  # a column is as wide as its widest
        return text
    from bisect import bisect

    fits = range(1, len(text))
    most = bisect(fits, width, key=lambda count: width_of(text[:count] + "…", size))
    return text[: max(most, 1)].rstrip() + "…"


def wrap(text: str, size: float, width: float) -> list[str]:
    """Lines that fit into so many inches."""
    lines: list[str] = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def open_sheet(
    width: float, height: float, headline: str, title: str | None
) -> tuple[MapFigure, float]:
    """A figure with the title and the fidelity at its top, and the inches that these take.

    The sheet below them is ``height`` inches high.
    """
    lines = wrap(headline, _SIZE, width - 0.2)
    head = 0.12 + _LINE * (len(lines) + (title is not None)) + 0.08
    figure = MapFigure(figsize=(width, height + head))
    total = height + head
    y = total - 0.12
    style: dict[str, Any] = {"ha": "left", "va": "top", "color": INK, "parse_math": False}
    if title is not None:
        figure.text(0.1 / width, y / total, title, fontsize=_SIZE + 1, weight="bold", **style)
        y -= _LINE
    figure.text(0.1 / width, y / total, "\n".join(lines), fontsize=_SIZE, **style)
    return figure, head


def bare_axes(figure: Any, width: float, height: float, head: float) -> Any:
    """Axes below the heading whose coordinates are inches, downwards."""
    ax = figure.add_axes((0, 0, 1, height / (height + head)))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.set_axis_off()
    return ax


def plain(ax: Any) -> None:
    """Axes with a frame on two sides, and small print."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FAINT)
    ax.tick_params(labelsize=7.5, colors=FAINT, length=2.5)


def write(ax: Any, x: float, y: float, text: str, size: float, **style: Any) -> None:
    """Text as it stands, without mathematics; vertically in the middle."""
    style = {"color": INK, "va": "center", "parse_math": False, **style}
    ax.text(x, y, text, fontsize=size, **style)


def draw_nothing(headline: str, title: str | None) -> MapFigure:
    """The picture of a sum without a term."""
    width = max(5.0, width_of(headline, _SIZE) + 0.3)
    figure, head = open_sheet(width, 0.6, headline, title)
    text = "no feature has a weight: it answers the same for every row"
    write(bare_axes(figure, width, 0.6, head), 0.1, 0.3, text, 9, color=FAINT)
    return figure
