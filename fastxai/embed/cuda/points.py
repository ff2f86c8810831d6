"""Points checked and brought to the device."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...devices import Device, as_tensor, is_foreign
from ...errors import InvalidInputError
from ..spaces import _LARGE, _SMALL, ANGULAR, EUCLIDEAN
from ..validation import _check_features, _check_shape, _refuse, check_points
from .memory import require_device_memory

_ROWS = 1 << 16


class Points(NamedTuple):
    """Rows on the device, and the caller's array of the host if they came from there.

    Attributes
    ----------
    there : Tensor of shape (n, d), float32
    host : ndarray of shape (n, d) or None
    """

    there: Tensor
    host: Any

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return tuple(self.there.shape)


def check_points_there(
    estimator: Any, X: Any, device: Device, *, reset: bool, min_rows: int = 1
) -> Points:
    """Points as the device's kernels want them; what is there already is not copied.

    Raises
    ------
    InvalidInputError
        As `check_points`.
    NotEnoughMemoryError
        If points of the host do not fit into the device's memory.
    """
    if not is_foreign(X):
        host = check_points(estimator, X, reset=reset, min_rows=min_rows, accept_sparse=False)
        n, d = host.shape
        require_device_memory(device, 4.0 * n * d, f"a copy of {n:,} x {d:,} points")
        return Points(upload(host, device), host)
    tensor = as_tensor(X)
    _check_shape(tuple(tensor.shape), min_rows)
    if estimator is not None:
        _check_features(estimator, tensor, reset)
    if tensor.is_complex():
        raise InvalidInputError(f"Complex data not supported: X has dtype {tensor.dtype}")
    points = tensor.to(device.torch, torch.float32).contiguous()
    _check_finite(tensor, points)
    return Points(points, None)


def upload(host: Any, device: Device) -> Tensor:
    """A tensor on the device of an array of the host, which may be read-only."""
    return upload_to(host, device.torch)


def upload_to(host: Any, place: torch.device) -> Tensor:
    """As `upload`, to a device of torch."""
    with warnings.catch_warnings():  # nothing here writes into it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(host)).to(place)


def _check_finite(given: Tensor, points: Tensor) -> None:
    if not given.dtype.is_floating_point or bool(torch.isfinite(points).all()):
        return
    first = int((~torch.isfinite(points)).flatten().to(torch.uint8).argmax())
    row, column = divmod(first, points.shape[1])
    _refuse(float(given[row, column]), row, column, np.dtype(np.float32))


class Space(NamedTuple):
    """Vectors whose Euclidean distances rank as a metric does.

    Attributes
    ----------
    rows : Tensor of shape (n, d), float32
    metric : str
    exponent : int
        The power of two they were divided by.
    """

    rows: Tensor
    metric: str
    exponent: int

    def distances(self, squares: Tensor) -> Tensor:
        """Distances of the metric from squared distances of the rows."""
        if self.metric not in EUCLIDEAN:
            return squares * 0.5
        found = torch.sqrt(squares)
        if not self.exponent:
            return found
        scaled = torch.ldexp(found, torch.tensor(self.exponent, device=found.device))
        largest = torch.finfo(torch.float32).max
        return torch.where(torch.isinf(scaled) & torch.isfinite(found), largest, scaled)

    def take(self, rows: Tensor) -> Tensor:
        """New rows, changed as these were.

        Raises
        ------
        InvalidInputError
            If they are so much larger that no distance can be told from another.
        """
        scaled = _scaled(rows, self.exponent)
        if self.metric in EUCLIDEAN and _magnitude(scaled) > 16 * _LARGE:
            raise InvalidInputError(
                f"the largest magnitude of the new rows is {_magnitude(rows):.3g}, beyond what "
                "float32 can compare with the points; scale the features"
            )
        return _changed(scaled, self.metric)


def space_of(X: Tensor, metric: str) -> Space:
    """The space in which the neighbours of X by a metric are sought; X itself where it will do."""
    exponent = 0
    if metric not in ANGULAR:
        largest = _magnitude(X)
        if largest > 0 and not _SMALL <= largest <= _LARGE:
            exponent = int(np.frexp(largest)[1])
    return Space(_changed(_scaled(X, exponent), metric), metric, exponent)


def _magnitude(X: Tensor) -> float:
    return float(X.abs().max()) if X.numel() else 0.0


def _scaled(X: Tensor, exponent: int) -> Tensor:
    return torch.ldexp(X, torch.tensor(-exponent, device=X.device)) if exponent else X


def _changed(X: Tensor, metric: str) -> Tensor:
    """See `fastxai.embed.spaces.to_euclidean`; in blocks, for the sake of float64."""
    if metric not in ANGULAR:
        return X
    n, d = X.shape
    space = torch.zeros((n, d + 1), dtype=torch.float32, device=X.device)
    for start in range(0, n, _ROWS):
        block = X[start : start + _ROWS].double()
        if metric == "correlation":
            block = block - block.mean(dim=1, keepdim=True)
        largest = block.abs().amax(dim=1, keepdim=True)
        block = block / torch.where(largest > 0, largest, 1.0)
        length = torch.linalg.vector_norm(block, dim=1, keepdim=True)
        lost = length <= 0
        space[start : start + _ROWS, :d] = (block / torch.where(lost, 1.0, length)).float()
        space[start : start + _ROWS, d] = lost[:, 0].float()
    return space
