"""Where the points of a layout start: spectral, PCA, random, or given positions.

Starts come out as umap-learn hands them to its layout: every axis runs from 0 to 10.
Given positions that are about as large stay exactly where they are, so that a map can grow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .spectral import spectral_start

STARTS = ("spectral", "pca", "random")
_EXTENT = 10.0
_NOISE = 1e-4
# Extents of a map; positions beyond are brought to this size.
_AS_GIVEN = (2.0, 100.0)
_SWEEPS = 4

Positions = NDArray[np.float32]


def check_init(init: Any, n_points: int, n_components: int) -> None:
    """Find out before the work whether ``init`` can be used."""
    if isinstance(init, str):
        if init not in STARTS:
            raise InvalidInputError(
                f"unknown init {init!r}; choose one of {', '.join(STARTS)}, or give an array of "
                f"shape ({n_points}, {n_components})"
            )
        return
    try:
        init = np.asarray(init, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"init is no array of numbers: {error}") from None
    shape = init.shape
    if len(shape) != 2 or shape[1] != n_components or not 0 < shape[0] <= n_points:
        raise InvalidInputError(
            f"init has the shape {shape}; positions of {n_points} points in {n_components} "
            "dimensions were expected (fewer rows for a map that grows)"
        )
    if np.isinf(init).any():
        raise InvalidInputError("init holds infinity; mark points without a place by NaN")


def start_positions(
    init: Any,
    graph: Any,
    X: Any,
    n_components: int,
    seed: int,
    advance: Callable[[float], None] = lambda share: None,
) -> Positions:
    """Positions (n, n_components), float32, at which the layout of a graph starts.

    Parameters
    ----------
    init : {"spectral", "pca", "random"} or array of shape (m, n_components), m <= n
        Rows of an array that are missing or NaN start among their neighbours.
    graph : scipy.sparse.csr_array of shape (n, n)
        Symmetric weights.
    X : array or sparse matrix of shape (n, d), or None
        The data, for the PCA.
    n_components, seed : int
    advance : callable, optional
        Told of the share done.

    Raises
    ------
    InvalidInputError
        If there is no data for a PCA.
    """
    random = np.random.default_rng([seed, 1])
    n = graph.shape[0]
    if not isinstance(init, str):
        return _given(np.asarray(init, np.float32), graph, n, random)
    if init == "random":
        places = random.uniform(-10, 10, (n, n_components)).astype(np.float32)
    elif init == "pca":
        places = _principal(X, n, n_components)
    else:
        return scaled(spectral_start(graph, n_components, seed, advance=advance), random)
    advance(1.0)
    return scaled(places, random)


def scaled(places: Positions, random: np.random.Generator) -> Positions:
    """A little noise, then every axis from 0 to 10."""
    largest = float(np.abs(places).max(initial=0.0))
    start = places * (_EXTENT / largest if largest > 0 else 1.0)
    start = start + random.normal(scale=_NOISE, size=start.shape)
    low, high = start.min(axis=0), start.max(axis=0)
    extent = np.where(high > low, high - low, 1.0)
    return np.ascontiguousarray(_EXTENT * (start - low) / extent, dtype=np.float32)


def _principal(X: Any, n: int, n_components: int) -> Positions:
    """Principal components; zeros (noise, once scaled) where there are too few."""
    if X is None:
        raise InvalidInputError(
            "init='pca' needs the vectors, and there are only distances: use 'spectral'"
        )
    from .pca import PCA

    few = min(n_components, *X.shape)
    places = np.zeros((n, n_components), np.float32)
    places[:, :few] = PCA(n_components=few).fit_transform(X)
    return places


def _given(known: Positions, graph: Any, n: int, random: np.random.Generator) -> Positions:
    """Positions as given, brought to the size of a map if need be; the rest among them."""
    places = np.full((n, known.shape[1]), np.nan, np.float32)
    places[: len(known)] = known
    placed = np.asarray(~np.isnan(places).any(axis=1))
    if not placed.any():
        raise InvalidInputError("init holds nothing but NaN: no point has a place")
    low, high = places[placed].min(axis=0), places[placed].max(axis=0)
    extent = float((high - low).max())
    if not _AS_GIVEN[0] <= extent <= _AS_GIVEN[1]:
        places = (places - low) * np.float32(_EXTENT / extent if extent > 0 else 1.0)
        low, high = np.zeros_like(low), places[placed].max(axis=0)
    spread = (float((high - low).max()) or _EXTENT) * _NOISE
    again = _copies(places)
    # Forces act along the line between two points: at one place nothing would part them.
    places[again] += random.normal(scale=spread, size=places[again].shape).astype(np.float32)
    return places if placed.all() else _fill(places, placed, graph, random, low, high)


def _copies(places: Positions) -> NDArray[np.bool_]:
    """Which rows equal an earlier one."""
    again = np.ones(len(places), bool)
    again[np.unique(places, axis=0, return_index=True)[1]] = False
    return again & ~np.isnan(places).any(axis=1)


def _fill(
    places: Positions,
    placed: NDArray[np.bool_],
    graph: Any,
    random: np.random.Generator,
    low: Positions,
    high: Positions,
) -> Positions:
    """A point without a place goes to the mean of its placed neighbours, or anywhere."""
    spread = max(float((high - low).max()), 1e-3) * _NOISE
    for _ in range(_SWEEPS):
        missing = np.flatnonzero(~placed)
        if len(missing) == 0:
            break
        weights = graph[missing][:, np.flatnonzero(placed)]
        total = np.asarray(weights.sum(axis=1)).ravel()
        near = total > 0
        means = (weights @ places[placed])[near] / total[near, None]
        noise = random.normal(scale=spread, size=means.shape)
        places[missing[near]] = (means + noise).astype(np.float32)
        placed = placed.copy()
        placed[missing[near]] = True
    missing = np.flatnonzero(~placed)
    places[missing] = random.uniform(low, high, (len(missing), places.shape[1]))
    return places
