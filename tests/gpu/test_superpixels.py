"""LIME and KernelSHAP through the kernels of the GPU: the CPU's maps, little over the bus."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import fastxai
from fastxai.explain import kernels
from fastxai_kernels.gpu import _triton

from .traffic import counted

SIDE = 13  # no multiple of a block
IMAGES = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
BOTH = pytest.mark.parametrize(
    "method", [fastxai.LIME, fastxai.KernelSHAP], ids=["lime", "kernel_shap"]
)


def convnet() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 4),
    ).eval()  # fmt: skip


def maps_of(method: Any, **options: Any) -> Any:
    given = {"n_segments": 9, "n_samples": 40, "random_state": 3, **options}
    return method(convnet(), **given)(IMAGES)


@BOTH
@pytest.mark.parametrize("segments", ["slic", "grid"])
def test_the_maps_are_those_of_the_cpu(method: Any, segments: str, monkeypatch: Any) -> None:
    want = maps_of(method, segments=segments)
    monkeypatch.setattr(_triton, "LAUNCHED", set())
    monkeypatch.setattr(kernels, "pretend_gpu", True)
    found = maps_of(method, segments=segments)
    assert any(name == "occlusion._show" for name, _ in _triton.LAUNCHED)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-4 * float(want.abs().max()))
    assert torch.equal(maps_of(method, segments=segments), found)


@BOTH
def test_no_image_crosses_the_bus(method: Any, monkeypatch: Any) -> None:
    """Up go the segments once and the tables of what is shown; superpixels need the image."""
    monkeypatch.setattr(kernels, "pretend_gpu", True)
    with counted(monkeypatch) as traffic:
        maps_of(method, segments="grid", batch_size=5)
    segments = IMAGES[:, 0].nbytes
    assert traffic.large("down", least=4 * SIDE * SIDE) == []
    large = [crossing.bytes for crossing in traffic.large("up", least=4 * SIDE * SIDE)]
    maps = [segments]  # a map of every image, made of its weights
    assert sorted(large) == sorted([segments, *maps])
