"""UMAP's fuzzy set: from the distances of neighbours to a symmetric graph.

    rho_i    distance of the local_connectivity-th distinct neighbour
    sigma_i  solves  sum_j exp(-max(0, d_ij - rho_i) / sigma_i) = log2(k_i + 1) bandwidth
    p_ij     = exp(-max(0, d_ij - rho_i) / sigma_i)
    w        = mix (p + p^T - p p^T) + (1 - mix) p p^T

(McInnes, Healy and Melville 2018, section 3.1).  Neighbours at infinite distance count for
nothing: k_i is the number of the finite ones.  Sigma comes from bisection on the bits of
1 / sigma, which are ordered as the numbers are: 31 steps reach the last bit of a float32.

Limits: ``smooth_distances`` 31 exponentials a neighbour, on 4 bytes; ``memberships`` 8 bytes
a neighbour; ``fuzzy_union`` the sort of `_edges`.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._edges import unite
from ._triton import ceil_div, kernel

_STEPS = tl.constexpr(31)
_LOW = tl.constexpr(0x0DA24260)  # the bits of 1e-30
_HIGH = tl.constexpr(0x7149F2CA)  # the bits of 1e30
_FINITE = tl.constexpr(3e38)
_LOG2E = tl.constexpr(1.4426950408889634)
# sigma is never below this share of the mean distance, the point itself counted at 0.
_LEAST = tl.constexpr(1e-3)

# A warp a program: sums along rows need no shared memory.
_TILES = [(16, 16, 0, 1), (32, 8, 0, 1), (128, 4, 0, 1), (512, 1, 1, 4)]
_SMOOTH = [
    {"ROWS": rows, "BLOCK": block, "MANY": many, "num_warps": warps}
    for block, rows, many, warps in _TILES
]
_TOTAL_BLOCK = 2048


@kernel("distances:*fp32 totals:*fp64 entries:*i64", [{"BLOCK": _TOTAL_BLOCK}])
def _totals(distances, totals, entries, BLOCK: tl.constexpr):
    """Sum and number of the finite distances of each block, in float64."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    d = tl.load(distances + at, mask=at < tl.load(entries), other=float("inf"))
    finite = d < _FINITE
    sum_ = tl.sum(tl.where(finite, d, 0.0).to(tl.float64), 0)
    tl.store(totals + tl.program_id(0) * 2, sum_)
    tl.store(totals + tl.program_id(0) * 2 + 1, tl.sum(finite.to(tl.int32), 0).to(tl.float64))


@triton.jit
def _tile(rows, there, at, width, BLOCK: tl.constexpr):
    """Distances of the rows at the pointers ``rows``, from column ``at`` on."""
    columns = at + tl.arange(0, BLOCK)
    inside = there[:, None] & (columns < width)[None, :]
    return tl.load(rows[:, None] + columns[None, :], mask=inside, other=float("inf"))


@triton.jit
def _exponents(d, rho, scale):
    """Base 2, in units of the scale; infinite where there is no neighbour."""
    beyond = tl.div_rn(tl.maximum(d - rho[:, None], 0.0), tl.broadcast_to(scale[:, None], d.shape))
    return tl.where(d < _FINITE, beyond * _LOG2E, float("inf"))


@kernel(
    "distances:*fp32 overall:*fp32 rho:*fp32 sigma:*fp32 n:i32 width:i32 "
    "connectivity:fp32 whole:i32 part:fp32 bandwidth:fp32",
    _SMOOTH,
)
def _smooth(
    distances, overall, rho, sigma, n, width, connectivity, whole, part, bandwidth,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, MANY: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = i < n
    rows = distances + i.to(tl.int64) * width
    k = tl.zeros([ROWS], tl.int32)
    zeros = tl.zeros([ROWS], tl.int32)
    last = tl.zeros([ROWS], tl.float32)
    for at in range(0, width, BLOCK):
        d = _tile(rows, there, at, width, BLOCK)
        k += tl.sum((d < _FINITE).to(tl.int32), 1)
        zeros += tl.sum((d <= 0.0).to(tl.int32), 1)
        last = tl.maximum(last, tl.max(tl.where(d < _FINITE, d, 0.0), 1))
    # Sorted rows: the distinct neighbours follow the copies.
    apart = k - zeros
    wanted = tl.zeros([ROWS], tl.int32) + whole
    below = there & (wanted > 0) & (wanted <= apart)
    above = there & (wanted < apart)
    lower = tl.load(rows + (zeros + wanted - 1), mask=below, other=0.0)
    upper = tl.load(rows + (zeros + wanted), mask=above, other=0.0)
    r = lower + tl.where(above, part * (upper - lower), 0.0)
    r = tl.where(apart < connectivity, last, r)
    r = tl.where(apart > 0, r, 0.0)
    mean = tl.zeros([ROWS], tl.float32)
    near = tl.zeros([ROWS], tl.int32)
    for at in range(0, width, BLOCK):
        d = _tile(rows, there, at, width, BLOCK)
        share = tl.where(d < _FINITE, d, 0.0) / (k + 1).to(tl.float32)[:, None]
        mean += tl.sum(share, 1)
        near += tl.sum((d <= r[:, None]).to(tl.int32), 1)
    mean = tl.where(r > 0.0, mean, tl.load(overall))
    target = tl.log2((k + 1).to(tl.float32)) * bandwidth
    largest = tl.maximum(last - r, 0.0)
    scale = tl.where(largest > 0.0, largest, 1.0)
    low = tl.full([ROWS], _LOW, tl.int32)
    high = tl.full([ROWS], _HIGH, tl.int32)
    x = _exponents(_tile(rows, there, 0, width, BLOCK), r, scale)
    for _ in range(_STEPS):
        middle = low + ((high - low) >> 1)
        inverse = middle.to(tl.float32, bitcast=True)[:, None]
        total = tl.sum(tl.exp2(-x * inverse), 1)
        if MANY:
            for at in range(BLOCK, width, BLOCK):
                more = _exponents(_tile(rows, there, at, width, BLOCK), r, scale)
                total += tl.sum(tl.exp2(-more * inverse), 1)
        enough = total > target
        low = tl.where(enough, middle, low)
        high = tl.where(enough, high, middle)
    # Never enough: 1e30 times the largest, as far as that is a number.
    s = tl.minimum(largest / low.to(tl.float32, bitcast=True), _FINITE)
    s = tl.where(near < target, s, 0.0)
    tl.store(rho + i, r, mask=there)
    tl.store(sigma + i, tl.maximum(s, _LEAST * mean), mask=there)


def _overall_mean(distances: Tensor) -> Tensor:
    """Mean of all finite distances, each point itself counted at 0; shape (1,), no wait."""
    blocks = ceil_div(distances.numel(), _TOTAL_BLOCK)
    totals = distances.new_zeros((blocks, 2), dtype=torch.float64)
    # As an array: may pass 32 bits.
    entries = torch.full((1,), distances.numel(), dtype=torch.int64, device=distances.device)
    _totals.launch((blocks,), distances, totals, entries, BLOCK=_TOTAL_BLOCK)
    total, count = totals.sum(0)
    return (total / (count + len(distances)).clamp(min=1.0)).to(torch.float32).reshape(1)


def smooth_distances(
    distances: Tensor, local_connectivity: float, bandwidth: float
) -> tuple[Tensor, Tensor]:
    """rho and sigma (n,) of sorted distances (n, k) to true neighbours."""
    n, width = distances.shape
    rho, sigma = distances.new_empty(n), distances.new_empty(n)
    connectivity = min(float(local_connectivity), width + 1.0)  # beyond, nothing changes
    whole = int(connectivity)
    block, rows, many, _ = next((t for t in _TILES if width <= t[0]), _TILES[-1])
    _smooth.launch(
        (ceil_div(n, rows),), distances, _overall_mean(distances), rho, sigma, n, width,
        connectivity, whole, connectivity - whole, float(bandwidth),
        ROWS=rows, BLOCK=block, MANY=many,
    )  # fmt: skip
    return rho, sigma


@kernel(
    "distances:*fp32 rho:*fp32 sigma:*fp32 strengths:*fp32 n:i32 width:i32",
    [{"ROWS": 64, "BLOCK": 16}, {"ROWS": 8, "BLOCK": 128}],
)
def _memberships(
    distances, rho, sigma, strengths, n, width, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = i < n
    inside = there[:, None] & (columns < width)[None, :]
    at = i.to(tl.int64)[:, None] * width + columns[None, :]
    d = tl.load(distances + at, mask=inside, other=float("inf"))
    r = tl.load(rho + i, mask=there, other=0.0)[:, None]
    s = tl.load(sigma + i, mask=there, other=0.0)[:, None]
    finite = d < _FINITE
    beyond = tl.where(finite, tl.maximum(d - r, 0.0), 0.0)
    x = tl.div_rn(beyond, tl.broadcast_to(tl.where(s > 0.0, s, float("inf")), beyond.shape))
    # As on the CPU the least is exp(-87): neighbours far away stay in the graph.
    p = tl.exp(-tl.minimum(x, 87.0))
    p = tl.where(beyond <= 0.0, 1.0, p)
    tl.store(strengths + at, tl.where(finite, p, 0.0), mask=inside)


def memberships(distances: Tensor, rho: Tensor, sigma: Tensor) -> Tensor:
    """p (n, k): 1 up to rho, 0 at infinity."""
    n, width = distances.shape
    strengths = torch.empty_like(distances)
    rows, block = (64, 16) if width <= 16 else (8, 128)
    _memberships.launch(
        (ceil_div(n, rows), ceil_div(width, block)), distances, rho, sigma, strengths, n, width,
        ROWS=rows, BLOCK=block,
    )  # fmt: skip
    return strengths


def fuzzy_union(
    indices: Tensor, strengths: Tensor, set_op_mix_ratio: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The symmetric graph as CSR (indptr, columns, weights), rows sorted, no zeros."""
    return unite(indices, strengths, float(set_op_mix_ratio))
