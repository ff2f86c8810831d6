"""Sparse graphs on a device: the three arrays of compressed sparse rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from scipy import sparse
from torch import Tensor

from ...devices import Device, to_host
from .points import upload


class Csr(NamedTuple):
    """Rows ``indptr[i] .. indptr[i + 1]`` of columns and weights."""

    indptr: Tensor
    columns: Tensor
    weights: Tensor

    @property
    def n(self) -> int:
        """Number of vertices."""
        return len(self.indptr) - 1

    @property
    def degrees(self) -> Tensor:
        """Edges of each vertex, int64."""
        return self.indptr.diff()

    def to_scipy(self) -> Any:
        """The graph on the host."""
        return scipy_of(self)


def scipy_of(graph: Csr) -> Any:
    """The graph on the host."""
    indptr, columns, weights = (to_host(part) for part in graph)
    found = sparse.csr_array((weights, columns, indptr), shape=(graph.n, graph.n))
    found.has_sorted_indices = True
    return found


def csr_there(graph: Any, device: Device) -> Csr:
    """A graph of SciPy on the device."""
    return Csr(
        upload(graph.indptr.astype("int64"), device),
        upload(graph.indices.astype("int32"), device),
        upload(graph.data.astype("float32"), device),
    )


def take_vertices(graph: Csr, rows: Tensor) -> Csr:
    """The graph of some vertices, ascending, that have no edges to others."""
    if len(rows) == graph.n:
        return graph
    kept = torch.zeros(graph.n, dtype=torch.bool, device=rows.device)
    kept[rows] = True
    number = (kept.long().cumsum(0) - 1).int()
    edges = torch.repeat_interleave(kept, graph.degrees)
    columns = number[graph.columns[edges].long()]
    counts = graph.degrees[rows]
    indptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Csr(indptr, columns, graph.weights[edges])


def take_edges(graph: Csr, kept: Tensor) -> Csr:
    """The graph of some edges, given as a flag for each."""
    ends = torch.cat([graph.indptr.new_zeros(1), kept.long().cumsum(0)])
    return Csr(ends[graph.indptr], graph.columns[kept], graph.weights[kept])
