"""The specification: what each kernel computes, in plain NumPy float64, short and slow."""

from .coarsen import aggregate, coarsen
from .fuzzy_set import fuzzy_union, memberships, smooth_distances
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
from .spectral import chebyshev_filter, normalise, ritz
from .supervision import class_intersection, graph_intersection, restore_connectivity
from .umap_layout import pack_edges, umap_layout, umap_place

__all__ = [
    "aggregate",
    "chebyshev_filter",
    "class_intersection",
    "coarsen",
    "covariance",
    "fuzzy_union",
    "graph_intersection",
    "hash_rows",
    "join_neighbors",
    "memberships",
    "nearest",
    "normalise",
    "pack_edges",
    "probe_cells",
    "project",
    "query_cells",
    "rerank",
    "restore_connectivity",
    "ritz",
    "smooth_distances",
    "umap_layout",
    "umap_place",
]
