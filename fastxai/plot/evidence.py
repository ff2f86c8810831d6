"""What a sheet of explanations is made of: classes, scores, and the maps of each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from . import pictures
from .overlay import Limits, given_limits, is_signed, read_status


class Method(NamedTuple):
    """The maps [image][class] of a method, what is written instead of some, their meaning."""

    name: str
    maps: list[list[NDArray[Any]]]
    written: list[list[str]]
    signed: bool

    def limits(self, scale: Any, image: int, place: int) -> Limits:
        """The values at the ends of the colours of one map."""
        if not isinstance(scale, str):
            return given_limits(scale, self.signed)
        axes = self.maps[0][0].ndim
        if scale == "image":
            return pictures.reach(self.maps[image][place], self.signed, axes)
        drawn = [
            map[np.isfinite(map)]
            for maps, texts in zip(self.maps, self.written, strict=True)
            for map, text in zip(maps, texts, strict=True)
            if not text
        ]
        return pictures.reach(np.concatenate([np.zeros(0), *drawn]), self.signed, axes)


class Targets(NamedTuple):
    """The classes (N, K) and scores (N, K) that are explained, and whether K was given."""

    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    several: bool

    def name(self, image: int, place: int, names: Any) -> str:
        """A class as it is written: by its name, else by its number."""
        code = int(self.classes[image, place])
        if code < 0:
            return ""
        if names is None:
            return f"class {code}"
        if isinstance(names, Mapping):
            return str(names.get(code, f"class {code}"))
        return str(names[code]) if code < len(names) else f"class {code}"


def read_targets(classes: Any, scores: Any, n: int) -> Targets:
    """Read the classes and scores of n images."""
    if classes is None:
        if scores is not None:
            raise InvalidInputError("scores are those of classes: give classes too")
        return Targets(np.full((n, 1), -1), np.full((n, 1), np.nan), False)
    codes = pictures.as_array(classes, "classes")
    if codes.dtype.kind not in "iu" or codes.ndim not in (1, 2) or len(codes) != n:
        raise InvalidInputError(
            f"classes are {codes.dtype} of shape {codes.shape}: whole numbers of shape ({n}, K) "
            f"or ({n},) are expected, one row an image"
        )
    several, codes = codes.ndim == 2, codes.reshape(n, -1).astype(np.int64)
    values = np.full(codes.shape, np.nan)
    if scores is not None:
        given = pictures.as_array(scores, "scores")
        if given.size != codes.size or len(given) != n:
            raise InvalidInputError(
                f"scores have the shape {given.shape} and classes {codes.shape}: one a class is "
                "expected"
            )
        values = given.reshape(codes.shape).astype(np.float64)
    return Targets(codes, values, several)


def read_methods(
    panels: Mapping[str, Any],
    targets: Targets,
    signed: Mapping[str, bool] | None,
    status: Mapping[str, Any] | None,
    channels: str,
) -> list[Method]:
    """Read the maps of all methods."""
    if not len(panels):
        raise InvalidInputError("panels must be a mapping of methods to maps, with one at least")
    for option, given in (("signed", signed), ("status", status)):
        strange = sorted(set(given or ()) - set(panels))
        if strange:
            raise InvalidInputError(
                f"{option} names {', '.join(strange)}, of which no maps are given"
            )
    found = []
    for name, given in panels.items():
        maps = _read_maps(name, given, targets, channels)
        flags = _read_flags(name, (status or {}).get(name), targets)
        written = [
            [read_status(flag, map) for flag, map in zip(*row, strict=True)]
            for row in zip(flags, maps, strict=True)
        ]
        sign = (signed or {}).get(name)
        if sign is None:
            sign = any(is_signed(map) for row in maps for map in row)
        found.append(Method(str(name), maps, written, bool(sign)))
    return found


def _read_maps(name: str, given: Any, targets: Targets, channels: str) -> list[list[NDArray[Any]]]:
    values = pictures.as_array(given, f"the maps of {name}")
    n, k = targets.classes.shape
    leading = (n, k) if targets.several else (n,)
    spatial = values.ndim - len(leading)
    if values.shape[: len(leading)] != leading or spatial not in (2, 3):
        axes = ", ".join(map(str, leading))
        raise InvalidInputError(
            f"the maps of {name} have the shape {values.shape}: ({axes}, H, W) or "
            f"({axes}, C, H, W) is expected (of volumes, choose a slice)"
        )
    values = values.reshape(n, k, *values.shape[len(leading) :])
    return [[pictures.read_map(map, channels) for map in row] for row in values]


def _read_flags(name: str, given: Any, targets: Targets) -> NDArray[Any]:
    if given is None:
        return np.full(targets.classes.shape, "")
    flags = np.asarray(given).astype(str)
    if flags.size != targets.classes.size:
        raise InvalidInputError(
            f"the status of {name} has the shape {flags.shape} and classes "
            f"{targets.classes.shape}: one a map is expected"
        )
    return flags.reshape(targets.classes.shape)


def read_image_names(given: Sequence[str] | None, n: int) -> list[str]:
    """A name an image, or none."""
    if given is None:
        return [""] * n
    if isinstance(given, str) or len(given) != n:
        raise InvalidInputError(f"image_names={given!r}: one for each of {n} images is expected")
    return [str(name) for name in given]
