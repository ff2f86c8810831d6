"""Equal rows: a hash of each.

    h(x) = mix(sum_j mix(word_j + (j + 1) odd)),   mix: the 64-bit finaliser of MurmurHash3

A word is mixed with its place, so that the order counts and words can be added in parallel.
The limit: 4 n d bytes are read.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._triton import ceil_div, kernel

_ROWS, _BLOCK = 16, 64

_SHIFT = tl.constexpr(33)
_FIRST = tl.constexpr(0xFF51AFD7ED558CCD)
_SECOND = tl.constexpr(0xC4CEB9FE1A85EC53)
_PLACE = tl.constexpr(0x9E3779B97F4A7C15)


@triton.jit
def _mixed(h):
    h = (h ^ (h >> _SHIFT)) * _FIRST
    h = (h ^ (h >> _SHIFT)) * _SECOND
    return h ^ (h >> _SHIFT)


@kernel(
    "points:*fp32 hashes:*i64 n:i32 parts:i32",
    [{"ALIGN": align, "ROWS": _ROWS, "BLOCK": _BLOCK} for align in (1, 4)],
)
def _hash(points, hashes, n, parts, ALIGN: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    d = parts * ALIGN  # so that the compiler sees aligned rows
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    total = tl.zeros([ROWS, BLOCK], tl.uint64)
    for start in range(0, d, BLOCK):
        j = start + tl.arange(0, BLOCK)
        inside = (row < n)[:, None] & (j < d)[None, :]
        values = tl.load(
            points + row.to(tl.int64)[:, None] * d + j[None, :], mask=inside, other=0.0
        )
        words = tl.where(values == 0.0, 0.0, values).to(tl.uint32, bitcast=True)  # -0.0 as 0.0
        place = (j + 1).to(tl.uint64) * _PLACE
        total += tl.where(inside, _mixed(words.to(tl.uint64) + place[None, :]), 0).to(tl.uint64)
    hashes += row
    tl.store(hashes, _mixed(tl.sum(total, 1)).to(tl.int64, bitcast=True), mask=row < n)


def hash_rows(points: Tensor) -> Tensor:
    """A 64-bit hash of each row, as int64; equal rows have equal hashes.

    They are not those of the CPU.
    """
    n, d = points.shape
    hashes = torch.empty(n, dtype=torch.int64, device=points.device)
    align = 4 if d % 4 == 0 else 1
    shape = {"ALIGN": align, "ROWS": _ROWS, "BLOCK": _BLOCK}
    _hash.launch((ceil_div(n, _ROWS),), points, hashes, n, d // align, **shape)
    return hashes
