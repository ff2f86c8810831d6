"""Prototypes and criticisms (MMD-critic), without the n x n matrix.

    k(x, y)  = exp(-gamma |x - y|^2)
    c_i      = 1/n sum_j k(x_i, x_j)
    MMD^2(S) = 1/n sum_i c_i - 2/m sum_{j in S} c_j + 1/m^2 sum_{j, l in S} k(x_j, x_l),  m = |S|
    f_i      = c_i - 1/m sum_{j in S} k(x_i, x_j)

(Kim, Khanna and Koyejo 2016).  With s_i = sum_{j in S} k(x_i, x_j) kept, the point that leaves
the least MMD^2 has the largest c_i - s_i / (m + 1); with the Cholesky factor of K_CC kept, a
criticism adds |f_i| + log of its next diagonal squared.  A step takes one column of kernel
values, by direct differences.

The limit is c: n^2 d flops, half of all pairs by |x|^2 + |y|^2 - 2 xy about a centre, and 8
bytes a pair to write and read the products.  A program sums a block of a tile by rows and by
columns; these parts are summed in float64, in their order.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton.language as tl
from torch import Tensor

from . import _nearest
from ._precision import products
from ._triton import ceil_div, kernel

_PAIRS = 2**26  # of a tile: 256 MB
_ROWS, _COLUMNS = 32, 128  # of a program's block
_ALIGN = 16
_LEAST = 1e-6  # of the next diagonal squared: what is left of a copy is rounding

# Squared distances out of products err by 2e-7 of the norms.  Where that is more than 1e-5 in
# an exponent, those that are small beside the norms are computed again, by differences.
_LARGE, _DOUBT = tl.constexpr(50.0), tl.constexpr(0.01)
_LOG2E = tl.constexpr(1.4426950408889634)


@kernel(
    "tile:*fp32 norms_a:*fp32 norms_b:*fp32 a:*fp32 b:*fp32 row_parts:*fp32 column_parts:*fp32 "
    "m:i32 width:i32 d:i32",
    [{"ROWS": _ROWS, "COLUMNS": _COLUMNS}],
)
def _tile_sums(
    tile, norms_a, norms_b, a, b, row_parts, column_parts, m, width, d,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Sums of the kernel values of a block, by rows and by columns; the tile holds -2 xy."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    # Sixteen times something, as the compiler can see: loads are wide.
    stride = (width + 15) // 16 * 16
    inside = (row < m)[:, None] & (column < width)[None, :]
    there = (row < m)[:, None] & (column < stride)[None, :]
    at = row.to(tl.int64)[:, None] * stride + column[None, :]
    norms = tl.load(norms_a + row, mask=row < m, other=0.0)[:, None]
    norms = norms + tl.load(norms_b + column, mask=column < width, other=0.0)[None, :]
    square = tl.maximum(norms + tl.load(tile + at, mask=there, other=0.0), 0.0)
    doubtful = inside & (norms > _LARGE) & (square < _DOUBT * norms)
    if tl.sum(tl.sum(doubtful.to(tl.int32), 1), 0) > 0:
        direct = tl.zeros([ROWS, COLUMNS], tl.float32)
        x, y = a + row.to(tl.int64) * d, b + column.to(tl.int64) * d
        for j in range(d):
            left = tl.load(x + j, mask=row < m, other=0.0)
            gap = left[:, None] - tl.load(y + j, mask=column < width, other=0.0)[None, :]
            direct += gap * gap
        square = tl.where(doubtful, direct, square)
    value = tl.where(inside, tl.exp2(-square * _LOG2E), 0.0)
    to_row = row_parts + tl.program_id(1).to(tl.int64) * m + row
    tl.store(to_row, tl.sum(value, 1), mask=row < m)
    to_column = column_parts + tl.program_id(0).to(tl.int64) * width + column
    tl.store(to_column, tl.sum(value, 0), mask=column < width)


def kernel_sums(
    X: Tensor, centre: Tensor, gamma: float, start: int, stop: int, first: int, last: int
) -> tuple[Tensor, Tensor]:
    """Sums of the rows and of the columns of k(X[start:stop], X[first:last]), float64."""
    m, d = stop - start, X.shape[1]
    a = (X[start:stop] - centre).mul_(gamma**0.5)
    norms_a = a.square().sum(dim=1)
    row_sums = torch.zeros(m, dtype=torch.float64, device=X.device)
    column_sums = torch.empty(last - first, dtype=torch.float64, device=X.device)
    most = max(_ALIGN, min(_PAIRS // m, last - first + _ALIGN - 1) // _ALIGN * _ALIGN)
    tiles = torch.empty(m * most, dtype=torch.float32, device=X.device)
    left = -2.0 * a
    for low in range(first, last, most):
        high = min(low + most, last)
        b = (X[low:high] - centre).mul_(gamma**0.5)
        width, stride = high - low, ceil_div(high - low, _ALIGN) * _ALIGN
        tile = tiles[: m * stride].view(m, stride)
        tile[:, width:] = 0.0
        with products():
            torch.mm(left, b.T, out=tile[:, :width])
        grid = (ceil_div(m, _ROWS), ceil_div(width, _COLUMNS))
        row_parts, column_parts = a.new_empty(grid[1], m), a.new_empty(grid[0], width)
        _tile_sums.launch(
            grid, tile, norms_a, b.square().sum(dim=1), a, b, row_parts, column_parts,
            m, width, d, ROWS=_ROWS, COLUMNS=_COLUMNS,
        )  # fmt: skip
        row_sums += row_parts.sum(dim=0, dtype=torch.float64)
        column_sums[low - first : high - first] = column_parts.sum(dim=0, dtype=torch.float64)
    return row_sums, column_sums


def _column(X: Tensor, gamma: float, point: int) -> Tensor:
    """k(x_i, x_point) of every i, float64."""
    n, d = X.shape
    align = 4 if d % 4 == 0 else 1
    squares = X.new_empty(n)
    blocks = {"ALIGN": align, "ROWS": 16, "BLOCK": 64}
    # A row taken out begins at a multiple of 16 bytes, as the kernel's loads want it.
    itself = X[point].clone()
    _nearest.norms.launch((ceil_div(n, 16),), X, itself, squares, n, d // align, **blocks)
    return torch.exp(squares.double() * -gamma)


def _lowest(scores: Tensor) -> int:
    """Where the largest score is, the first of equals; -1 if all are minus infinity."""
    n = len(scores)
    largest = (scores == scores.max()) & (scores > -torch.inf)
    places = torch.where(largest, torch.arange(n, device=scores.device), n)
    found = int(places.min())  # the contract's scalar
    return found if found < n else -1


def next_prototype(
    X: Tensor, gamma: float, means: Tensor, chosen: Sequence[int], sums: Tensor
) -> int:
    """The point (the lowest of equals) that, put to those chosen, leaves the least MMD^2.

    ``means`` (n,) are c.  ``sums`` (n,) hold sum_{j in S} k(x_i, x_j) over all chosen but the
    last, whose column is added.
    """
    if chosen:
        sums += _column(X, gamma, chosen[-1])
    scores = means - sums / (len(chosen) + 1)
    scores[list(chosen)] = -torch.inf
    return _lowest(scores)


def witness(X: Tensor, gamma: float, means: Tensor, chosen: Sequence[int], sums: Tensor) -> Tensor:
    """f (n,) of the prototypes chosen; to ``sums`` the column of the last one is added."""
    sums += _column(X, gamma, chosen[-1])
    return means - sums / len(chosen)


def next_criticism(
    X: Tensor,
    gamma: float,
    witness: Tensor,
    prototypes: Sequence[int],
    chosen: Sequence[int],
    factors: Tensor,
    left: Tensor,
) -> int:
    """The point (the lowest of equals) that, put to those chosen, adds most; -1 if none can.

    None can where all that is left are copies of those chosen.  ``factors`` (n, room) are the
    rows of the Cholesky factor of K belonging to all chosen but the last, whose column is
    added; ``left`` (n,), which begins as 1, the squares of its next diagonal.
    """
    if chosen:
        last, known = chosen[-1], len(chosen) - 1
        values = _column(X, gamma, last)
        values -= (factors[:, :known] * factors[last, :known]).sum(dim=1)
        values /= left[last].sqrt()
        factors[:, known] = values
        left -= values.square()
    scores = witness.abs() + left.clamp(min=_LEAST).log()
    scores[left <= _LEAST] = -torch.inf
    scores[[*prototypes, *chosen]] = -torch.inf
    return _lowest(scores)
