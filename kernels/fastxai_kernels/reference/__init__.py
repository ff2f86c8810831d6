"""The specification: what each kernel computes, in plain NumPy float64, short and slow."""

from .cells import pack_cells, principal_axes, probe_cells, project
from .coarsen import aggregate, coarsen
from .fuzzy_set import fuzzy_union, memberships, smooth_distances
from .knn import nearest, nearest_screened
from .refine import join_neighbors, rerank
from .rows import hash_rows
from .spectral import chebyshev_filter, normalise, ritz
from .supervision import class_intersection, graph_intersection, restore_connectivity
from .umap_layout import pack_edges, umap_layout, umap_place

__all__ = [
    "aggregate",
    "chebyshev_filter",
    "class_intersection",
    "coarsen",
    "fuzzy_union",
    "graph_intersection",
    "hash_rows",
    "join_neighbors",
    "memberships",
    "nearest",
    "nearest_screened",
    "normalise",
    "pack_cells",
    "pack_edges",
    "principal_axes",
    "probe_cells",
    "project",
    "rerank",
    "restore_connectivity",
    "ritz",
    "smooth_distances",
    "umap_layout",
    "umap_place",
]
