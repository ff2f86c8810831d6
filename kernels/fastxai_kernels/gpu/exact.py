"""t-SNE's repulsion, all pairs.

    w(r)  = (1 + r^2 / dof)^-dof
    f_i   = sum_{j != i} (1 + r_ij^2 / dof)^-(dof + 1) (y_i - y_j)
    Z     = sum_i sum_{j != i} w(r_ij)

(van der Maaten and Hinton 2008; Kobak et al. 2019 for dof).  A point is left out of its own
sum by its number: others at the same place count w = 1.

A program holds some points, one to a lane, and walks through all others in blocks, whose rows
its warps share.  The limit is the issue of instructions: some 45 a pair of the plane, as
compiled for sm_90, two more of the special unit if dof is not 1.  Spans of others are summed
in float32, these sums in float64, in an order that depends on no other point.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._triton import ceil_div, kernel

_POINTS = 32
_OTHERS = {2: 32, 4: 16, 5: 8}  # of a block, by the axes, 5 for more than 4
_SPAN = 1024  # others whose sums are float32


@triton.jit
def _axis(places, rows, n, a, d):
    """One coordinate of some points, 0 where there is none."""
    there = rows < tl.where(a < d, n, 0)
    return tl.load(places + rows.to(tl.int64) * d + a, mask=there, other=0.0)


@triton.jit
def _gaps(x, places, others, n, a, d):
    """Differences (others, points) of one coordinate, x of the points."""
    return x[None, :] - _axis(places, others, n, a, d)[:, None]


@kernel(
    "points:*fp32 places:*fp32 own:*i64 m:i32 n:i32 d:i32 dof:fp32 scale:fp32 "
    "forces:*fp32 sums:*fp64",
    [
        {"AXES": axes, "MANY": many, "HEAVY": heavy, "POINTS": _POINTS,
         "OTHERS": _OTHERS[axes + many], "SPAN": _SPAN}
        for axes, many in ((2, False), (4, False), (4, True))
        for heavy in (False, True)
    ],
)  # fmt: skip
def _repel(
    points, places, own, m, n, d, dof, scale, forces, sums,
    AXES: tl.constexpr, MANY: tl.constexpr, HEAVY: tl.constexpr,
    POINTS: tl.constexpr, OTHERS: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """Forces along AXES axes from the program's first one on; MANY says that there are more."""
    rows = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    itself = tl.load(own + rows, mask=rows < m, other=-1).to(tl.int32)
    base = tl.program_id(1) * AXES
    x0 = _axis(points, rows, m, base, d)
    x1 = _axis(points, rows, m, base + 1, d)
    if AXES == 4:
        x2 = _axis(points, rows, m, base + 2, d)
        x3 = _axis(points, rows, m, base + 3, d)
    sum_0 = tl.zeros([POINTS], tl.float64)
    sum_1, sum_2, sum_3, weights = sum_0, sum_0, sum_0, sum_0
    for span in range(0, n, SPAN):
        f0 = tl.zeros([OTHERS, POINTS], tl.float32)
        f1, f2, f3, fw = f0, f0, f0, f0
        for start in range(span, tl.minimum(span + SPAN, n), OTHERS):
            others = start + tl.arange(0, OTHERS)
            a0 = _gaps(x0, places, others, n, base, d)
            a1 = _gaps(x1, places, others, n, base + 1, d)
            square = a0 * a0 + a1 * a1
            if AXES == 4:
                a2 = _gaps(x2, places, others, n, base + 2, d)
                a3 = _gaps(x3, places, others, n, base + 3, d)
                square += a2 * a2 + a3 * a3
            if MANY:
                square = tl.zeros([OTHERS, POINTS], tl.float32)
                for a in range(d):
                    x = _axis(points, rows, m, a, d)
                    gap = _gaps(x, places, others, n, a, d)
                    square += gap * gap
            inverse = 1.0 / (1.0 + square * scale)
            w = inverse
            if HEAVY:
                w = tl.exp2(dof * tl.log2(inverse))
            w = tl.where((others < n)[:, None] & (others[:, None] != itself[None, :]), w, 0.0)
            fw += w
            w *= inverse
            f0 += w * a0
            f1 += w * a1
            if AXES == 4:
                f2 += w * a2
                f3 += w * a3
        weights += tl.sum(fw, 0).to(tl.float64)
        sum_0 += tl.sum(f0, 0).to(tl.float64)
        sum_1 += tl.sum(f1, 0).to(tl.float64)
        if AXES == 4:
            sum_2 += tl.sum(f2, 0).to(tl.float64)
            sum_3 += tl.sum(f3, 0).to(tl.float64)
    to = forces + rows.to(tl.int64) * d + base
    tl.store(to, sum_0.to(tl.float32), mask=rows < m)
    tl.store(to + 1, sum_1.to(tl.float32), mask=rows < tl.where(base + 1 < d, m, 0))
    if AXES == 4:
        tl.store(to + 2, sum_2.to(tl.float32), mask=rows < tl.where(base + 2 < d, m, 0))
        tl.store(to + 3, sum_3.to(tl.float32), mask=rows < tl.where(base + 3 < d, m, 0))
    tl.store(sums + rows, weights, mask=rows < tl.where(base == 0, m, 0))


def exact_repulsion(Y: Tensor, dof: float) -> tuple[Tensor, float]:
    """The repulsive forces f (n, d) among the places Y (n, d), and Z."""
    own = torch.arange(len(Y), device=Y.device)
    forces, sums = exact_repulsion_at(Y, Y, dof, own)
    return forces, float(sums.sum())  # the contract's scalar


def exact_repulsion_at(
    points: Tensor, Y: Tensor, dof: float, own: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The forces f (m, d) of Y (n, d) on points (m, d), and each one's sum of w, float64.

    ``own`` (m,) says which of Y a point is, to be left out; without it all of Y counts.
    """
    m, (n, d) = len(points), Y.shape
    if own is None:
        own = torch.full((m,), -1, dtype=torch.int64, device=points.device)
    forces = torch.empty_like(points)
    sums = torch.empty(m, dtype=torch.float64, device=points.device)
    axes = 2 if d <= 2 else 4
    _repel.launch(
        (ceil_div(m, _POINTS), ceil_div(d, axes)),
        points, Y, own, m, n, d, dof, 1.0 / dof, forces, sums,
        AXES=axes, MANY=d > 4, HEAVY=dof != 1.0, POINTS=_POINTS, OTHERS=_OTHERS[axes + (d > 4)],
        SPAN=_SPAN,
    )  # fmt: skip
    return forces, sums
