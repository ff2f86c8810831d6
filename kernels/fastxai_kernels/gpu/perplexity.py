"""t-SNE's affinities: from the distances of neighbours to a joint distribution.

    p_j|i  = exp(-beta_i d_ij^2) / sum_k exp(-beta_i d_ik^2)
    beta_i   solves  -sum_j p_j|i log p_j|i = log(perplexity)
    p_ij   = (p_j|i + p_i|j) / sum of all

(van der Maaten and Hinton 2008, section 2).  Several perplexities: the mean of their p_j|i
(Lee, Peluffo-Ordóñez and Verleysen 2015).  Neighbours at infinite distance count for
nothing.  A perplexity out of reach: with no more than that many finite neighbours, all of
them alike; with at least that many at the smallest distance, those alike.

The entropy falls with beta, which is found by bisection on its bits: they are ordered as the
numbers are, and 31 steps reach the last bit of a float32.

Limits: ``conditional_affinities`` 31 exponentials and two sums of a neighbour, on 8 bytes, for
each perplexity; ``joint_affinities`` the sort of `_edges`.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._edges import unite
from ._triton import ceil_div, kernel

_STEPS = tl.constexpr(31)
_LOW = tl.constexpr(0x095E884F)  # the bits of exp(-75)
_HIGH = tl.constexpr(0x7593401C)  # the bits of exp(75)
_LARGEST = tl.constexpr(1e30)  # of a squared distance, in units of the row's
_NOTHING = tl.constexpr(300.0)  # 2^-300 is 0
_LOG2E = tl.constexpr(1.4426950408889634)

# A warp a program: sums along rows need no shared memory.
_TILES = [(32, 8, 0, 1), (128, 4, 0, 1), (512, 1, 0, 1), (1024, 1, 1, 4)]


@triton.jit
def _tile(distances, i, there, at, width, BLOCK: tl.constexpr):
    columns = at + tl.arange(0, BLOCK)
    inside = there[:, None] & (columns < width)[None, :]
    pointers = distances + i.to(tl.int64)[:, None] * width + columns[None, :]
    return tl.load(pointers, mask=inside, other=float("inf"))


@triton.jit
def _exponents(d, first, unit, height):
    """d^2 less the smallest, base 2, in units of the neighbour that perplexity counts to."""
    finite = d < float("inf")
    unit = tl.broadcast_to(unit[:, None], d.shape)
    near = tl.where(finite, d, unit)
    low = first[:, None]
    # Quotients as IEEE has them: those of very large or very small numbers are else 0.
    x = tl.div_rn(near - low, unit) * (tl.div_rn(near, unit) + tl.div_rn(low, unit))
    x = tl.minimum(tl.div_rn(x, tl.broadcast_to(height[:, None], d.shape)), _LARGEST) * _LOG2E
    return tl.where(finite, x, float("inf"))


@kernel(
    "distances:*fp32 affinities:*fp32 n:i32 width:i32 "
    "at_most:i32 at_least:i32 target:fp32 share:fp32 add:i32",
    [
        {"ROWS": rows, "BLOCK": block, "MANY": many, "num_warps": warps}
        for block, rows, many, warps in _TILES
    ],
)
def _affinities(
    distances, affinities, n, width, at_most, at_least, target, share, add,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, MANY: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = i < n
    rows = distances + i.to(tl.int64) * width
    first = tl.load(rows, mask=there, other=float("inf"))
    k = tl.zeros([ROWS], tl.int32)
    ties = tl.zeros([ROWS], tl.int32)
    for at in range(0, width, BLOCK):
        d = _tile(distances, i, there, at, width, BLOCK)
        finite = d < float("inf")
        k += tl.sum(finite.to(tl.int32), 1)
        ties += tl.sum((finite & (d <= first[:, None])).to(tl.int32), 1)
    solvable = (k > at_most) & (ties < at_least)
    unit = tl.load(rows + at_most, mask=solvable, other=1.0)
    first = tl.where(solvable, first, 0.0)
    height = tl.div_rn(unit - first, unit) * (1.0 + tl.div_rn(first, unit))
    low = tl.full([ROWS], _LOW, tl.int32)
    high = tl.full([ROWS], _HIGH, tl.int32)
    x = _exponents(_tile(distances, i, there, 0, width, BLOCK), first, unit, height)
    for _ in range(_STEPS):
        middle = low + ((high - low) >> 1)
        beta = middle.to(tl.float32, bitcast=True)[:, None]
        t = tl.minimum(beta * x, _NOTHING)
        p = tl.exp2(-t)
        zero = tl.sum(p, 1)
        one = tl.sum(p * t, 1)
        if MANY:
            for at in range(BLOCK, width, BLOCK):
                d = _tile(distances, i, there, at, width, BLOCK)
                t = tl.minimum(beta * _exponents(d, first, unit, height), _NOTHING)
                p = tl.exp2(-t)
                zero += tl.sum(p, 1)
                one += tl.sum(p * t, 1)
        zero = tl.where(solvable, zero, 1.0)
        spread = tl.log2(zero) + one / zero > target
        low = tl.where(spread, middle, low)
        high = tl.where(spread, high, middle)
    beta = low.to(tl.float32, bitcast=True)[:, None]
    zero = tl.sum(tl.exp2(-tl.minimum(beta * x, _NOTHING)), 1)
    if MANY:
        for at in range(BLOCK, width, BLOCK):
            d = _tile(distances, i, there, at, width, BLOCK)
            x = _exponents(d, first, unit, height)
            zero += tl.sum(tl.exp2(-tl.minimum(beta * x, _NOTHING)), 1)
    alike = tl.where(k <= at_most, k, ties)
    even = tl.where(solvable, 0.0, share / tl.maximum(alike, 1).to(tl.float32))
    factor = tl.where(solvable, share / tl.where(solvable, zero, 1.0), 0.0)
    alike = tl.where(solvable, 0, alike)
    again = there & (tl.zeros([ROWS], tl.int32) + add > 0)
    for at in range(0, width, BLOCK):
        d = _tile(distances, i, there, at, width, BLOCK)
        x = _exponents(d, first, unit, height)
        p = factor[:, None] * tl.exp2(-tl.minimum(beta * x, _NOTHING))
        columns = at + tl.arange(0, BLOCK)
        p = tl.where(columns[None, :] < alike[:, None], even[:, None], p)
        inside = there[:, None] & (columns < width)[None, :]
        to = affinities + i.to(tl.int64)[:, None] * width + columns[None, :]
        p += tl.load(to, mask=inside & again[:, None], other=0.0)
        tl.store(to, p, mask=inside)


def conditional_affinities(distances: Tensor, perplexities: Sequence[float]) -> Tensor:
    """p_j|i (n, k) of sorted distances (n, k) to true neighbours; rows sum to 1."""
    n, width = distances.shape
    affinities = torch.empty_like(distances)
    block, rows, many, _ = next((t for t in _TILES if width <= t[0]), _TILES[-1])
    for q, given in enumerate(perplexities):
        wanted = min(float(given), width + 1.0)  # beyond, all neighbours are alike
        _affinities.launch(
            (ceil_div(n, rows) if width else 0,), distances, affinities, n, width,
            math.floor(wanted), math.ceil(wanted), math.log2(wanted), 1.0 / len(perplexities),
            int(q > 0), ROWS=rows, BLOCK=block, MANY=many,
        )  # fmt: skip
    return affinities


def joint_affinities(indices: Tensor, affinities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """p_ij as CSR (indptr, columns, weights), rows sorted, no zeros; all sum to 1.

    ``indices`` (n, k) of neighbours, -1 for none; ``affinities`` (n, k) are p_j|i.
    """
    there = torch.where(indices >= 0, affinities, 0.0).clamp_(min=0.0)
    total = 2.0 * there.sum(dtype=torch.float64).reshape(1)
    del there
    return unite(indices, affinities, 0.0, 1.0 / total.clamp(min=1e-300))
