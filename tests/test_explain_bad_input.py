"""Bad input for every method: a typed error, and the model as it was."""

from __future__ import annotations

from typing import Any

import networks
import pytest
import torch
from doing import LAYERED, METHODS, Doing, _raise
from states import assert_same_state, state_of
from torch import nn

import fastxai
from fastxai import InvalidInputError, ModelError

pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


@pytest.fixture
def images() -> torch.Tensor:
    found: torch.Tensor = networks.images(networks.plain_cnn)
    return found


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("gradient", {"n_samples": 8}),
        ("gradient", {"noise": 0.1}),
        ("gradient", {"baseline": 0.0}),
        ("gradient", {"random_state": 0}),
        ("smoothgrad", {"baseline": 1.0}),
        ("integrated_gradients", {"noise": 0.1}),
        ("integrated_gradients", {"random_state": 3}),
    ],
    ids=str,
)
def test_options_that_a_kind_of_saliency_has_no_use_for(kind: str, options: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{next(iter(options))}= is given, .*'{kind}'"):
        fastxai.Saliency(networks.plain_cnn(), kind=kind, **options)


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("Saliency", "absolute"), ("GradCAM", "relu"), ("CAM", "relu"),
        ("Occlusion", "local"), ("Occlusion", "fast"), ("RISE", "fast"),
    ],
    ids=str,
)  # fmt: skip
def test_switches_are_true_or_false(method: str, option: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{option}='no': choose True or False"):
        getattr(fastxai, method)(networks.plain_cnn(), **{option: "no"})


def spare() -> nn.Module:
    model = networks.plain_cnn()
    model.spare = nn.Conv2d(3, 3, 1)
    return model


def raising() -> nn.Module:
    return Doing(_raise(KeyError("no such key")))


BAD: Any = {
    "class out of range": (networks.plain_cnn, {"target": 5}, InvalidInputError, "0 to 4"),
    "number of targets": (networks.plain_cnn, {"target": [1, 2, 3]}, InvalidInputError, "3"),
    "bytes": (networks.plain_cnn, {"images": "byte"}, InvalidInputError, r"images\.float\(\)"),
    "NaN": (networks.plain_cnn, {"images": "nan"}, InvalidInputError, "hold NaN"),
    "no image": (networks.plain_cnn, {"images": "none"}, InvalidInputError, "batch of no image"),
    "another device": (
        lambda: networks.plain_cnn().to("meta"), {}, InvalidInputError, "the model is on meta",
    ),
    "forward that raises": (raising, {}, ModelError, "KeyError"),
    "one column": (lambda: networks.plain_cnn(1), {}, InvalidInputError, "task='binary'"),
    "output": (networks.plain_cnn, {"output": "no"}, InvalidInputError, r"\(2, 5\) float32"),
}  # fmt: skip


BAD_LAYER: Any = {
    "layer's name": (networks.plain_cnn, {"layer": "featurs"}, InvalidInputError, "'features'"),
    "layer that never runs": (spare, {"layer": "spare"}, InvalidInputError, "did not run"),
}


BAD_WINDOW: Any = {
    "window too large": ({"window": 25}, "25"),
    "stride of zero": ({"window": 8, "stride": 0}, "stride=0"),
}


@pytest.mark.parametrize(
    ("method", "case"),
    [(method, case) for method in METHODS for case in BAD]
    + [(method, case) for method in LAYERED for case in BAD_LAYER],
)
def test_bad_input_is_told_and_the_model_as_it_was(
    method: str, case: str, images: torch.Tensor
) -> None:
    build, options, error, message = {**BAD, **BAD_LAYER}[case]
    model, options = build().train(), dict(options)
    given = {"byte": images.byte(), "nan": images / 0, "none": images[:0], None: images}
    images = given[options.pop("images", None)]
    before = state_of(model) if case != "another device" else {}
    with pytest.raises(error, match=message):
        fastxai.explain(model, images, {method: METHODS[method]}, **options)
    assert_same_state(before, model)


@pytest.mark.parametrize("case", BAD_WINDOW)
def test_bad_windows_are_told_and_the_model_as_it_was(case: str, images: torch.Tensor) -> None:
    options, message = BAD_WINDOW[case]
    model = networks.plain_cnn().train()
    before = state_of(model)
    with pytest.raises(InvalidInputError, match=message):
        fastxai.Occlusion(model, **options)(images)
    assert_same_state(before, model)
