"""The spectral start on a device: see `fastxai.embed.spectral`, of which this is the twin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...devices import to_host
from ..spectral import (
    _COARSEST,
    _DENSE,
    _FINEST,
    _LANES,
    _MEMBERS,
    _REFINE,
    _ROUNDS,
    _SMALL,
    _TOLERANCE,
    _UNKNOWN,
    _apart,
    _degree,
    _disc,
    _edge,
)
from .csr import Csr, scipy_of, take_vertices
from .points import upload_to

Advance = Callable[[float], None]
# Components of fewer vertices are solved on the host: there may be thousands of them.
_SCRAPS = 4096


class _Spectrum(NamedTuple):
    values: Any  # ndarray (c,), float64
    vectors: Tensor
    residuals: Any


def spectral_start_there(
    kernels: Any, graph: Csr, n_components: int, seed: int, advance: Advance
) -> Tensor:
    """Positions (n, n_components) of all vertices, each component in a disc of its own."""
    from fastxai_kernels.gpu._components import connected_components

    n = graph.n
    count, owner = connected_components(graph.indptr, graph.columns)
    if count == 1 and n > n_components + 1:
        vectors = _leading(kernels, graph, n_components, seed)
        advance(1.0)
        return vectors
    sizes = to_host(torch.bincount(owner, minlength=count))
    places = torch.empty((n, n_components), device=owner.device)
    ranked = np.argsort(-sizes, kind="stable")
    centres = np.zeros((count, n_components))
    centres[ranked, : min(2, n_components)] = _apart(sizes[ranked], min(2, n_components))
    large = [c for c in ranked.tolist() if sizes[c] >= _SCRAPS]
    for component in large:
        rows = torch.nonzero(owner == component).ravel()
        disc = _disc_there(kernels, take_vertices(graph, rows), n_components, seed)
        centre = upload_to(centres[component], owner.device).float()
        places[rows] = disc * math.sqrt(sizes[component] / math.pi) + centre
        advance(float(sizes[component] / n))
    small = torch.ones(count, dtype=torch.bool, device=owner.device)
    if large:
        small[torch.tensor(large, device=owner.device)] = False
    rows = torch.nonzero(small[owner.long()]).ravel()
    if len(rows):
        scraps = scipy_of(take_vertices(graph, rows))
        found = _scraps(scraps, to_host(owner[rows]), sizes, centres, n_components, seed)
        places[rows] = upload_to(found, owner.device)
        advance(len(rows) / n)
    return places


def _scraps(graph: Any, owner: Any, sizes: Any, centres: Any, n_components: int, seed: int) -> Any:
    """Positions of the vertices of many small components, on the host."""
    places = np.empty((len(owner), n_components), np.float32)
    order = np.argsort(owner, kind="stable")
    grouped = graph[order][:, order]
    names, firsts = np.unique(owner[order], return_index=True)
    for name, first in zip(names, firsts, strict=True):
        block = slice(first, first + sizes[name])
        disc = _disc(grouped[block, block], n_components, seed)
        places[order[block]] = disc * math.sqrt(sizes[name] / math.pi) + centres[name]
    return places


def _disc_there(kernels: Any, graph: Csr, n_components: int, seed: int) -> Tensor:
    """One large component within the unit disc."""
    vectors = _leading(kernels, graph, n_components, seed)
    middle = (vectors.amax(dim=0) + vectors.amin(dim=0)) / 2
    reach = torch.linalg.vector_norm(vectors - middle, dim=1).max()
    return (vectors - middle) / reach.clamp(min=1e-30)


def _leading(kernels: Any, graph: Csr, n_components: int, seed: int) -> Tensor:
    """The smoothest functions on a connected graph, the largest entry of each positive."""
    columns = -(-(n_components + 2) // _LANES) * _LANES
    vectors = _solve(kernels, graph, n_components, columns, seed).vectors[:, :n_components]
    largest = vectors.abs().argmax(dim=0, keepdim=True)
    signs = torch.sign(vectors.gather(0, largest))
    return (vectors * torch.where(signs == 0, 1.0, signs)).float().contiguous()


def _solve(kernels: Any, graph: Csr, n_components: int, columns: int, seed: int) -> _Spectrum:
    """The vectors of a graph, begun with those of a smaller one."""
    scaled, known = kernels.normalise(*graph)
    matrix, n, device = (graph.indptr, graph.columns, scaled), graph.n, known.device
    if n <= max(_DENSE, 4 * columns):
        return _spectrum(kernels.ritz(*matrix, torch.eye(n, device=device), known))
    if n > _SMALL:
        owner, count = kernels.aggregate(*graph, _MEMBERS)
        if columns < count < 0.7 * n:
            small = Csr(*kernels.coarsen(*graph, owner, count))
            found = _solve(kernels, small, n_components, columns, seed)
            root = kernels.normalise(*small)[1]
            smooth = (found.vectors[:, :columns] / root[:, None])[owner.long()] * known[:, None]
            first = (_REFINE, _edge(found.values[:columns]))
            block = smooth.float().contiguous()
            return _iterate(kernels, matrix, known, block, first, n_components)
    drawn = np.random.default_rng([seed, 0]).standard_normal((n, columns), dtype=np.float32)
    block = upload_to(drawn, device)
    return _iterate(kernels, matrix, known, block, _UNKNOWN, n_components)


def _iterate(
    kernels: Any,
    matrix: tuple[Any, ...],
    known: Tensor,
    block: Tensor,
    first: tuple[int, float],
    n_components: int,
) -> _Spectrum:
    """Filter and pick, until the residuals of the wanted vectors are small."""
    degree, edge = first
    for _ in range(_ROUNDS):
        block = kernels.chebyshev_filter(*matrix, block, degree, edge)
        found = _spectrum(kernels.ritz(*matrix, block, known))
        allowed = np.clip(_TOLERANCE * (1 - found.values), _FINEST, _COARSEST)
        if (found.residuals < allowed)[:n_components].all():
            break
        block, edge = found.vectors.float().contiguous(), _edge(found.values)
        degree = _degree(edge)
    return found


def _spectrum(found: tuple[Tensor, Tensor, Tensor]) -> _Spectrum:
    """A handful of values and residuals is what the host decides by."""
    values, vectors, residuals = found
    return _Spectrum(to_host(values), vectors, to_host(residuals))
