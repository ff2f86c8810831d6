"""Which repulsion t-SNE computes, and how finely: all pairs, a tree, or a mesh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._warn import warn
from .tsne_graph import Positions
from .tsne_options import MOST_COMPONENTS

# Up to so many points all pairs cost no more than the others' overhead.
_EXACT_UP_TO = {2: 2000, 3: 4000}
# Mesh nodes a point, padding included, beyond which a tree is faster; and beyond which even
# somebody who asked for a mesh gets the tree.  A small mesh is always worth while.
_NODES = {"auto": 24, "particle_mesh": 128}
_NODES_AT_LEAST = {"auto": 2**16, "particle_mesh": 2**20}
_NODES_AT_MOST = 2**26
# The spacing is chosen anew after so many calls, or once the mesh has changed by so much.
_AGAIN = 50
_GROWTH = 1.6
_GUESS = 0.5


def choose(method: str, n: int, n_components: int) -> str:
    """The method that "auto" stands for.

    Examples
    --------
    >>> choose("auto", 500, 2), choose("auto", 70_000, 2), choose("auto", 70_000, 3)
    ('exact', 'particle_mesh', 'barnes_hut')
    """
    if method != "auto":
        return method
    if n_components > MOST_COMPONENTS["barnes_hut"]:
        return "exact"
    if n <= _EXACT_UP_TO.get(n_components, _EXACT_UP_TO[2]):
        return "exact"
    flat = n_components <= MOST_COMPONENTS["particle_mesh"]
    return "particle_mesh" if flat else "barnes_hut"


def most_nodes(method: str, n: int) -> int:
    """The largest mesh that is worth while for n points, of the method that was asked for."""
    wanted = max(_NODES.get(method, 0) * n, _NODES_AT_LEAST.get(method, 0))
    return min(wanted, _NODES_AT_MOST)


class Repulsion:
    """Forces and normalisation of a layout, by one of the three kernels.

    Attributes
    ----------
    method : str
        As in use; a mesh that would need too many nodes gives way to the tree.
    """

    def __init__(
        self,
        kernels: Any,
        method: str,
        n: int,
        n_components: int,
        dof: float,
        angle: float,
        force_error: float,
    ) -> None:
        self.method = choose(method, n, n_components)
        self.dof = dof
        self._asked = method
        self._kernels = kernels
        self._angle = angle
        self._force_error = force_error
        self._spacing = 0.0
        self._nodes = 0
        self._calls = 0

    def __call__(self, Y: Positions) -> tuple[Positions, float]:
        """Forces (n, d), not yet divided by Z; and Z."""
        if self.method == "particle_mesh":
            self._refresh(Y)
        forces: tuple[Positions, float]
        if self.method == "exact":
            forces = self._kernels.exact_repulsion(Y, self.dof)
        elif self.method == "barnes_hut":
            forces = self._kernels.barnes_hut(Y, self.dof, self._angle)
        else:
            forces = self._kernels.particle_mesh(Y, self.dof, self._spacing)
        return forces

    def field(self, Y: Positions) -> Callable[[Positions], Positions]:
        """The forces of fixed points Y on others, wherever these are."""
        kernels, dof = self._kernels, self.dof
        n, axes = Y.shape
        method = self.method if self.method == "barnes_hut" else choose("auto", n, axes)
        if method == "exact":
            return lambda points: kernels.exact_repulsion_at(points, Y, dof)[0]
        if method == "particle_mesh":
            spacing = kernels.mesh_spacing(Y, dof, self._force_error)
            if kernels.mesh_size(Y, spacing) <= most_nodes(self._asked, n):
                potential = kernels.mesh_potential(Y, dof, spacing)
                return lambda points: kernels.evaluate_mesh(potential, points)[0]
        tree = kernels.fixed_tree(Y, dof)
        return lambda points: kernels.evaluate_tree(tree, points, self._angle)[0]

    def _refresh(self, Y: Positions) -> None:
        """A spacing for the density as it is now."""
        kernels = self._kernels
        self._calls += 1
        if self._spacing and self._calls <= _AGAIN:
            nodes = kernels.mesh_size(Y, self._spacing)
            if self._nodes / _GROWTH < nodes < self._nodes * _GROWTH:
                return
        guess = self._spacing or _GUESS  # as it was: one comparison is then mostly enough
        self._spacing = kernels.mesh_spacing(Y, self.dof, self._force_error, guess)
        self._nodes, self._calls = kernels.mesh_size(Y, self._spacing), 0
        if self._nodes <= most_nodes(self._asked, len(Y)):
            return
        self.method = "barnes_hut"
        if self._asked == "particle_mesh":
            warn(
                f"a mesh of which the forces are exact to {self._force_error:g} would need "
                f"more than {most_nodes(self._asked, len(Y)):,} nodes on a layout as wide as this "
                "one has become (outliers far from all others do that): Barnes-Hut takes over; "
                "method='barnes_hut' uses the tree from the start"
            )
