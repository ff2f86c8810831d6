"""Maps of several methods: of the model, of a copy with random weights, of noisy images."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import FastxaiError, InvalidInputError, ModelError
from ..explain.engine import run
from ..explain.explainer import Explainer, opened
from ..explain.explanation import Explanations
from ..explain.inputs import Inputs
from ..explain.layers.probe import probe
from ..explain.methods import make_explainers, read_methods
from ..explain.model import plain_mode, untouched, unwrap
from ._map_reading import as_array, read_targets


class Asked:
    """What is explained, and by which methods: the same again of other weights or pixels.

    Attributes
    ----------
    explanations : Explanations
        Of the model and the images as they are.
    inputs : Inputs
        The images.
    originals : dict of str to ndarray
        The maps of each method, (N, K, [C,] *spatial).
    model : Any
        As it was given.
    output : optional
        Which part of what it returns is explained.
    """

    def __init__(
        self, model: Any, images: Any, methods: Any, target: Any, layer: Any, options: Any
    ) -> None:
        self.model, self._methods, self._layer = model, read_methods(methods), layer
        self._options, self.output = dict(options), options.get("output")
        self._explainers = self._made(model)
        with opened(self._explainers[0], images) as (inputs, _):
            self.inputs: Inputs = inputs
        self.explanations = run(self._explainers, images, target).explanations
        self.target = self._fixed(target)
        self.axes = len(self.inputs.spatial)
        self.originals = self._arrays(self.explanations)

    @property
    def single(self) -> bool:
        """Whether each image has one target."""
        return self.explanations.single

    def again(self, model: Any = None, images: Tensor | None = None) -> tuple[dict[str, Any], Any]:
        """Of another model or other pixels: maps (N, K, [C,] *spatial) by method, scores (N, K)."""
        explainers = self._explainers if model is None else self._made(model)
        found = run(explainers, self.given(images), self.target).explanations
        return self._arrays(found), found.scores

    def _made(self, model: Any) -> list[Explainer]:
        """The explainers of this model, whose layers are named and not given as modules."""
        if model is self.model:
            return make_explainers(model, self._methods, self._options, self._layer)
        names = {module: name for name, module in unwrap(self.model).named_modules()}

        def named(layer: Any) -> Any:
            if isinstance(layer, (list, tuple, set, frozenset)):
                return [named(one) for one in layer]
            return names.get(layer, layer) if isinstance(layer, nn.Module) else layer

        methods = {
            name: {key: named(value) if key == "layer" else value for key, value in own.items()}
            for name, own in self._methods.items()
        }
        return make_explainers(model, methods, self._options, named(self._layer))

    def _fixed(self, target: Any) -> Any:
        """What was the predicted class stays what is explained, whatever is predicted later."""
        chosen = target is None or (isinstance(target, str) and target.lower().startswith("top"))
        if not chosen:
            return target
        classes = self.explanations.classes
        return classes[:, 0] if self.single else classes

    def given(self, images: Tensor | None = None) -> Any:
        """Other pixels in the place of the images, in the form in which the user gave them."""
        inputs = self.inputs
        own = inputs.images if images is None else images
        if inputs.arguments is None:
            return own
        if isinstance(inputs.arguments, dict):
            return {**inputs.arguments, str(inputs.key): own}
        return tuple(own if i == inputs.key else v for i, v in enumerate(inputs.arguments))

    def _arrays(self, explanations: Explanations) -> dict[str, Any]:
        found: dict[str, Any] = {}
        k = explanations.classes.shape[1]
        for name, explanation in explanations.items():
            maps = explanation.maps
            by_layer = maps if isinstance(maps, Mapping) else {"": maps}
            for layer, values in by_layer.items():
                array = as_array(values, "maps")
                key = f"{name}@{layer}" if layer else name
                found[key] = read_targets(array, self.axes, k, explanations.single)
        return found


class RandomWeights:
    """A copy of a model whose weights become random, from the output down.

    Attributes
    ----------
    model : Module
        The copy.
    """

    def __init__(self, model: Any, inputs: Inputs, random_state: int, output: Any = None) -> None:
        own = unwrap(model)
        try:
            with plain_mode(), untouched(own):  # others that explain it have hooks in it
                self.model = copy.deepcopy(own)
        except FastxaiError:
            raise
        except Exception as error:
            raise ModelError(
                f"the model can not be copied ({type(error).__name__}: {error}), and its weights "
                "are made random in a copy: leave this measure out, or make it work with "
                "copy.deepcopy"
            ) from error
        self._seed = random_state
        with plain_mode(), untouched(self.model):
            self._order = self._from_the_output(inputs, output)
        if not self._order:
            raise InvalidInputError("the model has no parameters that could be made random")

    def stages(self, count: int) -> Iterator[str]:
        """Make more and more random; the name of the last module that is, after each step.

        The first stage is the layer next to the output alone, the last one is all.
        """
        ends = np.unique(np.round(np.linspace(1, len(self._order), count)).astype(int))
        done: set[int] = set()
        for first, last in pairwise([0, *ends.tolist()]):
            for name in self._order[first:last]:
                for tensor in self.model.get_submodule(name)._parameters.values():
                    if tensor is None or id(tensor) in done:  # some weights are shared
                        continue
                    if tensor.is_floating_point():
                        self._draw(tensor, len(done))
                    done.add(id(tensor))
            yield self._order[last - 1] or type(self.model).__name__

    def _from_the_output(self, inputs: Inputs, output: Any) -> list[str]:
        """Names of the modules with weights of their own, the last that runs first."""
        place = {
            found.module: at for at, found in enumerate(probe(self.model, inputs, output).returns)
        }
        keys, latest = {}, -1
        for name, module in self.model.named_modules():
            # One that is not called, since its parent takes the weights from it, runs with that.
            latest = place.get(name, latest) if name else -1
            if any(p is not None and p.is_floating_point() for p in module._parameters.values()):
                keys[name] = latest
        order = sorted(keys, key=keys.__getitem__)  # stable: as they were defined
        return order[::-1]

    def _draw(self, tensor: Tensor, number: int) -> None:
        """Normal numbers with the weights' own mean and standard deviation."""
        random = np.random.default_rng([self._seed, number])
        values = tensor.detach().cpu().double()
        drawn = torch.from_numpy(random.standard_normal(tuple(tensor.shape)))
        made = values.mean() + values.std(unbiased=False) * drawn
        with torch.inference_mode(tensor.is_inference()), torch.no_grad():
            tensor.copy_(made)


def noisy(images: Tensor, noise: float, random_state: int, draw: int) -> Tensor:
    """Images with normal noise, ``noise`` times each one's range of values."""
    found = images.detach().clone()
    for row, image in enumerate(found):
        # By image and draw: which others are looked at with it does not matter.
        random = np.random.default_rng([random_state, row, draw])
        spread = noise * float(image.max() - image.min())
        drawn = random.standard_normal(tuple(image.shape), dtype=np.float32)
        image += torch.from_numpy(drawn).to(image) * spread
    return found
