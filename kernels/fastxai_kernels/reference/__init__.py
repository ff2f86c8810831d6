"""The specification: what each kernel computes, in plain NumPy float64, short and slow."""

from .attraction import attraction, cross_entropy, reorder_graph
from .barnes_hut import barnes_hut, evaluate_tree, fixed_tree
from .cam import cam_maps, upsample, weighted_sum
from .cells import pack_cells, principal_axes, probe_cells, project
from .coarsen import aggregate, coarsen
from .descent import descend
from .exact import exact_repulsion, exact_repulsion_at
from .fuzzy_set import fuzzy_union, memberships, smooth_distances
from .knn import nearest, nearest_screened
from .occlusion import occlude, occlude_segments, occlusion_map
from .particle_mesh import (
    evaluate_mesh,
    mesh_potential,
    mesh_size,
    mesh_spacing,
    particle_mesh,
)
from .perplexity import conditional_affinities, joint_affinities
from .placement import attraction_at
from .prototypes import kernel_sums, next_criticism, next_prototype, witness
from .refine import join_neighbors, rerank
from .rows import hash_rows
from .spectral import chebyshev_filter, normalise, ritz
from .supervision import class_intersection, graph_intersection, restore_connectivity
from .umap_layout import pack_edges, umap_layout, umap_place

__all__ = [
    "aggregate",
    "attraction",
    "attraction_at",
    "barnes_hut",
    "cam_maps",
    "chebyshev_filter",
    "class_intersection",
    "coarsen",
    "conditional_affinities",
    "cross_entropy",
    "descend",
    "evaluate_mesh",
    "evaluate_tree",
    "exact_repulsion",
    "exact_repulsion_at",
    "fixed_tree",
    "fuzzy_union",
    "graph_intersection",
    "hash_rows",
    "join_neighbors",
    "joint_affinities",
    "kernel_sums",
    "memberships",
    "mesh_potential",
    "mesh_size",
    "mesh_spacing",
    "nearest",
    "nearest_screened",
    "next_criticism",
    "next_prototype",
    "normalise",
    "occlude",
    "occlude_segments",
    "occlusion_map",
    "pack_cells",
    "pack_edges",
    "particle_mesh",
    "principal_axes",
    "probe_cells",
    "project",
    "reorder_graph",
    "rerank",
    "restore_connectivity",
    "ritz",
    "smooth_distances",
    "umap_layout",
    "umap_place",
    "upsample",
    "weighted_sum",
    "witness",
]
