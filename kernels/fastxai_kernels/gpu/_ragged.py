"""Rows of ragged lengths: many short ones a program, and a program for each long one.

A tile is some rows x some entries and goes on until its longest row ends: a hub of thousands
of entries would hold up those beside it.  Hubs are listed once, left out of the tiles, and go
through wide programs of their own.  Both add in a fixed order.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._triton import Kernel, ceil_div, kernel

_LONG = 256
# Of row sums and scales; a long row's program is as wide as a row must be to be long.
TILE = {"ROWS": 16, "ENTRIES": 16, "LISTED": 0}
WIDE = {"ROWS": 1, "ENTRIES": 256, "LISTED": 1}
LONG = tl.constexpr(_LONG)


@triton.jit
def row_spans(indptr, listed, rows, ROWS: tl.constexpr, LISTED: tl.constexpr):
    """The rows of a program, where each begins, how long it is, and whether it is there."""
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = r < rows
    i = r.to(tl.int64)
    if LISTED:
        i = tl.load(listed + r, mask=inside, other=0)
    first = tl.load(indptr + i, mask=inside, other=0)
    length = tl.load(indptr + i + 1, mask=inside, other=0) - first
    if not LISTED:
        inside = inside & (length <= LONG)
    return i, first, tl.where(inside, length, 0).to(tl.int32), inside


def long_rows(indptr: Tensor) -> Tensor:
    """The rows that have a program each, int64."""
    return torch.nonzero(indptr.diff() > _LONG)[:, 0]  # a sync: how many decides the grid


def over_rows(
    run: Kernel,
    indptr: Tensor,
    hubs: Tensor,
    *arguments: Any,
    columns: int = 1,
    **constants: Any,
) -> None:
    """Launch a kernel (indptr, listed, rows, ...) on the short rows and on the long ones."""
    for rows, shape in ((len(indptr) - 1, TILE), (len(hubs), WIDE)):
        grid = (ceil_div(rows, shape["ROWS"]), columns)
        run.launch(grid, indptr, hubs, rows, *arguments, **shape, **constants)


@kernel("indptr:*i64 listed:*i64 rows:i32 values:*fp32 sums:*fp64", [TILE, WIDE])
def _row_sums(
    indptr, listed, rows, values, sums,
    ROWS: tl.constexpr, ENTRIES: tl.constexpr, LISTED: tl.constexpr,
):  # fmt: skip
    i, first, length, inside = row_spans(indptr, listed, rows, ROWS, LISTED)
    lane = tl.arange(0, ENTRIES)
    total = tl.zeros((ROWS, ENTRIES), tl.float64)  # one addition a load: memory is the limit
    for e in range(0, tl.max(length), ENTRIES):
        here = (e + lane)[None, :] < length[:, None]
        at = first[:, None] + (e + lane)[None, :]
        total += tl.load(values + at, mask=here, other=0.0).to(tl.float64)
    tl.store(sums + i, tl.sum(total, axis=1), mask=inside)


def row_sums(indptr: Tensor, values: Tensor) -> Tensor:
    """The sum of each row's values, float64; zero for an empty row."""
    sums = torch.empty(len(indptr) - 1, dtype=torch.float64, device=values.device)
    over_rows(_row_sums, indptr, long_rows(indptr), values, sums)
    return sums
