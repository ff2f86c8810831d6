"""t-SNE's fit and transform on a device; the descent itself is the host's, with other kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...devices import Device, host_array
from ...errors import InvalidInputError
from ...progress import Progress
from ..fitting import first_rows
from ..graph import NeighborGraph
from ..tsne_options import perplexities
from ..tsne_repulsion import Repulsion
from ..tsne_transform import _AT_REST, _ITERATIONS, _ROWS, _STEP
from .csr import Csr
from .graph import GraphThere, lists_there
from .memory import layout_bytes, require_device_memory
from .start import tsne_start
from .umap import NewRowsThere, embedding_there, find_neighbors_of_there, points_of


def embed_there(model: Any, points: Any, device: Device, progress: Progress) -> None:
    """The whole fit of a `TSNE` on a device."""
    near = model._find_neighbors(points, device)
    n = near.n_points
    require_device_memory(
        device, layout_bytes(n, near.n_neighbors),
        f"t-SNE of {n:,} points with {near.n_neighbors} neighbours each",
        "take fewer points or a smaller perplexity",
    )  # fmt: skip
    model._perplexities_below(n)
    graph = _joint_graph(near, perplexities(model.perplexity), device, progress)
    init = model.init
    if not isinstance(init, str):
        init = np.asarray(host_array(init), np.float32)
        if near.groups is not None:
            init = init[first_rows(near.groups)]
    X = points_of(near, device) if isinstance(init, str) and init == "pca" else None
    name, seed = init if isinstance(init, str) else "start", model.random_state_
    with progress.stage(name, 1.0) as advance:
        start = tsne_start(device.kernels, init, graph, X, model.n_components, seed, advance)
    model._descend(device.kernels, tuple(graph), start, near, progress)


def _joint_graph(
    near: NeighborGraph, perplexities: tuple[float, ...], device: Device, progress: Progress
) -> Csr:
    """Joint affinities; they sum to 1.

    Raises
    ------
    InvalidInputError
        If a point has no neighbour.
    """
    kernels = device.kernels
    indices, distances = lists_there(near, device)
    with progress.stage("affinities"):
        affinities = kernels.conditional_affinities(distances, perplexities)
        graph = Csr(*kernels.joint_affinities(indices, affinities))
    alone = torch.nonzero(graph.degrees == 0).ravel()
    if len(alone):
        raise InvalidInputError(
            f"{len(alone):,} of {near.n_points:,} points have no neighbours at a finite distance "
            f"(the first is row {int(alone[0])}): nothing would hold them in the embedding; leave "
            "them out, or give them neighbours"
        )
    return graph


def placed_there(model: Any, graph: GraphThere, X: Any, progress: Progress) -> Tensor:
    """Places (m, n_components) of new rows: those of equal training rows, or their own."""
    device = graph.device
    embedding = embedding_there(model.embedding_, graph, device)
    with progress.stage("neighbours"):
        new = find_neighbors_of_there(graph, X, min(graph.n_neighbors, graph.n_points))
    places = embedding[new.known.clamp(min=0)]
    strange = torch.nonzero(new.known < 0).ravel()
    if len(strange):
        places[strange] = _place(model, embedding, new.take(strange), device, progress)
    return places


def _place(
    model: Any, embedding: Tensor, new: NewRowsThere, device: Device, progress: Progress
) -> Tensor:
    """Where new points come to rest; see `tsne_transform.place`."""
    fitted, kernels = model._fitted, device.kernels
    affinities = kernels.conditional_affinities(new.distances, fitted.perplexities)
    repulsion: Repulsion = model._repulsion(fitted, *embedding.shape, device)
    field = repulsion.field(embedding)
    places = torch.full((len(new.indices), embedding.shape[1]), torch.nan, device=device.torch)
    held = torch.nonzero((affinities > 0).any(dim=1)).ravel()
    with progress.stage("layout", len(held)) as advance:
        for first in range(0, len(held), _ROWS):
            rows = held[first : first + _ROWS]
            lists = new.indices[rows], affinities[rows]
            places[rows] = _settle(kernels, embedding, *lists, field, repulsion.dof, fitted.balance)
            advance(len(rows))
    return places


def _settle(
    kernels: Any,
    embedding: Tensor,
    indices: Tensor,
    affinities: Tensor,
    field: Any,
    dof: float,
    balance: float,
) -> Tensor:
    """Each point moves until it is at rest, whatever the others do."""
    weights = torch.where(indices >= 0, affinities, 0.0).double()
    near = embedding[indices.clamp(min=0).long()].double()
    total = weights.sum(dim=1, keepdim=True)
    places = ((weights[:, :, None] * near).sum(dim=1) / total).float()
    moving = torch.arange(len(places), device=places.device)
    for _ in range(_ITERATIONS):
        some = places[moving]
        lists = indices[moving], affinities[moving]
        pull, stiffness = kernels.attraction_at(some, embedding, *lists, dof)
        step = float(_STEP) * (pull - field(some) / balance) / stiffness[:, None]
        places[moving] = some - step
        moving = moving[step.abs().amax(dim=1) > float(_AT_REST)]
        if len(moving) == 0:
            break
    return places
