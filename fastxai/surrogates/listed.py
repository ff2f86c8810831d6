"""A surrogate as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from .fidelity import AGREEMENT, figure, share
from .words import counted, number, question, size_text

_WORDS = {"tree": "a decision tree", "additive": "an additive model", "linear": "a linear model"}


def describe(found: Any) -> str:
    """Fidelity first, then size, what is imitated, truth, and stability."""
    lines = [found.fidelity.headline]
    lines.append(f"  measured on {found.fidelity.rows:,} rows, {found.fidelity.how}")
    if found.fidelity.empty:
        lines.append("No better than a constant: it explains nothing of the model")
    lines.append(f"Size: {size_text(found.size)}{_half(found)}")
    what = f"{_WORDS[found.kind]} in the place of {found.model_name}, for {_imitated(found)}"
    lines.append(what[0].upper() + what[1:])
    if found.truth is not None:
        text = str(found.truth)
        lines.append(text[0].upper() + text[1:])
    if len(found.stability):
        lines.append(_stability(found))
    return "\n".join(lines)


def _imitated(found: Any) -> str:
    if found.output == "class":
        return f"its class of {len(found.names)}"
    if found.output == "value":
        return "its answer" if len(found.names) == 1 else f"its {len(found.names)} answers"
    names = found.names[0] if len(found.names) == 1 else f"{len(found.names)} classes"
    return f"its probability of {names}"


def _half(found: Any) -> str:
    """How well a surrogate of half the size would do."""
    whole = "leaves" if found.kind == "tree" else "terms"
    most = max(1, found.size[whole] // 2)
    smaller = [pair for pair in found.by_size if pair[0][whole] <= most]
    if not smaller or smaller[-1][0] == found.size:
        return ""
    size, value = smaller[-1]
    agreement = found.fidelity.measure == AGREEMENT
    return f" ({size_text(size)}: {share(value) if agreement else f'R² {figure(value)}'})"


def _stability(found: Any) -> str:
    """How like it the refits answer, and what they have in common with it."""
    count, like = len(found.stability), found.stability.likeness
    like = like[np.isfinite(like)]
    text = f"Stability: {count} fits to rows drawn again"
    if len(like):
        mean, least = float(like.mean()), float(like.min())
        if found.fidelity.measure == AGREEMENT:
            text += f" agree with it on {share(mean)} of the rows (the least {share(least)})"
        else:
            text += f" answer like it, R² {figure(mean)} (the least {figure(least)})"
    if found.kind == "tree":
        some = [f"{n} {round(p * count)}" for n, p in list(found.stability.first.items())[:4]]
        return text + (f"; first asked about: {', '.join(some)}" if some else "")
    always = [name for name, part in found.stability.used.items() if part == 1]
    often = [f"{n} {round(p * count)}" for n, p in found.stability.used.items() if p < 1]
    text += f"; in all of them: {', '.join(always[:6])}" if always else ""
    return text + (f"; in some: {', '.join(often[:6])}" if often else "")


def as_dict(found: Any) -> dict[str, Any]:
    """What ``Surrogate.to_dict`` returns."""
    value = found.fidelity.value
    likeness = found.stability.likeness
    return {
        "kind": found.kind,
        "model": found.model_name,
        "output": found.output,
        "fidelity": {
            "measure": found.fidelity.measure,
            "value": float(value),
            "low": float(getattr(value, "low", value)),
            "high": float(getattr(value, "high", value)),
            "constant": found.fidelity.constant,
            "rows": found.fidelity.rows,
            "how": found.fidelity.how,
        },
        "size": found.size,
        "by_size": [{**size, "fidelity": fidelity} for size, fidelity in found.by_size],
        "truth": None if found.truth is None else vars(found.truth),
        "stability": {
            "refits": len(found.stability),
            "likeness": [None if np.isnan(v) else float(v) for v in likeness],
            "used": found.stability.used,
            "first": found.stability.first,
        },
        "features": list(found.feature_names),
        "names": list(found.names),
        "rules": found.rules().splitlines()[1:],
    }


def list_tree(found: Any) -> str:
    """The questions of a tree, indented, an answer behind each leaf."""
    form, lines = found.form, []
    tree = form.estimator.tree_

    def visit(node: int, depth: int, condition: str) -> None:
        indent = "  " * depth
        if form.ends[node]:
            begin = f"{indent}{condition}: " if condition else ""
            lines.append(begin + leaf_text(found, node))
            return
        if condition:
            lines.append(f"{indent}{condition}")
        asked = question(found.columns, int(tree.feature[node]), float(tree.threshold[node]))
        for side, child in ((asked.left, tree.children_left), (asked.right, tree.children_right)):
            visit(int(child[node]), depth + bool(condition), f"{asked.name} {side}")

    visit(0, 0, "")
    return "\n".join(lines)


def leaf_text(found: Any, node: int) -> str:
    """What a leaf answers, for how many rows, and how often the model does."""
    values = found.form.values[node]
    rows = counted(int(found.form.estimator.tree_.n_node_samples[node]), "row")
    if found.output == "class":
        return f"{found.names[int(values.argmax())]} ({rows}, {share(float(values.max()))} of them)"
    return f"{', '.join(_named(list(found.names), values))} ({rows})"


def list_terms(found: Any) -> str:
    """The terms of a sum, the weightiest first; of linear ones the weights."""
    form, columns = found.form, found.columns
    heads = score_names(found)
    lines = ["base: " + ", ".join(_named(heads, form.base))]
    for term in form.terms:
        place = getattr(term, "place", None)
        if place is None:
            reach = contributions_on_grid(found, term)
            low, high = number(float(reach.min()), digits=3), number(float(reach.max()), digits=3)
            lines.append(f"{columns.names[term.column]}: adds from {low} to {high}")
            continue
        name = columns.encoded_names[place]
        mean = number(term.mean)
        lines.append(f"({name} − {mean}) times " + ", ".join(_named(heads, term.weights)))
    return "\n".join(lines)


def _named(heads: list[str], values: Any) -> list[str]:
    if len(heads) == 1:
        return [number(float(values[0]))]
    return [f"{head} {number(float(v))}" for head, v in zip(heads, values, strict=True)]


def score_names(found: Any) -> list[str]:
    """Names of the scores: of two classes there is one, the second's log-odds."""
    if found.output == "class" and len(found.names) == 2:
        return [found.names[1]]
    return list(found.names)


def contributions_on_grid(found: Any, term: Any) -> Any:
    """What a term adds along its feature, or for each level (g, M)."""
    return term.contributions(grid(found, term)[1])


def grid(found: Any, term: Any) -> tuple[Any, Any]:
    """Places of a term's feature, numbers or levels, and encoded rows that are there."""
    columns = found.columns
    places, width = columns.places(term.column), len(columns.encoded)
    levels = columns.columns[term.column].levels
    if levels:
        rows = np.zeros((len(levels), width))
        for place, level in zip(places, columns.columns[term.column].shown, strict=True):
            rows[levels.index(level), place] = 1.0
        return list(levels), rows
    at = term.distinct
    if at is None:
        low, high = found.quantiles[[0, -1], places[0]]
        at = np.linspace(low, high, 200)
    rows = np.zeros((len(at), width))
    rows[:, places[0]] = at
    return at, rows
