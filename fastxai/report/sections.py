"""What the page tells, section by section, as values the template can show."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..image_sets.results import Results
from ..metrics._estimate import Estimate
from . import pictures
from .evidence import Evidence, Spread
from .facts import MOST_CLASSES, Facts, accuracies, difference

_CHANGES = 10  # classes that change most
_MOST_GROUPS = 6  # columns of the table of classes and groups

ClassChange = tuple[str, Estimate, Estimate, Estimate]


class Row(NamedTuple):
    """A line of a table: a class or a group, and a mean map a method."""

    facts: Facts
    maps: list[str]
    spread: Spread


class Change(NamedTuple):
    """A group against the first one."""

    facts: Facts
    accuracy: Estimate | None
    score: Estimate | None
    area: Estimate | None
    inside: Estimate | None
    maps: list[str]
    classes: list[ClassChange]


def rows(evidence: dict[str, Evidence], found: list[Facts]) -> list[Row]:
    """Lines with mean maps, each scaled to its own highest value: one line may be far sharper."""
    shown = found[:MOST_CLASSES]
    spreads = {name: [one.of(facts.rows) for facts in shown] for name, one in evidence.items()}
    columns = {name: _column([spread.mean for spread in some]) for name, some in spreads.items()}
    first = next(iter(spreads), None)
    empty = Spread(0, None, None, None, None, None)
    return [
        Row(
            facts,
            [column[i] for column in columns.values()],
            empty if first is None else spreads[first][i],
        )
        for i, facts in enumerate(shown)
    ]


def _column(means: list[Any]) -> list[str]:
    return ["" if mean is None else pictures.heat(mean, float(mean.max())) for mean in means]


def changes(results: Results, evidence: dict[str, Evidence], groups: list[Facts]) -> list[Change]:
    """Every other group against the first: how far figures and mean maps moved."""
    if len(groups) < 2:
        return []
    first = groups[0]
    name = next(iter(evidence), None)
    before = evidence[name].of(first.rows) if name else None
    found = []
    for group in groups[1:]:
        after = evidence[name].of(group.rows) if name else None
        pairs = ((before, after),) if before and after else ()
        area = next((difference(one.area, two.area) for one, two in pairs), None)
        inside = next((difference(one.inside, two.inside) for one, two in pairs), None)
        found.append(
            Change(
                group,
                difference(first.accuracy, group.accuracy),
                difference(first.score, group.score),
                area,
                inside,
                [_moved(one, first, group) for one in evidence.values()],
                _changed(results, first, group),
            )
        )
    return found


def _moved(evidence: Evidence, first: Facts, group: Facts) -> str:
    """Where the evidence is more (red) or less (blue) than in the first group."""
    one, two = evidence.of(first.rows).mean, evidence.of(group.rows).mean
    if one is None or two is None:
        return ""
    moved = two - one
    return pictures.heat(moved, float(np.abs(moved).max()), signed=True)


def _changed(results: Results, first: Facts, group: Facts) -> list[ClassChange]:
    """Classes whose accuracy changed most, in both groups and its difference."""
    before, after = (accuracies(results.table.loc[one.rows]) for one in (first, group))
    found = []
    for k in sorted(before.keys() & after.keys()):
        change = difference(before[k], after[k])
        assert change is not None
        found.append((results.class_name(k), before[k], after[k], change))
    return sorted(found, key=lambda line: -abs(line[3].value))[:_CHANGES]


def matrix(results: Results, groups: list[Facts]) -> list[tuple[str, list[Estimate | None]]]:
    """The accuracy of each class in each group, where both are few."""
    if not 2 <= len(groups) <= _MOST_GROUPS:
        return []
    columns = [accuracies(results.table.loc[group.rows]) for group in groups]
    if sum(map(bool, columns)) < 2:  # the true classes of one group only are known
        return []
    known = sorted({k for column in columns for k in column})
    if not 2 <= len(known) <= MOST_CLASSES:
        return []
    return [(results.class_name(k), [column.get(k) for column in columns]) for k in known]
