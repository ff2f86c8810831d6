"""Colours of classes, and the arithmetic of light.

OKLab, in which distances are about as large as differences look: Björn Ottosson (2020), "A
perceptual color space for image processing".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

Colours = NDArray[np.float64]

# Okabe and Ito's (2008) without black and yellow, which is lost on white, and six more chosen
# so that any two differ in OKLab by no less than two of theirs do, as seen with normal vision
# and with protan-, deuter- and tritanopia (simulated after Machado et al. 2009).
PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"),
    *("#9760FF", "#6B4A00", "#332288", "#8FDB7F", "#6B0028", "#94436B"),
)
UNLABELLED = "#BDBDBD"
PLAIN = "#0072B2"
_STEPS = 18  # levels of red, green and blue among which further colours are sought
_LIGHTNESS, _CHROMA = (0.35, 0.85), (0.05, 0.2)  # neither lost on white, nor grey, nor shrill
_READABLE = 0.14  # luminance of letters on white: 5.5 to 1

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def to_light(colours: Colours) -> Colours:
    """Linear light of sRGB colours in 0..1 (IEC 61966-2-1)."""
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def from_light(light: Colours) -> Colours:
    """Colours in sRGB of linear light; what no screen can show is clipped."""
    light = np.clip(light, 0.0, 1.0)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def to_oklab(colours: Colours) -> Colours:
    """Lightness, green to red, blue to yellow of sRGB colours (..., 3)."""
    lab: Colours = np.cbrt(to_light(colours) @ _TO_CONES.T) @ _TO_LAB.T
    return lab


def readable(colours: Colours) -> Colours:
    """Darken colours until letters in them can be read on white."""
    light = to_light(colours)
    luminance = np.maximum(light @ _LUMINANCE, 1e-9)[..., None]
    return from_light(light * np.minimum(1.0, _READABLE / luminance))


def rgb(colours: Any) -> Colours:
    """Red, green and blue (k, 3) of anything that matplotlib takes for colours."""
    from matplotlib.colors import to_rgba_array

    return np.asarray(to_rgba_array(colours), np.float64)[:, :3].reshape(-1, 3)


def class_colours(names: list[str], palette: Any = None) -> Colours:
    """Return an sRGB colour (k, 3) for each class.

    The first 12 take `PALETTE`, each further one the colour that differs most from all before
    and from grey.  ``palette`` may be a sequence of colours, a mapping from the names to
    colours, or the name of a matplotlib colour map.
    """
    k = len(names)
    if palette is None:
        return rgb(PALETTE[:k]) if k <= len(PALETTE) else _farthest(k)
    if isinstance(palette, str):
        return _from_map(palette, k)
    if isinstance(palette, Mapping):
        lost = [name for name in names if name not in palette]
        if lost:
            raise InvalidInputError(f"palette holds no colour for {', '.join(lost[:5])}")
        chosen = [palette[name] for name in names]
    else:
        chosen = list(palette)[:k]
        if len(chosen) < k:
            raise InvalidInputError(f"palette holds {len(chosen)} colours for {k} classes")
    try:
        return rgb(chosen)
    except ValueError as error:
        raise InvalidInputError(f"palette: {error}") from None


def _from_map(name: str, k: int) -> Colours:
    import matplotlib
    from matplotlib.colors import ListedColormap

    if name not in matplotlib.colormaps:
        raise InvalidInputError(f"palette={name!r} is no matplotlib colour map")
    colours = matplotlib.colormaps[name]
    if isinstance(colours, ListedColormap) and k <= colours.N < 64:  # a list, not a ramp
        return rgb(colours(np.arange(k)))
    return rgb(colours(np.linspace(0, 1, k)))


def _farthest(k: int) -> Colours:
    levels = np.linspace(0, 1, _STEPS)
    others = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = to_oklab(others)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    fit = (lab[:, 0] > _LIGHTNESS[0]) & (lab[:, 0] < _LIGHTNESS[1])
    fit &= (chroma > _CHROMA[0]) & (chroma < _CHROMA[1])
    others, lab = others[fit], lab[fit]
    taken = to_oklab(rgb([*PALETTE, UNLABELLED]))
    away = np.linalg.norm(lab[:, None] - taken, axis=-1).min(axis=1)
    chosen = list(rgb(PALETTE))
    for _ in range(len(PALETTE), k):
        best = int(away.argmax())
        chosen.append(others[best])
        away = np.minimum(away, np.linalg.norm(lab - lab[best], axis=1))
    return np.array(chosen)
