"""New points in a t-SNE that stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..progress import Progress
from .tsne_repulsion import Repulsion

Positions = NDArray[np.float32]

_ITERATIONS = 100
# Of the way to where a point would rest if the repulsion stayed as it is.
_STEP = np.float32(0.5)


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
    being Z / n, times the exaggeration.
    """
    places = _weighted_means(embedding, indices, affinities)
    field = repulsion.field(np.ascontiguousarray(embedding))
    with progress.stage("layout", _ITERATIONS) as advance:
        for _ in range(_ITERATIONS):
            pull, stiffness = kernels.attraction_at(
                places, embedding, indices, affinities, repulsion.dof
            )
            rest = (pull - field(places) / np.float32(balance)) / stiffness[:, None]
            places = places - _STEP * rest
            advance(1)
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
