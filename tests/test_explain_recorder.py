"""One forward, the graph no longer than needed, whatever mode the caller is in."""

from __future__ import annotations

import warnings
from typing import Any

import networks
import networks_attention  # noqa: F401  (adds to networks.NETWORKS)
import numpy as np
import pytest
import torch
from states import LAYER_METHODS, PIXEL_METHODS
from torch import nn

import fastxai
from fastxai import InvalidInputError, NoGradientError


def counting(model: nn.Module) -> list[int]:
    """A list that grows by one with every forward of the model."""
    calls: list[int] = []
    model.register_forward_pre_hook(lambda module, arguments: calls.append(len(arguments[0])))
    return calls


@pytest.mark.parametrize(
    "methods",
    [["gradcam"], LAYER_METHODS, PIXEL_METHODS, [*LAYER_METHODS, *PIXEL_METHODS, "guided_gradcam"]],
    ids=["gradcam", "layers", "pixels", "everything"],
)
def test_methods_asked_for_together_share_one_forward(methods: list[str]) -> None:
    model = networks.plain_cnn()
    images = networks.images(networks.plain_cnn, n=3)
    calls = counting(model)
    layer = None if methods == PIXEL_METHODS else "features"
    fastxai.explain(model, images, methods, layer=layer, target="top3")
    assert calls == [3]


def test_the_default_layer_costs_one_probe_of_one_image_for_each_model() -> None:
    model = networks.plain_cnn()
    images = networks.images(networks.plain_cnn, n=3)
    calls = counting(model)
    fastxai.GradCAM(model)(images)
    fastxai.GradCAM(model)(images)
    assert calls == [1, 3, 3]


def test_batches_are_as_large_as_asked() -> None:
    model = networks.plain_cnn()
    calls = counting(model)
    fastxai.GradCAM(model, layer="features", batch_size=2)(networks.images(networks.plain_cnn, 5))
    assert calls == [2, 2, 1]


def test_a_batch_for_which_memory_does_not_suffice_is_halved() -> None:
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = networks.plain_cnn()
            self.sizes: list[int] = []

        def forward(self, x: torch.Tensor) -> Any:
            self.sizes.append(len(x))
            if len(x) > 2:
                raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")
            return self.net(x)

    model = Small()
    images = networks.images(networks.plain_cnn, 5)
    maps = fastxai.GradCAM(model, layer="net.features")(images)
    assert model.sizes == [5, 2, 2, 1]
    np.testing.assert_allclose(
        maps, fastxai.GradCAM(networks.plain_cnn(), layer="features")(images), atol=1e-6
    )


def test_below_the_layer_nothing_is_kept() -> None:
    """A tensor that the trunk made is gone when the head runs."""
    model = networks.plain_cnn()
    kept: list[Any] = []
    inner = model.features[0].register_forward_hook(lambda m, a, out: kept.append(out.grad_fn))
    at_layer = model.features.register_forward_hook(lambda m, a, out: kept.append(out.grad_fn))
    head = model.fc.register_forward_hook(lambda m, a, out: kept.append(out.grad_fn))
    fastxai.GradCAM(model, layer="features")(networks.images(networks.plain_cnn))
    for handle in (inner, at_layer, head):
        handle.remove()
    assert [node is None for node in kept] == [True, True, False]


@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
@pytest.mark.parametrize("method", [*LAYER_METHODS, *PIXEL_METHODS, "guided_gradcam", "cam"])
def test_no_parameter_gets_a_gradient(method: str, frozen: bool) -> None:
    model = networks.plain_cnn().requires_grad_(not frozen)
    layer = None if method in PIXEL_METHODS else "features"
    out = fastxai.explain(model, networks.images(networks.plain_cnn), method, layer=layer)
    assert torch.isfinite(out[method].maps).all()
    assert all(p.grad is None and p.requires_grad is not frozen for p in model.parameters())


@pytest.fixture
def usual() -> tuple[Any, torch.Tensor, torch.Tensor, torch.Tensor]:
    model, images = networks.residual(), networks.images(networks.residual)
    maps = fastxai.GradCAM(model, layer="layer2")(images)
    guided = fastxai.GuidedBackprop(model)(images)
    return model, images, maps, guided


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_under_a_callers_mode(usual: Any, mode: Any) -> None:
    model, images, maps, guided = usual
    with mode():
        assert torch.equal(fastxai.GradCAM(model, layer="layer2")(images.clone()), maps)
        assert torch.equal(fastxai.GuidedBackprop(model)(images.clone()), guided)


def test_a_model_made_under_inference_mode(usual: Any) -> None:
    _, images, maps, guided = usual
    with torch.inference_mode():
        model = networks.residual()
    assert torch.equal(fastxai.GradCAM(model, layer="layer2")(images), maps)
    assert torch.equal(fastxai.GuidedBackprop(model)(images), guided)
    assert all(p.requires_grad for p in model.parameters())


def test_channels_last(usual: Any) -> None:
    model, images, maps, guided = usual
    model = model.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        fastxai.GradCAM(model, layer="layer2")(images), maps, rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(fastxai.GuidedBackprop(model)(images), guided, rtol=1e-4, atol=1e-5)


def test_autocast_is_within_two_percent(usual: Any) -> None:
    model, images, maps, _ = usual
    with torch.autocast("cpu", torch.bfloat16):
        found = fastxai.GradCAM(model, layer="layer2")(images)
    assert found.dtype == torch.float32
    assert (found - maps).norm() <= 0.02 * maps.norm()


def test_numpy_in_numpy_out(usual: Any) -> None:
    model, images, maps, _ = usual
    found = fastxai.GradCAM(model, layer="layer2")(images.double().numpy())
    assert isinstance(found, np.ndarray) and found.dtype == np.float32
    np.testing.assert_array_equal(found, maps.numpy())


def test_double_models_give_float32_maps(usual: Any) -> None:
    model, images, maps, _ = usual
    found = fastxai.GradCAM(model.double(), layer="layer2")(images.double())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, maps, rtol=1e-4, atol=1e-5)


def test_data_parallel_is_unwrapped(usual: Any) -> None:
    model, images, maps, _ = usual
    assert torch.equal(fastxai.GradCAM(nn.DataParallel(model), layer="layer2")(images), maps)


def test_compiled_models_run_eagerly(usual: Any) -> None:
    model, images, maps, _ = usual
    compiled = torch.compile(model, backend="eager")
    assert torch.equal(fastxai.GradCAM(compiled, layer="layer2")(images), maps)
    model.compile(backend="eager")
    assert torch.equal(fastxai.GradCAM(model, layer="layer2")(images), maps)


@pytest.mark.parametrize("make", ["script", "trace"])
def test_scripted_and_traced_models_are_refused_but_by_black_boxes(make: str) -> None:
    model, images = networks.cam_net(), networks.images(networks.cam_net)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(model) if make == "script" else torch.jit.trace(model, images)
    with pytest.raises(InvalidInputError, match="Occlusion and RISE"):
        fastxai.GradCAM(scripted)
    maps = fastxai.Occlusion(scripted, window=12, stride=12)(images)
    torch.testing.assert_close(
        maps, fastxai.Occlusion(model, window=12, stride=12)(images), rtol=1e-4, atol=1e-5
    )


def test_any_callable_is_a_black_box() -> None:
    model, images = networks.cam_net(), networks.images(networks.cam_net)
    maps = fastxai.Occlusion(lambda x: model(x), window=12, stride=12)(images)
    torch.testing.assert_close(
        maps, fastxai.Occlusion(model, window=12, stride=12)(images), rtol=1e-4, atol=1e-5
    )


def test_a_layer_that_runs_twice_is_the_sum_of_its_calls() -> None:
    model, images = networks.reused_block(), networks.images(networks.reused_block)
    maps = [
        fastxai.GradCAM(model, layer="block", relu=False, call=call)(images, target=1)
        for call in (0, 1, None)
    ]
    torch.testing.assert_close(maps[2], maps[0] + maps[1], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(maps[0], maps[1])


def test_the_first_call_is_cut_and_the_later_ones_stay_attached() -> None:
    """By hand: both activations from one graph that begins at the first."""
    model, images = networks.reused_block(), networks.images(networks.reused_block)
    first = model.block(model.stem(images)).detach().requires_grad_()
    second = model.block(first)
    score = model.fc(second.mean((2, 3)))[:, 2].sum()
    coarse = [
        (a * g.mean((2, 3), keepdim=True)).sum(1)
        for a, g in zip((first, second), torch.autograd.grad(score, (first, second)), strict=True)
    ]
    explained = fastxai.GradCAM(model, layer="block", relu=False).explain(images, target=2)
    total = coarse[0] + coarse[1]
    torch.testing.assert_close(explained.minimum, total.flatten(1).amin(1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(explained.maximum, total.flatten(1).amax(1), rtol=1e-4, atol=1e-6)


def test_a_call_that_never_was_is_told() -> None:
    model, images = networks.reused_block(), networks.images(networks.reused_block)
    with pytest.raises(InvalidInputError, match="ran 2 times, and call=2"):
        fastxai.GradCAM(model, layer="block", call=2)(images)


def test_a_layer_that_never_runs_is_told() -> None:
    model = networks.plain_cnn()
    model.spare = nn.Conv2d(3, 3, 1)
    with pytest.raises(InvalidInputError, match="'spare' did not run"):
        fastxai.GradCAM(model, layer="spare")(networks.images(networks.plain_cnn))


class Cutting(nn.Module):
    """Runs its trunk, its head, or both under no_grad."""

    def __init__(self, trunk: bool, head: bool) -> None:
        super().__init__()
        self.net, self.trunk, self.head = networks.plain_cnn(), trunk, head

    def forward(self, x: torch.Tensor) -> Any:
        with torch.set_grad_enabled(not self.trunk and torch.is_grad_enabled()):
            x = self.net.features(x)
        with torch.set_grad_enabled(not self.head and torch.is_grad_enabled()):
            return self.net.fc(self.net.pool(x).flatten(1))


def test_a_layer_inside_the_models_own_no_grad_works() -> None:
    images = networks.images(networks.plain_cnn)
    found = fastxai.GradCAM(Cutting(True, False), layer="net.features")(images)
    assert torch.equal(found, fastxai.GradCAM(networks.plain_cnn(), layer="features")(images))


@pytest.mark.parametrize(
    ("trunk", "head", "method"),
    [(False, True, "gradcam"), (True, False, "saliency"), (False, True, "guided_backprop")],
)
def test_a_graph_that_the_model_cuts_is_told(trunk: bool, head: bool, method: str) -> None:
    options: Any = {"layer": "net.features"} if method == "gradcam" else {}
    with pytest.raises(NoGradientError, match="the model cuts the graph"):
        images = networks.images(networks.plain_cnn)
        fastxai.explain(Cutting(trunk, head), images, method, **options)
