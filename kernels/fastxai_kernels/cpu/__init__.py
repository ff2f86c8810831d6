"""The CPU backend: Numba."""

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
from .umap_layout import pack_edges, umap_layout, umap_place

__all__ = [
    "covariance",
    "hash_rows",
    "join_neighbors",
    "nearest",
    "pack_edges",
    "probe_cells",
    "project",
    "query_cells",
    "rerank",
    "umap_layout",
    "umap_place",
]
