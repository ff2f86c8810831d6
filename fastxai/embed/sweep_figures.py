"""The figures of a panel: how much of the neighbourhoods and classes a map keeps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .fitting import points_embedding
from .graph import NeighborGraph

KEPT = 15  # neighbours whose preservation is counted
_SAMPLE = 5000  # points it is counted for
_VOTERS = 10  # neighbours that name a class
_SLICE = 2**26  # pairs of points in one call of the kernel


class Points(NamedTuple):
    """Points, their neighbours, and the class of each (-1: none); noise has no classes."""

    X: Any
    graph: NeighborGraph
    classes: NDArray[np.int64] | None
    null: bool = False


def read_classes(labels: Any, n: int) -> NDArray[np.int64]:
    """The class of each point as pictures show it: -1 where there is none."""
    from ..plot.categories import read_categories

    return read_categories(labels, n).codes


def measure(model: Any, points: Points, embedding: NDArray[np.float32]) -> dict[str, float]:
    """The figures that can be had: ``kl``, ``preservation``, ``accuracy``."""
    figures = {}
    if (divergence := getattr(model, "kl_divergence_", None)) is not None:
        figures["kl"] = float(divergence)
    figures["preservation"] = preservation(points.graph, embedding)
    if points.classes is not None:
        accuracy = _accuracy(embedding, points.classes)
        figures |= {} if accuracy is None else {"accuracy": accuracy}
    return figures


def preservation(graph: NeighborGraph, embedding: NDArray[np.float32]) -> float:
    """Share of the nearest neighbours in the graph that are nearest neighbours in the map.

    Of 15 (or as many as there are), for 5,000 points drawn at random.  Points without
    a place are not asked, and as neighbours they count as lost.

    Parameters
    ----------
    graph : NeighborGraph
    embedding : ndarray of shape (n, c), float32

    Returns
    -------
    float
        NaN where there are no two places.
    """
    from fastxai_kernels import select

    places = points_embedding(graph, embedding)
    there = np.flatnonzero(np.isfinite(places).all(axis=1))
    k = min(KEPT, graph.n_neighbors, len(there) - 1)
    if k < 1:
        return float("nan")
    places = np.ascontiguousarray(places[there])
    asked = np.arange(len(there))
    if len(there) > _SAMPLE:
        asked = np.sort(np.random.default_rng(0).choice(len(there), _SAMPLE, replace=False))
    common = known = 0
    step = max(1, _SLICE // len(there))
    for start in range(0, len(asked), step):
        rows = asked[start : start + step]
        found = select("cpu").nearest(places[rows], places, k, rows.astype(np.int32))[0]
        true = graph.indices[there[rows], :k]
        common += int((there[found][:, :, None] == true[:, None, :]).sum())
        known += int((true >= 0).sum())
    return common / known if known else float("nan")


def _accuracy(embedding: NDArray[np.float32], classes: NDArray[np.int64]) -> float | None:
    from ..metrics.embedding import label_accuracy

    known = (classes >= 0) & np.isfinite(embedding).all(axis=1)
    if known.sum() <= _VOTERS:
        return None
    return float(label_accuracy(embedding[known], classes[known], n_neighbors=_VOTERS))
