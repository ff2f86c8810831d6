"""The specification: what each kernel computes, in plain NumPy float64, short and slow."""

from .knn import (
    covariance,
    hash_rows,
    join_neighbors,
    nearest,
    probe_cells,
    project,
    query_cells,
    rerank,
)

__all__ = [
    "covariance",
    "hash_rows",
    "join_neighbors",
    "nearest",
    "probe_cells",
    "project",
    "query_cells",
    "rerank",
]
