"""Edges on the device: keys row n + column, sorted, equal ones united, closed up to CSR.

Lists (n, k) give each edge in both directions, so that a key comes at most twice: as p_ij and
as p_ji.  They are neighbours after a stable sort, and no general segmented sum is needed.

Limit: the sort of 2 n k keys of 64 bits with the place each comes from, eight passes of 40
bytes a key; at its peak it holds 48 bytes a key, 96 a neighbour.  Rows beyond ``_MOST`` keys
are done slice by slice.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from ._triton import ceil_div, kernel

_BLOCK = 1024
_MOST = 1 << 28  # keys of a slice's own rows: about 25 GB with the way back

Lists = tuple[Tensor, Tensor, Tensor]


@kernel(
    "keys:*i64 order:*i64 values:*fp32 share:*fp64 weights:*fp32 entries:i32 n:i32 mix:fp32",
    [{"TOTAL": 0, "BLOCK": _BLOCK}, {"TOTAL": 1, "BLOCK": _BLOCK}],
)
def _unite(
    keys, order, values, share, weights, entries, n, mix, TOTAL: tl.constexpr, BLOCK: tl.constexpr
):
    """The weight of an edge at the first of its keys, 0 at the second and at keys of nothing."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < entries
    more = at + 1 < entries
    key = tl.load(keys + at, mask=inside, other=-1)
    before = tl.load(keys + at - 1, mask=inside & (at > 0), other=-1)
    after = tl.load(keys + at + 1, mask=more, other=-2)
    first = inside & (key != before) & (key < n.to(tl.int64) * n)
    second = first & (after == key)
    p = tl.load(values + tl.load(order + at, mask=first, other=0), mask=first, other=0.0)
    place = tl.load(order + at + 1, mask=second, other=0)
    q = tl.load(values + place, mask=second, other=0.0)
    if TOTAL:
        w = ((p.to(tl.float64) + q.to(tl.float64)) * tl.load(share)).to(tl.float32)
    else:
        w = mix * (p + q - p * q) + (1.0 - mix) * (p * q)
    tl.store(weights + at, tl.where(first, w, 0.0), mask=inside)


@kernel(
    "keys:*i64 weights:*fp32 places:*i32 columns:*i32 to:*fp32 entries:i32 n:i32",
    [{"BLOCK": _BLOCK}],
)
def _close_up(keys, weights, places, columns, to, entries, n, BLOCK: tl.constexpr):
    """Entries that weigh something, one behind the other."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < entries
    w = tl.load(weights + at, mask=inside, other=0.0)
    there = inside & (w > 0.0)
    place = tl.load(places + at, mask=there, other=1).to(tl.int64) - 1
    key = tl.load(keys + at, mask=there, other=0)
    tl.store(columns + place, (key % n).to(tl.int32), mask=there)
    tl.store(to + place, w, mask=there)


def close_up(keys: Tensor, weights: Tensor, first: int, last: int, n: int) -> Lists:
    """CSR of the rows from ``first`` to ``last`` of sorted keys; without weight is left out."""
    entries = len(keys)
    if entries == 0:
        none = weights.new_empty(0, dtype=torch.int32), weights.new_empty(0)
        return keys.new_zeros(last - first + 1), *none
    places = torch.cumsum(weights > 0, 0, dtype=torch.int32)  # counts the entry itself
    begins = torch.searchsorted(keys, torch.arange(first, last + 1, device=keys.device) * n)
    indptr = places[(begins - 1).clamp(min=0)].to(torch.int64) * (begins > 0)
    edges = int(places[-1])  # a size: waits for the device
    columns = weights.new_empty(edges, dtype=torch.int32)
    to = weights.new_empty(edges)
    grid = (ceil_div(entries, _BLOCK),)
    _close_up.launch(grid, keys, weights, places, columns, to, entries, n, BLOCK=_BLOCK)
    return indptr, columns, to


def unite(indices: Tensor, strengths: Tensor, mix: float, share: Tensor | None = None) -> Lists:
    """Lists (n, k) united with their transpose: rows sorted, no zeros.

    The weight is ``share (p + q)``, share of shape (1,) in float64, or without one
    ``mix (p + q - pq) + (1 - mix) pq``.
    """
    n, width = indices.shape
    step = max(1, _MOST // max(1, 2 * width))
    slices = [(first, min(n, first + step)) for first in range(0, n, step)] or [(0, 0)]
    parts = [_unite_rows(indices, strengths, *rows, mix, share) for rows in slices]
    if len(parts) == 1:
        return parts[0]
    indptr, end = [parts[0][0][:1]], 0
    for part in parts:
        indptr.append(part[0][1:] + end)
        end += len(part[1])
    return (
        torch.cat(indptr),
        torch.cat([part[1] for part in parts]),
        torch.cat([p[2] for p in parts]),
    )


def _unite_rows(
    indices: Tensor, strengths: Tensor, first: int, last: int, mix: float, share: Tensor | None
) -> Lists:
    n = len(indices)
    keys, values = _both_ways(indices, strengths, first, last)
    keys, order = torch.sort(keys, stable=True)
    weights = torch.empty_like(values)
    scale = weights.new_ones(1, dtype=torch.float64) if share is None else share
    _unite.launch(
        (ceil_div(len(keys), _BLOCK),), keys, order, values, scale, weights, len(keys), n, mix,
        TOTAL=int(share is not None), BLOCK=_BLOCK,
    )  # fmt: skip
    del order, values
    return close_up(keys, weights, first, last, n)


def _both_ways(indices: Tensor, strengths: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
    """Keys and strengths of the edges out of the rows from ``first`` to ``last``, and into them.

    Keys of nothing are n^2, behind all others.
    """
    n, width = indices.shape
    near, p = indices[first:last], strengths[first:last].reshape(-1)
    rows = torch.arange(first, last, device=indices.device)[:, None]
    there = (near >= 0) & (strengths[first:last] > 0)
    out = torch.where(there, rows * n + near, n * n).reshape(-1)
    if last - first == n:
        back, q = torch.where(there, near.to(torch.int64) * n + rows, n * n).reshape(-1), p
    else:
        flat, weights = indices.reshape(-1), strengths.reshape(-1)
        # Of these there are as many as there are: waits for the device.
        found = ((flat >= first) & (flat < last) & (weights > 0)).nonzero().reshape(-1)
        back = flat[found].to(torch.int64) * n + found // max(1, width)
        q = weights[found]
    return torch.cat([out, back]), torch.cat([p, q])


def rows_of(indptr: Tensor, edges: int) -> Tensor:
    """The row of each edge, int32."""
    rows = torch.arange(len(indptr) - 1, dtype=torch.int32, device=indptr.device)
    return torch.repeat_interleave(rows, torch.diff(indptr), output_size=edges)
