"""Which queries a program takes together: up to so many that visit the same cells.

Groups lie at ``starts[g] .. stops[g] - 1`` of an order of the queries; some are empty, so that
their number is known without waiting for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def groups_of_a_turn(cell: Tensor, cells: int, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries sorted by cell, and where groups of up to ``rows`` of one cell start and stop."""
    order = torch.argsort(cell, stable=True)
    numbers = torch.arange(cells + 1, dtype=cell.dtype, device=cell.device)
    bounds = torch.searchsorted(cell[order], numbers)  # those without a cell come before
    groups = ((bounds.diff() + rows - 1) // rows).cumsum(0)
    # As many as there can be; the programs beyond the last group have nothing to do.
    group = torch.arange(len(cell) // rows + min(cells, len(cell)), device=cell.device)
    owner = torch.searchsorted(groups, group, right=True).clamp(max=cells - 1)
    before = torch.where(owner > 0, groups[(owner - 1).clamp(min=0)], 0)
    starts = bounds[owner] + (group - before) * rows
    stops = torch.minimum(starts + rows, bounds[owner + 1])
    return order.int(), starts.int(), stops.int()


def groups_of_equals(near: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries as they are, and groups of up to ``rows`` that follow each other and agree."""
    order = torch.arange(len(near), device=near.device)
    differs = torch.ones(len(near), dtype=torch.bool, device=near.device)
    differs[1:] = (near[1:] != near[:-1]).any(dim=1)
    run = differs.long().cumsum(0)
    place = order - torch.searchsorted(run, run)
    ends = torch.minimum(order + rows, torch.searchsorted(run, run, right=True))
    stops = torch.where(place % rows == 0, ends, order)
    return order.int(), order.int(), stops.int()
