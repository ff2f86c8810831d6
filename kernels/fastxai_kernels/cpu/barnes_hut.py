"""Repulsion among embedded points by a tree of cells (Barnes and Hut 1986).

    f_i = sum_{j != i} (1 + r_ij^2 / dof)^-(dof + 1) (y_i - y_j)
    Z   = sum_i sum_{j != i} (1 + r_ij^2 / dof)^-dof

(van der Maaten 2014, section 4; dof: Kobak et al. 2019).  A cell acts as a whole if

    s^2 <= angle^2 (r^2 + min(dof, 1) / 4)

with s the longest side of the bounding box of its points over the root of 2 and r the
distance from their mean to the nearest place of the box around the group of points that it
acts on; r = 0 if one of these is its own.  The constant stands for the flat top of the
kernel: it lets a layout of extent 1e-4 act as one point.  A whole cell acts with its second
moments too, so its error falls with the cube of s / r; single points and those of one place
are exact at any angle, and angle 0 leaves nothing else.  At equal angles the errors of the
force are a half to a fifth of those without second moments and with s the side of the cell.

A group is up to `GROUP` points of neighbouring siblings: one walk through the tree serves
all of them, sixteen to a vector.  In `evaluate_tree` each point has a walk of its own, in
step with fifteen others, r is its own distance, and the angle counts 0.8 times: nothing is
gained from the width of a group.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, f64, i32, i64, inlined, kernel
from ._morton import morton_order
from ._pairs import ALL, CENTRE, LANES, cells_2d, cells_3d, points_2d, points_3d
from ._threads import parallel_for
from ._tree import LEAF, SIZE, Tree, build, siblings

GROUP = 96  # a multiple of LANES, at least LEAF
_LIST = 256  # cells that wait for their turn
_STACK = 256  # at most 31 levels of 3 waiting siblings, or 21 of 7
_FLAT = 0.25
_SINGLE = 0.8  # of the angle, for points without a group
_NOBODY = -(1 << 30)
_GRAIN = 8

_TREE = (array_in(f32, 2), array_in(i32, 2), array_in(f32, 2))


@inlined
def _act(points, cells, names, listed, first, blocks, dof, sums):
    """Listed cells on a group."""
    d = points.shape[0]
    for b in range(blocks):
        at = first + LANES * b
        if d == 2:
            cells_2d(cells, names, listed, points, at, ALL, dof, sums, b * (d + 1))
        else:
            cells_3d(cells, names, listed, points, at, ALL, dof, sums, b * (d + 1))


@inlined
def _act_singly(points, begin, end, first, blocks, dof, sums):
    """Points ``begin .. end - 1`` on a group, none on itself."""
    d = points.shape[0]
    for b in range(blocks):
        at = first + LANES * b
        if d == 2:
            points_2d(points, begin, end, points, at, at, ALL, dof, sums, b * (d + 1))
        else:
            points_3d(points, begin, end, points, at, at, ALL, dof, sums, b * (d + 1))


@inlined
def _surround(points, first, last, box):
    """The bounding box of a group."""
    for a in range(points.shape[0]):
        low = points[a, first]
        high = low
        for i in range(first, last):
            y = points[a, i]
            low = y if y < low else low
            high = y if y > high else high
        box[a, 0] = low
        box[a, 1] = high


@inlined
def _squared_distance(row, box, d):
    """From the mean of a cell to the nearest place of a box."""
    square = np.float32(0.0)
    for a in range(d):
        below = box[a, 0] - row[CENTRE + a]
        above = row[CENTRE + a] - box[a, 1]
        x = below if below > above else above
        x = x if x > np.float32(0.0) else np.float32(0.0)
        square += x * x
    return square


@kernel(
    *(*_TREE, array_in(i32, 1), array_in(i32, 2), f32, f32, f32),
    *(array_out(f32, 2), array_out(f64, 1), i64, i64),
)
def _repel(points, runs, cells, order, groups, dof, opening, flat, forces, totals, start, stop):
    d = points.shape[0]
    stack = np.empty(_STACK, np.int32)
    names = np.empty(_LIST, np.int32)
    box = np.empty((d, 2), np.float32)
    sums = np.empty((GROUP // LANES * (d + 1), LANES), np.float32)
    for g in range(start, stop):
        first = np.int64(groups[g, 0])
        last = np.int64(groups[g, 1])
        blocks = (last - first + LANES - 1) // LANES
        _surround(points, first, last, box)
        sums[:] = np.float32(0.0)
        top = 1
        stack[0] = 0
        listed = 0
        while top > 0:
            top -= 1
            cell = np.int64(stack[top])
            begin = np.int64(runs[cell, 0])
            end = np.int64(runs[cell, 1])
            children = runs[cell, 3]
            # A small leaf takes its points one by one where one of them is in the group:
            # to take 1 off afterwards would leave nothing of a small sum.
            mine = begin < last and end > first
            square = np.float32(0.0)
            if not mine:
                square = _squared_distance(cells[cell], box, d)
            whole = cells[cell, SIZE] <= opening * square + flat
            if whole and not (mine and end - begin <= LEAF):
                names[listed] = cell
                listed += 1
                if mine:
                    for i in range(max(begin, first), min(end, last)):
                        own = i - first
                        sums[own // LANES * (d + 1) + d, own % LANES] -= np.float32(1.0)
            elif children > 0:
                for c in range(children):
                    stack[top] = runs[cell, 2] + c
                    top += 1
            else:
                _act_singly(points, begin, end, first, blocks, dof, sums)
            if listed == _LIST or top == 0:
                _act(points, cells, names, listed, first, blocks, dof, sums)
                listed = 0
        total = 0.0
        for t in range(last - first):
            row = t // LANES * (d + 1)
            for a in range(d):
                forces[order[first + t], a] = sums[row + a, t % LANES]
            total += sums[row + d, t % LANES]
        totals[g] = total


@inlined
def _accepting(row, points, at, opening, flat, d):
    """Bits of the sixteen points on which a cell acts as a whole."""
    bits = np.int64(0)
    for t in range(LANES):
        square = np.float32(0.0)
        for a in range(d):
            x = points[a, at + t] - row[CENTRE + a]
            square += x * x
        bits |= np.int64(row[SIZE] <= opening * square + flat) << t
    return bits


@kernel(
    *(*_TREE, array_in(f32, 2), array_in(i32, 1), f32, f32, f32),
    *(array_out(f32, 2), array_out(f32, 1), i64, i64),
)
def _repel_at(others, runs, cells, points, order, dof, opening, flat, forces, totals, start, stop):
    """Blocks of sixteen walk together; a lane adds nothing for what is not its own."""
    d = points.shape[0]
    stack = np.empty((_STACK, 2), np.int32)
    names = np.empty(1, np.int32)
    sums = np.empty((d + 1, LANES), np.float32)
    for block in range(start, stop):
        at = block * LANES
        sums[:] = np.float32(0.0)
        top = 1
        stack[0, 0] = 0
        stack[0, 1] = ALL
        while top > 0:
            top -= 1
            cell = np.int64(stack[top, 0])
            walking = np.int64(stack[top, 1])
            bits = walking & _accepting(cells[cell], points, at, opening, flat, d)
            if bits:
                names[0] = cell
                if d == 2:
                    cells_2d(cells, names, 1, points, at, bits, dof, sums, 0)
                else:
                    cells_3d(cells, names, 1, points, at, bits, dof, sums, 0)
            walking &= ~bits
            if walking and runs[cell, 3] > 0:
                for c in range(runs[cell, 3]):
                    stack[top, 0] = runs[cell, 2] + c
                    stack[top, 1] = walking
                    top += 1
            elif walking:
                begin = np.int64(runs[cell, 0])
                end = np.int64(runs[cell, 1])
                if d == 2:
                    points_2d(others, begin, end, points, at, _NOBODY, walking, dof, sums, 0)
                else:
                    points_3d(others, begin, end, points, at, _NOBODY, walking, dof, sums, 0)
        for t in range(min(LANES, order.shape[0] - at)):
            for a in range(d):
                forces[order[at + t], a] = sums[a, t]
            totals[order[at + t]] = sums[d, t]


class FixedTree(NamedTuple):
    """The tree of points that stay where they are, and the kernel's degrees of freedom."""

    tree: Tree
    dof: float


def _in_plane(Y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points on a line as points of the plane."""
    return np.hstack([Y, np.zeros_like(Y)]) if Y.shape[1] == 1 else Y


def barnes_hut(
    Y: NDArray[np.float32], dof: float, angle: float
) -> tuple[NDArray[np.float32], float]:
    """Repulsive forces (n, d) on points (n, d), d = 1, 2 or 3, and the normalisation Z."""
    places = _in_plane(Y)
    tree = build(places, dof)
    groups = siblings(tree, GROUP)
    forces, totals = np.empty_like(places), np.empty(len(groups))
    opening, flat = _criterion(dof, angle)
    parallel_for(
        _repel, len(groups), _GRAIN, tree.points, tree.runs, tree.cells, tree.order, groups,
        np.float32(dof), opening, flat, forces, totals,
    )  # fmt: skip
    return np.ascontiguousarray(forces[:, : Y.shape[1]]), float(totals.sum())


def fixed_tree(Y: NDArray[np.float32], dof: float) -> FixedTree:
    """The tree of points (n, d) that stay where they are, for `evaluate_tree`."""
    return FixedTree(build(_in_plane(Y), dof), dof)


def evaluate_tree(
    tree: FixedTree, points: NDArray[np.float32], angle: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Forces (m, d) of a tree on other points (m, d), and sum_j w(r_ij) of each (m,).

    What a point receives does not depend on the other points of the batch.
    """
    _, order, places = morton_order(_in_plane(points))
    forces = np.empty((len(points), len(places)), np.float32)
    totals = np.empty(len(points), np.float32)
    opening, flat = _criterion(tree.dof, _SINGLE * angle)
    cells = tree.tree
    parallel_for(
        _repel_at, -(-len(points) // LANES), _GRAIN, cells.points, cells.runs, cells.cells,
        places, order, np.float32(tree.dof), opening, flat, forces, totals,
    )  # fmt: skip
    return np.ascontiguousarray(forces[:, : points.shape[1]]), totals


def _criterion(dof: float, angle: float) -> tuple[np.float32, np.float32]:
    return np.float32(angle**2), np.float32(angle**2 * _FLAT * min(dof, 1.0))
