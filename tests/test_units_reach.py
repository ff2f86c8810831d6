"""Receptive fields against brute force: change each pixel, and see which positions change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from fastxai.explain.explainer import Explainer, opened
from fastxai.units.choosing import units_of
from fastxai.units.reach import Field, receptive_fields

SIZE = (15, 11)
NETWORKS: dict[str, Callable[[], nn.Module]] = {}


def network(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    NETWORKS[build.__name__] = build
    return build


def named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


@network
def no_padding() -> nn.Module:
    return named(a=nn.Conv2d(2, 3, 3), b=nn.ReLU(), unit=nn.Conv2d(3, 4, 5))


@network
def padding() -> nn.Module:
    return named(a=nn.Conv2d(2, 3, 5, padding=2), b=nn.ReLU(), unit=nn.Conv2d(3, 4, 3, padding=1))


@network
def oblong_kernel() -> nn.Module:
    return named(unit=nn.Conv2d(2, 3, (3, 5), padding=(0, 2), stride=(2, 1)))


@network
def even_kernel() -> nn.Module:
    return named(a=nn.Conv2d(2, 3, 4, padding=1), unit=nn.Conv2d(3, 4, 2))


@network
def stride() -> nn.Module:
    layers = [nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, stride=2)]
    return named(a=nn.Sequential(*layers), unit=nn.ReLU())


@network
def stride_that_skips() -> nn.Module:
    return named(unit=nn.Conv2d(2, 3, 1, stride=3))


@network
def dilation() -> nn.Module:
    return named(a=nn.Conv2d(2, 3, 3, dilation=2, padding=2), unit=nn.Conv2d(3, 3, 3, dilation=3))


@network
def depthwise() -> nn.Module:
    return named(a=nn.Conv2d(2, 4, 1), unit=nn.Conv2d(4, 4, 3, groups=4, padding=1))


@network
def max_pool() -> nn.Module:
    return named(
        a=nn.Conv2d(2, 3, 3, padding=1), b=nn.MaxPool2d(3, 2, padding=1), unit=nn.Conv2d(3, 4, 3)
    )


@network
def max_pool_that_rounds_up() -> nn.Module:
    return named(a=nn.MaxPool2d(2, ceil_mode=True), unit=nn.Conv2d(2, 3, 3, padding=1))


@network
def average_pool() -> nn.Module:
    return named(a=nn.AvgPool2d(3, 2), unit=nn.Conv2d(2, 3, 2))


@network
def uneven_pool() -> nn.Module:
    return named(a=nn.Conv2d(2, 3, 3), unit=nn.AdaptiveAvgPool2d((4, 3)))


@network
def transposed() -> nn.Module:
    return named(a=nn.Conv2d(2, 3, 3, stride=2), unit=nn.ConvTranspose2d(3, 3, 4, stride=2))


@network
def enlarged() -> nn.Module:
    return named(a=nn.Conv2d(2, 3, 3, stride=2), unit=nn.Upsample(scale_factor=2))


@network
def reflected_border() -> nn.Module:
    return named(unit=nn.Conv2d(2, 3, 5, padding=2, padding_mode="reflect"))


class Residual(nn.Module):
    """Two ways of different reach, added."""

    def __init__(self) -> None:
        super().__init__()
        self.long = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.Conv2d(3, 3, 5, 1, 2))
        self.short = nn.Conv2d(2, 3, 1, stride=2)
        self.unit = nn.Identity()

    def forward(self, x: Any) -> Any:
        return self.unit(torch.relu(self.long(x) + self.short(x)))


class Gate(nn.Module):
    """Squeeze and excitation: every position reads everything."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze = nn.Conv2d(2, 3, 3), nn.Linear(3, 3)
        self.unit = nn.Identity()

    def forward(self, x: Any) -> Any:
        maps = self.conv(x)
        return self.unit(maps * torch.sigmoid(self.squeeze(maps.mean((2, 3))))[..., None, None])


class Shift(nn.Module):
    """Reads around the border."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, (1, 3), padding=(0, 1))
        self.unit = nn.Identity()

    def forward(self, x: Any) -> Any:
        return self.unit(F.max_pool2d(self.conv(x), 2, dilation=2))


NETWORKS |= {"residual": Residual, "gate": Gate, "dilated pool": Shift}


@network
def pooled_over_everything() -> nn.Module:
    return named(a=nn.Conv2d(2, 3, 3), unit=nn.AdaptiveMaxPool2d(1))


@network
def without_space() -> nn.Module:
    return named(a=nn.Conv2d(2, 3, 3, stride=4), b=nn.Flatten(), unit=nn.LazyLinear(4))


@network
def group_norm() -> nn.Module:
    return named(a=nn.Conv2d(2, 4, 3), unit=nn.GroupNorm(2, 4))


def field_of(
    model: nn.Module, size: tuple[int, ...] = SIZE, local: bool = False
) -> tuple[Field, tuple[int, ...]]:
    images = torch.rand(1, 2, *size)
    shape: list[tuple[int, ...]] = []
    hook = model.unit.register_forward_hook(lambda _, __, y: shape.append(y.shape[2:]))
    model(images)
    hook.remove()
    with opened(Explainer(model), images) as (inputs, _):
        layer = units_of(model, "unit", inputs)["unit"]
        found = receptive_fields(model, inputs, [layer], local=local)[layer]
    return found, tuple(shape[0])


def positive(model: nn.Module) -> nn.Module:
    """Weights above zero: no change of a pixel can cancel."""
    for parameter in model.parameters():
        parameter.data = parameter.data.abs() + 0.1
    return model.double()


def brute_force(model: nn.Module, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(pixels, positions): which position changes when a pixel does."""
    image = torch.rand(2, *size, dtype=torch.float64, generator=torch.manual_seed(0))
    changed = image.repeat(size[0] * size[1], 1, 1, 1)
    for number, one in enumerate(changed):
        one[:, number // size[1], number % size[1]] += 5.0  # the largest of any pool
    maps: list[torch.Tensor] = []
    hook = model.unit.register_forward_hook(lambda _, __, y: maps.append(y.detach()))
    model(torch.cat([image[None], changed]))
    hook.remove()
    found = maps[0].flatten(2) if maps[0].ndim > 2 else maps[0][..., None]
    return ((found[1:] - found[:1]).abs() > 1e-9).any(1).numpy()  # of float64, not of rounding


@pytest.mark.parametrize("name", NETWORKS)
def test_the_field_is_what_a_pixel_can_change(name: str) -> None:
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    model(torch.rand(1, 2, *SIZE))  # lazy layers take their shape
    field, shape = field_of(positive(model).float())
    changes = brute_force(model.double(), SIZE)
    pixels = np.stack(np.unravel_index(np.arange(changes.shape[0]), SIZE), 1)
    for number in range(changes.shape[1]):
        position = tuple(int(p) for p in np.unravel_index(number, shape)) if shape else ()
        reached = pixels[changes[:, number]]
        box = field.box(position)
        expected = [
            (low, high + 1) for low, high in zip(reached.min(0), reached.max(0), strict=True)
        ]
        assert [(cut.start, cut.stop) for cut in box] == expected, position


@pytest.mark.parametrize(
    ("name", "size", "whole"),
    [
        ("no_padding", (7, 7), False),
        ("dilation", (11, 11), False),
        ("max_pool", (9, 9), False),
        ("pooled_over_everything", SIZE, True),
        ("without_space", SIZE, True),
        ("gate", SIZE, True),
        ("group_norm", SIZE, True),
    ],
)
def test_its_size(name: str, size: tuple[int, ...], whole: bool) -> None:
    model = NETWORKS[name]().eval()
    model(torch.rand(1, 2, *SIZE))
    field, _ = field_of(model)
    assert (field.size, field.whole) == (size, whole)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("gate", (3, 3)),
        ("group_norm", (3, 3)),
        ("residual", (11, 10)),  # the border cuts every one
        ("uneven_pool", (6, 5)),
        ("pooled_over_everything", SIZE),
        ("without_space", SIZE),
    ],
)
def test_without_statistics_over_the_image(name: str, size: tuple[int, ...]) -> None:
    model = NETWORKS[name]().eval()
    model(torch.rand(1, 2, *SIZE))
    field, _ = field_of(model, local=True)
    exact, _ = field_of(model)
    assert field.size == size
    assert exact.whole or exact.size == size


def test_weights_that_are_zero_count() -> None:
    model = named(unit=nn.Conv2d(2, 1, 5))
    nn.init.zeros_(model.unit.weight)
    assert field_of(model)[0].size == (5, 5)


def test_of_large_images_the_other_axis_is_cut_short() -> None:
    model = named(a=nn.Conv2d(2, 3, 3, stride=2, padding=1), unit=nn.Conv2d(3, 1, 5, padding=2))
    field, _ = field_of(model.eval(), (70, 40))
    assert [len(low) for low in field.low] == [35, 20]
    assert [(cut.start, cut.stop) for cut in field.box((10, 10))] == [(15, 26), (15, 26)]


def test_a_network_that_needs_its_size_is_not_cut() -> None:
    model = named(a=nn.Flatten(2), b=nn.Linear(2100, 1500), unit=nn.Unflatten(2, (50, 30)))
    field, _ = field_of(model.eval(), (70, 30))
    assert field.whole


class Refuses(nn.Module):
    """Has no use for what is not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.Conv2d(2, 3, 3)

    def forward(self, x: Any) -> Any:
        assert torch.isfinite(x).all(), "NaN"
        return self.unit(x)


class Swallows(Refuses):
    """Takes NaN for zero."""

    def forward(self, x: Any) -> Any:
        return self.unit(torch.nan_to_num(x))


@pytest.mark.parametrize("kind", [Refuses, Swallows])
def test_where_it_can_not_be_told_it_is_the_whole_image(kind: type[nn.Module]) -> None:
    assert field_of(kind())[0].whole


@pytest.mark.parametrize(("axes", "conv"), [(1, nn.Conv1d), (3, nn.Conv3d)])
def test_other_numbers_of_axes(axes: int, conv: Any) -> None:
    model = named(a=conv(2, 3, 3, padding=1), unit=conv(3, 2, 3, stride=2))
    field, _ = field_of(model, (9, 8, 7)[:axes])
    assert field.size == (5,) * axes
