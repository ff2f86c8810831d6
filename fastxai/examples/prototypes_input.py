"""What `prototypes` is given: points, classes, the width of the kernel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..devices import Device, host_array, is_tensor, to_host
from ..embed.spaces import exponent_of, scale_down
from ..embed.validation import check_points
from ..errors import InvalidInputError

_SAMPLE = 512  # rows whose distances give the kernel its width
_LARGEST = 1e30  # of gamma |x|^2: beyond, float32 tells no distance from another


class Data(NamedTuple):
    """Points on the device, float32, divided by a power of two where squares would overflow.

    Attributes
    ----------
    X : ndarray or Tensor of shape (n, d)
    exponent : int
    """

    X: Any
    exponent: int

    @property
    def n(self) -> int:
        """How many points there are."""
        return len(self.X)

    @property
    def d(self) -> int:
        """How many features they have."""
        return int(self.X.shape[1])

    @property
    def on_gpu(self) -> bool:
        """Whether they are a tensor."""
        return is_tensor(self.X)

    def take(self, rows: NDArray[np.int64] | None) -> Any:
        """Some rows; all without a copy."""
        if rows is None:
            return self.X
        if self.on_gpu:
            import torch

            return self.X[torch.from_numpy(rows).to(self.X.device)]
        return self.X[rows]

    def scaled_gamma(self, gamma: float) -> float:
        """The kernel's gamma for the points as they are here.

        Raises
        ------
        InvalidInputError
            If it leaves nothing of the kernel but its diagonal, beyond what float32 holds.
        """
        scaled = gamma * 4.0**self.exponent
        largest = max(float(self.X.max()), -float(self.X.min()))
        if scaled * largest**2 > _LARGEST:
            raise InvalidInputError(
                f"gamma={gamma:.3g} is too large for data of magnitudes up to "
                f"{largest * 2.0**self.exponent:.3g}: no point would resemble another; choose "
                "about 1 / (squared distance of points that are alike)"
            )
        return scaled


def read_data(X: Any, device: Device) -> Data:
    """Points checked, and brought to the device.

    Raises
    ------
    InvalidInputError
        As `check_points`.
    """
    if device.is_gpu:
        from ..embed.cuda.points import check_points_there, space_of

        there = check_points_there(None, X, device, reset=False)
        space = space_of(there.there, "euclidean")
        return Data(space.rows, space.exponent)
    points = check_points(None, host_array(X), reset=False, accept_sparse=False)
    exponent = exponent_of(points, "euclidean")
    return Data(scale_down(points, exponent), exponent)


def gamma_of(data: Data, gamma: float | None) -> float:
    """The given gamma, or 1 / median of the squared distances of some rows.

    Where more than half of these pairs are copies, the mean takes the place of the median;
    where all are, gamma is 1.
    """
    if gamma is not None:
        return float(gamma)
    rows = np.unique(np.linspace(0, data.n - 1, min(data.n, _SAMPLE)).astype(np.int64))
    some = np.asarray(to_host(data.take(rows)), np.float64)
    some = some - some.mean(axis=0)
    norms = (some**2).sum(axis=1)
    squares = norms[:, None] + norms - 2.0 * some @ some.T
    pairs = squares[np.triu_indices(len(some), 1)]
    rounding = 1e-12 * float(norms.max())
    pairs = np.where(pairs > rounding, pairs, 0.0)
    width = float(np.median(pairs)) or float(pairs.mean()) if pairs.size else 0.0
    return 1.0 / (width * 4.0**data.exponent) if width > 0 else 1.0


def groups_of(labels: Any, n: int) -> list[tuple[str, NDArray[np.int64] | None]]:
    """What to say of each class in a message, and its rows; one class of all without labels.

    Rows whose label is None or NaN are in none.

    Raises
    ------
    InvalidInputError
        If there is not one label a row, none at all, or they can not be sorted.
    """
    if labels is None:
        return [("", None)]
    from ..metrics._inputs import classes

    given = np.asarray(to_host(labels))
    codes = classes(given)
    if len(codes) != n:
        raise InvalidInputError(
            f"{len(codes):,} labels for {n:,} points: give one label a row of X"
        )
    order = np.argsort(codes, kind="stable")
    order = order[np.searchsorted(codes[order], 0) :]
    if not len(order):
        raise InvalidInputError("labels: no point has one; leave labels out to choose among all")
    rows = np.split(order, np.cumsum(np.bincount(codes[order]))[:-1])
    return [(f" in class {given[some[0]]}", some) for some in rows]
