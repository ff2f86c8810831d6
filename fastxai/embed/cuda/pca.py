"""PCA on a device, by `torch.linalg`: points of the host are read and sent block by block.

    C = (X - mean)^T (X - mean) / (n - 1),   C v = lambda v        (Jolliffe 2002)

All sums are float64.  Where rows are fewer than features their inner products take the place
of C; where both are many and few components are asked for, a random subspace is iterated
(Halko, Martinsson and Tropp 2011, algorithm 4.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...devices import Device, as_tensor, is_foreign, is_tensor, to_host
from ..decompose import _NOISE, _OVERSAMPLE, _PASSES, _RESIDUAL, Decomposition
from ..spaces import is_sparse
from ..validation import _check_features, _check_shape, check_points
from .memory import require_device_memory
from .points import _check_finite, upload

_ELEMENTS = 2**24  # of a block in float64
_WHOLE = 8192  # features (or rows) whose whole eigenproblem is solved


def is_projected_there(X: Any, device: Device) -> bool:
    """Whether the PCA of X runs on a GPU: not of sparse points."""
    return device.is_gpu and not is_sparse(X) and not hasattr(X, "sparse")


def check_blocks_there(estimator: Any, X: Any, device: Device, *, reset: bool, least: int) -> Any:
    """Checked points: a tensor on the device, or an array of the host to be read in blocks."""
    if not is_foreign(X):
        return check_points(
            estimator, X, reset=reset, keep_float64=True, min_rows=least, in_blocks=True
        )
    tensor = as_tensor(X)
    _check_shape(tuple(tensor.shape), least)
    _check_features(estimator, tensor, reset)
    wide = tensor.dtype == torch.float64
    points = tensor.to(device.torch, torch.float64 if wide else torch.float32)
    _check_finite(tensor, points)
    return points


def _blocks(X: Any, device: Device) -> Iterator[tuple[slice, Tensor]]:
    """Rows in float64, block by block."""
    n, d = X.shape
    rows = max(64, _ELEMENTS // d)
    for start in range(0, n, rows):
        some = slice(start, min(start + rows, n))
        block = X[some] if is_tensor(X) else upload(np.ascontiguousarray(X[some]), device)
        yield some, block.double()


def decompose_there(
    X: Any,
    n_components: float | None,
    solver: str,
    seed: int,
    device: Device,
    advance: Callable[[float], Any],
) -> Decomposition:
    """The principal components of checked points; see `fastxai.embed.decompose.decompose`."""
    n, d = X.shape
    small = min(n, d)
    count = int(n_components) if n_components is not None and n_components >= 1 else None
    if solver == "auto":
        few = small <= _WHOLE or count is None or count > small // 2
        solver = "covariance" if few else "randomized"
    if solver == "covariance":
        require_device_memory(
            device, 40.0 * small * small + 24.0 * _ELEMENTS, f"the exact PCA of {n:,} x {d:,}",
            "give a small n_components and solver='randomized'",
        )  # fmt: skip
    total = torch.zeros(d, dtype=torch.float64, device=device.torch)
    for some, block in _blocks(X, device):
        total += block.sum(dim=0)
        advance(0.3 * (some.stop - some.start) / n)
    mean = total / n
    if solver == "randomized" and count is not None:
        directions, scatter, whole = _randomized(X, mean, count, seed, device)
    else:
        directions, scatter, whole = (_by_covariance if d <= n else _by_rows)(X, mean, device)
    directions, variance = directions[:count], scatter[:count].clamp(min=0) / (n - 1)
    spread = float(whole) / (n - 1)
    largest = directions.abs().argmax(dim=1, keepdim=True)
    signs = torch.sign(directions.gather(1, largest))
    directions = directions * torch.where(signs == 0, 1.0, signs)
    if n_components is not None and count is None:
        held = variance.cumsum(0) / (spread or 1.0)
        enough = min(int((held < n_components).sum()) + 1, len(variance))
        directions, variance = directions[:enough], variance[:enough]
    advance(0.7)
    return Decomposition(to_host(mean), to_host(directions), to_host(variance), spread, solver)


def _by_covariance(X: Any, mean: Tensor, device: Device) -> tuple[Tensor, Tensor, Tensor]:
    d = X.shape[1]
    scatter = torch.zeros((d, d), dtype=torch.float64, device=device.torch)
    for _, block in _blocks(X, device):
        moved = block - mean
        scatter += moved.T @ moved
    values, vectors = torch.linalg.eigh(scatter)
    return vectors.flip(1).T, values.flip(0), scatter.diagonal().sum()


def _by_rows(X: Any, mean: Tensor, device: Device) -> tuple[Tensor, Tensor, Tensor]:
    rows = torch.cat([block - mean for _, block in _blocks(X, device)])
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    directions = vectors.flip(1).T @ rows
    length = torch.linalg.vector_norm(directions, dim=1, keepdim=True)
    # Of n centred rows the last direction is none: any that is orthogonal to the others will do.
    flat = length[:, 0] <= 1e-7 * length[0].clamp(min=1e-300)
    directions = directions / length.clamp(min=1e-300)
    if bool(flat.any()):
        directions = _completed(directions, flat)
    return directions, values.flip(0), values.sum()


def _completed(directions: Tensor, flat: Tensor) -> Tensor:
    """Directions of no variance made orthonormal to the others."""
    kept = directions[~flat]
    axes = torch.eye(directions.shape[1], dtype=kept.dtype, device=kept.device)
    rest = axes[: len(directions) + 1]
    rest = rest - (rest @ kept.T) @ kept
    found = torch.linalg.svd(rest, full_matrices=False).Vh[: int(flat.sum())]
    return torch.cat([kept, found])


def _randomized(
    X: Any, mean: Tensor, count: int, seed: int, device: Device
) -> tuple[Tensor, Tensor, Tensor]:
    d = X.shape[1]
    width = min(count + _OVERSAMPLE, *X.shape)
    drawn = np.random.default_rng(seed).standard_normal((d, width))
    Q = torch.linalg.qr(upload(drawn, device)).Q
    whole = torch.zeros((), dtype=torch.float64, device=device.torch)
    fewest, most = _PASSES
    for turn in range(most):
        image = torch.zeros_like(Q)
        for _, block in _blocks(X, device):
            moved = block - mean
            image += moved.T @ (moved @ Q)
            if turn == 0:
                whole += moved.square().sum()
        values, turned = torch.linalg.eigh(Q.T @ image)
        values, turned = values.flip(0)[:count], turned.flip(1)[:, :count]
        off = torch.linalg.vector_norm(image @ turned - (Q @ turned) * values, dim=0)
        allowed = torch.maximum(_RESIDUAL * values, _NOISE * values[0])
        if turn + 1 >= fewest and bool((off <= allowed).all()):
            break
        if turn + 1 < most:
            Q = torch.linalg.qr(image).Q
    return (Q @ turned).T, values, whole


def multiply_there(
    X: Any, shift: Any, matrix: Any, device: Device, advance: Callable[[float], Any]
) -> Tensor:
    """(X - shift) @ matrix of checked points, (n, k), in the dtype of X."""
    wide = X.dtype in (torch.float64, np.dtype(np.float64))
    dtype = torch.float64 if wide else torch.float32
    moved, by = upload(np.float64(shift), device), upload(np.float64(matrix), device)
    result = torch.empty((X.shape[0], by.shape[1]), dtype=dtype, device=device.torch)
    for some, block in _blocks(X, device):
        result[some] = ((block - moved) @ by).to(dtype)
        advance(some.stop - some.start)
    return result
