"""A mesh over points in the plane: where it lies, its potential, the forces it gives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._mesh_kernels import (
    BAND,
    COUNTED,
    GATHERED,
    WIDE,
    count_tiles,
    file_tiles,
    gather,
    gather_double,
    spread,
    spread_double,
)
from ._mesh_points import ORDER
from ._mesh_response import convolve, padded, response
from ._threads import parallel_for

_ROUNDING = 0.05  # extent times spacing below which potentials are kept in float64


class Box(NamedTuple):
    """Where the mesh lies: its corner, and its cells along both axes."""

    corner: tuple[float, float]
    cells: tuple[int, int]
    spacing: float

    @property
    def shape(self) -> tuple[int, int]:
        """Nodes in use along both axes, padded."""
        return padded(self.cells[0] + ORDER - 1), padded(self.cells[1] + ORDER - 1)

    @property
    def place(self) -> tuple[float, float, float]:
        """Corner and cells a unit, as the loops want them."""
        return (*self.corner, 1.0 / self.spacing)

    @property
    def double(self) -> bool:
        return max(self.cells) * self.spacing**2 < _ROUNDING


def planar(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 2), with zeros for what one dimension lacks."""
    if points.shape[1] == 2:
        return points
    if points.shape[1] != 1:
        raise ValueError(
            f"a mesh has 1 or 2 dimensions, these points have {points.shape[1]}; use barnes_hut"
        )
    return np.concatenate((points, np.zeros_like(points)), axis=1)


def limits(Y: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Least and greatest coordinates."""
    axes = range(Y.shape[1])
    return [float(Y[:, c].min()) for c in axes], [float(Y[:, c].max()) for c in axes]


def box_around(Y: NDArray[np.float32], spacing: float, margin: float = 0.0) -> Box:
    least, greatest = limits(Y)
    corner = (least[0] - margin, least[1] - margin)
    inverse = 1.0 / spacing
    cells = [int((greatest[c] + margin - corner[c]) * inverse) + 1 for c in (0, 1)]
    return Box(corner, (cells[0], cells[1]), spacing)


class Filed(NamedTuple):
    """Points sorted by the tile of the mesh in which they begin.

    points : (n, 2) float32
    order : (n,) int32, which ones they are
    begins : (bands + 1,), where each band of tiles begins; an even number of bands
    """

    points: NDArray[np.float32]
    order: NDArray[np.int32]
    begins: NDArray[np.int64]


def _file(points: NDArray[np.float32], box: Box) -> Filed:
    n = len(points)
    bands, across = -(-box.cells[0] // (2 * BAND)) * 2, -(-box.cells[1] // WIDE)
    runs = -(-n // COUNTED)
    counts = np.zeros((runs, bands * across), np.int64)
    tiles = (points, *box.place, across)
    parallel_for(count_tiles, runs, 1, *tiles, counts)
    ends = np.cumsum(counts.T.ravel()).reshape(-1, runs)
    begins = np.ascontiguousarray(ends.T - counts)
    filed = Filed(np.empty_like(points), np.empty(n, np.int32), np.append(begins[0, ::across], n))
    parallel_for(file_tiles, runs, 1, *tiles, begins, filed.order, filed.points)
    return filed


def potential_over(
    points: NDArray[np.float32], dof: float, box: Box
) -> tuple[NDArray[Any], Filed, NDArray[np.float64]]:
    """The potential at the nodes, the points sorted, and the own potential's waves."""
    filed = _file(points, box)
    rows, columns = box.shape
    mesh = np.zeros((box.cells[0] + ORDER - 1, columns), np.float64 if box.double else np.float32)
    scatter = spread_double if box.double else spread
    for odd in (0, 1):
        pairs = len(filed.begins) // 2
        parallel_for(scatter, pairs, 1, filed.points, filed.begins, odd, *box.place, mesh)
    waves, own = response(rows, columns, box.spacing, dof, box.double)
    convolve(mesh, rows, waves)
    return mesh, filed, own


def mesh_forces(
    points: NDArray[np.float32], dof: float, spacing: float
) -> tuple[NDArray[np.float32], float]:
    """Forces (n, 2) and Z of points (n, 2), n > 0."""
    box = box_around(points, spacing)
    mesh, filed, own = potential_over(points, dof, box)
    forces = np.empty(points.shape, np.float32)
    sums = np.empty(-(-len(points) // GATHERED))
    collect = gather_double if box.double else gather
    places = (filed.points, filed.order, *box.place)
    parallel_for(collect, len(points), GATHERED, *places, own, mesh, forces, sums)
    return forces, float(sums.sum())
