"""What each image is to excite, and how much it does."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class Objectives:
    """What some images are to excite: each its own channel, unit or direction of one layer.

    Attributes
    ----------
    titles : tuple of str
    keys : tuple of tuples of int
        Of each unit, the same in whatever company it comes: random numbers follow from it.
    channels : Tensor of shape (n,), optional
    vectors : Tensor of shape (n, C), optional
        Instead of channels.
    positions : Tensor of shape (n, axes), optional
        Where in the map; None is the mean over all places.
    centre : bool
        Whether the middle of the map is meant, wherever that is.
    """

    titles: tuple[str, ...]
    keys: tuple[tuple[int, ...], ...]
    channels: Tensor | None = None
    vectors: Tensor | None = None
    positions: Tensor | None = None
    centre: bool = False

    def __len__(self) -> int:
        return len(self.titles)

    def part(self, rows: Tensor) -> Objectives:
        """Those of some images, in that order, also several times."""
        numbers = rows.tolist()

        def some(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[rows.to(tensor.device)]

        return Objectives(
            tuple(self.titles[k] for k in numbers),
            tuple(self.keys[k] for k in numbers),
            some(self.channels),
            some(self.vectors),
            some(self.positions),
            self.centre,
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> Objectives:
        """On a device, vectors in the type of the activation."""
        placed = {
            name: tensor.to(device)
            for name in ("channels", "positions")
            if (tensor := getattr(self, name)) is not None
        }
        if self.vectors is not None:
            placed["vectors"] = self.vectors.to(device, dtype)
        return replace(self, **placed)

    def checked(self, shape: tuple[int, ...], where: str) -> Objectives:
        """The same, for activations (N, C, *spatial) of that shape, every place a number.

        Raises
        ------
        InvalidInputError
            If a channel or a place is not there, or vectors are of another length.
        """
        count, spatial = shape[1], shape[2:]
        if self.channels is not None:
            for channel in self.channels.tolist():
                if not 0 <= channel < count:
                    raise InvalidInputError(
                        f"{where} has {count} channels and no {channel}: give 0 to {count - 1}"
                    )
        if self.vectors is not None and self.vectors.shape[1] != count:
            raise InvalidInputError(
                f"{where} has {count} channels, and the directions are of "
                f"{self.vectors.shape[1]}: a number a channel is expected"
            )
        if self.centre and spatial:
            middle = torch.tensor([side // 2 for side in spatial])
            return replace(self, positions=middle.expand(len(self), -1), centre=False)
        if self.positions is not None:
            self._check_positions(spatial, where)
        return self

    def _check_positions(self, spatial: tuple[int, ...], where: str) -> None:
        assert self.positions is not None
        if not spatial:
            raise InvalidInputError(
                f"{where} gives a number a channel and has no places: leave positions= out"
            )
        if self.positions.shape[1] != len(spatial):
            raise InvalidInputError(
                f"{where} has maps of {' x '.join(map(str, spatial))}: a position has "
                f"{len(spatial)} numbers, not {self.positions.shape[1]}"
            )
        for place in self.positions.tolist():
            if any(not 0 <= at < side for at, side in zip(place, spatial, strict=True)):
                raise InvalidInputError(
                    f"{where} has maps of {' x '.join(map(str, spatial))}, and no place "
                    f"{tuple(place)}: places count from 0"
                )

    def scores(self, activation: Tensor) -> Tensor:
        """How much each image excites what it is to excite, (n,).

        Parameters
        ----------
        activation : Tensor of shape (n, C, *spatial)
            The image's own, row by row.
        """
        rows = torch.arange(len(self), device=activation.device)
        if self.channels is not None:
            if self.positions is not None:
                return activation[(rows, self.channels, *self.positions.T)]
            return activation[rows, self.channels].reshape(len(rows), -1).mean(1)
        assert self.vectors is not None
        if self.positions is None:
            means = activation.flatten(2).mean(2) if activation.ndim > 2 else activation
            return (means * self.vectors).sum(1)
        features = activation.movedim(1, -1)[(rows, *self.positions.T)]
        return (features * self.vectors).sum(1)


def of_channels(channels: Any, name: str, key: int, positions: Any = None) -> Objectives:
    """Channels, or their units at some positions; "centre" is the middle."""
    numbers = _whole(channels, "classes" if name == "class" else f"{name}s")
    places = None if positions is None or positions == "centre" else _places(positions, numbers)
    titles, keys = [], []
    for row, number in enumerate(numbers):
        place = () if places is None else tuple(places[row].tolist())
        titles.append(f"{name} {number}" + (f" at {', '.join(map(str, place))}" if place else ""))
        keys.append((key, number, *place))
    return Objectives(
        tuple(titles),
        tuple(keys),
        channels=torch.tensor(numbers),
        positions=places,
        centre=positions == "centre" if isinstance(positions, str) else False,
    )


def of_directions(vectors: Any, positions: Any = None) -> Objectives:
    """Directions in the space of a layer's channels, brought to unit length."""
    found = _vectors(vectors)
    places = None if positions is None else _places(positions, range(len(found)))
    return Objectives(
        tuple(f"direction {k}" for k in range(len(found))),
        tuple((3, zlib.crc32(np.ascontiguousarray(v).tobytes())) for v in found.numpy()),
        vectors=found,
        positions=places,
    )


def _vectors(vectors: Any) -> Tensor:
    if isinstance(vectors, Tensor):
        vectors = vectors.detach().cpu().float().numpy()
    try:
        found = np.array(vectors, np.float32)
    except (TypeError, ValueError):
        raise InvalidInputError(
            "directions: an array of shape (n, C) is expected, a number a channel"
        ) from None
    found = found[None] if found.ndim == 1 else found
    if found.ndim != 2 or 0 in found.shape:
        raise InvalidInputError(
            f"directions of shape {found.shape}: (C,) or (n, C) is expected, a number a channel"
        )
    lengths = np.linalg.norm(found.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(found).all() or (lengths == 0).any():
        bad = int(np.nonzero(~np.isfinite(found).all(1) | (lengths[:, 0] == 0))[0][0])
        raise InvalidInputError(f"direction {bad} is zero, or holds NaN or infinity")
    return torch.from_numpy((found / lengths).astype(np.float32))


def _whole(given: Any, what: str) -> list[int]:
    """Whole numbers of 0 or more: one, a sequence, a range, an array."""
    found = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)
    if found.size == 0:
        raise InvalidInputError(f"{what}={given!r} names none; give whole numbers")
    if found.dtype.kind not in "iu" or found.ndim > 1:
        raise InvalidInputError(f"{what}={given!r}: give a whole number, or a sequence of them")
    if found.min() < 0:
        raise InvalidInputError(f"{what}={given!r}: {found.min()} is negative; they count from 0")
    return [int(number) for number in found.reshape(-1)]


def _places(positions: Any, units: Sequence[int]) -> Tensor:
    """(n, axes): one place for all units, or one each."""
    found = np.asarray(positions)
    if found.dtype.kind not in "iu" or found.ndim not in (1, 2) or 0 in found.shape:
        raise InvalidInputError(
            f"positions={positions!r}: give a place (row, column), or one for each unit"
        )
    if found.ndim == 1:
        found = np.broadcast_to(found, (len(units), len(found)))
    if len(found) != len(units):
        raise InvalidInputError(f"{len(found)} positions for {len(units)} units: give one for each")
    return torch.from_numpy(found.astype(np.int64))
