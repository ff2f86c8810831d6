"""The spectral start: eigenvectors of each connected component's graph, placed apart.

(Belkin and Niyogi 2003; Ng, Jordan and Weiss 2002.)  Few vertices are solved densely;
more by a filtered subspace, round after round, until the residuals of the wanted vectors
are small.  The block of a large graph begins with the vectors of a smaller one, made of its
neighbourhoods, and that one's with those of a smaller one still.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Advance = Callable[[float], None]
Positions = NDArray[np.float32]

_DENSE = 400
_SMALL = 2000
_LANES = 4
_MEMBERS = 32
# Degree and edge of the first filter: of a random block, and of what a smaller graph gave.
_UNKNOWN = (20, 0.9)
_REFINE = 24
_DEGREE = 50
_GROWTH = 1e4  # beyond this single precision loses the weaker of the wanted vectors
_ROUNDS = 10
# Residuals as a share of 1 - value, and where that is more or less than it should be.
_TOLERANCE = 0.5
_FINEST, _COARSEST = 2e-5, 2e-3
_ROOM = 1.3  # between components
_MANY = 1000  # components; the smaller ones of more go around the others


class Spectrum(NamedTuple):
    """Eigenvalues, vectors (n, c) and residuals |A v - value v| of the normalised graph."""

    values: NDArray[np.float64]
    vectors: Positions
    residuals: NDArray[np.float64]


def leading_vectors(
    graph: Any, n_components: int, seed: int, advance: Advance = lambda share: None
) -> Spectrum:
    """The smoothest functions on a connected graph, the constant one left out.

    Parameters
    ----------
    graph : scipy.sparse.csr_array of shape (n, n)
        Symmetric weights; connected.
    n_components : int
        How many; fewer than n.
    seed : int
        Of the block that the iteration begins with.
    advance : callable, optional
        Told of the share done.

    Returns
    -------
    Spectrum
        The largest eigenvalue first; the largest entry of a vector is positive.
    """
    from fastxai_kernels import select

    edges = (graph.indptr.astype(np.int64), graph.indices.astype(np.int32))
    whole = (*edges, graph.data.astype(np.float32))
    columns = -(-(n_components + 2) // _LANES) * _LANES
    found = _solve(select("cpu"), whole, n_components, columns, seed)
    advance(1.0)
    wanted = slice(n_components)
    vectors = _signed(found.vectors[:, wanted])
    return Spectrum(found.values[wanted], vectors, found.residuals[wanted])


def _solve(
    kernels: Any, edges: tuple[Any, ...], n_components: int, columns: int, seed: int
) -> Spectrum:
    """The vectors of a graph, begun with those of a smaller one."""
    scaled, known = kernels.normalise(*edges)
    matrix, n = (*edges[:2], scaled), len(known)
    if n <= max(_DENSE, 4 * columns):
        return Spectrum(*kernels.ritz(*matrix, np.eye(n, dtype=np.float32), known))
    if n > _SMALL:
        owner, count = kernels.aggregate(*edges, _MEMBERS)
        if columns < count < 0.7 * n:
            small = kernels.coarsen(*edges, owner, count)
            found = _solve(kernels, small, n_components, columns, seed)
            root = np.sqrt(np.bincount(owner, np.square(known, dtype=np.float64), count))
            smooth = (found.vectors[:, :columns] / root[:, None])[owner] * known[:, None]
            first = (_REFINE, _edge(found.values[:columns]))
            return _iterate(kernels, matrix, known, smooth.astype(np.float32), first, n_components)
    block = np.random.default_rng([seed, 0]).standard_normal((n, columns), dtype=np.float32)
    return _iterate(kernels, matrix, known, block, _UNKNOWN, n_components)


def _iterate(
    kernels: Any,
    matrix: tuple[Any, ...],
    known: NDArray[np.float32],
    block: Positions,
    first: tuple[int, float],
    n_components: int,
) -> Spectrum:
    """Filter and pick, until the residuals of the wanted vectors are small."""
    degree, edge = first
    for _ in range(_ROUNDS):
        block = kernels.chebyshev_filter(*matrix, block, degree, edge)
        found = Spectrum(*kernels.ritz(*matrix, block, known))
        allowed = np.clip(_TOLERANCE * (1 - found.values), _FINEST, _COARSEST)
        if (found.residuals < allowed)[:n_components].all():
            break
        block, edge = found.vectors, _edge(found.values)
        degree = _degree(edge)
    return found


def _edge(values: NDArray[np.float64]) -> float:
    """What lies below the last value of a block is damped next."""
    return min(max(float(values[-1]), 0.0), 1 - 1e-6)


def _degree(edge: float) -> int:
    """The degree at which an eigenvalue of 1 grows as far as single precision allows."""
    top = 1 + 2 * (1 - edge) / (1 + edge)
    return max(2, min(_DEGREE, int(math.acosh(_GROWTH) / math.acosh(top))))


def _signed(vectors: Positions) -> Positions:
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return np.ascontiguousarray(vectors * np.where(signs == 0, 1, signs), dtype=np.float32)


def spectral_start(
    graph: Any, n_components: int, seed: int, advance: Advance = lambda share: None
) -> Positions:
    """Positions (n, n_components), float32, of all vertices of a graph.

    Parameters
    ----------
    graph : scipy.sparse.csr_array of shape (n, n)
        Symmetric weights, possibly of several components, isolated vertices among them.
    n_components, seed, advance
        See `leading_vectors`.

    Notes
    -----
    Each component becomes a disc with an area in proportion to its number of vertices, the
    largest in the middle.  Distances between components mean nothing.
    """
    from scipy.sparse.csgraph import connected_components

    count, owner = connected_components(graph, directed=False)
    n = graph.shape[0]
    if count == 1 and n > n_components + 1:
        return leading_vectors(graph, n_components, seed, advance).vectors
    sizes = np.bincount(owner, minlength=count)
    ranked = np.argsort(-sizes, kind="stable")
    order = np.argsort(owner, kind="stable")
    grouped = graph[order][:, order]  # each component a diagonal block
    ends = np.cumsum(sizes)
    centres = np.zeros((count, n_components))
    centres[ranked, : min(2, n_components)] = _apart(sizes[ranked], min(2, n_components))
    places = np.empty((n, n_components), np.float32)
    for component in ranked:
        size, block = sizes[component], slice(ends[component] - sizes[component], ends[component])
        disc = _disc(grouped[block, block], n_components, seed)
        places[order[block]] = disc * math.sqrt(size / math.pi) + centres[component]
        advance(size / n)
    return places


def _disc(graph: Any, n_components: int, seed: int) -> Positions:
    """One component within the unit disc; few vertices lie on a circle."""
    n = graph.shape[0]
    if n <= n_components + 1:
        angle = 2 * math.pi * np.arange(n) / n
        places = np.zeros((n, n_components), np.float32)
        if n > 1:
            places[:, 0] = np.cos(angle)
            places[:, 1:2] = np.sin(angle)[:, None]
        return places
    vectors = leading_vectors(graph, n_components, seed).vectors
    middle = (vectors.max(axis=0) + vectors.min(axis=0)) / 2
    reach = np.linalg.norm(vectors - middle, axis=1).max()
    return np.asarray((vectors - middle) / max(float(reach), 1e-30), np.float32)


def _apart(sizes: NDArray[Any], n_components: int) -> NDArray[np.float64]:
    """Centres (c, 1) or (c, 2) of discs of these areas, the largest first, none on another.

    Each goes as far out as it must, in directions a golden angle apart (Vogel 1979), or on a
    line to both sides in turn.  Beyond a thousand a spiral goes on, or the line.
    """
    radii = _ROOM * np.sqrt(sizes / math.pi)
    turns = np.arange(len(sizes)) * math.pi * (3 - math.sqrt(5) if n_components == 2 else 1)
    directions = np.stack([np.cos(turns), np.sin(turns)], axis=1)[:, :n_components]
    centres = np.zeros((len(sizes), n_components))
    few = min(len(sizes), _MANY)
    for i in range(1, few):
        centres[i] = _first_gap(centres[:i], radii[:i] + radii[i], directions[i]) * directions[i]
    if few < len(sizes):
        taken = float((np.linalg.norm(centres[:few], axis=1) + radii[:few]).max()) + radii[few]
        # The next ring's area, or length, is what the discs so far need.
        need = np.cumsum(4 * np.square(radii[few:])) if n_components == 2 else None
        far = taken + 2 * np.cumsum(radii[few:]) if need is None else np.sqrt(taken**2 + need)
        centres[few:] = far[:, None] * directions[few:]
    return centres


def _first_gap(
    centres: NDArray[np.float64], reach: NDArray[np.float64], direction: NDArray[np.float64]
) -> float:
    """How far along a direction from the middle all centres are out of reach."""
    along = np.multiply(centres, direction).sum(axis=1)
    half = np.square(reach) - np.square(centres).sum(axis=1) + np.square(along)
    met = half > 0
    low, high = (along[met] + sign * np.sqrt(half[met]) for sign in (-1, 1))
    order = np.argsort(low, kind="stable")
    # The middle is taken: reached so far, and where the next one's reach begins.
    ends = np.maximum.accumulate(high[order])
    begins = np.append(low[order][1:], np.inf)
    return float(ends[np.argmax((begins > ends) & (ends > 0))])
