"""Every method against its formula, written out by hand."""

from __future__ import annotations

from typing import Any

import networks
import networks_attention  # noqa: F401  (adds to networks.NETWORKS)
import pytest
import torch
import torch.nn.functional as F
from formulas import CLOSE, TARGET, parts

import fastxai
from fastxai import InvalidInputError


def by_hand(model: Any, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Activation of `features` and the gradient of the targets' logits by it."""
    model.requires_grad_(False)
    activation = model.features(images).detach().requires_grad_()
    logits = model.fc(model.pool(activation).flatten(1))
    score = logits[torch.arange(len(images)), TARGET].sum()
    return activation.detach(), torch.autograd.grad(score, activation)[0]


def resized(coarse: torch.Tensor, size: Any) -> torch.Tensor:
    return F.interpolate(coarse[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def gradcam(a: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return (g.mean((2, 3), keepdim=True) * a).sum(1)


def gradcam_plus_plus(a: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    below = 2 * g**2 + a.sum((2, 3), keepdim=True) * g**3
    alpha = torch.where(below == 0, 0.0, g**2 / below)
    return ((alpha * g.relu()).sum((2, 3), keepdim=True) * a).sum(1)


FORMULAS = {
    fastxai.GradCAM: gradcam,
    fastxai.GradCAMPlusPlus: gradcam_plus_plus,
    fastxai.HiResCAM: lambda a, g: (a * g).sum(1),
    fastxai.LayerCAM: lambda a, g: (a * g.relu()).sum(1),
}


@pytest.mark.parametrize("method", FORMULAS, ids=lambda method: method.name)
@pytest.mark.parametrize("relu", [True, False], ids=["cut by ReLU", "signed"])
def test_the_cam_family_is_its_formula(method: Any, relu: bool) -> None:
    model, images = parts()
    activation, gradient = by_hand(model, images)
    # One image alone, so that Grad-CAM++ has gradients that differ from place to place.
    coarse = FORMULAS[method](activation, gradient)
    expected = resized(coarse.relu() if relu else coarse, images.shape[2:])
    explanation = method(model, layer="features", relu=relu).explain(images, TARGET)
    torch.testing.assert_close(explanation.maps, expected, **CLOSE)
    torch.testing.assert_close(explanation.minimum, coarse.flatten(1).amin(1), **CLOSE)
    torch.testing.assert_close(explanation.maximum, coarse.flatten(1).amax(1), **CLOSE)
    assert explanation.signed is not relu


@pytest.mark.parametrize(
    "build", [networks.cam_net, networks.plain_cnn, networks.residual, networks.densenet_like],
    ids=lambda build: build.__name__,
)  # fmt: skip
def test_cam_is_the_gradcam_of_the_logits_times_the_positions(build: Any) -> None:
    """Zhou's weights are the gradient by the pooled maps; Grad-CAM's are that over H W."""
    model, images = parts(build)
    cam = fastxai.CAM(model).explain(images, TARGET)
    grad = fastxai.GradCAM(model, relu=False).explain(images, TARGET)
    ratio = cam.maximum / grad.maximum
    torch.testing.assert_close(cam.maps, grad.maps * ratio[:, None, None], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ratio, ratio.round(), rtol=1e-4, atol=0)
    assert cam.signed


def test_cam_s_mean_is_the_logit_without_its_bias() -> None:
    model, images = parts()
    activation = model.features(images)
    coarse = torch.einsum("nchw,kc->nkhw", activation, model.fc.weight)[range(2), TARGET]
    torch.testing.assert_close(
        fastxai.CAM(model, layer="features")(images, TARGET),
        resized(coarse, images.shape[2:]).detach(),
        **CLOSE,
    )


@pytest.mark.parametrize("build", [networks.vgg_like, networks.functional_cnn])
def test_cam_refuses_other_heads_and_names_gradcam(build: Any) -> None:
    model, images = parts(build)
    with pytest.raises(InvalidInputError, match="GradCAM works with any network"):
        fastxai.CAM(model)(images)


def input_gradient(model: Any, images: torch.Tensor) -> torch.Tensor:
    x = images.clone().requires_grad_()
    score = model(x)[torch.arange(len(x)), TARGET].sum()
    return torch.autograd.grad(score, x)[0]


def test_saliency_is_the_largest_magnitude_over_channels() -> None:
    model, images = parts()
    expected = input_gradient(model, images).abs().amax(1)
    torch.testing.assert_close(fastxai.Saliency(model)(images, TARGET), expected, **CLOSE)


def test_signed_saliency_is_the_gradient() -> None:
    model, images = parts()
    explanation = fastxai.Saliency(model, absolute=False).explain(images, TARGET)
    torch.testing.assert_close(explanation.maps, input_gradient(model, images), **CLOSE)
    assert explanation.signed


def test_smoothgrad_is_the_mean_of_noisy_gradients() -> None:
    model, images = parts()
    options: Any = {"kind": "smoothgrad", "absolute": False}
    still = fastxai.Saliency(model, noise=0.0, n_samples=3, **options)(images, TARGET)
    torch.testing.assert_close(still, input_gradient(model, images), **CLOSE)
    noisy = fastxai.Saliency(model, noise=0.3, n_samples=3, **options)(images, TARGET)
    assert not torch.allclose(noisy, still)


def test_smoothgrad_depends_neither_on_the_batch_nor_on_its_neighbours() -> None:
    model, images = parts()
    options: Any = {"kind": "smoothgrad", "n_samples": 5}
    together = fastxai.Saliency(model, **options)(images, TARGET)
    alone = fastxai.Saliency(model, batch_size=1, **options)(images, TARGET)
    torch.testing.assert_close(together, alone, **CLOSE)
    again = fastxai.Saliency(model, **options)(images, TARGET)
    assert torch.equal(together, again)
    other = fastxai.Saliency(model, random_state=1, **options)(images, TARGET)
    assert not torch.equal(together, other)


@pytest.mark.parametrize("baseline", [0.0, torch.full((3, 24, 24), 0.5)], ids=["zero", "grey"])
def test_integrated_gradients_add_up_to_the_change_of_the_score(baseline: Any) -> None:
    model, images = parts()
    maps = fastxai.Saliency(
        model, kind="integrated_gradients", n_samples=256, absolute=False, baseline=baseline
    )(images, TARGET)
    start = torch.zeros_like(images) + baseline
    change = (model(images) - model(start))[range(2), TARGET].detach()
    torch.testing.assert_close(maps.flatten(1).sum(1), change, rtol=0.02, atol=0.02)


def test_guided_gradcam_is_the_product() -> None:
    model, images = parts(networks.residual)
    out = fastxai.explain(model, images, ["guided_gradcam", "guided_backprop", "gradcam"])
    product = out["guided_backprop"].maps * out["gradcam"].maps[:, None]
    torch.testing.assert_close(out["guided_gradcam"].maps, product, **CLOSE)


def test_deconvnet_s_projection_brings_one_activation_back() -> None:
    """By hand on conv, ReLU, max-pool: only the strongest place of the unit, cut at each ReLU."""
    model, images = parts(networks.cam_net)
    x = images.clone().requires_grad_()
    first = model[0](x)
    pooled = F.max_pool2d(first.relu(), 2)
    second = model[3](pooled)
    strongest = second.relu()[:, 5].flatten(1).max(1)
    seed = torch.zeros_like(second)
    seed[:, 5].view(2, -1)[range(2), strongest.indices] = strongest.values.detach()
    down = torch.autograd.grad(second, pooled, seed.relu(), retain_graph=True)[0]
    down = torch.autograd.grad(pooled, first, down, retain_graph=True)[0]
    # Autograd's own ReLU masks by the sign of the input: undo it by unpooling alone.
    _, switches = F.max_pool2d(first.relu(), 2, return_indices=True)
    unpooled = F.max_unpool2d(
        torch.autograd.grad(second, pooled, seed.relu(), retain_graph=True)[0], switches, 2
    )
    expected = torch.autograd.grad(first, x, unpooled.relu())[0]
    found = fastxai.DeconvNet(model).project(images, layer="4", unit=5)
    torch.testing.assert_close(found.maps, expected, **CLOSE)
    torch.testing.assert_close(found.activation, strongest.values.detach(), **CLOSE)
    assert found.unit.tolist() == [5, 5]
    rows = found.position[:, 0] * second.shape[3] + found.position[:, 1]
    assert torch.equal(rows, strongest.indices)
    assert down.shape == first.shape


def test_a_projection_takes_the_strongest_unit_unless_told() -> None:
    model, images = parts()
    activation = model.features(images)
    found = fastxai.DeconvNet(model).project(images, layer="features")
    assert torch.equal(found.unit, activation.flatten(2).amax(2).argmax(1))
    with pytest.raises(InvalidInputError, match="units 0 to 15"):
        fastxai.DeconvNet(model).project(images, layer="features", unit=16)
