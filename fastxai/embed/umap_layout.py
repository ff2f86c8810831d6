"""The loop around UMAP's layout kernels: slices of epochs, so that Ctrl-C and progress fit in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Advance = Callable[[float], None]
Positions = NDArray[np.float32]

# Pairs that one slice moves: a fraction of a second.
_SLICE = 2e7
# Positions of more points than this do not fit into a core's cache.
_CACHED = 100_000
_FEW = 10_000
_EPOCHS = (500, 200)
_NEW_EPOCHS = 100


class Forces(NamedTuple):
    """What the layout obeys."""

    a: float
    b: float
    repulsion_strength: float
    negative_sample_rate: float
    learning_rate: float


def default_epochs(n_points: int) -> int:
    """As many as umap-learn takes: 500 up to 10,000 points, then 200."""
    return _EPOCHS[0] if n_points <= _FEW else _EPOCHS[1]


def epochs_of_new(n_epochs: int | None) -> int:
    """Epochs in which new points find their place: 100, or a third of those asked for."""
    return _NEW_EPOCHS if n_epochs is None else -(-n_epochs // 3)


def arrange(
    kernels: Any,
    graph: Any,
    start: Positions,
    n_epochs: int,
    forces: Forces,
    seed: int,
    advance: Advance,
) -> Positions:
    """All points move; ``advance`` is told of epochs done."""
    if n_epochs == 0 or graph.nnz == 0:
        advance(n_epochs)
        return start.copy()
    order = None
    if len(start) > _CACHED:  # neighbours lie near each other at the start: let memory follow
        order = along_a_curve(start)
        graph, start = graph[order][:, order], start[order]
    edges = _edges(kernels, graph, float(graph.data.max()), n_epochs)
    places = start
    for first, last in _slices(n_epochs, len(edges[1])):
        places = kernels.umap_layout(places, *edges, first, last, n_epochs, *forces, seed)
        advance(last - first)
    if order is None:
        return places
    result = np.empty_like(places)
    result[order] = places
    return result


def along_a_curve(places: Positions) -> NDArray[np.int64]:
    """Points in the order of a Z-curve through their first two dimensions (Morton 1966).

    Examples
    --------
    >>> along_a_curve(np.array([[1, 1], [0, 0], [1, 0], [0, 1]], np.float32)).tolist()
    [1, 2, 3, 0]
    """
    plane = places[:, :2].astype(np.float64)
    low, high = plane.min(axis=0), plane.max(axis=0)
    cells = ((plane - low) / np.where(high > low, high - low, 1.0) * (2**16 - 1)).astype(np.uint64)
    code = np.zeros(len(places), np.uint64)
    for axis in range(cells.shape[1]):
        bits = cells[:, axis]
        for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
            bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
        code |= bits << np.uint64(axis)
    return np.argsort(code, kind="stable")


def arrange_new(
    kernels: Any,
    graph: Any,
    start: Positions,
    fixed: Positions,
    n_epochs: int,
    forces: Forces,
    seeds: NDArray[np.uint64],
    advance: Advance,
) -> Positions:
    """New points move among fixed ones, each by itself, at a quarter of the learning rate."""
    if n_epochs == 0 or len(start) == 0:
        return start.copy()
    forces = forces._replace(learning_rate=forces.learning_rate / 4)
    edges = _edges(kernels, graph, 1.0, n_epochs)
    places = start
    for first, last in _slices(n_epochs, len(edges[1])):
        places = kernels.umap_place(places, fixed, *edges, first, last, n_epochs, *forces, seeds)
        advance(last - first)
    return places


def _edges(kernels: Any, graph: Any, largest: float, n_epochs: int) -> tuple[Any, ...]:
    """Weights relative to the largest; edges too weak to be drawn once are left out."""
    weights = (graph.data / np.float32(largest)).astype(np.float32)
    strong = weights >= 1.0 / n_epochs
    indptr = graph.indptr.astype(np.int64)
    if not strong.all():
        indptr = np.concatenate([[0], np.cumsum(strong)])[indptr].astype(np.int64)
    packed = kernels.pack_edges(indptr, graph.indices[strong].astype(np.int32), weights[strong])
    return tuple(packed)


def _slices(n_epochs: int, edges: int) -> list[tuple[int, int]]:
    step = int(min(max(_SLICE / max(edges, 1), 1), n_epochs))
    return [(first, min(first + step, n_epochs)) for first in range(0, n_epochs, step)]
