"""DeconvNet's projection of one activation."""

from __future__ import annotations

from typing import Any

import networks
import networks_attention
import pytest
import torch
from torch import nn

import fastxai
from fastxai import InvalidInputError

pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


@pytest.fixture
def images() -> torch.Tensor:
    found: torch.Tensor = networks.images(networks.plain_cnn)
    return found


@pytest.mark.parametrize("unit", [-1, 16, 1.5, True, "3"])
def test_units_that_there_are_not(unit: Any, images: torch.Tensor) -> None:
    with pytest.raises(InvalidInputError, match="unit="):
        fastxai.DeconvNet(networks.plain_cnn()).project(images, "features", unit)


def test_a_projection_of_tokens_finds_units_and_places() -> None:
    model, images = vit_with_relu(), networks.images(networks_attention.vit)
    layer = "encoder.layers.1"
    kept: list[torch.Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda m, x, y: kept.append(y))
    model(images)
    handle.remove()
    tokens = kept[0][:, 1:]
    found = fastxai.DeconvNet(model).project(images, layer)
    assert torch.equal(found.unit, tokens.amax(1).argmax(1))
    place = found.position[:, 0] * 4 + found.position[:, 1]  # a grid of 3 x 4
    assert torch.equal(place, tokens[[0, 1], :, found.unit].argmax(1))
    torch.testing.assert_close(found.activation, tokens.amax((1, 2)).detach())
    assert found.maps.abs().sum() > 0


def vit_with_relu() -> nn.Module:
    model = networks_attention.vit()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GELU):
                setattr(module, name, nn.ReLU())
    return model


def test_a_projection_needs_a_relu(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 22 * 22, 5))
    for refused in (fastxai.DeconvNet(model), lambda x: fastxai.DeconvNet(model).project(x, "1")):
        with pytest.raises(InvalidInputError, match="no activation that a ReLU rule"):
            refused(images)


def test_a_projection_of_a_reused_layer_takes_the_call_asked_for(images: torch.Tensor) -> None:
    model, kept = networks.plain_cnn(), []
    model.shared = nn.ReLU()
    model.features[2] = model.features[5] = model.shared
    handle = model.shared.register_forward_hook(lambda m, x, y: kept.append(y.detach().clone()))
    model(images)
    handle.remove()
    deconv = fastxai.DeconvNet(model)
    for call, options in ((0, {}), (0, {"call": 0}), (1, {"call": 1})):
        found = deconv.project(images, "shared", **options)
        torch.testing.assert_close(found.activation, kept[call].flatten(1).amax(1))
    with pytest.raises(InvalidInputError, match="call=9"):
        deconv.project(images, "shared", call=9)
    with pytest.raises(InvalidInputError, match="call=-1"):
        deconv.project(images, "shared", call=-1)


def test_a_projection_reads_a_layer_as_told(images: torch.Tensor) -> None:
    deconv = fastxai.DeconvNet(networks.plain_cnn())
    usual, turned = (
        deconv.project(images, "features", reshape=reshape)
        for reshape in (None, lambda maps: maps.flip(1))
    )
    assert torch.equal(turned.unit, 15 - usual.unit)
    assert torch.equal(turned.maps, usual.maps)
    with pytest.raises(InvalidInputError, match="reshape= raised ZeroDivisionError"):
        deconv.project(images, "features", reshape=lambda maps: 1 / 0)


def test_a_projection_tells_its_progress(images: torch.Tensor, capsys: Any) -> None:
    fastxai.DeconvNet(networks.plain_cnn(), verbose=True).project(images, "features")
    assert "project" in capsys.readouterr().err
