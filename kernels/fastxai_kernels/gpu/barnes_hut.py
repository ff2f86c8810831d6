"""Repulsion among embedded points by a tree of cells (Barnes and Hut 1986).

    f_i = sum_{j != i} (1 + r_ij^2 / dof)^-(dof + 1) (y_i - y_j)
    Z   = sum_i sum_{j != i} (1 + r_ij^2 / dof)^-dof

(van der Maaten 2014, section 4; dof: Kobak et al. 2019.)  A cell acts as a whole on a point if

    s^2 <= a^2 (r^2 + min(dof, 1) / 4),   a = 0.8 angle

with s the longest side of the bounding box of its points over the root of 2 and r the distance
of the point from their mean, 0 if the point is its own.  The constant stands for the flat top
of the kernel.  With v = 1 / (1 + r^2 / dof), k1 = (dof + 1) / dof, k2 = (dof + 2) / dof, N points
with second moments Q about their mean c act on y = c + R, to second order (S = v R,
M = 2 k1 Q, t = k1 tr Q), by

    sum_j w = v^dof (N - v t / k1 + S M S)
    force   = v^(dof + 1) ((N - v t + k2 S M S) R - M S);

single points and those of one place are exact at any angle, and angle 0 leaves nothing else.

A warp holds 32 neighbours in Morton order, a point to a lane, and walks the cells depth first
without a stack: on to the next cell if a lane needs it opened, else past its subtree.  A lane
for which a cell acted as a whole rests until the walk has passed the subtree, so that what a
point receives depends on no other point of its warp.  The limit is the instructions of the
walk, in the plane some 60 a cell, 50 more where it acts and 32 a pair, as compiled for sm_90;
cells and points stay in the caches.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._morton import LEAF, morton_order
from ._tree import Tree, build
from ._triton import WARP, ceil_div, kernel

_FLAT = 0.25
_SINGLE = 0.8  # of the angle: a point's own distance decides
_BLOCK = 8  # points of a leaf at a time
_OPEN = 1 << 16  # votes of lanes that a cell must be opened for


@triton.jit
def _low(pair):
    """The first of two float32."""
    return pair.to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _high(pair):
    return (pair >> 32).to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _weigh(square, dof, scale, HEAVY: tl.constexpr):
    """v and w."""
    inverse = 1.0 / (1.0 + square * scale)
    if HEAVY:
        return inverse, tl.exp2(dof * tl.log2(inverse))
    return inverse, inverse


@kernel(
    "others:*fp32 cells:*i64 points:*fp32 order:*i64 n:i32 m:i32 count:i32 named:i32 "
    "dof:fp32 scale:fp32 opening:fp32 flat:fp32 forces:*fp32 sums:*fp64",
    [
        {"AXES": axes, "HEAVY": heavy, "MOST": LEAF, "OPEN": _OPEN, "LANES": WARP,
         "BLOCK": _BLOCK, "num_warps": 1}
        for axes in (2, 3)
        for heavy in (False, True)
    ],
)  # fmt: skip
def _repel(
    others, cells, points, order, n, m, count, named, dof, scale, opening, flat, forces, sums,
    AXES: tl.constexpr, HEAVY: tl.constexpr, MOST: tl.constexpr, OPEN: tl.constexpr,
    LANES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """``named`` points are those of the tree, in its order; the others are none of them."""
    lane = tl.program_id(0) * LANES + tl.arange(0, LANES)
    there = lane < m
    number = tl.where(lane < named, lane, -1)
    x = tl.load(points + lane, mask=there, other=0.0)
    y = tl.load(points + m.to(tl.int64) + lane, mask=there, other=0.0)
    fx = tl.zeros([LANES], tl.float32)
    fy, fz, fw = fx, fx, fx
    xs, ys = others, others + n.to(tl.int64)
    if AXES == 3:
        z = tl.load(points + 2 * m.to(tl.int64) + lane, mask=there, other=0.0)
        zs = ys + n.to(tl.int64)
    less, k2 = dof / (dof + 1.0), 1.0 + 2.0 * scale
    less, k2 = dof / (dof + 1.0), 1.0 + 2.0 * scale
    rest = tl.where(there, 0, count)  # until the walk comes to this cell
    cell = tl.program_id(0) * 0
    while cell < count:
        row = cells + cell.to(tl.int64) * 8
        run, head, centre = tl.load(row), tl.load(row + 1), tl.load(row + 2)
        begin, end = run.to(tl.int32), (run >> 32).to(tl.int32)
        beyond, size = head.to(tl.int32), _high(head)
        rx, ry = x - _low(centre), y - _high(centre)
        square = rx * rx + ry * ry
        if AXES == 3:
            more = tl.load(row + 3)
            rz = z - _low(more)
            square += rz * rz
        mine = (number >= begin) & (number < end)
        square = tl.where(mine, 0.0, square)
        # A small leaf takes its own points one by one: to take 1 off afterwards would leave
        # nothing of a small sum.
        singly = (number >= begin) & (number < tl.where(end - begin <= MOST, end, begin))
        state = tl.where(size <= opening * square + flat, 1, OPEN)
        state = tl.where(singly, OPEN, state)
        state = tl.where(rest <= cell, state, 0)
        votes = tl.sum(state, 0)
        if votes % OPEN > 0:
            whole = state == 1
            rest = tl.where(whole, beyond, rest)
            weight = (end - begin).to(tl.float32)
            if AXES == 2:
                p3, p4, p5 = tl.load(row + 3), tl.load(row + 4), tl.load(row + 5)
                rx, ry = rx - _low(p3), ry - _high(p3)
                xx, xy, yy = _low(p4), _high(p4), _low(p5)
                v, w = _weigh(rx * rx + ry * ry, dof, scale, HEAVY)
                sx, sy = v * rx, v * ry
                tx, ty = xx * sx + xy * sy, xy * sx + yy * sy
                bent = sx * tx + sy * ty
                spread = 0.5 * v * (xx + yy)
            else:
                p3, p4, p5 = tl.load(row + 3), tl.load(row + 4), tl.load(row + 5)
                p6, p7 = tl.load(row + 6), tl.load(row + 7)
                rx, ry, rz = rx - _high(p3), ry - _low(p4), rz - _high(p4)
                xx, xy, yy, xz, yz, zz = (
                    _low(p5), _high(p5), _low(p6), _high(p6), _low(p7), _high(p7)
                )  # fmt: skip
                v, w = _weigh(rx * rx + ry * ry + rz * rz, dof, scale, HEAVY)
                sx, sy, sz = v * rx, v * ry, v * rz
                tx, ty = xx * sx + xy * sy + xz * sz, xy * sx + yy * sy + yz * sz
                tz = xz * sx + yz * sy + zz * sz
                bent = sx * tx + sy * ty + sz * tz
                spread = 0.5 * v * (xx + yy + zz)
            w = tl.where(whole, w, 0.0)
            fw += w * (weight - spread * less + bent)
            fw -= tl.where(whole & mine, 1.0, 0.0)
            along = weight + k2 * bent - spread
            w *= v
            fx += w * (along * rx - tx)
            fy += w * (along * ry - ty)
            if AXES == 3:
                fz += w * (along * rz - tz)
        following = beyond
        if votes >= OPEN:
            following = cell + 1
            if beyond == cell + 1:
                wanted = state == OPEN
                for start in range(begin, end, BLOCK):
                    j = start + tl.arange(0, BLOCK)
                    ax = x[None, :] - tl.load(xs + j, mask=j < end, other=0.0)[:, None]
                    ay = y[None, :] - tl.load(ys + j, mask=j < end, other=0.0)[:, None]
                    apart = ax * ax + ay * ay
                    if AXES == 3:
                        az = z[None, :] - tl.load(zs + j, mask=j < end, other=0.0)[:, None]
                        apart += az * az
                    v2, w2 = _weigh(apart, dof, scale, HEAVY)
                    pair = (j < end)[:, None] & wanted[None, :] & (j[:, None] != number[None, :])
                    w2 = tl.where(pair, w2, 0.0)
                    fw += tl.sum(w2, 0)
                    w2 *= v2
                    fx += tl.sum(w2 * ax, 0)
                    fy += tl.sum(w2 * ay, 0)
                    if AXES == 3:
                        fz += tl.sum(w2 * az, 0)
        cell = following
    to = tl.load(order + lane, mask=there, other=0)
    tl.store(forces + to * AXES, fx, mask=there)
    tl.store(forces + to * AXES + 1, fy, mask=there)
    if AXES == 3:
        tl.store(forces + to * AXES + 2, fz, mask=there)
    tl.store(sums + to, fw.to(tl.float64), mask=there)


class FixedTree(NamedTuple):
    """The tree of points that stay where they are, and the kernel's degrees of freedom."""

    tree: Tree
    dof: float


def _in_plane(Y: Tensor) -> Tensor:
    """Points on a line as points of the plane."""
    return torch.nn.functional.pad(Y, (0, 1)) if Y.shape[1] == 1 else Y


def _walk(
    tree: Tree, points: Tensor, order: Tensor, named: int, dof: float, angle: float
) -> tuple[Tensor, Tensor]:
    """Forces (m, d) and sums (m,) on points (d, m), listed by their rows."""
    d, m = points.shape
    forces = torch.empty((m, d), device=points.device)
    sums = torch.empty(m, dtype=torch.float64, device=points.device)
    opening = (_SINGLE * angle) ** 2
    _repel.launch(
        (ceil_div(m, WARP),),
        tree.points, tree.cells, points, order, len(tree.order), m, len(tree.cells), named,
        dof, 1.0 / dof, opening, opening * _FLAT * min(dof, 1.0), forces, sums,
        AXES=d, HEAVY=dof != 1.0, MOST=LEAF, OPEN=_OPEN, LANES=WARP, BLOCK=_BLOCK,
    )  # fmt: skip
    return forces, sums


def barnes_hut(Y: Tensor, dof: float, angle: float) -> tuple[Tensor, float]:
    """Repulsive forces (n, d) on points (n, d), d = 1, 2 or 3, and the normalisation Z."""
    if len(Y) == 0:
        return torch.zeros_like(Y), 0.0
    tree = build(_in_plane(Y), dof)
    forces, sums = _walk(tree, tree.points, tree.order, len(Y), dof, angle)
    return forces[:, : Y.shape[1]].contiguous(), float(sums.sum())  # the contract's scalar


def fixed_tree(Y: Tensor, dof: float) -> FixedTree:
    """The tree of points (n, d) that stay where they are, for `evaluate_tree`."""
    return FixedTree(build(_in_plane(Y), dof), dof)


def evaluate_tree(tree: FixedTree, points: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Forces (m, d) of a tree on other points (m, d), and sum_j w(r_ij) of each (m,), float64.

    What a point receives does not depend on the other points of the batch.
    """
    _, order, places = morton_order(_in_plane(points))
    forces, sums = _walk(tree.tree, places, order, 0, tree.dof, angle)
    return forces[:, : points.shape[1]].contiguous(), sums
