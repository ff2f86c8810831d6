"""Stability: does a map stay as it is when the image hardly changes?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import check_number, check_whole
from ._map_randomisation import compared
from ._map_reading import Numbers
from ._map_result import MapMeasure, measured

if TYPE_CHECKING:
    from ._map_models import Asked

NOISE, DRAWS = 0.02, 4


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Stability(MapMeasure):
    """How alike the maps of an image and of noisy copies of it are.

    ``values`` and ``estimate`` are rank correlations of the maps' magnitudes, the mean over the
    draws: 1 where noise changes no order.

    Attributes
    ----------
    signed : MapMeasure
        The rank correlation of the values with their sign.
    change : MapMeasure
        Of the values: the norm of the difference over that of the original map,
        |map' - map| / |map|, the mean over the draws.  0 where nothing changes.
    score_change : MapMeasure
        How far the score that is explained (its probability) itself moved, the mean over the
        draws of its absolute change: a map may well change if that did.
    """

    signed: MapMeasure
    change: MapMeasure
    score_change: MapMeasure


def stability(
    model: Any,
    images: Any,
    methods: Any = "gradcam",
    *,
    target: Any = None,
    layer: Any = None,
    noise: float = NOISE,
    draws: int = DRAWS,
    random_state: int = 0,
    **options: Any,
) -> dict[str, Stability]:
    """Compare maps of images with those of the same images under a little noise.

    Normal noise with a standard deviation of ``noise`` times the image's range of values is
    added to each pixel, ``draws`` times, and the map of the same class is made again.  The
    measure is the mean over the draws of Spearman's rank correlation with the original map, and
    of the relative change of its values (in the spirit of Alvarez-Melis and Jaakkola 2018, "On
    the robustness of interpretability methods", and of the average sensitivity of Yeh et al.
    2019, "On the (in)fidelity and sensitivity of explanations"; those two take the worst case
    or uniform noise).

    Parameters
    ----------
    model : Module or callable
        It is left as it came.
    images : Tensor, ndarray, or tuple or mapping of them
        (N, C, *spatial), floating, prepared as for the model.
    methods, target, layer
        As of `fastxai.explain`.  The class that is predicted without noise is explained
        throughout.
    noise : float, default 0.02
        Standard deviation, in parts of an image's range: of an 8-bit photo 0.02 is 5 grey
        levels.
    draws : int, default 4
        Noisy copies of each image.
    random_state : int, default 0
        Seed; each image has random numbers of its own.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.

    Returns
    -------
    dict of str to Stability
        By method; ``"method@layer"`` where several layers are asked for.  Correlations are NaN
        where a map is the same everywhere, the change where it is 0 everywhere.

    Raises
    ------
    InvalidInputError
        If an option is unknown.

    Examples
    --------
    >>> import torch
    >>> from fastxai.metrics import maps
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> found = maps.stability(net, torch.rand(4, 3, 4, 4), "saliency")["saliency"]
    >>> round(found.estimate, 6), round(found.change.estimate, 6)  # a linear network's gradient
    (1.0, 0.0)
    """
    check_stability(noise, draws, random_state)
    from ._map_models import Asked

    asked = Asked(model, images, methods, target, layer, options)
    return under_noise(asked, noise, draws, random_state)


def check_stability(noise: Any, draws: Any, random_state: Any) -> None:
    """Refuse what is no noise, or no count."""
    check_number("noise", noise, 0)
    check_whole("draws", draws, 1)
    check_whole("random_state", random_state, 0)


def under_noise(asked: Asked, noise: float, draws: int, random_state: int) -> dict[str, Stability]:
    """The measure, of maps that are there already."""
    from ._map_models import noisy

    names = asked.originals
    found: dict[str, list[tuple[Numbers, ...]]] = {name: [] for name in names}
    moved = []
    for draw in range(draws):
        maps, scores = asked.again(images=noisy(asked.inputs.images, noise, random_state, draw))
        moved.append(np.abs(scores.astype(np.float64) - asked.explanations.scores))
        for name, before in names.items():
            both = compared(before, maps[name], asked.axes)
            found[name].append((*both, relative_change(before, maps[name])))
    moves = np.mean(moved, axis=0)

    def of(name: str, values: Numbers, low: float, high: float) -> MapMeasure:
        return MapMeasure(**measured(name, values, asked.single, low, high))

    results = {}
    for name, parts in found.items():
        absolute, signed, change = (np.mean(part, axis=0) for part in zip(*parts, strict=True))
        results[name] = Stability(
            **measured("stability", absolute, asked.single, -1, 1),
            signed=of("stability_signed", signed, -1, 1),
            change=of("change", change, 0, np.inf),
            score_change=of("score_change", moves, 0, np.inf),
        )
    return results


def relative_change(before: Any, after: Any) -> Numbers:
    """|after - before| / |before| of maps (N, K, ...), over all of their values; NaN by 0."""
    a, b = (np.asarray(maps, np.float64).reshape(*maps.shape[:2], -1) for maps in (before, after))
    scale = np.abs(a).max(axis=2)
    known = np.isfinite(a).all(axis=2) & np.isfinite(b).all(axis=2) & (scale > 0)
    safe = np.where(known, scale, 1)[..., None]
    a, b = (np.where(known[..., None], values / safe, 0) for values in (a, b))
    size = np.sqrt((a * a).sum(axis=2))
    apart = np.sqrt(((b - a) ** 2).sum(axis=2))
    return np.where(known, apart / np.where(known, size, 1), np.nan)
