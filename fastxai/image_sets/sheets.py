"""Contact sheets of some images of a set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..plot import contact_sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .results import Results


def sheet(
    results: Results,
    rows: NDArray[np.int64],
    methods: Sequence[str],
    path: str | Path | None,
    options: dict[str, Any],
) -> Figure:
    """Draw them; see `Results.contact_sheet`."""
    if not len(rows):
        raise InvalidInputError("no rows: a sheet needs one image at least")
    chosen = [results.method(name) for name in methods]
    missing = [row for row in rows if row not in results.table.index]
    if missing:
        raise InvalidInputError(f"image {missing[0]} is not explained yet")
    table = results.table.loc[rows]
    panels = {name: _by_target(results, rows, name) for name in chosen}
    shape = next(iter(panels.values())).shape[:2]
    status = {name: _filled(table[f"{name}_status"], shape, "failed") for name in chosen}
    titles = [results.title(int(row)) for row in rows]
    return contact_sheet(
        [results.shown(int(row)) for row in rows],
        panels,
        _filled(table["target"], shape, -1).astype(int),
        _filled(table["target_score"], shape, np.nan).astype(float),
        signed={name: results.signed(name) for name in chosen},
        status=status,
        path=path,
        **{"names": results.names, "image_names": titles, **options},
    )


def _by_target(results: Results, rows: NDArray[np.int64], name: str) -> NDArray[np.float32]:
    maps: NDArray[np.float32] = results.take(rows, name)
    return maps[:, None] if results.single else maps


def _filled(column: Any, shape: tuple[int, int], missing: Any) -> NDArray[Any]:
    """(N, K) of a column of values or of lists; ``missing`` where there is none."""
    rows = []
    for value in column:
        row = list(value) if isinstance(value, (list, np.ndarray)) else [value]
        known = len(row) == shape[1] and not any(one is None or is_missing(one) for one in row)
        rows.append(row if known else [missing] * shape[1])
    return np.array(rows)


def is_missing(value: Any) -> bool:
    """Whether it is NaN or pandas' NA, which is not equal to itself either, but says NA."""
    import pandas as pd

    return bool(pd.isna(value))
