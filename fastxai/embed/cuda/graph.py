"""Neighbours whose lists lie on a device: a `NeighborGraph` that copies to the host when asked."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...devices import Device, to_host
from ...errors import InvalidInputError
from ..graph import Metric, NeighborGraph, rebuilt
from ..spaces import is_sparse
from .points import Points, Space, check_points_there, space_of, upload

_ROWS = 1 << 14


class GraphThere(NeighborGraph):
    """The neighbours that a search on a GPU found.

    ``indices``, ``distances`` and ``X`` are NumPy arrays, as of any graph: they are copied to
    the host when first looked at.  A pickle holds a plain `NeighborGraph`.
    """

    def __init__(
        self,
        indices: Tensor,
        distances: Tensor,
        points: Points,
        groups: Any,
        device: Device,
        *,
        metric: Metric,
        recall: float,
        seed: int,
        promised: float,
    ) -> None:
        self.lists = indices, distances
        self.device = device
        self.points = points
        self.metric = metric
        self.metric_kwds: dict[str, Any] = {}
        self.recall = float(recall)
        self.groups = groups
        self._seed, self._promised = int(seed), float(promised)
        self._host: dict[str, Any] = {}
        self._found: Space | None = None

    def _copied(self, name: str, tensor: Tensor) -> Any:
        if name not in self._host:
            self._host[name] = to_host(tensor)
        return self._host[name]

    @property
    def indices(self) -> Any:  # type: ignore[override]
        """Neighbours of each point, (n, k), int32, on the host."""
        return self._copied("indices", self.lists[0])

    @property
    def distances(self) -> Any:  # type: ignore[override]
        """Their distances, (n, k), float32, on the host."""
        return self._copied("distances", self.lists[1])

    @property
    def X(self) -> Any:
        """The points, (n, d), on the host: the array that was given, where it was one."""
        host = self.points.host
        return self._copied("X", self.points.there) if host is None else host

    @property
    def n_points(self) -> int:
        """Number of points."""
        return int(self.lists[0].shape[0])

    @property
    def n_neighbors(self) -> int:
        """Neighbours a point, the point itself not counted."""
        return int(self.lists[0].shape[1])

    @property
    def X_is_dense(self) -> bool:
        """True: no sparse points are searched on a device."""
        return True

    def take(self, k: int) -> NeighborGraph:
        """The graph of the first ``k`` neighbours of each point; see `NeighborGraph.take`."""
        if not 1 <= k <= self.n_neighbors:
            return super().take(k)  # which says what is wrong
        graph = copy.copy(self)
        graph.lists = self.lists[0][:, :k].contiguous(), self.lists[1][:, :k].contiguous()
        graph._host = {}
        return graph

    def query(self, X_new: Any, k: int, *, n_jobs: int | None = None) -> Any:
        """The ``k`` points nearest to each new row, all of them compared; see `NeighborGraph`."""
        rows = self._rows(X_new)
        if not 1 <= k <= self.n_points:
            raise InvalidInputError(f"k={k} neighbours of {self.n_points:,} points: choose fewer")
        return tuple(to_host(part) for part in self.query_there(rows, k))

    def match(self, X_new: Any) -> Any:
        """For each new row the lowest point that equals it, -1 where there is none."""
        return to_host(self.match_there(self._rows(X_new))).astype(np.int32)

    def _rows(self, X_new: Any) -> Tensor:
        if is_sparse(X_new):
            X_new = X_new.toarray()
        rows = check_points_there(None, X_new, self.device, reset=False).there
        if rows.shape[1] != self.points.shape[1]:
            raise InvalidInputError(
                f"the new rows have {rows.shape[1]} features and the points {self.points.shape[1]}"
            )
        return rows

    def query_there(self, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """As `query`, on the device."""
        if self._found is None:
            self._found = space_of(self.points.there, str(self.metric))
        space, kernels = self._found, self.device.kernels
        queries = space.take(rows)
        indices = torch.empty((len(rows), k), dtype=torch.int32, device=rows.device)
        squares = torch.empty((len(rows), k), dtype=torch.float32, device=rows.device)
        for start in range(0, len(rows), _ROWS):
            some = queries[start : start + _ROWS]
            nobody = torch.full((len(some),), -1, dtype=torch.int32, device=rows.device)
            found, distances = kernels.nearest(some, space.rows, k, nobody)
            indices[start : start + _ROWS] = found
            squares[start : start + _ROWS] = distances * distances
        return indices, space.distances(squares)

    def match_there(self, rows: Tensor) -> Tensor:
        """As `match`, on the device."""
        kernels, X = self.device.kernels, self.points.there
        hashes = kernels.hash_rows(X)
        order = torch.argsort(hashes, stable=True)
        wanted = kernels.hash_rows(rows)
        at = torch.searchsorted(hashes[order].contiguous(), wanted).clamp(max=len(order) - 1)
        there = order[at]
        found = hashes[there] == wanted
        for start in range(0, len(rows), 1 << 16):
            some = slice(start, start + (1 << 16))
            found[some] &= (X[there[some]] == rows[some]).all(dim=1)
        return torch.where(found, there, -1)

    def __reduce__(self) -> Any:
        """A plain graph with arrays of the host, to be read where there is no GPU."""
        about = {
            "metric": self.metric,
            "recall": self.recall,
            "X": self.X,
            "groups": self.groups,
            "seed": self._seed,
            "promised": self._promised,
        }
        return rebuilt, (self.indices, self.distances, about)


def lists_there(graph: NeighborGraph, device: Device) -> tuple[Tensor, Tensor]:
    """The lists of any graph on a device."""
    if isinstance(graph, GraphThere) and graph.device.name == device.name:
        return graph.lists
    return upload(graph.indices, device), upload(graph.distances, device)


def graph_there(graph: NeighborGraph, device: Device) -> GraphThere:
    """A graph with vectors, with lists and points on a device."""
    if isinstance(graph, GraphThere) and graph.device.name == device.name:
        return graph
    if isinstance(graph, GraphThere) and graph.points.host is None:
        points = Points(graph.points.there.to(device.torch), None)
    else:
        points = Points(upload(graph.X, device), graph.X)
    return GraphThere(
        *lists_there(graph, device), points, graph.groups, device,
        metric=graph.metric, recall=graph.recall, seed=graph._seed, promised=graph._promised,
    )  # fmt: skip
