"""Whatever a layer returns, and graphs that the model cuts."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import networks
import pytest
import torch
from doing import GRADIENTS, Doing, found, head, usual
from torch import nn

import fastxai
from fastxai import InvalidInputError, NoGradientError

pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


@pytest.fixture
def images() -> torch.Tensor:
    found: torch.Tensor = networks.images(networks.plain_cnn)
    return found


Pair = namedtuple("Pair", "flag maps")


class Wrapped(nn.Module):
    """Feature maps in something else."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.inner, self.wrap = networks.plain_cnn().features, wrap

    def forward(self, x: torch.Tensor) -> Any:
        return self.wrap(self.inner(x))


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (lambda maps: (maps, None), lambda y: y[0]),
        (lambda maps: (None, maps), lambda y: y[1]),
        (lambda maps: [torch.ones(2).long(), maps], lambda y: y[1]),
        (lambda maps: Pair(True, maps), lambda y: y.maps),
        (lambda maps: {"flag": 1, "maps": maps}, lambda y: y["maps"]),
        (lambda maps: OrderedDict(maps=maps), lambda y: y["maps"]),
    ],
    ids=["tuple", "second of a tuple", "list", "named tuple", "dict", "ordered dict"],
)
def test_the_first_tensor_of_floats_that_a_layer_returns_counts(
    wrap: Any, unwrap: Any, images: torch.Tensor
) -> None:
    model = Doing(lambda module, x: head(module.net, unwrap(module.layer(x))))
    model.layer = Wrapped(wrap)
    assert torch.equal(found(model, images, "gradcam", "layer"), usual(images, "gradcam"))


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda maps: {"maps": [maps]}, "returns a dict without a tensor"),
        (lambda maps: (maps > 0).long(), "torch.int64 numbers, which have no gradient"),
    ],
    ids=["too deep", "whole numbers"],
)
def test_layers_without_feature_maps_are_told(
    wrap: Any, message: str, images: torch.Tensor
) -> None:
    def does(module: Any, x: torch.Tensor) -> Any:
        module.layer(x)
        return module.net(x)

    model = Doing(does)
    model.layer = Wrapped(wrap)
    with pytest.raises(InvalidInputError, match=message):
        fastxai.GradCAM(model, layer="layer")(images)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_layer_is_told(images: torch.Tensor) -> None:
    model = Doing(lambda module, x: module.net(x))
    model.net.features = torch.jit.script(model.net.features)
    with pytest.raises(InvalidInputError, match="is scripted or traced"):
        fastxai.GradCAM(model, layer="net.features")(images)


def test_the_recorded_maps_outlive_what_follows_in_place(images: torch.Tensor) -> None:
    def does(module: Any, x: torch.Tensor) -> Any:
        maps = module.net.features(x)
        scores = head(module.net, maps.clone())
        maps.zero_()
        return scores

    assert torch.equal(found(Doing(does), images, "gradcam"), usual(images, "gradcam"))


@pytest.mark.parametrize("method", GRADIENTS[1:])
def test_images_that_the_model_detaches_are_told_in_company_too(
    method: str, images: torch.Tensor
) -> None:
    model = Doing(lambda module, x: module.net(x.detach()))
    with pytest.raises(NoGradientError, match="back to the images"):
        fastxai.explain(model, images, ["gradcam", method], layer="net.features")
