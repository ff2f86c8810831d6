"""The loop around UMAP's layout kernels on a device; see `fastxai.embed.umap_layout`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...devices import Device, wait_for
from ..umap_layout import Forces
from .csr import Csr, take_edges

Advance = Callable[[float], None]

_CACHED = 100_000  # as on the host: points of more are put in the order of a curve
_SLICE = 1e10  # pairs that one slice moves: a fraction of a second


def arrange_there(
    device: Device,
    graph: Csr,
    start: Tensor,
    n_epochs: int,
    forces: Forces,
    seed: int,
    advance: Advance,
) -> Tensor:
    """All points move; ``advance`` is told of epochs done."""
    kernels = device.kernels
    if n_epochs == 0 or len(graph.columns) == 0:
        advance(n_epochs)
        return start.clone()
    order = None
    if len(start) > _CACHED:
        order = curve_order(start)
        graph, start = Csr(*kernels.reorder_graph(order, *graph)), start[order]
    edges = _edges(kernels, graph, graph.weights.max(), n_epochs)
    places = start
    for first, last in _slices(n_epochs, len(edges[1])):
        places = kernels.umap_layout(places, *edges, first, last, n_epochs, *forces, seed)
        wait_for(device)
        advance(last - first)
    if order is None:
        return places
    result = torch.empty_like(places)
    result[order] = places
    return result


def arrange_new_there(
    device: Device,
    graph: Csr,
    start: Tensor,
    fixed: Tensor,
    n_epochs: int,
    forces: Forces,
    seeds: Tensor,
    advance: Advance,
) -> Tensor:
    """New points move among fixed ones, each by itself, at a quarter of the learning rate."""
    if n_epochs == 0 or len(start) == 0:
        return start.clone()
    forces = forces._replace(learning_rate=forces.learning_rate / 4)
    kernels = device.kernels
    edges = _edges(kernels, graph, torch.ones((), device=start.device), n_epochs)
    places = start
    for first, last in _slices(n_epochs, len(edges[1])):
        places = kernels.umap_place(places, fixed, *edges, first, last, n_epochs, *forces, seeds)
        wait_for(device)
        advance(last - first)
    return places


def curve_order(places: Tensor) -> Tensor:
    """Points in the order of a Z-curve through their first two dimensions."""
    from fastxai_kernels.gpu import _curve

    order: Tensor = _curve.curve_order(places)
    return order


def _edges(kernels: Any, graph: Csr, largest: Tensor, n_epochs: int) -> tuple[Tensor, ...]:
    """Weights relative to the largest; edges too weak to be drawn once are left out."""
    weights = graph.weights / largest
    relative = Csr(graph.indptr, graph.columns, weights)
    packed = kernels.pack_edges(*take_edges(relative, weights >= 1.0 / n_epochs))
    return tuple(packed)


def _slices(n_epochs: int, edges: int) -> list[tuple[int, int]]:
    step = int(min(max(_SLICE / max(edges, 1), 1), n_epochs, max(1, n_epochs // 8)))
    return [(first, min(first + step, n_epochs)) for first in range(0, n_epochs, step)]
