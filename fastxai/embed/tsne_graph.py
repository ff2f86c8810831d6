"""The graph that t-SNE draws: joint affinities of neighbours; and where its points start."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._warn import warn
from ..errors import FastxaiWarning, InvalidInputError
from ..progress import Progress
from .graph import NeighborGraph

Graph = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
Positions = NDArray[np.float32]

_START = 1e-4  # standard deviation of the first axis (scikit-learn#18018)


def neighbors_needed(perplexities: tuple[float, ...], n: int) -> int:
    """Three times the largest perplexity, as far as there are other points.

    Examples
    --------
    >>> neighbors_needed((30.0,), 70_000), neighbors_needed((5.0, 30.0), 50)
    (90, 49)
    """
    return max(1, min(n - 1, int(3.0 * max(perplexities))))


def warn_of_few(graph: NeighborGraph, perplexities: tuple[float, ...]) -> None:
    """Say which perplexity so few neighbours, or so few points, support."""
    k, n = graph.n_neighbors, graph.n_points
    largest = max(perplexities)
    wanted = int(3.0 * largest)
    if k >= wanted:
        return
    supported = f"about {max(k / 3, 1):.0f}"
    if k < n - 1:
        warn(
            f"perplexity={largest:g} wants {wanted} neighbours a point and the given ones are "
            f"{k}: they support a perplexity of {supported}; build them with "
            f"neighbors(X, n_neighbors={min(wanted, n - 1)})"
        )
    else:
        warn(
            f"perplexity={largest:g} wants {wanted} neighbours a point and there are {k} other "
            f"points: so few support a perplexity of {supported}"
        )


def joint_graph(
    kernels: Any, near: NeighborGraph, perplexities: tuple[float, ...], progress: Progress
) -> Graph:
    """Joint affinities as CSR; they sum to 1.

    Raises
    ------
    InvalidInputError
        If a point has no neighbour.
    """
    with progress.stage("affinities"):
        affinities = kernels.conditional_affinities(near.distances, perplexities)
        graph: Graph = kernels.joint_affinities(near.indices, affinities)
    alone = np.flatnonzero(np.diff(graph[0]) == 0)
    if len(alone):
        raise InvalidInputError(
            f"{len(alone):,} of {near.n_points:,} points have no neighbours at a finite distance "
            f"(the first is row {alone[0]}): nothing would hold them in the embedding; leave "
            "them out, or give them neighbours"
        )
    return graph


def start_of(
    init: Any, points: Any, graph: Graph, n_components: int, seed: int, progress: Progress
) -> Positions:
    """Where the points start, (n, n_components): as given, or of standard deviation 1e-4."""
    random = np.random.default_rng([seed, 2])
    n = len(graph[0]) - 1
    if not isinstance(init, str):
        return np.array(init, np.float32, order="C")
    with progress.stage(init, 1.0) as advance:
        if init == "random":
            places = random.normal(scale=_START, size=(n, n_components))
        elif init == "pca":
            places = _small(_principal(points, n, n_components), random)
        else:
            from scipy import sparse

            from .spectral import spectral_start

            csr = sparse.csr_array((graph[2], graph[1], graph[0]), shape=(n, n))
            places = _small(spectral_start(csr, n_components, seed, advance=advance), random)
        advance(1.0)
    return np.ascontiguousarray(places, np.float32)


def _principal(points: Any, n: int, n_components: int) -> NDArray[np.float64]:
    """Principal components; zeros where there are too few."""
    from .pca import PCA

    if points is None:
        raise InvalidInputError(
            "init='pca' needs the vectors, and there are only distances: use 'spectral'"
        )
    few = min(n_components, *points.shape)
    places = np.zeros((n, n_components))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastxaiWarning)  # of rows that are all equal
        places[:, :few] = PCA(n_components=few).fit_transform(points)
    return places


def _small(places: NDArray[Any], random: np.random.Generator) -> NDArray[np.float64]:
    """The first axis brought to its standard deviation; axes without any get a seeded jitter.

    Points that start on a line, or all at one place, would stay there.
    """
    places = places.astype(np.float64)
    places -= places.mean(axis=0)
    deviation = places.std(axis=0)
    flat = deviation <= 1e-7 * max(float(deviation.max()), 1e-30)
    if not flat[0]:
        places *= _START / deviation[0]
    places[:, flat] = random.normal(scale=_START, size=(len(places), int(flat.sum())))
    return places
