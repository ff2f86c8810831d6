"""The pictures of a unit: the patches that excite it, and what DeconvNet projects back of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._warn import warn
from ..errors import InvalidInputError, NoGradientError
from ..image_sets.store import told
from ..io import atomic_write
from ..plot.pictures import colour_map, fold_channels
from .projecting import projected
from .reach import Field

if TYPE_CHECKING:
    from ..explain.layers.layers import Layer
    from ..image_sets.decoding import Sample
    from ..image_sets.sources import Source
    from .strongest import Strongest

_SIDE = 96  # pixels of the longer side of a picture at most
_OUTSIDE = 236  # grey of what lies outside of the image
_ROBUST, _FAINT = 98.0, 0.02  # percentile at the end of the colours, of what is no less than this
_KEPT = 64  # images kept for the next unit
Pixels = NDArray[np.uint8]


class Portrait(NamedTuple):
    """Pictures (k, h, w, 3) of uint8; None where there is no projection."""

    patches: Pixels
    projections: Pixels | None


def tile_size(field: Field) -> tuple[int, int]:
    """Height and width of a picture of a layer's receptive field."""
    high, wide = field.size
    scale = min(1.0, _SIDE / max(high, wide))
    return max(1, round(high * scale)), max(1, round(wide * scale))


class Painter:
    """Makes portraits from the images and the model.

    Parameters
    ----------
    model : Module
    source : Source
    layers : dict of str to Layer
    project : bool
        Whether to project back at all.
    """

    def __init__(self, model: Any, source: Source, layers: dict[str, Layer], project: bool) -> None:
        self._model, self._layers, self.project = model, layers, project
        self._read: Callable[[int], Sample] = lru_cache(_KEPT)(source.read)

    def paint(
        self, name: str, unit: int, state: Strongest, field: Field, shape: Sequence[int]
    ) -> Portrait:
        """The portrait of one unit.

        Raises
        ------
        InvalidInputError
            If an image that was scanned can no longer be read.
        """
        there = state.images[unit] >= 0
        samples = [self._sample(int(i)) for i in state.images[unit][there]]
        places = state.places[unit][there].tolist()
        boxes = [field.box(_position(place, shape)) for place in places]
        patches = _blank(field, len(there))
        for tile, sample, box in zip(patches, samples, boxes, strict=False):
            assert sample.shown is not None
            tile[...] = _tile(sample.shown[box], box, field)
        if not self.project or not samples:
            return Portrait(patches, None)
        images = np.stack([_given(sample) for sample in samples])
        try:
            maps = projected(self._model, images, self._layers[name], unit, places)
        except NoGradientError as error:
            self.project = False  # for good: it is the network's doing
            warn(f"patches have no projections: {error}")
            return Portrait(patches, None)
        projections = _blank(field, len(there))
        for tile, map, box in zip(projections, maps, boxes, strict=False):
            tile[...] = _tile(_coloured(map[(slice(None), *box)]), box, field)
        return Portrait(patches, projections)

    def _sample(self, number: int) -> Sample:
        sample = self._read(number)
        if sample.image is None:
            raise InvalidInputError(
                f"image {number} was scanned, and can no longer be read: {sample.reason}"
            )
        if sample.shown is None:
            raise InvalidInputError("pictures of units are of images of two axes, (C, H, W)")
        return sample


def _given(sample: Sample) -> NDArray[np.float32]:
    assert sample.image is not None
    return sample.image


def _position(place: int, shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(p) for p in np.unravel_index(place, tuple(shape))) if shape else ()


def _blank(field: Field, k: int) -> Pixels:
    return np.full((k, *tile_size(field), 3), _OUTSIDE, np.uint8)


def _tile(pixels: Pixels, box: tuple[slice, ...], field: Field) -> Pixels:
    """A part of an image on a tile of the whole field: where the border cut it, that stays free."""
    whole = np.full((*field.size, 3), _OUTSIDE, np.uint8)
    at = []
    for cut, size in zip(box, field.size, strict=True):
        start = size - (cut.stop - cut.start) if cut.start == 0 else 0
        at.append(slice(start, start + cut.stop - cut.start))
    whole[tuple(at)] = pixels
    high, wide = tile_size(field)
    if (high, wide) == whole.shape[:2]:
        return whole
    small: Any = Image.fromarray(whole).resize((wide, high), Image.Resampling.BOX)
    return np.asarray(small)


def _coloured(map: NDArray[Any]) -> Pixels:
    """A projection around mid-grey: colours where it has three channels, else light and dark."""
    values = map if len(map) == 3 else np.repeat(fold_channels(map, "sum")[None], 3, axis=0)
    size = np.abs(values)
    most = float(size.max(initial=0.0))
    # A few pixels must not turn all others pale, nor the empty ones around make all glaring.
    end = float(np.percentile(size[size > _FAINT * most], _ROBUST)) if most > 0 else 1.0
    shown = colour_map(values, (-end, end), signed=True)[..., :3]
    return np.rint(shown * 255).astype(np.uint8)


# --- on the disk --------------------------------------------------------------------------


def folder_of(name: str, number: int) -> str:
    """The folder of a layer's pictures: its place and its name."""
    return f"{number:02d}-{file_name(name)}"


def file_name(name: str) -> str:
    """The name of a layer, as file systems bear it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")


def save(portrait: Portrait, file: Path) -> None:
    """Write a portrait as a picture: patches in a row, projections below."""
    rows = [portrait.patches, *([] if portrait.projections is None else [portrait.projections])]
    with told(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows])).save(
                temporary, "PNG"
            )


def load(file: Path, field: Field, k: int) -> Portrait:
    """Read a portrait.

    Raises
    ------
    InvalidInputError
        If it is damaged.
    """
    high, wide = tile_size(field)
    try:
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        tiles = pixels.reshape(-1, high, k, wide, 3).swapaxes(1, 2)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{file} is damaged ({error}); remove it and scan again") from None
    return Portrait(tiles[0], tiles[1] if len(tiles) > 1 else None)
