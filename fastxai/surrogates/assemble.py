"""Everything that was fitted and found, put together."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answers, BlackBox
from .columns import Columns
from .judge import Judged, Stability
from .result import Surrogate
from .tree import TreeForm
from .truth import Known, compare

_GRID = 33  # quantiles of each feature that are kept


def assemble(
    kind: str,
    columns: Columns,
    X: Any,
    Z: NDArray[np.float64],
    answers: Answers,
    box: BlackBox,
    judged: Judged,
    again: list[tuple[Any, float]],
    known: Known | None,
) -> Surrogate:
    """Put together what was fitted and found."""
    with np.errstate(invalid="ignore"):
        quantiles = np.nanquantile(Z[judged.fitted], np.linspace(0.01, 0.99, _GRID), axis=0)
    by_size: dict[tuple[tuple[str, int], ...], float] = {}
    for form, found in zip(judged.forms, judged.fidelities, strict=True):
        by_size[tuple(form.size.items())] = found  # of the same size, the last that was allowed
    dtypes: Any = getattr(X, "dtypes", None)
    return Surrogate(
        kind=kind,
        columns=columns,
        output=answers.output,
        names=answers.names,
        labels=answers.labels,
        model_name=box.name,
        form=judged.forms[-1],
        fidelity=judged.fidelity,
        by_size=[(dict(size), found) for size, found in by_size.items()],
        stability=_stability(columns, again),
        truth=None if known is None else compare(known, answers, judged.scores, judged.judged),
        quantiles=quantiles,
        box=box,
        dtypes=dict(dtypes.items()) if hasattr(dtypes, "items") else None,
    )


def _stability(columns: Columns, again: list[tuple[Any, float]]) -> Stability:
    used: Counter[str] = Counter()
    first: Counter[str] = Counter()
    for form, _ in again:
        if isinstance(form, TreeForm):
            owners = {columns.encoded[place][0] for place in form.used}
            if form.first is not None:
                first[columns.names[columns.encoded[form.first][0]]] += 1
        else:
            owners = {term.column for term in form.terms}
        used.update(columns.names[k] for k in owners)
    count = max(len(again), 1)
    return Stability(
        np.array([like for _, like in again]),
        [form for form, _ in again],
        {name: times / count for name, times in used.most_common()},
        {name: times / count for name, times in first.most_common()},
    )
