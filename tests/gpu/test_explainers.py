"""Explainers through the kernels of the GPU: the CPU's maps, and nothing over the bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fastxai
from fastxai.explain import kernels
from fastxai_kernels.gpu import _triton

from .traffic import counted

SIDE = 13  # no multiple of a block, nor of the windows


class Tokens(nn.Module):
    """A transformer of few tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 4, stride=4)
        self.first = nn.Parameter(torch.randn(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.cut(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(tokens), -1, -1), tokens], 1)
        return self.head(self.encoder(tokens)[:, 0])


def convnet() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 7, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 4),
    ).eval()  # fmt: skip


def tokens() -> nn.Module:
    torch.manual_seed(0)
    return Tokens().eval()


IMAGES = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
SQUARE = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))

METHODS: dict[str, tuple[Callable[[], Any], str]] = {
    "CAM": (lambda: fastxai.CAM(convnet()), "cam."),
    "Grad-CAM": (lambda: fastxai.GradCAM(convnet()), "cam."),
    "Grad-CAM++": (lambda: fastxai.GradCAMPlusPlus(convnet()), "cam."),
    "HiResCAM": (lambda: fastxai.HiResCAM(convnet()), "cam."),
    "LayerCAM": (lambda: fastxai.LayerCAM(convnet()), "cam."),
    "Guided Grad-CAM": (lambda: fastxai.GuidedGradCAM(convnet()), "cam."),
    "occlusion": (lambda: fastxai.Occlusion(convnet(), window=5, stride=3), "occlusion."),
    "occlusion, smaller than a batch": (
        lambda: fastxai.Occlusion(convnet(), window=4, stride=4, batch_size=5),
        "occlusion.",
    ),
    "RISE": (lambda: fastxai.RISE(convnet(), n_masks=6, random_state=3), "cam."),
    "attention rollout": (lambda: fastxai.AttentionRollout(tokens()), "cam."),
}
cases = pytest.mark.parametrize("name", METHODS)


@pytest.fixture
def pretend(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(kernels, "pretend_gpu", True)
    yield


def images_of(name: str) -> torch.Tensor:
    return SQUARE if name == "attention rollout" else IMAGES


def maps_of(name: str) -> Any:
    return METHODS[name][0]()(images_of(name))


@cases
def test_the_maps_are_those_of_the_cpu(name: str, monkeypatch) -> None:
    want = np.asarray(maps_of(name))
    monkeypatch.setattr(_triton, "LAUNCHED", set())
    monkeypatch.setattr(kernels, "pretend_gpu", True)
    found = np.asarray(maps_of(name))
    assert any(kernel.startswith(METHODS[name][1]) for kernel, _ in _triton.LAUNCHED)
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("name", ["Grad-CAM", "occlusion", "RISE"])
def test_the_same_bits_again(name: str, pretend: None) -> None:
    assert torch.equal(maps_of(name), maps_of(name))


@cases
def test_no_image_and_no_map_crosses_the_bus(name: str, pretend: None, monkeypatch) -> None:
    images = images_of(name)
    explainer = METHODS[name][0]()
    with counted(monkeypatch) as traffic:
        explainer(images)
    a_map = 4 * images.shape[-1] * images.shape[-2]
    assert [c for c in traffic.large("down") if c.bytes >= a_map] == []
    # Tables of windows, and the small grids of RISE's masks, which NumPy draws.
    allowed = 6 * 8 * 8 * 4 if name == "RISE" else a_map
    assert [c for c in traffic.large("up") if c.bytes > allowed] == []
