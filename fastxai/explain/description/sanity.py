"""Does the map change when what the network learned is taken away?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ...errors import FastxaiError, InvalidInputError
from ..explainer import LayerExplainer
from ..explanation import Explanation
from ..methods import METHODS, method_class

_STAGES = 2  # the layer next to the output alone, and all
_SAME = 0.999  # rank correlation of maps that are the same but for rounding


class Again(NamedTuple):
    """How the maps are made again for the sanity check.

    Attributes
    ----------
    own : mapping
        Options of the method.
    wanted : bool or "auto"
        Whether they are.
    random_state : int
        Seed of the weights.
    options : mapping
        Of the call: ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``.
    """

    own: Mapping[str, Any]
    wanted: bool | str
    random_state: int
    options: Mapping[str, Any]


class Sanity(NamedTuple):
    """Rank correlations of maps with those of a copy of the network with random weights.

    Attributes
    ----------
    last, all : ndarray of float64
        (N, K): with random weights next to the output, and everywhere.  Of signed maps with
        their sign, of others of magnitudes.  NaN where a map is the same everywhere.
    same : ndarray of float64
        (N, K): with the map that the method makes of the network as it is, again.
    layer : str
        The layer next to the output.
    """

    last: NDArray[np.float64]
    all: NDArray[np.float64]
    same: NDArray[np.float64]
    layer: str

    def remade(self, image: int, target: int) -> bool:
        """Whether the method made the same map again, so that the check is about this one."""
        return bool(self.same[image, target] >= _SAME)


def check_sanity(
    explanation: Explanation,
    model: Any,
    images: Any,
    target: Any,
    maps: Mapping[str, Any],
    again: Again,
) -> dict[str, Sanity] | str:
    """Make the maps again with random weights: by layer, or in words why that was not done."""
    method = explanation.method
    if again.wanted is False:
        return "it was not asked for"
    if method not in METHODS:
        return f"there is no method {method!r} to make the map again"
    if not isinstance(model, nn.Module):
        return "of this model only its answers can be had, not its weights"
    if again.wanted == "auto" and method_class(method).black_box:
        return f"{method} would have to ask the network as often again; sanity=True does it"
    try:
        return _checked(explanation, model, images, target, maps, again)
    except FastxaiError as error:
        return f"the map could not be made again ({error})"


def _checked(
    explanation: Explanation,
    model: Any,
    images: Any,
    target: Any,
    maps: Mapping[str, Any],
    again: Again,
) -> dict[str, Sanity]:
    from ...metrics._map_models import Asked
    from ...metrics._map_randomisation import compared, randomised

    method, layers = explanation.method, explanation.layers
    own = dict(again.own)
    if layers and issubclass(method_class(method), LayerExplainer):
        own = {"layer": list(layers) if isinstance(explanation.maps, dict) else layers[0], **own}
    asked = Asked(model, images, {method: own}, target, None, again.options)
    keys = {layer: f"{method}@{layer}" if layer else method for layer in maps}
    if strange := [key for key in keys.values() if key not in asked.originals]:
        made = ", ".join(asked.originals)
        raise InvalidInputError(f"the method gives {made}, and not {strange[0]}")
    which = 1 if explanation.signed else 0
    same = {
        layer: compared(asked.originals[keys[layer]], one, asked.axes)[which]
        for layer, one in maps.items()
    }
    results = randomised(asked, _STAGES, again.random_state)
    checked = {}
    for layer, found in same.items():
        result = results[keys[layer]]
        values = result.signed if explanation.signed else result.absolute
        values = values.reshape(*found.shape, -1)
        checked[layer] = Sanity(values[..., 0], values[..., -1], found, result.layers[0])
    return checked
