"""Where the points of a layout start, on the device: see `fastxai.embed.initialise`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InvalidInputError
from ..initialise import _EXTENT, _NOISE, _given
from ..tsne_graph import _START
from .csr import Csr, scipy_of
from .points import upload_to
from .spectral import spectral_start_there

Advance = Callable[[float], None]


def umap_start(
    kernels: Any,
    init: Any,
    graph: Csr,
    X: Tensor | None,
    n_components: int,
    seed: int,
    advance: Advance,
) -> Tensor:
    """Positions (n, n_components), as `start_positions` gives them on the host."""
    random, n, device = np.random.default_rng([seed, 1]), graph.n, graph.indptr.device
    if not isinstance(init, str):
        known = np.asarray(init, np.float32)
        whole = len(known) == n and not np.isnan(known).any()
        return upload_to(_given(known, None if whole else scipy_of(graph), n, random), device)
    if init == "random":
        places = upload_to(random.uniform(-10, 10, (n, n_components)).astype(np.float32), device)
    elif init == "pca":
        places = principal(kernels, X, n, n_components)
    else:
        places = spectral_start_there(kernels, graph, n_components, seed, advance)
        return _scaled(places, random)
    advance(1.0)
    return _scaled(places, random)


def tsne_start(
    kernels: Any,
    init: Any,
    graph: Csr,
    X: Tensor | None,
    n_components: int,
    seed: int,
    advance: Advance,
) -> Tensor:
    """Positions of standard deviation 1e-4, or as given."""
    random, n, device = np.random.default_rng([seed, 2]), graph.n, graph.indptr.device
    if not isinstance(init, str):
        return upload_to(np.array(init, np.float32, order="C"), device)
    if init == "random":
        drawn = random.normal(scale=_START, size=(n, n_components))
        places = upload_to(drawn.astype(np.float32), device)
    elif init == "pca":
        places = _small(principal(kernels, X, n, n_components), random)
    else:
        found = spectral_start_there(kernels, graph, n_components, seed, lambda share: None)
        places = _small(found, random)
    advance(1.0)
    return places


def principal(kernels: Any, X: Tensor | None, n: int, n_components: int) -> Tensor:
    """Principal components, the largest entry of each direction positive; zeros beyond them."""
    if X is None:
        raise InvalidInputError(
            "init='pca' needs the vectors, and there are only distances: use 'spectral'"
        )
    few = min(n_components, *X.shape)
    mean = X.double().mean(dim=0).float() if X.numel() < 2**27 else _mean(X)
    directions = kernels.principal_axes(X, mean)[1][:, :few]
    largest = directions.abs().argmax(dim=0, keepdim=True)
    signs = torch.sign(directions.gather(0, largest))
    directions = (directions * torch.where(signs == 0, 1.0, signs)).float().contiguous()
    places = torch.zeros((n, n_components), device=X.device)
    places[:, :few] = kernels.project(X, mean, directions)[0]
    return places


def _mean(X: Tensor) -> Tensor:
    """The mean of the rows, block by block, for the sake of float64."""
    total = torch.zeros(X.shape[1], dtype=torch.float64, device=X.device)
    for start in range(0, len(X), 1 << 16):
        total += X[start : start + (1 << 16)].double().sum(dim=0)
    return (total / len(X)).float()


def _scaled(places: Tensor, random: np.random.Generator) -> Tensor:
    """Every axis from 0 to 10, as umap-learn begins; noise parts what lies at one place."""
    largest = places.abs().max().double().clamp(min=1e-30)
    noise = random.normal(scale=_NOISE, size=tuple(places.shape)).astype(np.float32)
    start = places.double() * (_EXTENT / largest) + upload_to(noise, places.device)
    low, high = start.amin(dim=0), start.amax(dim=0)
    extent = torch.where(high > low, high - low, 1.0)
    return (_EXTENT * (start - low) / extent).float().contiguous()


def _small(places: Tensor, random: np.random.Generator) -> Tensor:
    """The first axis brought to its standard deviation; axes without any get a seeded jitter."""
    found = places.double()
    found = found - found.mean(dim=0)
    deviation = found.std(dim=0, correction=0)
    flat = deviation <= 1e-7 * deviation.max().clamp(min=1e-30)
    scale = torch.where(flat[0], 1.0, _START / deviation[0].clamp(min=1e-300))
    jitter = random.normal(scale=_START, size=tuple(places.shape)).astype(np.float32)
    jitter = upload_to(jitter, places.device).double()
    return torch.where(flat, jitter, found * scale).float().contiguous()
