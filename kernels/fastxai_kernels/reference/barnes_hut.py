"""Repulsion by a tree of cells: the exact sums that it approximates.

f_i = sum_{j != i} (1 + r_ij^2 / dof)^-(dof + 1) (y_i - y_j)
Z   = sum_i sum_{j != i} (1 + r_ij^2 / dof)^-dof

(van der Maaten 2014, section 4; dof: Kobak et al. 2019.)  A tree of `angle` 0 gives these.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from .exact import exact_repulsion, exact_repulsion_at

Array = NDArray[Any]


class FixedTree(NamedTuple):
    """Points that stay where they are."""

    Y: Array
    dof: float


def barnes_hut(Y: Array, dof: float, angle: float) -> tuple[Array, float]:
    """Repulsive forces (n, d) on points (n, d), and the normalisation Z."""
    del angle
    return exact_repulsion(Y, dof)


def fixed_tree(Y: Array, dof: float) -> FixedTree:
    """The tree of points that stay where they are, for `evaluate_tree`."""
    return FixedTree(Y, dof)


def evaluate_tree(tree: FixedTree, points: Array, angle: float) -> tuple[Array, Array]:
    """Forces (m, d) of a tree on other points (m, d), and sum_j w(r_ij) of each (m,)."""
    del angle
    return exact_repulsion_at(points, tree.Y, tree.dof)
