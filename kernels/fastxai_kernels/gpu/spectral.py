"""The smooth functions on a graph: leading eigenvectors of D^-1/2 W D^-1/2.

(Ng, Jordan and Weiss 2002.)  The first one, D^1/2 1, is known and left out.  A polynomial
of Chebyshev damps what belongs to eigenvalues below ``edge`` (Zhou, Saad, Tiago and
Chelikowsky 2006),

    T_0 = X,  T_1 = B X,  T_m+1 = 2 B T_m - T_m-1,    B = (2 A - (edge - 1)) / (edge + 1)

and the Rayleigh-Ritz step picks the eigenvectors out of what is left.

A degree is one launch, with another one for hubs.  Its limit is memory: 8 bytes an
edge and 12 a vertex and column; the rows that edges gather stay in the second-level cache.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from ._ragged import TILE, WIDE, long_rows, over_rows, row_spans, row_sums
from ._triton import ceil_div, kernel

_ROWS = 4096
_LANES = (4, 8)  # columns that a program holds


@kernel(
    "indptr:*i64 listed:*i64 rows:i32 indices:*i32 scaled:*fp32 now:*fp32 before:*fp32 new:*fp32 "
    "tiles:i32 times:fp32 shift:fp32 minus:fp32",
    [{**shape, "LANES": lanes} for shape in (TILE, WIDE) for lanes in _LANES],
)
def _step(
    indptr, listed, rows, indices, scaled, now, before, new, tiles, times, shift, minus,
    ROWS: tl.constexpr, ENTRIES: tl.constexpr, LISTED: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """new = times A now - shift now - minus before."""
    i, first, length, inside = row_spans(indptr, listed, rows, ROWS, LISTED)
    lane = tl.arange(0, ENTRIES)
    column = tl.program_id(1) * LANES + tl.arange(0, LANES)
    stride = tiles * LANES  # the compiler sees that rows begin at whole lanes
    total = tl.zeros((ROWS, ENTRIES, LANES), tl.float32)
    for e in range(0, tl.max(length), ENTRIES):
        here = (e + lane)[None, :] < length[:, None]
        at = first[:, None] + (e + lane)[None, :]
        # Edges are read once a degree: they leave the cache to the rows that are gathered.
        j = tl.load(indices + at, mask=here, other=0, eviction_policy="evict_first").to(tl.int64)
        w = tl.load(scaled + at, mask=here, other=0.0, eviction_policy="evict_first")
        far = (j * stride)[:, :, None] + column[None, None, :]
        total += w[:, :, None] * tl.load(now + far, mask=here[:, :, None], other=0.0)
    own = (i * stride)[:, None] + column[None, :]
    ours = inside[:, None] & (column >= 0)[None, :]
    kept = shift * tl.load(now + own, mask=ours, other=0.0)
    kept += minus * tl.load(before + own, mask=ours, other=0.0)
    tl.store(new + own, times * tl.sum(total, axis=1) - kept, mask=ours)


@kernel(
    "indptr:*i64 listed:*i64 rows:i32 indices:*i32 weights:*fp32 root:*fp32 scaled:*fp32",
    [TILE, WIDE],
)
def _scale(
    indptr, listed, rows, indices, weights, root, scaled,
    ROWS: tl.constexpr, ENTRIES: tl.constexpr, LISTED: tl.constexpr,
):  # fmt: skip
    i, first, length, inside = row_spans(indptr, listed, rows, ROWS, LISTED)
    lane = tl.arange(0, ENTRIES)
    own = tl.load(root + i, mask=inside, other=1.0)
    for e in range(0, tl.max(length), ENTRIES):
        here = (e + lane)[None, :] < length[:, None]
        at = first[:, None] + (e + lane)[None, :]
        j = tl.load(indices + at, mask=here, other=0)
        w = tl.load(weights + at, mask=here, other=0.0)
        tl.store(scaled + at, w / (own[:, None] * tl.load(root + j, mask=here, other=1.0)), here)


def normalise(indptr: Tensor, indices: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """w_ij / sqrt(d_i d_j) for each edge, and the unit vector along D^1/2 1."""
    degrees = row_sums(indptr, weights).masked_fill_(indptr.diff() == 0, 1.0)
    root = degrees.sqrt()
    scaled = torch.empty_like(weights)
    edges = (indices, weights, root.to(torch.float32), scaled)
    over_rows(_scale, indptr, long_rows(indptr), *edges)
    return scaled, (root / degrees.sum().sqrt()).to(torch.float32)


def _whole_lanes(block: Tensor) -> Tensor:
    """A copy, with columns of zeros up to whole tiles."""
    lanes = _lanes(block.shape[1])
    columns = ceil_div(block.shape[1], lanes) * lanes
    padded = torch.zeros((len(block), columns), dtype=torch.float32, device=block.device)
    padded[:, : block.shape[1]] = block
    return padded


def _lanes(columns: int) -> int:
    return _LANES[0] if columns <= _LANES[0] else _LANES[1]


def _apply(
    matrix: tuple[Tensor, ...], now: Tensor, before: Tensor, new: Tensor,
    times: float, shift: float, minus: float,
) -> None:  # fmt: skip
    indptr, hubs, indices, scaled = matrix
    lanes = _lanes(now.shape[1])
    tiles = now.shape[1] // lanes
    factors = (tiles, times, shift, minus)
    over_rows(
        _step, indptr, hubs, indices, scaled, now, before, new, *factors,
        columns=tiles, LANES=lanes,
    )  # fmt: skip


def chebyshev_filter(
    indptr: Tensor, indices: Tensor, scaled: Tensor, block: Tensor, degree: int, edge: float
) -> Tensor:
    """T_degree(B) block, with B the matrix after [-1, edge] was mapped to [-1, 1]."""
    before = _whole_lanes(block)
    if degree == 0:
        return before[:, : block.shape[1]].contiguous()
    matrix = (indptr, long_rows(indptr), indices, scaled)
    times, shift = 2 / (edge + 1), (edge - 1) / (edge + 1)
    now, spare = torch.empty_like(before), torch.empty_like(before)
    _apply(matrix, before, before, now, times, shift, 0.0)
    for _ in range(degree - 1):
        _apply(matrix, now, before, spare, 2 * times, 2 * shift, 1.0)
        before, now, spare = now, spare, before
    return now[:, : block.shape[1]].contiguous()


def _products(left: Tensor, right: Tensor) -> Tensor:
    """left^T right: blocks of rows side by side, as a product this tall and thin fills no GPU."""
    whole = len(left) // _ROWS * _ROWS
    total = left[whole:].T @ right[whole:]
    if whole:
        blocks = (part[:whole].view(-1, _ROWS, part.shape[1]) for part in (left, right))
        total += torch.bmm(next(blocks).transpose(1, 2), next(blocks)).sum(dim=0)
    return total


def _orthonormal(block: Tensor) -> Tensor:
    """Columns of the same span; by the Gram matrix, twice, as one QR of tall columns costs more.

    Directions that are lost in rounding become zero.
    """
    for _ in range(2):
        values, turn = torch.linalg.eigh(_products(block, block))
        kept = values > 1e-12 * values[-1].clamp(min=1e-300)
        block = block @ (turn * torch.where(kept, torch.where(kept, values, 1.0).rsqrt(), 0.0))
    return block


def ritz(
    indptr: Tensor, indices: Tensor, scaled: Tensor, block: Tensor, known: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues, vectors and residuals |A v - value v| within the span of ``block``.

    Without the direction ``known``; the largest eigenvalue first.
    """
    direction = known.to(torch.float64)[:, None]
    tall = block.to(torch.float64)
    for _ in range(2):
        tall = _orthonormal(tall - direction @ _products(direction, tall))
    padded = _whole_lanes(tall)
    image = torch.empty_like(padded)
    _apply((indptr, long_rows(indptr), indices, scaled), padded, padded, image, 1.0, 0.0, 0.0)
    moved = image[:, : block.shape[1]].to(torch.float64)
    small = _products(tall, moved)
    # What has no direction comes after every eigenvalue.
    small.diagonal().masked_fill_(~tall.any(dim=0), -2.0)
    values, turn = torch.linalg.eigh((small + small.T) / 2)
    values, turn = values.flip(0), turn.flip(1)
    vectors = tall @ turn
    rest = moved @ turn - vectors * values
    return values, vectors.to(torch.float32), rest.square().sum(dim=0).sqrt()
