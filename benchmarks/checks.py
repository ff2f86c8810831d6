"""A target beside its figure: met, or missed by how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import Any

Check = dict[str, Any]
RECORDED = "recorded"


def faster(what: str, ours: float, theirs: float | None, at_least: float, unit: str = "s") -> Check:
    """``theirs / ours >= at_least``."""
    figure = None if theirs is None else theirs / ours
    return {
        "what": what,
        "unit": unit,
        "ours": ours,
        "theirs": theirs,
        "figure": figure,
        "shown": "–" if figure is None else f"{figure:.1f}×",
        "target": f"≥ {at_least:g}×",
        "met": None if figure is None else figure >= at_least,
        "by": None if figure is None else f"{figure / at_least - 1:+.0%}",
    }


def at_most_share(
    what: str, ours: float, theirs: float | None, share: float, unit: str = "s"
) -> Check:
    """``ours / theirs <= share``."""
    figure = None if theirs is None else ours / theirs
    return {
        "what": what,
        "unit": unit,
        "ours": ours,
        "theirs": theirs,
        "figure": figure,
        "shown": "–" if figure is None else f"{figure:.2f}×",
        "target": f"≤ {share:g}×",
        "met": None if figure is None else figure <= share,
        "by": None if figure is None else f"{figure / share - 1:+.0%}",
    }


def in_turn(
    kind: Callable[..., Check],
    what: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    target: float,
) -> Check:
    """`faster` or `at_most_share` by the median of the ratios within rounds."""
    ratio = median(t / o for o, t in zip(ours, theirs, strict=True))
    check = kind(what, median(ours), median(ours) * ratio, target)
    return {**check, "theirs": median(theirs)}


def not_below(what: str, ours: float, theirs: float | None, allowed: float = 0.0) -> Check:
    """``ours >= theirs - allowed``, for a quality in [0, 1]."""
    figure = None if theirs is None else ours - theirs
    return {
        "what": what,
        "unit": "",
        "ours": ours,
        "theirs": theirs,
        "figure": figure,
        "shown": "–" if figure is None else f"{figure:+.4f}",
        "target": "≥ theirs" + (f" − {allowed:g}" if allowed else ""),
        "met": None if figure is None else figure >= -allowed,
        "by": None if figure is None else f"{figure + allowed:+.4f}",
    }


def not_above(what: str, ours: float, theirs: float | None, unit: str = "") -> Check:
    """``ours <= theirs``, for an error or a loss."""
    figure = None if theirs is None else ours - theirs
    return {
        "what": what,
        "unit": unit,
        "ours": ours,
        "theirs": theirs,
        "figure": figure,
        "shown": "–" if figure is None else f"{figure:+.4f}",
        "target": "≤ theirs",
        "met": None if figure is None else figure <= 0,
        "by": None if figure is None else f"{figure:+.4f}",
    }


def recorded(what: str, ours: float | None, theirs: float | None, unit: str = "") -> Check:
    """A figure without a target."""
    return {
        "what": what,
        "unit": unit,
        "ours": ours,
        "theirs": theirs,
        "figure": None,
        "shown": f"{theirs / ours:.1f}×" if ours and theirs and unit else "",
        "target": RECORDED,
        "met": None,
        "by": None,
    }


def at_most(what: str, ours: float, limit: float, unit: str, why: str = "") -> Check:
    """``ours <= limit``."""
    return {
        "what": what,
        "unit": unit,
        "ours": ours,
        "theirs": None,
        "figure": ours,
        "shown": "",
        "target": f"≤ {limit:.2f} {unit}".rstrip() + (f" ({why})" if why else ""),
        "met": ours <= limit,
        "by": f"{ours / limit - 1:+.0%}",
    }


def holds(what: str, true: bool) -> Check:
    """Something that is so or not."""
    return {
        "what": what,
        "unit": "",
        "ours": None,
        "theirs": None,
        "figure": None,
        "shown": "yes" if true else "no",
        "target": "yes",
        "met": true,
        "by": None,
    }


def middle(runs: Sequence[dict[str, Any]], key: str = "wall") -> float | None:
    """Median over runs; None without any."""
    return median(run[key] for run in runs) if runs else None


def average(runs: Sequence[dict[str, Any]], key: str) -> float | None:
    """Mean of a quality over runs; None without any."""
    return mean(run["quality"][key] for run in runs) if runs else None


def stage_medians(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Median seconds of each stage, what is left of the wall time as "rest"."""
    pick: Callable[[str], float] = lambda name: median(r["stages"].get(name, 0.0) for r in runs)  # noqa: E731
    names = list(dict.fromkeys(name for run in runs for name in run["stages"]))
    table = {name: pick(name) for name in names}
    table["rest"] = median(run["wall"] - sum(run["stages"].values()) for run in runs)
    return table


QUALITIES = {
    "label_accuracy": ("label accuracy", 0.005),
    "neighbor_preservation": ("15-neighbour preservation", 0.0),
    "random_triplet_accuracy": ("random-triplet accuracy", 0.01),
}


def quality_checks(
    ours: Sequence[dict[str, Any]],
    theirs: Sequence[dict[str, Any]],
    allowances: dict[str, float] | None = None,
) -> list[Check]:
    """The qualities of an embedding, averaged over runs, each with its allowance."""
    checks = []
    for key, (name, usual) in QUALITIES.items():
        allowed = (allowances or {}).get(key, usual)
        if ours and key in ours[0]["quality"]:
            mine = average(ours, key)
            assert mine is not None
            checks.append(not_below(name, mine, average(theirs, key), allowed))
    return checks
