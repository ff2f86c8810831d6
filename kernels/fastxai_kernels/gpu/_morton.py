"""Points in Morton order: the bits of their coordinates interleaved (Morton 1966), sorted.

The order is that of a depth-first walk through a quadtree or octree, so every cell of the tree
is a run of points, and the codes say where it splits.  Codes cost a read of the points, the
sort some eight passes over them: the limit is memory.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._triton import ceil_div, kernel

BITS = {2: 31, 3: 21}  # of an axis
LEAF = 32  # most points of a leaf, unless their codes are all the same
_BLOCK = 256


@triton.jit
def _spread_2(x):
    """A zero bit before each of 31 bits."""
    x = (x | (x << 16)) & 0x0000FFFF0000FFFF
    x = (x | (x << 8)) & 0x00FF00FF00FF00FF
    x = (x | (x << 4)) & 0x0F0F0F0F0F0F0F0F
    x = (x | (x << 2)) & 0x3333333333333333
    return (x | (x << 1)) & 0x5555555555555555


@triton.jit
def _spread_3(x):
    """Two zero bits before each of 21 bits."""
    x = (x | (x << 32)) & 0x001F00000000FFFF
    x = (x | (x << 16)) & 0x001F0000FF0000FF
    x = (x | (x << 8)) & 0x100F00F00F00F00F
    x = (x | (x << 4)) & 0x10C30C30C30C30C3
    return (x | (x << 2)) & 0x1249249249249249


@kernel(
    "Y:*fp32 low:*fp64 scale:*fp64 n:i32 codes:*i64",
    [{"AXES": axes, "BITS": bits, "BLOCK": _BLOCK} for axes, bits in BITS.items()],
)
def _encode(
    Y, low, scale, n, codes, AXES: tl.constexpr, BITS: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """The code of each point in the cube that begins at ``low``."""
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    code = tl.zeros([BLOCK], tl.int64)
    for a in tl.static_range(AXES):
        y = tl.load(Y + rows.to(tl.int64) * AXES + a, mask=rows < n, other=0.0)
        place = (y.to(tl.float64) - tl.load(low + a)) * tl.load(scale)
        whole = tl.maximum(tl.minimum(place, (1 << BITS) - 1.0), 0.0).to(tl.int64)
        code |= (_spread_3(whole) if AXES == 3 else _spread_2(whole)) << a
    tl.store(codes + rows, code, mask=rows < n)


def morton_order(Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sorted codes (n,), the rows in that order (n,), and the points (d, n) in it.

    Y is (n, 2), to 31 bits an axis, or (n, 3), to 21 bits; n is not 0.
    """
    n, d = Y.shape
    least, most = torch.aminmax(Y, dim=0)
    low = least.double()
    extent = (most.double() - low).max()
    scale = torch.where(extent > 0, 2.0 ** BITS[d] / extent, 0.0)
    codes = torch.empty(n, dtype=torch.int64, device=Y.device)
    _encode.launch(
        (ceil_div(n, _BLOCK),), Y, low, scale, n, codes, AXES=d, BITS=BITS[d], BLOCK=_BLOCK
    )
    codes, order = torch.sort(codes, stable=True)
    return codes, order, Y[order].T.contiguous()


@kernel(
    "codes:*i64 n:i32 steps:i32 marks:*i32",
    [{"AXES": axes, "MOST": LEAF, "BLOCK": _BLOCK} for axes in BITS],
)
def _cut(codes, n, steps, marks, AXES: tl.constexpr, MOST: tl.constexpr, BLOCK: tl.constexpr):
    """Does the cell that divides a point from the one before it split there?

    Rows of marks (4, n): 0 no, 1 yes, 2 the cell's leftmost; its begin, end and level.
    """
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = (i > 0) & (i < n)
    here = tl.load(codes + i, mask=there, other=0)
    before = tl.load(codes + i - 1, mask=there, other=0)
    level = tl.zeros([BLOCK], tl.int32)
    for k in tl.static_range(5):
        higher = level + (16 >> k)
        more = ((here ^ before) >> tl.minimum(AXES * higher, 63).to(tl.int64)) != 0
        level = tl.where(more, higher, level)
    above = (AXES * (level + 1)).to(tl.int64)
    least = (here >> above) << above
    most = least + ((tl.full([BLOCK], 1, tl.int64) << above) - 1)
    begin, beyond = tl.zeros([BLOCK], tl.int32), i
    end, limit = i, tl.zeros([BLOCK], tl.int32) + n
    for _ in range(steps):
        middle = (begin + beyond) >> 1
        searching = there & (begin < beyond)
        less = searching & (tl.load(codes + middle, mask=searching, other=0) < least)
        begin = tl.where(less, middle + 1, begin)
        beyond = tl.where(less, beyond, middle)
        middle = (end + limit) >> 1
        searching = there & (end < limit)
        less = searching & (tl.load(codes + middle, mask=searching, other=0) <= most)
        end = tl.where(less, middle + 1, end)
        limit = tl.where(less, limit, middle)
    cut = there & (here != before) & (end - begin > MOST)
    at = (AXES * level).to(tl.int64)
    first = tl.load(codes + begin, mask=cut, other=0)
    leftmost = cut & ((first >> at) == (before >> at))
    to = marks + i.to(tl.int64)
    stride = n.to(tl.int64)
    tl.store(to, cut.to(tl.int32) + leftmost.to(tl.int32), mask=i < n)
    tl.store(to + stride, begin, mask=i < n)
    tl.store(to + 2 * stride, end, mask=i < n)
    tl.store(to + 3 * stride, level, mask=i < n)


def cuts(codes: Tensor, d: int) -> Tensor:
    """Where cells split, int32 (4, n): see `_cut`."""
    n = len(codes)
    marks = torch.empty((4, n), dtype=torch.int32, device=codes.device)
    grid = (ceil_div(n, _BLOCK),)
    _cut.launch(grid, codes, n, n.bit_length(), marks, AXES=d, MOST=LEAF, BLOCK=_BLOCK)
    return marks
