"""Connected components: the lowest vertex of each, by hooking and jumping.

    l_i <- l_{l_i},    l_{l_i} <- min(l_{l_i}, min of l_j over the neighbours j of i)

until nothing changes (Shiloach and Vishkin 1982; Zhang, Azad and Buluc 2020).  Labels only
fall, so that the end is the same whatever the order.  A round reads 4 bytes an edge, and
gathers 4 more that stay in the second-level cache.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from ._ragged import TILE, WIDE, long_rows, over_rows, row_spans
from ._triton import ceil_div, kernel

_JUMPS = 3  # a round
_BLOCK = 1024


@kernel("indptr:*i64 listed:*i64 rows:i32 indices:*i32 label:*i32 nobody:i32", [TILE, WIDE])
def _hook(
    indptr, listed, rows, indices, label, nobody,
    ROWS: tl.constexpr, ENTRIES: tl.constexpr, LISTED: tl.constexpr,
):  # fmt: skip
    """A vertex and the one it points to take the lowest label beside it."""
    i, first, length, inside = row_spans(indptr, listed, rows, ROWS, LISTED)
    lane = tl.arange(0, ENTRIES)
    own = tl.load(label + i, mask=inside, other=0)
    lowest = own
    for e in range(0, tl.max(length), ENTRIES):
        here = (e + lane)[None, :] < length[:, None]
        at = first[:, None] + (e + lane)[None, :]
        j = tl.load(indices + at, mask=here, other=0)
        beside = tl.load(label + j, mask=here, other=nobody)
        lowest = tl.minimum(lowest, tl.min(beside, axis=1))
    falls = inside & (lowest < own)
    tl.atomic_min(label + own, lowest, mask=falls)
    tl.atomic_min(label + i, lowest, mask=falls)


@kernel("label:*i32 n:i32", [{"BLOCK": _BLOCK}])
def _jump(label, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    own = tl.load(label + i, mask=i < n, other=0)
    further = tl.load(label + own, mask=i < n, other=0)
    falls = (i < n) & (further < own)
    tl.store(label + i, further, mask=falls)


def connected_components(indptr: Tensor, indices: Tensor) -> tuple[int, Tensor]:
    """How many components a symmetric graph has, and which one each vertex is in.

    Returns
    -------
    count : int
    owner : Tensor of shape (n,), int32
        Numbered in the order of their lowest vertices.
    """
    n, device = len(indptr) - 1, indptr.device
    vertices = torch.arange(n, dtype=torch.int32, device=device)
    label, hubs = vertices.clone(), long_rows(indptr)
    before = torch.full_like(label, -1)
    while not torch.equal(label, before):  # a sync: whether a round was the last
        before.copy_(label)
        over_rows(_hook, indptr, hubs, indices, label, n)
        for _ in range(_JUMPS):
            _jump.launch((ceil_div(n, _BLOCK),), label, n, BLOCK=_BLOCK)
    lowest = label == vertices
    number = (lowest.cumsum(0) - 1).to(torch.int32)
    return int(lowest.sum()), number.index_select(0, label)  # the contract's number
