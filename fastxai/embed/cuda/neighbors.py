"""`fastxai.neighbors` on a device."""

from __future__ import annotations

from typing import Any

import torch

from ...devices import Device, to_host
from ...errors import InvalidInputError
from ...progress import Progress
from ..fitting import _same_points as same_points
from ..fitting import first_rows
from ..graph import NeighborGraph
from ..search import warn_of_recall
from ..spaces import NATIVE
from .copies import find_copies
from .graph import GraphThere, lists_there
from .memory import require_device_memory, search_bytes
from .points import Points, check_points_there, space_of
from .search import find_neighbors_there


def neighbors_there(
    X: Any,
    k: int,
    device: Device,
    *,
    metric: str,
    recall: float,
    unique: bool,
    seed: int,
    progress: Progress,
    possible: Any,
) -> GraphThere:
    """The neighbours of rows that are checked here; ``possible`` reduces k to what n allows."""
    points = X if isinstance(X, Points) else check_points_there(None, X, device, reset=False)
    n = points.shape[0]
    if n < 2:
        raise InvalidInputError(f"n_samples = {n}: one point has no neighbours; give two or more")
    kernels, groups = device.kernels, None
    if unique:
        points, groups = _distinct(kernels, points)
    k = possible(k, points.shape[0], "distinct points" if unique else "points")
    n, d = points.shape
    require_device_memory(
        device, search_bytes(n, d, k, metric), f"the search for {k} neighbours of {n:,} x {d}"
    )
    with progress.stage("neighbours", n) as advance:
        told = _Told(advance, n)
        space = space_of(points.there, metric)
        found = find_neighbors_there(kernels, space, k, recall, seed, told)
        told(n)
    if found.recall < recall:
        warn_of_recall(found.recall, recall, d)
    return GraphThere(
        found.indices, found.distances, points, groups, device,
        metric=metric, recall=found.recall, seed=seed, promised=recall,
    )  # fmt: skip


class _Told:
    """Progress that never passes its total."""

    def __init__(self, advance: Any, total: float) -> None:
        self._advance, self._left = advance, float(total)

    def __call__(self, rows: float) -> None:
        done = min(rows, self._left)
        self._left -= done
        self._advance(done)


def _distinct(kernels: Any, points: Points) -> tuple[Points, Any]:
    """The distinct rows in the order in which they appear, and which of them each row is."""
    copies = find_copies(kernels, points.there)
    groups = len(copies.starts) - 1
    if groups == 1:
        raise InvalidInputError(
            f"all {points.shape[0]:,} rows are equal: with unique=True that is n_samples = 1, "
            "and one point has no neighbours"
        )
    group = to_host(copies.group.int())
    if groups == points.shape[0]:
        return points, group
    firsts = copies.firsts
    host = None if points.host is None else points.host[to_host(firsts)]
    return Points(torch.index_select(points.there, 0, firsts), host), group


def with_points_there(
    graph: NeighborGraph, points: Any, device: Device, seed: int, recall: float
) -> NeighborGraph:
    """Neighbours that were given, beside the points they are neighbours of.

    Raises
    ------
    InvalidInputError
        If they are those of other points.
    """
    if graph.metric not in NATIVE:
        return graph
    if isinstance(graph, GraphThere):
        same_rows(graph.points.there, graph.groups, points.there)
        return graph
    if graph.X is not None:
        same_points(graph, points.host if points.host is not None else to_host(points.there))
    if graph.groups is not None:
        rows = torch.from_numpy(first_rows(graph.groups)).to(device.torch)
        host = None if points.host is None else points.host[to_host(rows)]
        points = Points(points.there[rows], host)
    return GraphThere(
        *lists_there(graph, device), points, graph.groups, device,
        metric=graph.metric, recall=graph.recall, seed=seed, promised=recall,
    )  # fmt: skip


def same_rows(theirs: Any, groups: Any, points: Any) -> None:
    """Refuse the neighbours of other points.

    Raises
    ------
    InvalidInputError
    """
    if theirs.shape[1] != points.shape[1]:
        raise InvalidInputError(
            f"X has {points.shape[1]} features, and the given neighbours were sought among "
            f"points with {theirs.shape[1]}"
        )
    if theirs is points:
        return
    n = len(points)
    # In float32 the last of many millions of rows would be rounded beyond them.
    ends = {"dtype": torch.float64, "device": points.device}
    rows = torch.linspace(0, n - 1, min(n, 1024), **ends).long()
    mine = rows if groups is None else torch.from_numpy(groups).to(points.device)[rows].long()
    different = (theirs[mine] != points[rows]).any(dim=1)
    if bool(different.any()):
        row = int(rows[different.to(torch.uint8).argmax()])
        raise InvalidInputError(
            f"row {row} of X is another than the one whose neighbours are given: neighbors= was "
            "built for other points, or in another order"
        )
