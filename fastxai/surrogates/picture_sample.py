"""Pictures of one row: the thresholds it passed, or the terms that add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..plot.canvas import FAINT, INK, MapFigure
from ..plot.colours import PLAIN
from .picture_parts import (
    AGAINST,
    RULE,
    TOWARDS,
    bare_axes,
    cut,
    open_sheet,
    plain,
    width_of,
    write,
)
from .words import number

if TYPE_CHECKING:
    from .explained import Path, Sum

_SCALE = 2.6  # inches of the scale of a rule
_STEP = 0.52
_WARNING = "#B00020"


def _verdict(found: Any) -> tuple[str, str]:
    """What both say, and the colour to write it in."""
    if found.model_answer is None:
        return f"the surrogate says {found.answer}", INK
    if found.agrees is None or found.agrees:
        return f"the surrogate says {found.answer}, the model {found.model_answer}", INK
    but = f"the surrogate says {found.answer}, but the model {found.model_answer}"
    return f"{but}: no explanation of it", _WARNING


def draw_path(found: Path, title: str | None) -> MapFigure:
    """Draw the rules from top to bottom: shaded is the side of the threshold that holds."""
    texts = [f"{rule.feature} {rule.condition}" for rule in found.rules]
    verdict, ink = _verdict(found)
    words = min(3.6, max([width_of(text, 9) for text in texts] or [1.0])) + 0.45
    width = max(
        words + _SCALE + 0.9,
        width_of(found.fidelity, 10.0) + 0.3,
        width_of(verdict, 9.5) + 0.3,
        width_of(found.leaf_text, 8.5) + 0.3,
    )
    high = 0.5 + _STEP * len(texts) + 0.45
    figure, head = open_sheet(width, high, found.fidelity, title)
    ax = bare_axes(figure, width, high, head)
    write(ax, 0.1, 0.15, verdict, 9.5, color=ink)
    for k, (rule, text) in enumerate(zip(found.rules, texts, strict=True)):
        y = 0.62 + _STEP * k
        if k:
            ax.plot([0.25, 0.25], [y - _STEP + 0.13, y - 0.13], color=RULE, linewidth=1.2)
        write(ax, 0.25, y, str(k + 1), 8, color=FAINT, ha="center")
        write(ax, 0.45, y, cut(text, 9, 3.6), 9)
        _draw_rule(ax, rule, words + 0.2, y)
    write(ax, 0.1, high - 0.2, found.leaf_text, 8.5, color=FAINT)
    return figure


def _draw_rule(ax: Any, rule: Any, left: float, y: float) -> None:
    """A scale over the middle 98% of the rows, the threshold, and the row's own value."""
    if rule.threshold is None or np.isnan(rule.number):
        write(ax, left, y, f"it is {rule.value}", 8, color=FAINT)
        return
    low = min(rule.span[0], rule.threshold, rule.number)
    high = max(rule.span[1], rule.threshold, rule.number)
    wide = (high - low) or 1.0
    at, mark = (left + _SCALE * (v - low) / wide for v in (rule.number, rule.threshold))
    side = (left, mark) if rule.number <= rule.threshold else (mark, left + _SCALE)
    ax.plot([left, left + _SCALE], [y, y], color=RULE, linewidth=1.2, zorder=1)
    ax.plot(side, [y, y], color=PLAIN, linewidth=5, alpha=0.3, solid_capstyle="butt", zorder=2)
    ax.plot([mark, mark], [y - 0.1, y + 0.1], color=INK, linewidth=1.2, zorder=3)
    ax.plot(at, y, "o", color=PLAIN, markersize=7, zorder=4)
    write(ax, at, y - 0.1, rule.value, 7.5, color=PLAIN, ha="center", va="bottom")
    write(ax, mark, y + 0.11, number(rule.threshold), 7.5, ha="center", va="top")


def draw_sum(found: Sum, title: str | None) -> MapFigure:
    """Draw the terms as steps from an average row to this one."""
    names = [cut(f"{name} = {value}", 9, 3.2) for name, value, _ in found.parts]
    verdict, ink = _verdict(found)
    wide = max([width_of(name, 9) for name in names] + [width_of("an average row", 9)]) + 0.35
    width = max(wide + 4.2, width_of(found.fidelity, 10.0) + 0.3, width_of(verdict, 9.5) + 0.3)
    high = 0.3 * (len(names) + 2) + 1.0
    figure, head = open_sheet(width, high, found.fidelity, title)
    total = high + head
    figure.text(
        0.1 / width, (high - 0.05) / total, verdict, fontsize=9.5, color=ink, va="top",
        parse_math=False,
    )  # fmt: skip
    box = (wide / width, 0.5 / total, (width - wide - 0.3) / width, (high - 0.85) / total)
    ax = figure.add_axes(box)
    amounts = [part[2] for part in found.parts]
    ends = found.base + np.cumsum([0.0, *amounts])
    for k, amount in enumerate(amounts):
        colour = TOWARDS if amount > 0 else AGAINST
        ax.barh(k + 1, amount, left=ends[k], height=0.62, color=colour, zorder=2)
    for k, end in enumerate(ends):
        ax.plot([end, end], [k, k + 1], color=FAINT, linewidth=0.6, zorder=1)
    ax.plot(found.base, 0, "o", color=FAINT, markersize=6, zorder=3)
    ax.plot(ends[-1], len(names) + 1, "o", color=INK, markersize=7, zorder=3)
    _add_numbers(ax, found, ends, amounts)
    ax.set_yticks(range(len(names) + 2), ["an average row", *names, "this row"], parse_math=False)
    ax.set_ylim(len(names) + 1.6, -0.6)
    plain(ax)
    ax.tick_params(axis="y", labelsize=9, colors=INK, length=0)
    ax.set_xlabel(found.score, fontsize=8.5, color=INK, parse_math=False)
    return figure


def _add_numbers(ax: Any, found: Sum, ends: Any, amounts: list[float]) -> None:
    """Each step's amount, on the side where there is room."""
    low, high = float(ends.min()), float(ends.max())
    room = 0.16 * (high - low or 1.0)
    ax.set_xlim(low - room, high + room)
    style: dict[str, Any] = {"fontsize": 7.5, "va": "center", "color": INK, "zorder": 4}
    style |= {"textcoords": "offset points", "ha": "left"}
    for k, amount in enumerate(amounts):
        sign = "+" if amount > 0 else "−"
        text, right = f"{sign}{number(abs(amount), digits=3)}", max(ends[k], ends[k + 1])
        ax.annotate(text, (right, k + 1), (4, 0), **style)
    for place, row, weight in ((ends[0], 0, "normal"), (ends[-1], len(amounts) + 1, "bold")):
        ax.annotate(number(float(place)), (place, row), (7, 0), weight=weight, **style)
