"""New points among fixed ones: the attraction of each by its neighbours.

    a = sum_j p_j (1 + r_j^2 / dof)^-1 (y - y_j)
    s = sum_j p_j (1 + r_j^2 / dof)^-1              a / s leads to the neighbours' mean

The gradient of -sum_j p_j log w(r_j) is 2 a, with w(r) = (1 + r^2 / dof)^-dof.  Limit: indices
and affinities are read once, 8 bytes a neighbour, and a sector of 32 bytes of Y for each, from
L2 as long as Y fits.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from ._triton import ceil_div, kernel

_ROWS = {2: 16, 4: 16, 16: 4}  # of a program, by the axes it holds


@kernel(
    "points:*fp32 Y:*fp32 indices:*i32 affinities:*fp32 forces:*fp32 stiffness:*fp32 "
    "m:i32 axes:i32 width:i32 inverse_dof:fp32",
    [{"ROWS": rows, "AXES": axes, "NEIGHBORS": 16} for axes, rows in _ROWS.items()],
)
def _attract(
    points, Y, indices, affinities, forces, stiffness, m, axes, width, inverse_dof,
    ROWS: tl.constexpr, AXES: tl.constexpr, NEIGHBORS: tl.constexpr,
):  # fmt: skip
    """Forces along AXES axes, of all there are if these are few."""
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    wide = i.to(tl.int64)
    mine = tl.program_id(1) * AXES + tl.arange(0, AXES)
    here = (i < m)[:, None] & (mine < axes)[None, :]
    y = tl.load(points + wide[:, None] * axes + mine[None, :], mask=here, other=0.0)
    force = tl.zeros([ROWS, NEIGHBORS, AXES], tl.float32)
    total = tl.zeros([ROWS, NEIGHBORS], tl.float32)
    for first in range(0, width, NEIGHBORS):
        c = first + tl.arange(0, NEIGHBORS)
        inside = (i < m)[:, None] & (c < width)[None, :]
        at = wide[:, None] * width + c[None, :]
        j = tl.load(indices + at, mask=inside, other=-1)
        p = tl.load(affinities + at, mask=j >= 0, other=0.0)
        base = j.to(tl.int64)[:, :, None] * axes
        square = tl.zeros([ROWS, NEIGHBORS], tl.float32)
        for low in range(0, axes, AXES):
            axis = low + tl.arange(0, AXES)
            there = (i < m)[:, None] & (axis < axes)[None, :]
            x = tl.load(points + wide[:, None] * axes + axis[None, :], mask=there, other=0.0)
            there = (j >= 0)[:, :, None] & (axis < axes)[None, None, :]
            other = tl.load(Y + base + axis[None, None, :], mask=there, other=0.0)
            away = tl.where(there, x[:, None, :] - other, 0.0)
            square += tl.sum(away * away, axis=2)
        pull = p / (1.0 + square * inverse_dof)
        total += pull
        there = (j >= 0)[:, :, None] & (mine < axes)[None, None, :]
        other = tl.load(Y + base + mine[None, None, :], mask=there, other=0.0)
        force += pull[:, :, None] * tl.where(there, y[:, None, :] - other, 0.0)
    out = forces + wide[:, None] * axes + mine[None, :]
    tl.store(out, tl.sum(force, axis=1), mask=here)
    if tl.program_id(1) == 0:
        tl.store(stiffness + i, tl.sum(total, axis=1), mask=i < m)


def attraction_at(
    points: Tensor, Y: Tensor, indices: Tensor, affinities: Tensor, dof: float
) -> tuple[Tensor, Tensor]:
    """a (m, d) and s (m,) of points (m, d) with neighbours (m, k) in Y; -1 is none."""
    (m, axes), width = points.shape, indices.shape[1]
    forces = torch.empty_like(points)
    stiffness = torch.empty(m, dtype=torch.float32, device=points.device)
    held = next((size for size in _ROWS if size >= axes), max(_ROWS))
    _attract.launch(
        (ceil_div(m, _ROWS[held]), ceil_div(axes, held)), points, Y, indices, affinities, forces,
        stiffness, m, axes, width, 1 / dof, ROWS=_ROWS[held], AXES=held, NEIGHBORS=16,
    )  # fmt: skip
    return forces, stiffness
