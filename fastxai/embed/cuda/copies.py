"""Exact copies on the device: see `fastxai.embed.copies`, of which these are the twins."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..copies import _FEW_COPIES, _SMALL_GROUP


class Copies(NamedTuple):
    """Groups of equal rows, numbered by their lowest row.

    Attributes
    ----------
    group : Tensor of shape (n,), int64
        The group of each row.
    members : Tensor of shape (n,), int64
        All rows, group by group, ascending within each.
    starts : Tensor of shape (n_groups + 1,), int64
    """

    group: Tensor
    members: Tensor
    starts: Tensor

    @property
    def firsts(self) -> Tensor:
        """The lowest row of each group."""
        return self.members[self.starts[:-1]]

    @property
    def matter(self) -> bool:
        """True if there are enough copies to disturb a search."""
        n, groups = len(self.members), len(self.starts) - 1
        largest = int(self.starts.diff().max()) if groups else 0
        return groups < (1 - _FEW_COPIES) * n or largest > _SMALL_GROUP


def find_copies(kernels: Any, X: Tensor) -> Copies:
    """Group equal rows."""
    n, device = len(X), X.device
    hashes = kernels.hash_rows(X)
    order = torch.argsort(hashes, stable=True)
    same = hashes[order[1:]] == hashes[order[:-1]]
    at = torch.nonzero(same).ravel()
    for start in range(0, len(at), 1 << 16):
        some = at[start : start + (1 << 16)]
        same[some] = (X[order[some]] == X[order[some + 1]]).all(dim=1)
    label = torch.empty(n, dtype=torch.int64, device=device)
    zero = torch.zeros(1, dtype=torch.int64, device=device)
    label[order] = torch.cat([zero, (~same).long().cumsum(0)])
    groups = int(label[order[-1]]) + 1
    lowest = torch.full((groups,), n, dtype=torch.int64, device=device)
    lowest.scatter_reduce_(0, label, torch.arange(n, device=device), "amin")
    rank = torch.empty_like(lowest)
    rank[torch.argsort(lowest)] = torch.arange(groups, device=device)
    group = rank[label]
    members = torch.argsort(group, stable=True)
    starts = torch.cat([zero, torch.bincount(group, minlength=groups).cumsum(0)])
    return Copies(group, members, starts)


def give_back(copies: Copies, indices: Tensor, squares: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Neighbours of all rows from those of the groups: own copies first, then in turn."""
    n, groups, device = len(copies.members), len(copies.starts) - 1, indices.device
    sizes = copies.starts.diff()
    itself = torch.arange(groups, device=device)[:, None]
    around = torch.cat([itself, indices.long()], dim=1)
    away = torch.cat([torch.zeros((groups, 1), device=device), squares], dim=1)
    present = torch.where(around >= 0, sizes[around.clamp(min=0)].clamp(max=k + 1), 0)
    ends = present.cumsum(dim=1)
    table = torch.full((groups, k + 1), -1, dtype=torch.int64, device=device)
    far = torch.full((groups, k + 1), torch.inf, device=device)
    for column in range(k + 1):
        source = (ends <= column).sum(dim=1, keepdim=True)
        there = source < around.shape[1]
        which = source.clamp(max=around.shape[1] - 1)
        before = ends.gather(1, which) - present.gather(1, which)
        place = copies.starts[around.gather(1, which).clamp(min=0)] + column - before
        member = copies.members[place.clamp(max=n - 1)]
        table[:, column] = torch.where(there, member, -1)[:, 0]
        far[:, column] = torch.where(there, away.gather(1, which), torch.inf)[:, 0]
    mine = table[copies.group]
    myself = mine == torch.arange(n, device=device)[:, None]
    myself[:, -1] |= ~myself.any(dim=1)
    kept = ~myself
    return (
        mine[kept].reshape(n, k).int(),
        far[copies.group][kept].reshape(n, k),
    )
