"""The loops over points and nodes: sorting points by cells, spreading, gathering.

Points are sorted by the cell in which their splines begin.  A *piece* is a run of points of
one cell, cut at every `PIECE`-th point, so that crowded cells are shared out.  Spreading:
each piece's 36 sums are kept in the row of its first point; the pieces of a crowded cell are
folded into the first one; each node then collects its share of the 36 cells that reach it.
Every sum has a fixed order, and nothing is atomic.

Numbers of cells, and of nodes in use, have to fit into 32 bits.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import triton
import triton.language as tl

from ._mesh_points import at_point, cosine, sine, weight_at
from ._triton import KERNELS, Kernel, kernel

BLOCK = 128
HEADS = 8  # points of a program that may each be the first of a piece
PIECE = 128
SUMS = 36  # of a piece: one for each node that it reaches
OUTSIDE = -1.0  # the sum of a point that the mesh does not cover
RIM = 5  # empty cells around those of the mesh: a node then has 36 cells wherever it is
NODES = 512  # of a program
_SUMS = tl.constexpr(SUMS)
_RIM = tl.constexpr(RIM)
_OUTSIDE = tl.constexpr(OUTSIDE)
_PI = tl.constexpr(3.141592653589793)


def _both(
    types: str, constants: Mapping[str, Any], warps_double: int = 4
) -> Callable[[Callable[..., Any]], tuple[Kernel, Kernel]]:
    """A kernel twice, for `real` of 32 bits and of 64 bits: chosen by [double]."""
    double_constants = {**constants, "num_warps": warps_double}

    def declare(function: Callable[..., Any]) -> tuple[Kernel, Kernel]:
        single = kernel(types.replace("real", "fp32"), [constants])(function)
        double = Kernel(function, types.replace("real", "fp64"), [double_constants])
        double.name += "_double"
        KERNELS[double.name] = double
        return single, double

    return declare


@triton.jit
def _units(points, place, i, valid):
    """Places of points in cells of the mesh, float64: a long way off cells are small."""
    x = tl.load(points + 2 * i, mask=valid, other=0.0).to(tl.float64)
    y = tl.load(points + 2 * i + 1, mask=valid, other=0.0).to(tl.float64)
    inverse = tl.load(place + 2)
    return (x - tl.load(place)) * inverse, (y - tl.load(place + 1)) * inverse


@kernel("points:*fp32 place:*fp64 cells:*i32 n:i32 width:i32", [{"BLOCK": BLOCK}])
def number(points, place, cells, n, width, BLOCK: tl.constexpr):
    """The cell in which each point begins; a row of them has the width of mesh and rims."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    u, v = _units(points, place, i, i < n)
    cell = (u.to(tl.int32) + _RIM) * width + (v.to(tl.int32) + _RIM)
    tl.store(cells + i, cell, mask=i < n)


@_both(
    "points:*fp32 place:*fp64 cells:*i32 order:*i64 offsets:*real begins:*i32 ends:*i32 n:i32",
    {"BLOCK": BLOCK},
)
def settle(points, place, cells, order, offsets, begins, ends, n, BLOCK: tl.constexpr):
    """Of sorted points: places (t, s) in their cells; where the points of each cell lie."""
    p = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    valid = p < n
    u, v = _units(points, place, tl.load(order + p, mask=valid, other=0), valid)
    t, s = u - u.to(tl.int32), v - v.to(tl.int32)
    tl.store(offsets + 2 * p, t.to(offsets.dtype.element_ty), mask=valid)
    tl.store(offsets + 2 * p + 1, s.to(offsets.dtype.element_ty), mask=valid)
    cell = tl.load(cells + p, mask=valid, other=-1)
    before = tl.load(cells + p - 1, mask=valid & (p > 0), other=-1)
    after = tl.load(cells + p + 1, mask=p + 1 < n, other=-1)
    tl.store(begins + cell, p.to(tl.int32), mask=valid & (cell != before))
    tl.store(ends + cell, (p + 1).to(tl.int32), mask=valid & (cell != after))


@_both(
    "offsets:*real cells:*i32 ends:*i32 sums:*real n:i32",
    {"HEADS": HEADS, "POINTS": 4, "LANES": 64, "PIECE": PIECE},
    warps_double=8,  # with 4 the sums do not fit into the registers
)
def pile(offsets, cells, ends, sums, n, HEADS: tl.constexpr, POINTS: tl.constexpr,
         LANES: tl.constexpr, PIECE: tl.constexpr):  # fmt: skip
    """What the points of a piece add to its 36 nodes, in the row of its first point."""
    p = tl.program_id(0) * HEADS + tl.arange(0, HEADS)
    cell = tl.load(cells + p, mask=p < n, other=-1)
    before = tl.load(cells + p - 1, mask=(p > 0) & (p < n), other=-1)
    head = (p < n) & ((cell != before) | (p % PIECE == 0))
    end = tl.load(ends + cell, mask=head, other=0)
    length = tl.where(head, tl.minimum(end, (p // PIECE + 1) * PIECE) - p, 0)
    longest = tl.max(length)
    lane = tl.arange(0, LANES)
    down, right = (2 - lane // 6)[None, None, :], (2 - lane % 6)[None, None, :]
    if longest > 0:
        total = tl.zeros((HEADS, POINTS, LANES), offsets.dtype.element_ty)
        for at in range(0, longest, POINTS):
            o = at + tl.arange(0, POINTS)[None, :]
            q = (p[:, None] + o).to(tl.int64) * 2
            # Where there is no point: one so far off that it weighs nothing.
            t = tl.load(offsets + q, mask=o < length[:, None], other=9.0)
            s = tl.load(offsets + q + 1, mask=o < length[:, None], other=9.0)
            total += weight_at(t[:, :, None] + down) * weight_at(s[:, :, None] + right)
        to = p.to(tl.int64)[:, None] * _SUMS + lane[None, :]
        there = head[:, None] & (lane < _SUMS)[None, :]
        tl.store(sums + to, tl.sum(total, axis=1) / 14400.0, mask=there)


@_both(
    "cells:*i32 begins:*i32 ends:*i32 sums:*real",
    {"POINTS": 32, "LANES": 64, "PIECE": PIECE},
)
def fold(cells, begins, ends, sums, POINTS: tl.constexpr, LANES: tl.constexpr,
         PIECE: tl.constexpr):  # fmt: skip
    """Add the later pieces of a cell to its first one: by the program of the second one."""
    second = tl.program_id(0) + 1
    cell = tl.load(cells + second * PIECE)
    first = tl.load(begins + cell)
    mine = (first < second * PIECE) & (first >= (second - 1) * PIECE)
    count = tl.where(mine, (tl.load(ends + cell) - 1) // PIECE - second + 1, 0)
    lane = tl.arange(0, LANES)[None, :]
    total = tl.zeros((POINTS, LANES), tl.float64)
    for at in range(0, count, POINTS):
        o = (at + tl.arange(0, POINTS))[:, None]
        row = (second + o).to(tl.int64) * PIECE
        there = (o < count) & (lane < _SUMS)
        total += tl.load(sums + row * _SUMS + lane, mask=there, other=0.0)
    if count > 0:
        to = first.to(tl.int64) * _SUMS + tl.arange(0, LANES)
        there = tl.arange(0, LANES) < _SUMS
        whole = tl.load(sums + to, mask=there, other=0.0) + tl.sum(total, axis=0)
        tl.store(sums + to, whole.to(sums.dtype.element_ty), mask=there)


@_both("begins:*i32 sums:*real mesh:*real nodes:i32 across:i32 stride:i32", {"BLOCK": NODES})
def collect(begins, sums, mesh, nodes, across, stride, BLOCK: tl.constexpr):
    """The mass at each node in use (rows, across), from the cells that reach it."""
    node = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = node < nodes
    row, column = node // across, node % across
    cell = begins + (row + _RIM) * (across + _RIM) + (column + _RIM)
    total = tl.zeros((BLOCK,), mesh.dtype.element_ty)
    for i in range(6):
        for j in tl.static_range(6):
            first = tl.load(cell - (i * (across + _RIM) + j), mask=valid, other=-1)
            share = sums + (first.to(tl.int64) * _SUMS + (i * 6 + j))
            total += tl.load(share, mask=first >= 0, other=0.0)
    tl.store(mesh + row * stride + column, total, mask=valid)


@_both(
    "offsets:*real cells:*i32 order:*i64 place:*fp64 own:*fp64 mesh:*real forces:*fp32 "
    "sums:*fp64 n:i32 width:i32 stride:i32",
    {"BLOCK": BLOCK},
)
def gather(offsets, cells, order, place, own, mesh, forces, sums, n, width, stride,
           BLOCK: tl.constexpr):  # fmt: skip
    """Forces, and sums of potentials, without what each point's own mass adds to it."""
    p = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    valid = p < n
    cell = tl.load(cells + p, mask=valid, other=0)
    t = tl.load(offsets + 2 * p, mask=valid, other=0.0)
    s = tl.load(offsets + 2 * p + 1, mask=valid, other=0.0)
    at = (cell // width - _RIM) * stride + (cell % width - _RIM)
    value, along, across = at_point(mesh, at, stride, t, s, valid)
    o00, o01, o10, o11 = tl.load(own), tl.load(own + 1), tl.load(own + 2), tl.load(own + 3)
    t, s = t.to(tl.float64) - 0.5, s.to(tl.float64) - 0.5
    # cos(2 pi t) = -cos(2 pi (t - 1/2)), and so on
    ct, cs = -cosine(t), -cosine(s)
    value = value - (o00 + o10 * ct + (o01 + o11 * ct) * cs)
    # Its own mass is at both ends: half of the slope of the own potential is felt.
    along = along - _PI * sine(t) * (o10 + o11 * cs)
    across = across - _PI * sine(s) * (o01 + o11 * ct)
    half = -0.5 * tl.load(place + 2)
    i = tl.load(order + p, mask=valid, other=0)
    tl.store(forces + 2 * i, (half * along).to(tl.float32), mask=valid)
    tl.store(forces + 2 * i + 1, (half * across).to(tl.float32), mask=valid)
    tl.store(sums + tl.program_id(0), tl.sum(tl.where(valid, value, 0.0), axis=0))


@_both(
    "points:*fp32 place:*fp64 cells:*i64 mesh:*real forces:*fp32 sums:*fp32 m:i32 stride:i32",
    {"BLOCK": BLOCK},
)
def gather_at(points, place, cells, mesh, forces, sums, m, stride, BLOCK: tl.constexpr):
    """Forces and potentials at other points; `OUTSIDE` beyond the mesh."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    u, v = _units(points, place, i, i < m)
    inside = (u >= 0.0) & (u < tl.load(cells)) & (v >= 0.0) & (v < tl.load(cells + 1)) & (i < m)
    u, v = tl.where(inside, u, 0.0), tl.where(inside, v, 0.0)
    row, column = u.to(tl.int32), v.to(tl.int32)
    t, s = (u - row).to(mesh.dtype.element_ty), (v - column).to(mesh.dtype.element_ty)
    value, along, across = at_point(mesh, row * stride + column, stride, t, s, inside)
    half = -0.5 * tl.load(place + 2)
    tl.store(forces + 2 * i, (half * along).to(tl.float32), mask=i < m)
    tl.store(forces + 2 * i + 1, (half * across).to(tl.float32), mask=i < m)
    tl.store(sums + i, tl.where(inside, value, _OUTSIDE).to(tl.float32), mask=i < m)
