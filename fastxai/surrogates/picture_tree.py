"""The picture of a tree: read from left to right, its answers one below the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..plot.canvas import FAINT, INK, MapFigure
from ..plot.colours import PLAIN, class_colours
from .fidelity import share
from .picture_parts import RULE, bare_axes, cut, open_sheet, width_of, write
from .words import counted, number, question

_SIZE, _SMALL, _ANSWER = 9.0, 8.0, 9.5
_ROW = 0.46  # inches from one leaf to the next
_BAR, _THICK = 1.25, 0.2
_STUB, _PAD = 0.16, 0.1
_WIDEST = 2.6  # inches of a feature's name


class Layout(NamedTuple):
    """Where the nodes of a tree are, in inches."""

    x: dict[int, float]
    y: dict[int, float]
    leaf_x: float
    width: float
    height: float


def draw_tree(found: Any, title: str | None) -> MapFigure:
    """Draw the tree of a surrogate; every line is as thick as the rows that pass are many."""
    form = found.form
    texts = {node: _question(found, node) for node in form.reached() if not form.ends[node]}
    heading = width_of(found.headline, 10.0) + 0.3
    place = _lay_out(found, texts, heading)
    figure, head = open_sheet(place.width, place.height, found.headline, title)
    ax = bare_axes(figure, place.width, place.height, head)
    for node in texts:
        _draw_split(ax, found, node, texts[node], place)
    for node in form.reached():
        if form.ends[node]:
            _draw_leaf(ax, found, node, place)
    return figure


def _question(found: Any, node: int) -> tuple[str, str, str]:
    tree = found.form.estimator.tree_
    asked = question(found.columns, int(tree.feature[node]), float(tree.threshold[node]))
    return (
        cut(asked.name, _SIZE, _WIDEST),
        cut(asked.left, _SMALL, _WIDEST),
        cut(asked.right, _SMALL, _WIDEST),
    )


def _lay_out(found: Any, texts: dict[int, tuple[str, str, str]], least: float) -> Layout:
    """Leaves one below the other; splits halfway between their sides, a column for each depth."""
    form, depths = found.form, found.form.depths()
    tree = form.estimator.tree_
    y: dict[int, float] = {}
    for node in form.reached():
        if form.ends[node]:
            y[node] = 0.35 + _ROW * sum(form.ends[k] for k in y)
    for node in reversed(form.reached()):
        if not form.ends[node]:
            y[node] = (y[int(tree.children_left[node])] + y[int(tree.children_right[node])]) / 2
    columns = [0.15]
    for depth in range(max(depths.values())):
        here = [text for node, text in texts.items() if depths[node] == depth]
        names = max(width_of(name, _SIZE) for name, _, _ in here)
        sides = max(width_of(side, _SMALL) for _, *both in here for side in both)
        columns.append(columns[-1] + names + 2 * _PAD + _STUB + sides + 0.25)
    leaf_x = columns[-1]
    pairs = [_leaf_words(found, node) for node in y if form.ends[node]]
    words = max(width_of(a, _ANSWER, True) + width_of(b, _SMALL) for a, b in pairs)
    width = max(leaf_x + 0.1 + _BAR + 0.12 + words + 0.3, least)
    height = 0.35 + _ROW * (found.size["leaves"] - 1) + 0.35
    return Layout({k: columns[d] for k, d in depths.items()}, y, leaf_x, width, height)


def _draw_split(ax: Any, found: Any, node: int, text: tuple[str, str, str], place: Layout) -> None:
    """The question of a node, and the lines to its sides."""
    form, (name, *sides) = found.form, text
    tree, x, y = form.estimator.tree_, place.x[node], place.y[node]
    turn = x + width_of(name, _SIZE) + 2 * _PAD + _STUB  # lines begin below the name
    children = int(tree.children_left[node]), int(tree.children_right[node])
    for child, side, away in zip(children, sides, (-1, 1), strict=True):
        thick = 0.8 + 7 * tree.n_node_samples[child] / tree.n_node_samples[0]
        to, level = place.leaf_x if form.ends[child] else place.x[child], place.y[child]
        style = {"solid_capstyle": "butt", "solid_joinstyle": "round", "zorder": 1}
        ax.plot(
            [x + _PAD, turn, turn, to], [y, y, level, level], color=RULE, linewidth=thick, **style
        )
        beyond = level + away * (0.04 + thick / 144)
        write(ax, turn + 0.1, beyond, side, _SMALL, va="bottom" if away < 0 else "top", zorder=3)
    box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": FAINT, "lw": 0.8}
    write(ax, x + _PAD, y, name, _SIZE, bbox=box, zorder=4)


def _leaf_words(found: Any, node: int) -> tuple[str, str]:
    """The answer of a leaf, and what is known of it."""
    values = found.form.values[node]
    count = counted(int(found.form.estimator.tree_.n_node_samples[node]), "row")
    if found.output == "class":
        k = int(values.argmax())
        return cut(found.names[k], _ANSWER, 2.0), f"{count}, {share(values[k])}"
    if _are_shares(found):
        k = int(values.argmax())
        return cut(found.names[k], _ANSWER, 2.0), f"{number(values[k], digits=3)}, {count}"
    return ", ".join(map(number, values[:4])) + ", …" * (len(values) > 4), count


def _are_shares(found: Any) -> bool:
    """Whether the numbers of a leaf are probabilities of all classes."""
    return found.output == "probability" and len(found.names) > 1


def _draw_leaf(ax: Any, found: Any, node: int, place: Layout) -> None:
    """What the model answers there, as a bar or a dot, and in words."""
    y, left = place.y[node], place.leaf_x + 0.1
    values, ink = found.form.values[node], INK
    if found.output == "class" or _are_shares(found):
        ink = _draw_shares(ax, left, y, values, found.names)
    else:
        _draw_value(ax, found, left, y, values)
    x = left + _BAR + 0.12
    answer, rest = _leaf_words(found, node)
    write(ax, x, y, answer, _ANSWER, color=ink, weight="bold")
    write(ax, x + width_of(answer, _ANSWER, True) + 0.1, y, rest, _SMALL, color=FAINT)


def _draw_shares(ax: Any, left: float, y: float, values: Any, names: Any) -> Any:
    """A bar of the model's classes in a leaf; the colour of the leaf's own, to be read."""
    from matplotlib.patches import Rectangle

    from ..plot.colours import readable

    colours = class_colours(list(names))
    begun = left
    order = np.argsort(-values, kind="stable")
    for k in order:
        wide = _BAR * float(values[k])
        if wide > 0:
            ax.add_patch(
                Rectangle((begun, y - _THICK / 2), wide, _THICK, facecolor=colours[k], linewidth=0)
            )
            begun += wide
    return readable(colours[order[:1]])[0]


def _draw_value(ax: Any, found: Any, left: float, y: float, values: Any) -> None:
    """A dot on a scale that all leaves share; of several values none."""
    if len(values) != 1:
        return
    leaves = [k for k in found.form.reached() if found.form.ends[k]]
    every = found.form.values[leaves, 0]
    low, high = float(every.min()), float(every.max())
    at = (float(values[0]) - low) / (high - low) if high > low else 0.5
    ax.plot([left, left + _BAR], [y, y], color=RULE, linewidth=1, zorder=1)
    ax.plot(left + _BAR * at, y, "o", color=PLAIN, markersize=7, zorder=3)
