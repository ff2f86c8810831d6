"""New points in a t-SNE that stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..progress import Progress
from .tsne_graph import Positions
from .tsne_repulsion import Repulsion

_ITERATIONS = 400
# Of the way to where a point would rest if the repulsion stayed as it is.
_STEP = np.float32(0.3)
_AT_REST = np.float32(1e-3)  # a step, in units of the map: its clusters are some tens wide
_ROWS = 1 << 16


def place(
    kernels: Any,
    embedding: Positions,
    indices: NDArray[np.int32],
    affinities: NDArray[np.float32],
    repulsion: Repulsion,
    balance: float,
    progress: Progress,
) -> Positions:
    """Where new points with these neighbours come to rest among the training points.

    Each minimises  -sum_j p_j log w(r_j) + sum_j w(r_j) / balance  over its own place: the
    divergence of the whole embedding as far as it depends on one more point, ``balance``
    being Z / n, times the exaggeration.  NaN for a point without neighbours.
    """
    field = repulsion.field(embedding)
    places = np.full((len(indices), embedding.shape[1]), np.nan, np.float32)
    held = np.flatnonzero((affinities > 0).any(axis=1))
    with progress.stage("layout", len(held)) as advance:
        for first in range(0, len(held), _ROWS):
            rows = held[first : first + _ROWS]
            lists = indices[rows], affinities[rows]
            places[rows] = _settle(kernels, embedding, *lists, field, repulsion.dof, balance)
            advance(len(rows))
    return places


def _settle(
    kernels: Any,
    embedding: Positions,
    indices: NDArray[np.int32],
    affinities: NDArray[np.float32],
    field: Callable[[Positions], Positions],
    dof: float,
    balance: float,
) -> Positions:
    """Each point moves until it is at rest, whatever the others do."""
    places = _weighted_means(embedding, indices, affinities)
    moving = np.arange(len(places))
    for _ in range(_ITERATIONS):
        some = places[moving]
        lists = indices[moving], affinities[moving]
        pull, stiffness = kernels.attraction_at(some, embedding, *lists, dof)
        step = _STEP * (pull - field(some) / np.float32(balance)) / stiffness[:, None]
        places[moving] = some - step
        moving = moving[np.abs(step).max(axis=1) > _AT_REST]
        if len(moving) == 0:
            break
    return places


def _weighted_means(
    embedding: Positions, indices: NDArray[np.int32], affinities: NDArray[np.float32]
) -> Positions:
    """Where each row's neighbours lie on average, summed in the order of the row."""
    sums = np.zeros((len(indices), embedding.shape[1]), np.float64)
    total = np.zeros(len(indices), np.float64)
    for c in range(indices.shape[1]):
        weight = np.where(indices[:, c] >= 0, affinities[:, c], 0.0)
        sums += weight[:, None] * embedding[np.maximum(indices[:, c], 0)]
        total += weight
    return np.ascontiguousarray(sums / total[:, None], np.float32)
