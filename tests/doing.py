"""A network that does on the way what a test wants, and what tests compare it with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networks
import pytest
import torch
from torch import nn

import fastxai

pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


METHODS: Any = {
    **{name: {} for name in ("gradcam", "gradcam++", "hirescam", "layercam", "cam")},
    **{name: {} for name in ("guided_gradcam", "saliency", "guided_backprop", "deconvnet")},
    "occlusion": {"window": 8},
    "rise": {"n_masks": 6},
}


LAYERED = list(METHODS)[:6]
GRADIENTS = ["gradcam", "guided_gradcam", "saliency", "guided_backprop", "deconvnet"]


def head(net: Any, maps: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = net.fc(net.pool(maps).flatten(1))
    return found


class Doing(nn.Module):
    """A plain CNN, `net`, whose forward is a function of the module and the images."""

    def __init__(self, does: Callable[[Any, torch.Tensor], Any]) -> None:
        super().__init__()
        self.net, self.does = networks.plain_cnn(), does

    def forward(self, x: torch.Tensor) -> Any:
        return self.does(self, x)


def usual(images: torch.Tensor, method: str, layer: str = "features", **options: Any) -> Any:
    given = {"layer": layer} if method in LAYERED else {}
    return fastxai.explain(networks.plain_cnn(), images, method, **given, **options)[method].maps


def found(model: Any, images: torch.Tensor, method: str, layer: str = "net.features") -> Any:
    given: Any = {"layer": layer} if method in LAYERED else {}
    return fastxai.explain(model, images, method, **given)[method].maps


def _raise(error: BaseException) -> Any:
    def hook(*_: Any) -> None:
        raise error

    return hook
