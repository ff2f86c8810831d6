"""UMAP's fit and transform on a device, step by step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..._warn import warn
from ...devices import Device, as_tensor, host_array, is_foreign, to_host
from ...errors import InvalidInputError
from ...progress import Progress
from ..fitting import first_rows
from ..graph import NeighborGraph
from ..umap_graph import _BOUNDS, Targets, supervise
from ..umap_layout import default_epochs, epochs_of_new
from ..umap_transform import _HARDLY
from .csr import Csr, csr_there, scipy_of, take_edges, take_vertices
from .graph import GraphThere, lists_there
from .layout import arrange_new_there, arrange_there
from .memory import layout_bytes, require_device_memory
from .points import upload, upload_to
from .start import umap_start


class Fit(NamedTuple):
    """What a fit leaves on the device."""

    embedding: Tensor
    graph: Csr
    neighbors: NeighborGraph
    n_epochs: int


def fit_there(
    model: Any, near: NeighborGraph, targets: Targets | None, device: Device, progress: Progress
) -> Fit:
    """The embedding of points whose neighbours are known."""
    kernels, n = device.kernels, near.n_points
    require_device_memory(
        device, layout_bytes(n, near.n_neighbors), f"UMAP of {n:,} points",
        "take fewer points or fewer neighbours",
    )  # fmt: skip
    with progress.stage("fuzzy set"):
        metric = near.metric if near.metric != "precomputed" else model.metric
        lists = cut_far_there(*lists_there(near, device), metric, model.disconnection_distance)
        graph = fuzzy_set_there(
            kernels, *lists, float(model.local_connectivity), float(model.set_op_mix_ratio)
        )
        if targets is not None:
            graph = _supervised(model, graph, targets, near.groups, device)
    joined = graph.degrees > 0
    rows = torch.nonzero(joined).ravel()
    if len(rows) == 0:
        raise InvalidInputError(
            f"none of {n:,} points has a neighbour nearer than the disconnection distance "
            f"(disconnection_distance={model.disconnection_distance!r}, metric={metric!r}): "
            "there is nothing to arrange; choose a larger one, or another metric"
        )
    if len(rows) < n:
        warn(
            f"{n - len(rows):,} of {n:,} points have no neighbours nearer than the "
            "disconnection distance: they are NaN in the embedding"
        )
    epochs = default_epochs(n) if model.n_epochs is None else int(model.n_epochs)
    places = _arranged(model, near, graph, rows, epochs, device, progress)
    embedding = torch.full((n, model.n_components), torch.nan, device=device.torch)
    embedding[rows] = places
    if near.groups is not None:
        embedding = embedding[upload(near.groups, device).long()]
    return Fit(embedding, graph, near, epochs)


def _supervised(model: Any, graph: Csr, targets: Targets, groups: Any, device: Device) -> Csr:
    """The graph made to agree with the targets: classes on the device, numbers on the host."""
    if groups is not None:
        targets = targets.take(first_rows(groups))
    width = model.target_n_neighbors if model.target_n_neighbors != -1 else model.n_neighbors_
    weight = float(model.target_weight)
    if targets.classes is None:
        from fastxai_kernels import select

        found = supervise(
            select("cpu"), scipy_of(graph), targets, model.target_metric, weight, width,
            model.random_state_,
        )  # fmt: skip
        return csr_there(found, device)
    far = 2.5 / (1.0 - weight) if weight < 1 else 1e12
    kernels, classes = device.kernels, upload(targets.classes, device)
    weights = kernels.class_intersection(*graph, classes, 1.0, far)
    united = Csr(*graph[:2], kernels.restore_connectivity(*graph[:2], weights))
    return take_edges(united, united.weights != 0)


def _arranged(
    model: Any,
    near: NeighborGraph,
    graph: Csr,
    rows: Tensor,
    epochs: int,
    device: Device,
    progress: Progress,
) -> Tensor:
    """The layout of the connected vertices."""
    n, seed = graph.n, model.random_state_
    joined = take_vertices(graph, rows)
    init = model.init
    if not isinstance(init, str):
        init = np.asarray(host_array(init), np.float32)
        if near.groups is not None:
            init = _rows_of(init, first_rows(near.groups))
        if len(rows) < n:
            init = _rows_of(init, to_host(rows))
    X = points_of(near, device) if isinstance(init, str) and init == "pca" else None
    if X is not None and len(rows) < n:
        X = X[rows]
    name = init if isinstance(init, str) else "start"
    with progress.stage(name, 1.0) as advance:
        start = umap_start(device.kernels, init, joined, X, model.n_components, seed, advance)
    with progress.stage("layout", epochs) as advance:
        return arrange_there(device, joined, start, epochs, model._forces(), seed, advance)


def _rows_of(init: Any, rows: Any) -> Any:
    from ..umap import _rows_of as of

    return of(init, rows)


def points_of(near: NeighborGraph, device: Device) -> Tensor | None:
    """The points of a graph on the device; None where only distances are known, or sparse."""
    from ..spaces import is_sparse

    if isinstance(near, GraphThere):
        return near.points.there
    if near.X is None:
        return None
    return upload(near.X.toarray() if is_sparse(near.X) else np.asarray(near.X), device)


def cut_far_there(
    indices: Tensor, distances: Tensor, metric: Any, disconnection_distance: float | None
) -> tuple[Tensor, Tensor]:
    """Neighbours at ``disconnection_distance`` or farther are at infinity, and none."""
    limit = disconnection_distance
    if limit is None:
        limit = _BOUNDS.get(metric, np.inf) if isinstance(metric, str) else np.inf
    far = distances >= limit
    return indices.masked_fill(far, -1), distances.masked_fill(far, torch.inf)


def fuzzy_set_there(
    kernels: Any, indices: Tensor, distances: Tensor, local_connectivity: float, mix_ratio: float
) -> Csr:
    """The symmetric fuzzy set of neighbours."""
    rho, sigma = kernels.smooth_distances(distances, local_connectivity, 1.0)
    strengths = kernels.memberships(distances, rho, sigma)
    return Csr(*kernels.fuzzy_union(indices, strengths, mix_ratio))


class NewRowsThere(NamedTuple):
    """New rows: the training point each equals or -1, neighbours, and a number of its own."""

    known: Tensor
    indices: Tensor
    distances: Tensor
    keys: Tensor

    def take(self, some: Tensor) -> NewRowsThere:
        """Some of the rows."""
        return NewRowsThere(*(part[some] for part in self))


def find_neighbors_of_there(graph: GraphThere, X: Any, k: int) -> NewRowsThere:
    """Neighbours of new rows among the points of the graph."""
    rows = graph._rows(X)
    known = graph.match_there(rows)
    indices, distances = graph.query_there(rows, k)
    return NewRowsThere(known, indices, distances, graph.device.kernels.hash_rows(rows))


def placed_there(model: Any, graph: GraphThere, X: Any, progress: Progress) -> Tensor:
    """Places (m, n_components) of new rows: those of equal training rows, or their own."""
    device = graph.device
    embedding = embedding_there(model.embedding_, graph, device)
    with progress.stage("neighbours"):
        new = find_neighbors_of_there(graph, X, min(model.n_neighbors_ - 1, graph.n_points))
    places = embedding[new.known.clamp(min=0)]
    strange = torch.nonzero(new.known < 0).ravel()
    if len(strange):
        places[strange] = place_there(model, embedding, new.take(strange), device, progress)
    return places


def embedding_there(embedding: Any, graph: NeighborGraph, device: Device) -> Tensor:
    """One place a point of the graph, on the device."""
    there = (
        as_tensor(embedding).to(device.torch)
        if is_foreign(embedding)
        else upload(embedding, device)
    )
    if graph.groups is None:
        return there
    return there[upload(first_rows(graph.groups), device)]


def place_there(
    model: Any, embedding: Tensor, new: NewRowsThere, device: Device, progress: Progress
) -> Tensor:
    """Where new rows come to lie among the training points: NaN without neighbours."""
    kernels, metric = device.kernels, model.neighbors_.metric
    lists = cut_far_there(new.indices, new.distances, metric, model.disconnection_distance)
    there = ~torch.isnan(embedding).any(dim=1)
    graph = _edges_of_new(kernels, *lists, there, float(model.local_connectivity))
    fixed = embedding[there].contiguous()
    start = _weighted_means(graph, fixed)
    seeds = new.keys ^ upload_to(np.array([model._transform_seed()], np.int64), device.torch)
    epochs, forces = epochs_of_new(model.n_epochs), model._forces()
    with progress.stage("layout", epochs) as advance:
        places = arrange_new_there(device, graph, start, fixed, epochs, forces, seeds, advance)
    return torch.where((graph.degrees == 0)[:, None], torch.nan, places)


def _edges_of_new(
    kernels: Any, indices: Tensor, distances: Tensor, there: Tensor, local_connectivity: float
) -> Csr:
    """Memberships of training points that have a place, over these; see `umap_transform`."""
    lost = (indices >= 0) & ~there[indices.clamp(min=0).long()]
    distances = distances.masked_fill(lost, torch.inf)
    connectivity = max(_HARDLY, local_connectivity - 1.0)
    ordered = torch.sort(distances, dim=1).values
    rho, sigma = kernels.smooth_distances(ordered, connectivity, 1.0)
    weights = kernels.memberships(distances, rho, sigma).masked_fill(indices < 0, 0.0)
    kept = weights > 0
    counts = kept.sum(dim=1)
    number = (there.long().cumsum(0) - 1).int()
    indptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Csr(indptr, number[indices[kept].long()], weights[kept])


def _weighted_means(graph: Csr, fixed: Tensor) -> Tensor:
    """Where each row's neighbours lie on average, summed in the order of the row."""
    longest = int(graph.degrees.max())
    lane = torch.arange(longest, device=fixed.device)
    means = torch.zeros((graph.n, fixed.shape[1]), device=fixed.device)
    for start in range(0, graph.n, 1 << 18):
        some = slice(start, start + (1 << 18))
        there = lane < graph.degrees[some, None]
        edges = (graph.indptr[:-1][some, None] + lane).clamp(max=max(len(graph.columns) - 1, 0))
        weights = graph.weights[edges].double() * there
        sums = (weights[:, :, None] * fixed[graph.columns[edges].long()]).sum(dim=1)
        total = weights.sum(dim=1, keepdim=True)
        means[some] = torch.where(total > 0, sums / total.clamp(min=1e-300), 0.0).float()
    return means
