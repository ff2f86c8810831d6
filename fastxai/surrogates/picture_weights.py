"""Pictures of the weights of a linear model, and of fidelity by size."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..plot.canvas import FAINT, INK, MapFigure
from ..plot.colours import PLAIN
from .fidelity import AGREEMENT
from .listed import score_names
from .picture_parts import (
    AGAINST,
    RULE,
    TOWARDS,
    bare_axes,
    cut,
    draw_nothing,
    open_sheet,
    plain,
    width_of,
    write,
)
from .words import number

_TABLE_NOTE = "added to the score of a class by a feature one standard deviation above its mean"


def draw_weights(found: Any, title: str | None) -> MapFigure:
    """Weights of one standard deviation: bars, or a table where there are several classes."""
    if not found.form.terms:
        return draw_nothing(found.headline, title)
    if len(found.form.base) > 1:
        return _draw_table(found, title)
    terms = found.form.terms
    names = [found.columns.encoded_names[term.place] for term in terms]
    wide = min(2.6, max(width_of(name, 9) for name in names))
    width, high = max(wide + 4.4, width_of(found.headline, 10.0) + 0.3), 0.32 * len(terms) + 0.75
    figure, head = open_sheet(width, high, found.headline, title)
    total = high + head
    ax = figure.add_axes(
        ((wide + 0.25) / width, 0.5 / total, (width - wide - 1.65) / width, (high - 0.55) / total)
    )
    at = np.arange(len(terms))
    sizes = np.array([float(term.weights[0]) * term.spread for term in terms])
    ax.axvline(0, color=RULE, linewidth=0.8, zorder=1)
    ax.barh(at, sizes, height=0.62, color=np.where(sizes > 0, TOWARDS, AGAINST), zorder=2)
    for k, term in enumerate(terms):
        drawn = _weights_again(found, term)
        if len(drawn) > 1:
            ax.hlines(k, drawn.min(), drawn.max(), color=INK, linewidth=1.1, zorder=3)
        note = f"{number(float(term.weights[0]))} per unit"
        if len(found.stability):
            note += f"\n{len(drawn)} of {len(found.stability)} refits"
        ax.text(
            1.02, k, note, transform=ax.get_yaxis_transform(), fontsize=6.8, color=FAINT,
            va="center", linespacing=1.05,
        )  # fmt: skip
    ax.set_yticks(at, [cut(name, 9, wide) for name in names], parse_math=False)
    ax.invert_yaxis()
    plain(ax)
    ax.tick_params(axis="y", labelsize=9, colors=INK, length=0)
    ax.set_xlabel(f"{_weight_name(found)}, a standard deviation more", fontsize=8, color=INK)
    return figure


def _weight_name(found: Any) -> str:
    if found.output == "class":
        return f"log-odds of {found.names[1]}"
    return "added to the answer" if found.output == "value" else f"probability of {found.names[0]}"


def _weights_again(found: Any, term: Any) -> Any:
    """The weight of the same feature in the refits that have it, as bars."""
    return np.array(
        [
            float(other.weights[0]) * term.spread
            for form in found.stability.forms
            for other in form.terms
            if other.place == term.place
        ]
    )


def _draw_table(found: Any, title: str | None) -> MapFigure:
    """A row a feature, a column a class: red adds to its score, blue takes away."""
    from matplotlib.patches import Rectangle

    terms, heads = found.form.terms, score_names(found)
    names = [found.columns.encoded_names[term.place] for term in terms]
    wide = min(2.6, max(width_of(name, 9) for name in names)) + 0.3
    cell = max(0.62, min(1.4, max(width_of(head, 8.5) for head in heads) + 0.12))
    width = max(wide + cell * len(heads) + 0.2, width_of(found.headline, 10.0) + 0.3)
    high = 0.75 + 0.3 * len(terms) + 0.35
    figure, head = open_sheet(width, high, found.headline, title)
    ax = bare_axes(figure, width, high, head)
    sizes = np.array([term.weights * term.spread for term in terms])
    reach = float(np.abs(sizes).max()) or 1.0
    for k, name in enumerate(heads):
        write(ax, wide + cell * (k + 0.5), 0.4, cut(name, 8.5, cell - 0.06), 8.5, ha="center")
    for row, name in enumerate(names):
        y = 0.55 + 0.3 * row
        write(ax, wide - 0.12, y + 0.15, cut(name, 9, wide - 0.3), 9, ha="right")
        for k, size in enumerate(sizes[row]):
            x, colour = wide + cell * k, TOWARDS if size > 0 else AGAINST
            ink = {"facecolor": colour, "alpha": 0.75 * abs(size) / reach, "linewidth": 0}
            ax.add_patch(Rectangle((x, y), cell, 0.3, **ink))
            write(ax, x + cell / 2, y + 0.15, f"{size:+.2f}".replace("-", "−"), 8, ha="center")
    write(ax, 0.1, high - 0.15, _TABLE_NOTE, 7.5, color=FAINT)
    return figure


def draw_sizes(found: Any, title: str | None) -> MapFigure:
    """Held-out fidelity of the surrogates of each size."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    word = "leaves" if found.kind == "tree" else "terms"
    at = [size[word] for size, _ in found.by_size]
    values = [value for _, value in found.by_size]
    width = max(5.2, width_of(found.headline, 10.0) + 0.3)
    figure, head = open_sheet(width, 2.9, found.headline, title)
    total = 2.9 + head
    ax = figure.add_axes((0.7 / width, 0.5 / total, (width - 0.9) / width, 2.25 / total))
    ax.axhline(found.fidelity.constant, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.text(
        1.0, found.fidelity.constant, "a constant ", transform=ax.get_yaxis_transform(),
        ha="right", va="bottom", fontsize=8, color=FAINT,
    )  # fmt: skip
    ax.plot(at, values, "o-", color=PLAIN, markersize=4.5, linewidth=1.4)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(word, fontsize=9, color=INK)
    shares = found.fidelity.measure == AGREEMENT
    label = "agrees with the model" if shares else "R² of the model's answers"
    ax.set_ylabel(label, fontsize=9, color=INK)
    if shares:
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_ylim(min(0.0, *values), 1.02)
    plain(ax)
    return figure
