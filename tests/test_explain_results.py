"""Explainers that are copied, results that are printed, words that name the user's line."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import networks
import pytest
import torch
from doing import Doing, usual
from torch import nn

import fastxai
from fastxai import FastxaiWarning, InvalidInputError

pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


@pytest.fixture
def images() -> torch.Tensor:
    found: torch.Tensor = networks.images(networks.plain_cnn)
    return found


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["copied", "pickled"]
)
def test_explainers_can_be_copied(again: Any, images: torch.Tensor) -> None:
    explainer = fastxai.GradCAM(networks.plain_cnn(), layer="features")
    assert torch.equal(again(explainer)(images), usual(images, "gradcam"))


def test_an_explainer_follows_its_model(images: torch.Tensor) -> None:
    model = networks.plain_cnn()
    explainer = fastxai.GradCAM(model)
    explainer(images)
    torch.manual_seed(1)
    model.features[6] = nn.Conv2d(12, 16, 5, padding=2, stride=2)
    model.double()
    assert torch.equal(
        explainer(images.double(), 4),
        fastxai.GradCAM(copy.deepcopy(model), layer="features")(images.double(), 4),
    )


def test_gradients_of_many_targets_are_not_kept(images: torch.Tensor) -> None:
    """Of a thousand classes those by every feature map would fill the memory."""
    from fastxai.explain.session import Session

    most: list[int] = []
    before = Session.forget

    def forget(session: Session, k: int) -> None:
        most.append(len(session._found))
        before(session, k)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", FastxaiWarning)
        patch.setattr(Session, "forget", forget)
        fastxai.explain(networks.plain_cnn(), images, ["gradcam", "saliency"], target="top5")
    assert most == [1] * 5


def test_the_plain_gradient_of_guided_gradcam_ends_at_the_layer(images: torch.Tensor) -> None:
    model, count = networks.plain_cnn(), []
    model.features[0].register_full_backward_hook(lambda *_: count.append(1))
    fastxai.GuidedGradCAM(model, layer="features.5")(images)
    assert len(count) == 1


def test_results_print_on_a_line(images: torch.Tensor) -> None:
    out = fastxai.explain(
        networks.plain_cnn(), images, ["gradcam", "saliency"], target=4, layer=["features.5"]
    )
    assert repr(out) == "Explanations(gradcam, saliency; 2 images, 1 targets each)"
    assert repr(out["saliency"]) == "Explanation('saliency', maps (2, 24, 24); 2 ok)"


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"gradcam": {}, "saliency": {"output": 1}}, "'saliency' hold output"),
        ({"gradcam": None}, "options of 'gradcam' are None"),
        ({"saliency": {"bogus": 1}}, "bogus"),
        (["gradcam", "grad_cam"], "'gradcam' twice"),
        ([], "no method is named"),
        (7, "methods=7"),
    ],
    ids=["shared option", "no options", "unknown option", "twice", "none", "a number"],
)
def test_methods_that_can_not_be_read_are_told(
    methods: Any, message: str, images: torch.Tensor
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fastxai.explain(networks.plain_cnn(), images, methods)


@pytest.mark.parametrize(
    ("reshape", "message"),
    [(3, "reshape=3"), (lambda maps: 1 / 0, "reshape= raised ZeroDivisionError")],
    ids=["no function", "raises"],
)
def test_a_reshape_that_can_not_be_used(reshape: Any, message: str, images: torch.Tensor) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fastxai.GradCAM(networks.plain_cnn(), layer="features", reshape=reshape)(images)


@pytest.mark.parametrize("baseline", ["grey", torch.zeros(2, 2)], ids=["str", "2x2"])
def test_a_baseline_that_is_no_image(baseline: Any, images: torch.Tensor) -> None:
    kind = "integrated_gradients"
    with pytest.raises(InvalidInputError, match="baseline"):
        fastxai.Saliency(networks.plain_cnn(), kind=kind, baseline=baseline)(images)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_activations_that_scripted_modules_hide_are_told(images: torch.Tensor) -> None:
    model = Doing(lambda module, x: module.net(x))
    model.net.features = torch.jit.script(model.net.features)
    with pytest.raises(InvalidInputError, match=r"scripted or traced modules .*net\.features"):
        fastxai.GuidedBackprop(model)(images)


def test_warnings_name_the_users_line(images: torch.Tensor) -> None:
    with pytest.warns(FastxaiWarning) as caught:
        fastxai.GradCAM(networks.plain_cnn(), layer="features")(images, lambda out: (out * 0).sum())
    assert [warning.filename for warning in caught] == [__file__]
