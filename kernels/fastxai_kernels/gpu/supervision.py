"""Supervision: a fuzzy set made to agree with classes, or with a second graph.

    w_ij exp(-far)        where the classes of i and j differ
    u_ij^alpha v_ij^beta  with v the graph of the targets

(McInnes, Healy and Melville 2018, section 3.3; the intersection of fuzzy sets.)

Limits: ``class_intersection`` 16 bytes an edge and the labels out of L2; the intersection of
graphs the sort of `_edges`; ``restore_connectivity`` a binary search in the other end's row for
each edge, some five sectors of 32 bytes.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import torch
import triton.language as tl
from torch import Tensor

from ._edges import close_up, rows_of
from ._triton import ceil_div, kernel

_BLOCK = 1024
_ROWS, _COLUMNS = 16, 32


@kernel(
    "rows:*i32 columns:*i32 weights:*fp32 labels:*i32 to:*fp32 edges:i32 "
    "at_unknown:fp32 at_far:fp32",
    [{"BLOCK": _BLOCK}],
)
def _classes(
    rows, columns, weights, labels, to, edges, at_unknown, at_far, BLOCK: tl.constexpr
):  # fmt: skip
    e = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = e < edges
    mine = tl.load(labels + tl.load(rows + e, mask=inside, other=0), mask=inside, other=0)
    other = tl.load(labels + tl.load(columns + e, mask=inside, other=0), mask=inside, other=0)
    factor = tl.where(mine == other, 1.0, at_far)
    factor = tl.where((mine < 0) | (other < 0), at_unknown, factor)
    w = tl.load(weights + e, mask=inside, other=0.0)
    tl.store(to + e, w * factor, mask=inside)


def class_intersection(
    indptr: Tensor,
    columns: Tensor,
    weights: Tensor,
    labels: Tensor,
    unknown_distance: float,
    far_distance: float,
) -> Tensor:
    """Weights times exp(-far) where the labels of both ends differ, exp(-unknown) at -1."""
    edges, to = len(weights), torch.empty_like(weights)
    _classes.launch(
        (ceil_div(edges, _BLOCK),), rows_of(indptr, edges), columns, weights, labels, to, edges,
        math.exp(-unknown_distance), math.exp(-far_distance), BLOCK=_BLOCK,
    )  # fmt: skip
    return to


@kernel(
    "keys:*i64 order:*i64 weights:*fp32 target_weights:*fp32 known:*i8 smallest:*fp32 "
    "to:*fp32 edges:i32 entries:i32 n:i32 at_unknown:fp32 alpha:fp32 beta:fp32",
    [{"BLOCK": _BLOCK}],
)
def _product(
    keys, order, weights, target_weights, known, smallest, to, edges, entries, n,
    at_unknown, alpha, beta, BLOCK: tl.constexpr,
):  # fmt: skip
    """The weight at the first key of an edge, 0 at the second; the first graph's come first."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < entries
    key = tl.load(keys + at, mask=inside, other=-1)
    first = inside & (key != tl.load(keys + at - 1, mask=inside & (at > 0), other=-1))
    both = first & (key == tl.load(keys + at + 1, mask=at + 1 < entries, other=-2))
    place = tl.load(order + at, mask=first, other=0)
    mine = first & (place < edges)
    theirs = tl.where(both, tl.load(order + at + 1, mask=both, other=0), place) - edges
    has_theirs = first & (theirs >= 0)
    u = tl.load(weights + place, mask=mine, other=0.0)
    v = tl.load(target_weights + theirs, mask=has_theirs, other=0.0)
    u = tl.where(mine, u, tl.load(smallest))
    v = tl.where(has_theirs, v, tl.load(smallest + 1))
    i = key // n
    j = key - i * n
    i_known = tl.load(known + i, mask=first, other=0) != 0
    j_known = tl.load(known + j, mask=first, other=0) != 0
    # One of the exponents is 1, and that factor untouched; neither is above.
    u_part = tl.where(alpha == 1.0, u, tl.exp2(alpha * tl.log2(u)))
    v_part = tl.where(beta == 1.0, v, tl.exp2(beta * tl.log2(v)))
    w = tl.where(i_known & j_known, u_part * v_part, tl.where(mine, u * at_unknown, 0.0))
    tl.store(to + at, tl.where(first, w, 0.0), mask=inside)


def _keys(indptr: Tensor, columns: Tensor) -> Tensor:
    rows = rows_of(indptr, len(columns)).to(torch.int64)
    return rows.mul_(len(indptr) - 1).add_(columns)


def _half_smallest(weights: Tensor) -> Tensor:
    smallest = weights.amin().clamp(max=1.0) if len(weights) else weights.new_ones(())
    return (smallest / 2).clamp(min=1e-8)


def graph_intersection(
    indptr: Tensor,
    columns: Tensor,
    weights: Tensor,
    target_indptr: Tensor,
    target_columns: Tensor,
    target_weights: Tensor,
    known: Tensor,
    unknown_distance: float,
    mix_weight: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The product of two graphs, u^alpha v^beta, on every edge that one of them has.

    alpha = 1, beta = m / (1 - m) for a mix weight m below 1/2, else beta = 1 and
    alpha = (1 - m) / m.  An edge that one graph lacks counts there as half its smallest
    weight, at least 1e-8 (and at most 1e-4 in the target's).  Edges with an end that is not
    ``known`` are those of the first graph times exp(-unknown).
    """
    n = len(indptr) - 1
    least, target_least = _half_smallest(weights), _half_smallest(target_weights)
    smallest = torch.stack([least, target_least.clamp(max=1e-4)])
    alpha = 1.0 if mix_weight < 0.5 else (1.0 - mix_weight) / mix_weight
    beta = mix_weight / (1.0 - mix_weight) if mix_weight < 0.5 else 1.0
    keys = torch.cat([_keys(indptr, columns), _keys(target_indptr, target_columns)])
    keys, order = torch.sort(keys, stable=True)
    to = weights.new_empty(len(keys))
    _product.launch(
        (ceil_div(len(keys), _BLOCK),), keys, order, weights, target_weights,
        known.view(torch.int8), smallest, to, len(weights), len(keys), n,
        math.exp(-unknown_distance), alpha, beta, BLOCK=_BLOCK,
    )  # fmt: skip
    del order
    return close_up(keys, to, 0, n, n)


@kernel(
    "indptr:*i64 weights:*fp32 largest:*fp32 n:i32",
    [{"ROWS": _ROWS, "BLOCK": _COLUMNS, "num_warps": 1}],
)
def _row_maxima(indptr, weights, largest, n, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = i < n
    begin = tl.load(indptr + i, mask=there, other=0)
    length = (tl.load(indptr + i + 1, mask=there, other=0) - begin).to(tl.int32)
    columns = tl.arange(0, BLOCK)
    top = tl.zeros([ROWS, BLOCK], tl.float32)
    for at in range(0, tl.max(length, 0), BLOCK):
        inside = (at + columns)[None, :] < length[:, None]
        w = tl.load(weights + begin[:, None] + (at + columns)[None, :], mask=inside, other=0.0)
        top = tl.maximum(top, w)
    tl.store(largest + i, tl.max(top, 1), mask=there)


@kernel(
    "indptr:*i64 rows:*i32 columns:*i32 weights:*fp32 largest:*fp32 to:*fp32 edges:i32",
    [{"BLOCK": 256}],
)
def _restore(indptr, rows, columns, weights, largest, to, edges, BLOCK: tl.constexpr):
    e = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = e < edges
    i = tl.load(rows + e, mask=inside, other=0)
    j = tl.load(columns + e, mask=inside, other=0)
    low = tl.load(indptr + j, mask=inside, other=0)
    end = tl.load(indptr + j + 1, mask=inside, other=0)
    high = end
    while tl.max(high - low, 0) > 0:  # the edge back
        open_ = low < high
        middle = (low + high) >> 1
        before = tl.load(columns + middle, mask=open_, other=0) < i
        low = tl.where(open_ & before, middle + 1, low)
        high = tl.where(open_ & (before == 0), middle, high)
    back = inside & (low < end)
    back = back & (tl.load(columns + low, mask=back, other=-1) == i)
    p = tl.load(weights + e, mask=inside, other=0.0)
    q = tl.load(weights + low, mask=back, other=0.0)
    mine = tl.load(largest + i, mask=inside, other=0.0)
    theirs = tl.load(largest + j, mask=inside, other=0.0)
    # Quotients as IEEE has them: the largest of a row becomes 1.
    p = tl.where(mine > 0.0, tl.div_rn(p, tl.where(mine > 0.0, mine, 1.0)), 0.0)
    q = tl.where(theirs > 0.0, tl.div_rn(q, tl.where(theirs > 0.0, theirs, 1.0)), 0.0)
    tl.store(to + e, p + q - p * q, mask=inside)


def restore_connectivity(indptr: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
    """Rows divided by their maximum, then p + p^T - p p^T; the graph's pattern is symmetric."""
    n, edges = len(indptr) - 1, len(weights)
    largest, to = weights.new_empty(n), torch.empty_like(weights)
    grid = (ceil_div(n, _ROWS),)
    _row_maxima.launch(grid, indptr, weights, largest, n, ROWS=_ROWS, BLOCK=_COLUMNS)
    _restore.launch(
        (ceil_div(edges, 256),), indptr, rows_of(indptr, edges), columns, weights, largest, to,
        edges, BLOCK=256,
    )  # fmt: skip
    return to
