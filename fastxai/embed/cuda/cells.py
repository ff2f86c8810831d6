"""Points sorted into the cells of a short k-means on a sample: see `fastxai.embed.cells`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..cells import _NEAR, _ROUNDS, _SAMPLE_PER_CELL, cell_count
from ..estimate import spread

_HELD = 2**26  # numbers of the points whose means are taken at once


class Cells(NamedTuple):
    """Projected points sorted by cell; row s of ``points`` is row ``order[s]`` of the data."""

    points: Tensor
    left: Tensor
    order: Tensor
    starts: Tensor
    centroids: Tensor
    packed: tuple[Tensor, Tensor, Tensor]
    near: Tensor

    def probe(
        self, kernels: Any, points: Tensor, left: Tensor, skip: Tensor, near: Tensor,
        lists: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Lists after trying the owners of the cells ``near`` to some points."""
        found: tuple[Tensor, Tensor] = kernels.probe_cells(
            points, left, skip, near, *self.packed, self.starts, self.centroids, *lists
        )
        return found

    def places(self) -> Tensor:
        """Which point each row of the data is."""
        place = torch.empty_like(self.order)
        place[self.order.long()] = torch.arange(
            len(self.order), dtype=place.dtype, device=place.device
        )
        return place

    def ranks(self, kernels: Any, rows: Tensor, indices: Tensor) -> Tensor:
        """Which of a sampled row's closest cells its true neighbours lie in, all sorted."""
        count, place = len(self.centroids), self.places().long()
        points = self.points[place[rows.long()]].contiguous()
        away = torch.cdist(points.double(), self.centroids.double())
        rank = torch.argsort(torch.argsort(away, dim=1, stable=True), dim=1)
        owner = torch.searchsorted(self.starts, place[indices.long()].contiguous(), right=True) - 1
        return torch.sort(rank.gather(1, owner.clamp(0, count - 1)).ravel()).values


def closest_cells(kernels: Any, points: Tensor, centroids: Tensor, count: int) -> Tensor:
    """The ``count`` centroids nearest to each point, the nearest first."""
    nobody = torch.full((len(points),), -1, dtype=torch.int32, device=points.device)
    found: Tensor = kernels.nearest(points, centroids, min(count, len(centroids)), nobody)[0]
    return found


def build_cells(kernels: Any, points: Tensor, left: Tensor) -> Cells:
    """Sort projected points into cells."""
    count = cell_count(len(points))
    sample = _sample(points, count)
    centroids = _centroids(kernels, sample, count)
    for some in (sample, points):
        centroids, near = _split_large(kernels, some, centroids, len(some) / count)
    order = torch.argsort(near[:, 0], stable=True)
    counts = torch.bincount(near[:, 0], minlength=len(centroids))
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    points, left, near = points[order], left[order], near[order]
    packed = kernels.pack_cells(points, left, starts, centroids)
    return Cells(points, left, order.int(), starts, centroids, packed, near)


def _drawn(n: int, count: int, device: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(spread(n, count))).to(device)


def _sample(points: Tensor, count: int) -> Tensor:
    return points[_drawn(len(points), _SAMPLE_PER_CELL * count, points.device)]


def _means(points: Tensor, owner: Tensor, centroids: Tensor) -> Tensor:
    """The mean of each cell's points, in their order; an empty cell stays where it was."""
    order = torch.argsort(owner, stable=True)
    counts = torch.bincount(owner, minlength=len(centroids))
    firsts = counts.cumsum(0) - counts
    longest = int(counts.max())
    lane = torch.arange(longest, device=points.device)
    moved = centroids.clone()
    together = max(1, _HELD // max(1, longest * points.shape[1]))
    for cell in range(0, len(centroids), together):
        some = slice(cell, cell + together)
        there = lane < counts[some, None]
        rows = order[(firsts[some, None] + lane).clamp(max=len(order) - 1)]
        sums = (points[rows].double() * there[:, :, None]).sum(dim=1)
        mean = (sums / counts[some, None].clamp(min=1)).float()
        moved[some] = torch.where(counts[some, None] > 0, mean, centroids[some])
    return moved


def _centroids(kernels: Any, points: Tensor, count: int) -> Tensor:
    """The means of cells of points."""
    centroids = points[_drawn(len(points), count, points.device)]
    for _ in range(_ROUNDS):
        owner = closest_cells(kernels, points, centroids, 1)[:, 0]
        centroids = _means(points, owner, centroids)
    return centroids


def _split_large(
    kernels: Any, points: Tensor, centroids: Tensor, target: float
) -> tuple[Tensor, Tensor]:
    """Give a cell with more than four times ``target`` points more centroids."""
    near = closest_cells(kernels, points, centroids, _NEAR)
    for _ in range(4):
        counts = torch.bincount(near[:, 0], minlength=len(centroids))
        large = torch.nonzero(counts > 4 * target).ravel().tolist()  # cells, some numbers
        if not large:
            break
        more = [centroids]
        for cell in large:
            rows = torch.nonzero(near[:, 0] == cell).ravel()
            pieces = int(np.ceil(len(rows) / target))
            more.append(_centroids(kernels, _sample(points[rows], pieces), pieces))
        centroids = torch.cat(more)
        near = closest_cells(kernels, points, centroids, _NEAR)
    return centroids, near
