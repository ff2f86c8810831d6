"""The picture of an additive model: a curve a term."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..plot.canvas import FAINT, INK, MapFigure
from ..plot.colours import PLAIN, class_colours
from .listed import grid, score_names
from .picture_parts import RULE, cut, draw_nothing, open_sheet, plain, width_of
from .words import number

_PANEL = (2.35, 1.85)
_ACROSS = 4
_LEGEND = 10  # classes with a name in the legend


def draw_curves(found: Any, title: str | None) -> MapFigure:
    """One panel a term, all of one scale; shaded is where the fits to rows drawn again lie."""
    terms = found.form.terms
    if not terms:
        return draw_nothing(found.headline, title)
    across = min(_ACROSS, len(terms))
    down = -(-len(terms) // across)
    heads = score_names(found)
    several = len(heads) > 1
    width = max(across * _PANEL[0], 5.2)
    high = down * _PANEL[1] + (0.35 if several else 0.0)
    below = 0.35 if several else 0.0
    figure, head = open_sheet(width, high, found.headline, title)
    room = (0, below / (high + head), 1, (high - below) / (high + head))
    figure.set_layout_engine("constrained", rect=room, h_pad=0.06, w_pad=0.06)
    axes = figure.subplots(down, across, sharey=True, squeeze=False)
    colours = class_colours(heads) if several else [PLAIN]
    for ax, term in zip(axes.flat, terms, strict=False):
        _draw_term(ax, found, term, colours)
    for ax in axes.flat[len(terms) :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel(_scale_name(found), fontsize=8, color=INK)
    if several:
        _add_legend(figure, heads, colours)
    return figure


def _scale_name(found: Any) -> str:
    if found.output == "class":
        binary = len(found.names) == 2
        return cut(f"log-odds of {found.names[1]}", 8, 1.5) if binary else "score of the class"
    return "adds"


def _add_legend(figure: Any, heads: list[str], colours: Any) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=c, linewidth=2, label=cut(n, 8, 1.4))
        for n, c in zip(heads[:_LEGEND], colours, strict=False)
    ]
    figure.legend(
        handles=lines, loc="lower left", ncols=len(lines), frameon=False, fontsize=8,
        handlelength=1.2, columnspacing=1.0, labelcolor=INK,
    )  # fmt: skip


def _draw_term(ax: Any, found: Any, term: Any, colours: Any) -> None:
    """A curve for each score, its band, and below it where the rows are."""
    places, rows = grid(found, term)
    values = term.contributions(rows)
    others = [
        other.contributions(rows)
        for form in found.stability.forms
        for other in form.terms
        if other.column == term.column
    ]
    ax.axhline(0, color=RULE, linewidth=0.8, zorder=1)
    levels = found.columns.columns[term.column].levels
    points = bool(levels) or term.distinct is not None
    at = np.arange(len(places)) if points else places
    for k, colour in enumerate(colours):
        band = np.array([other[:, k] for other in others]).reshape(-1, len(at))
        band = np.concatenate([band, values[None, :, k]])
        low, high = band.min(axis=0), band.max(axis=0)
        if points:
            shift = at + (k - (len(colours) - 1) / 2) * 0.12
            ax.vlines(shift, low, high, color=colour, linewidth=1.2, alpha=0.5)
            ax.plot(shift, values[:, k], "o", color=colour, markersize=5, zorder=3)
        else:
            ax.fill_between(at, low, high, color=colour, alpha=0.18, lw=0)
            ax.plot(at, values[:, k], color=colour, linewidth=1.7, zorder=3)
    plain(ax)
    if points:
        names = [cut(p, 7.5, 0.75) for p in places] if levels else [number(p) for p in places]
        ax.set_xticks(at, names, rotation=20 * (bool(levels) and len(at) > 3), parse_math=False)
        ax.set_xlim(-0.5, len(at) - 0.5)
    else:
        _add_rows(ax, found, term)
    _add_name(ax, found, term, len(others))


def _add_name(ax: Any, found: Any, term: Any, times: int) -> None:
    """The feature, and how many of the refits have it."""
    often = f"{times} of {len(found.stability)} refits" if len(found.stability) else ""
    room = _PANEL[0] - 0.5 - width_of(often, 6.5)
    name = cut(found.columns.names[term.column], 8.5, room)
    ax.set_title(name, fontsize=8.5, color=INK, loc="left", parse_math=False)
    ax.set_title(often, fontsize=6.5, color=FAINT, loc="right")


def _add_rows(ax: Any, found: Any, term: Any) -> None:
    """A tick below the curve at every tenth of the rows."""
    quantiles = found.quantiles[:, term.places[0]]
    ticks = np.interp(np.linspace(0, len(quantiles) - 1, 11), np.arange(len(quantiles)), quantiles)
    ax.plot(
        ticks, np.full(len(ticks), 0.015), "|", transform=ax.get_xaxis_transform(),
        color=FAINT, markersize=5, markeredgewidth=0.7, clip_on=False,
    )  # fmt: skip
