"""The model leaves as it came."""

from __future__ import annotations

import gc
from typing import Any

import networks
import networks_attention  # noqa: F401  (adds to networks.NETWORKS)
import pytest
import torch
import torch.nn.functional as F
from states import LAYER_METHODS, PIXEL_METHODS, assert_same_state, state_of
from torch import nn

import fastxai
from fastxai import ModelError

EVERY = [*LAYER_METHODS, *PIXEL_METHODS, "guided_gradcam", "occlusion"]


@pytest.mark.parametrize("training", [True, False], ids=["in training", "in eval"])
@pytest.mark.parametrize("name", ["plain_cnn", "residual", "vgg_like", "relu6_mobile"])
def test_the_model_leaves_as_it_came(name: str, training: bool) -> None:
    build = networks.NETWORKS[name]
    model = build().train(training)
    next(model.children()).eval()
    next(iter(model.parameters())).requires_grad_(False)
    before = state_of(model)
    fastxai.explain(
        model, networks.images(build), {m: {"window": 8} if m == "occlusion" else {} for m in EVERY}
    )
    assert_same_state(before, model)


class Failing(nn.Module):
    """Raises in the forward, after the recorded layer ran."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.net, self.error = networks.plain_cnn(), error
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> Any:
        self.calls += 1
        torch.rand(3)
        x = self.net.features(x)
        if self.error is not None:
            raise self.error
        return self.net.fc(self.net.pool(x).flatten(1))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ValueError("no such thing"), ModelError),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ModelError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
    ],
    ids=["ValueError", "RuntimeError", "Ctrl-C", "MemoryError"],
)
@pytest.mark.parametrize("method", ["gradcam", "guided_backprop", "occlusion"])
def test_the_model_is_as_it_was_when_its_forward_raises(
    error: BaseException, raised: type[BaseException], method: str
) -> None:
    model = Failing(error).train()
    images = networks.images(networks.plain_cnn, 1)
    before = state_of(model)
    options: Any = {"layer": "net.features"} if method == "gradcam" else {}
    with pytest.raises(raised):
        fastxai.explain(model, images, method, **options)
    assert_same_state(before, model)


def test_a_raised_error_is_chained_and_tells_the_shapes() -> None:
    error = ValueError("no such thing")
    with pytest.raises(ModelError, match=r"ValueError: no such thing.*\(1, 3, 24, 24\)") as caught:
        fastxai.Saliency(Failing(error))(networks.images(networks.plain_cnn, 1))
    assert caught.value.__cause__ is error


def test_counters_and_random_numbers_of_the_model_are_put_back() -> None:
    model = Failing(None)  # type: ignore[arg-type]
    before = state_of(model)
    fastxai.GradCAM(model, layer="net.features")(networks.images(networks.plain_cnn))
    assert_same_state(before, model)


def test_a_replaced_buffer_is_put_back() -> None:
    class Replacing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = networks.plain_cnn()
            self.register_buffer("mean", torch.zeros(3))

        def forward(self, x: torch.Tensor) -> Any:
            self.mean = self.mean + x.mean((0, 2, 3)).detach()
            return self.net(x)

    model = Replacing()
    before = state_of(model)
    fastxai.GradCAM(model, layer="net.features")(networks.images(networks.plain_cnn))
    assert_same_state(before, model)


def test_gradients_that_the_user_has_are_left_alone() -> None:
    model = networks.plain_cnn()
    images = networks.images(networks.plain_cnn).requires_grad_()
    model(images).sum().backward()
    before = [p.grad.clone() for p in model.parameters()]
    own = images.grad.clone()
    fastxai.explain(model, images, ["gradcam", "saliency"])
    assert all(torch.equal(a, p.grad) for a, p in zip(before, model.parameters(), strict=True))
    assert torch.equal(images.grad, own)


def test_the_images_are_not_written_to() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = networks.plain_cnn()

        def forward(self, x: torch.Tensor) -> Any:
            return self.net(x.sub_(0.5).div_(0.2))

    images = networks.images(networks.plain_cnn)
    before = images.clone()
    options: Any = {"gradcam": {}, "saliency": {}, "occlusion": {"window": 8}}
    fastxai.explain(InPlace(), images, options)
    assert torch.equal(images, before)


def test_memory_stays_flat_over_calls_and_explainers() -> None:
    model = networks.plain_cnn()
    images = networks.images(networks.plain_cnn, 1)

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    explainer = fastxai.GuidedGradCAM(model, layer="features")
    explainer(images)
    before = tensors()
    for _ in range(200):
        explainer(images)
    for _ in range(50):
        fastxai.GradCAM(model)(images)
    assert tensors() <= before + 2


def test_usable_between_two_steps_of_training() -> None:
    """The loss of training with explanations between the steps is that of training without."""

    def train(explained: bool) -> list[float]:
        torch.manual_seed(0)
        model = networks.vgg_like().train()
        images, target = networks.images(networks.vgg_like, 4), torch.tensor([0, 1, 2, 3])
        optimiser = torch.optim.SGD(model.parameters(), 0.01)
        losses = []
        for _ in range(3):
            loss = F.cross_entropy(model(images), target)
            optimiser.zero_grad()
            loss.backward()
            if explained:
                fastxai.explain(model, images, ["gradcam", "guided_backprop"])
            optimiser.step()
            losses.append(loss.item())
        return losses

    assert train(True) == train(False)
