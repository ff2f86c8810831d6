"""A space of few components in which candidates are ranked: see `fastxai.embed.project`.

e(x, y) = |Px - Py|^2 + left_x + left_y
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..estimate import spread
from ..project import _FEW_FEATURES, _SAMPLE, FEW_ROWS, MANY_FEATURES, WIDEST, _round, longest_list

_GUESS = 0.5
_LONGEST = 1024  # list that the kernels hold


class Truth(NamedTuple):
    """The k true neighbours of a sample of rows."""

    rows: Tensor
    indices: Tensor
    squares: Tensor

    def near(self, squares: Tensor) -> Tensor:
        """Whether squared distances from each row are those of true neighbours."""
        return squares <= self.squares[:, -1:] * (1 + 1e-5)

    def recall(self, squares: Tensor) -> tuple[float, float]:
        """The share of true neighbours found for the rows, and its standard error."""
        shares = self.near(squares).double().mean(dim=1)
        return float(shares.mean()), float(shares.std(correction=0)) / len(shares) ** 0.5


class Projection(NamedTuple):
    """Points in a space of few components; see `fastxai.embed.project.Projection`."""

    points: Tensor
    left: Tensor
    length: int


def choose_projection(
    kernels: Any, X: Tensor, k: int, rows: Tensor, share: float, goal: float
) -> tuple[Projection, Truth]:
    """Components enough to find a share ``goal`` of the neighbours among few candidates."""
    n, d = X.shape
    indices, distances = kernels.nearest(X[rows.long()], X, k, rows)
    truth = Truth(rows, indices, distances * distances)
    longest = min(longest_list(n, k), _LONGEST)
    mean, directions, width = _directions(kernels, X, share)
    if width == d:
        points, _ = kernels.project(X, mean, torch.eye(d, device=X.device))
        return Projection(points, points.new_zeros(n), _round(k + 1, n)), truth
    weight = _GUESS
    while True:
        components = directions[:, :width].float().contiguous()
        points, rest = kernels.project(X, mean, components)
        found, estimates = _rank_all(kernels, points, weight * rest, rows, longest)
        near = truth.near(_squares(X, rows, found))
        better = _weight(points, rest, truth)
        # The order by the better weight, of what was found by the one before.
        estimates = estimates + (better - weight) * rest[found.long()]
        hits = near.gather(1, torch.argsort(estimates, dim=1, stable=True))
        reached = hits.cumsum(dim=1).clamp(max=k).double().mean(dim=0) / k
        weight = better
        lengths = torch.arange(_round(k + 1, n), longest + 1, 8, device=X.device)
        enough = lengths[reached[lengths - 1] >= goal]
        if len(enough) or width == directions.shape[1]:
            length = int(enough[0]) if len(enough) else longest
            return Projection(points, weight * rest, length), truth
        width = min(-(-width * 4 // 48) * 16, directions.shape[1])


def _directions(kernels: Any, X: Tensor, share: float) -> tuple[Tensor, Tensor, int]:
    """Mean, principal directions (columns), and how many of them to begin with."""
    n, d = X.shape
    drawn = torch.from_numpy(spread(n, _SAMPLE if d <= MANY_FEATURES else FEW_ROWS))
    sample = X[drawn.to(X.device)]
    mean = sample.double().mean(dim=0).float()
    if d <= _FEW_FEATURES:
        return mean, torch.empty((d, 0), device=X.device), d
    variances, directions = kernels.principal_axes(sample, mean)
    kept = torch.nonzero(variances > variances[0] * 1e-7).ravel()[:WIDEST]
    held = variances.clamp(min=0).cumsum(0)
    wanted = int(torch.searchsorted(held, share * held[-1:])) + 1
    return mean, directions[:, kept], min(len(kept), -(-max(wanted, 16) // 16) * 16)


def _rank_all(
    kernels: Any, points: Tensor, left: Tensor, rows: Tensor, length: int
) -> tuple[Tensor, Tensor]:
    """The points nearest to some rows by the estimate, all of them compared.

    With the roots of ``left`` as a coordinate of the points and as another of the rows the
    estimate is a squared distance.
    """
    root, none = torch.sqrt(left)[:, None], torch.zeros_like(left)[:, None]
    data = torch.cat([points, root, none], dim=1)
    queries = torch.cat([points, none, root], dim=1)[rows.long()]
    indices, distances = kernels.nearest(queries, data, length, rows)
    return indices, distances * distances


def _squares(X: Tensor, rows: Tensor, found: Tensor) -> Tensor:
    """Squared distances of some rows from what was found for them, in its order."""
    parts = [
        (X[some.long()] - X[row]).square().sum(dim=1)
        for row, some in zip(rows.long(), found, strict=True)
    ]
    return torch.stack(parts)


def _weight(points: Tensor, rest: Tensor, truth: Truth) -> float:
    """See `fastxai.embed.project._weight`: least squares over true neighbours."""
    k = truth.indices.shape[1]
    x, y = truth.rows.long().repeat_interleave(k), truth.indices.long().ravel()
    whole = truth.squares.ravel().double()
    seen = (points[x] - points[y]).double().square().sum(dim=1)
    both = rest[x].double() + rest[y].double()
    scale = whole.clamp(min=torch.finfo(torch.float32).tiny)
    squares = float((both / scale).square().sum())
    weight = float(((whole - seen) / scale * both / scale).sum()) / max(squares, 1e-300)
    return min(max(weight, 0.0), 1.0)
