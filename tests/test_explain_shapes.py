"""Shapes, statuses and outputs of every kind."""

from __future__ import annotations

from typing import Any

import networks
import networks_attention  # noqa: F401  (adds to networks.NETWORKS)
import numpy as np
import pytest
import torch
from formulas import CLOSE, TARGET, parts

import fastxai
from fastxai import FastxaiWarning, InvalidInputError

SHAPES = {
    "gradcam": (),
    "cam": (),
    "saliency": (),
    "guided_backprop": (3,),
    "deconvnet": (3,),
    "guided_gradcam": (3,),
    "occlusion": (),
}


@pytest.mark.parametrize("method", SHAPES)
@pytest.mark.parametrize(
    ("target", "k"),
    [
        (None, ()),
        (2, ()),
        (TARGET, ()),
        ("top3", (3,)),
        ("top99", (5,)),
        ("top1", (1,)),
        ([[0, 1], [2, 3]], (2,)),
        ([[4, 0]], (2,)),
    ],
    ids=["predicted", "one", "one an image", "top3", "capped", "top1", "several", "shared"],
)
def test_shapes(method: str, target: Any, k: tuple[int, ...]) -> None:
    model, images = parts()
    options: Any = {"window": 12, "stride": 12} if method == "occlusion" else {}
    out = fastxai.explain(model, images, {method: options}, target=target)
    assert out[method].maps.shape == (2, *k, *SHAPES[method], 24, 24)
    assert out[method].maps.dtype == torch.float32
    assert out[method].status.shape == out[method].minimum.shape == (2, *k)
    assert out.classes.shape == out.scores.shape == (2, *(k or (1,)))


@pytest.mark.parametrize(
    ("build", "size"),
    [(networks.cnn_1d, 1), (networks.cnn_3d, 3), (networks.grey, 2)],
    ids=["one axis", "three axes", "one channel"],
)
@pytest.mark.parametrize("method", ["gradcam", "saliency", "guided_backprop", "guided_gradcam"])
def test_any_number_of_axes_and_channels(build: Any, size: int, method: str) -> None:
    model, images = parts(build)
    maps = fastxai.explain(model, images, method)[method].maps
    channels = () if method in ("gradcam", "saliency") else (images.shape[1],)
    assert maps.shape == (2, *channels, *images.shape[2:])
    assert maps.ndim == 1 + len(channels) + size
    assert torch.isfinite(maps).all()


def test_several_layers_are_a_dict_and_share_the_passes() -> None:
    model, images = parts(networks.residual)
    out = fastxai.explain(model, images, ["gradcam", "guided_gradcam"], layer=["layer1", "layer2"])
    for name in ("gradcam", "guided_gradcam"):
        assert list(out[name].maps) == ["layer1", "layer2"] == list(out[name].layers)
        assert list(out[name].status) == ["layer1", "layer2"]
    for layer in ("layer1", "layer2"):
        alone = fastxai.GradCAM(model, layer=layer)(images)
        torch.testing.assert_close(out["gradcam"].maps[layer], alone, **CLOSE)


@pytest.mark.parametrize("name", ["plain_cnn", "vgg_like", "branching", "relu6_mobile", "vit"])
def test_methods_together_give_what_they_give_alone(name: str) -> None:
    build = networks.NETWORKS[name]
    model, images = parts(build)
    methods = ["gradcam", "layercam", "saliency", "guided_backprop", "deconvnet", "guided_gradcam"]
    out = fastxai.explain(model, images, methods, target="top2")
    for method in methods:
        alone = fastxai.explain(model, images, method, target="top2")[method].maps
        scale = alone.abs().max()
        torch.testing.assert_close(out[method].maps, alone, rtol=1e-3, atol=1e-5 * float(scale))


@pytest.mark.parametrize("order", [1, -1])
def test_black_boxes_run_beside_methods_with_a_graph(order: int) -> None:
    model, images = parts()
    options: Any = {"occlusion": {"window": 12}, "gradcam": {}, "rise": {"n_masks": 8}}
    out = fastxai.explain(model, images, dict(list(options.items())[::order]))
    for name, own in options.items():
        alone = fastxai.explain(model, images, {name: own})[name].maps
        torch.testing.assert_close(out[name].maps, alone, rtol=1e-4, atol=1e-5)


def test_classes_and_scores_are_the_models() -> None:
    model, images = parts()
    out = fastxai.explain(model, images, "gradcam", target="top2")
    scores, classes = model(images).softmax(1).topk(2)
    np.testing.assert_array_equal(out.classes, classes)
    np.testing.assert_allclose(out.scores, scores.detach(), rtol=1e-5)


def test_segmentation_explains_the_pixels_of_a_mask() -> None:
    """The score of (class, mask) is the sum of the class's logits over the mask."""
    model, images = parts(networks.unet)
    mask = torch.zeros(24, 24, dtype=torch.bool)
    mask[4:12, 4:12] = True
    found = fastxai.Saliency(model, absolute=False)(images, target=(1, mask))
    x = images.clone().requires_grad_()
    expected = torch.autograd.grad(model(x)[:, 1, 4:12, 4:12].sum(), x)[0]
    torch.testing.assert_close(found, expected, **CLOSE)
    assert fastxai.GradCAM(model)(images, target=(1, mask)).shape == (2, 24, 24)


def test_an_empty_map_is_told_and_not_shown_as_a_blank() -> None:
    model, images = parts()
    with torch.no_grad():
        model.fc.weight[2] = -model.fc.weight[2].abs()
    with pytest.warns(FastxaiWarning, match="status 'empty_after_relu': gradcam 2 of 2"):
        maps = fastxai.GradCAM(model, layer="features")(images, target=2)
    assert (maps == 0).all()
    explanation = fastxai.GradCAM(model, layer="features").explain(images, 2)
    assert explanation.status.tolist() == ["empty_after_relu"] * 2
    assert (explanation.minimum < 0).all() and (explanation.maximum <= 0).all()


def test_a_zero_gradient_is_a_status_and_its_map_nan() -> None:
    """Patch tokens after the last attention of a network that reads its class token."""
    model, images = parts(networks.NETWORKS["vit"])
    with pytest.warns(FastxaiWarning, match="zero_gradient.*choose an earlier layer"):
        maps = fastxai.GradCAM(model, layer="encoder.layers.2.mlp", reshape=patches)(images)
    assert maps.isnan().all()


def patches(tokens: torch.Tensor) -> torch.Tensor:
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (3, 4))


def test_activations_that_are_not_finite_are_told() -> None:
    model, images = parts()
    with torch.no_grad():
        model.features[7].bias[0] = torch.inf
    with pytest.warns(FastxaiWarning, match="nonfinite"):
        maps = fastxai.GradCAM(model, layer="features")(images, target=1)
    assert not torch.isfinite(maps).all()


def test_one_status_an_image_and_target() -> None:
    model, images = parts()
    with torch.no_grad():
        model.fc.weight[2] = -model.fc.weight[2].abs()
        model.fc.weight[0] = model.fc.weight[0].abs()
    out = fastxai.GradCAM(model, layer="features").explain(images, [[0, 2]])
    assert out.status.tolist() == [["ok", "empty_after_relu"]] * 2


def test_a_binary_column_has_two_sides() -> None:
    model, images = parts(networks.binary)
    make = fastxai.Saliency(model, task="binary", absolute=False)
    torch.testing.assert_close(make(images, 1), -make(images, 0), **CLOSE)
    sides = (model(images)[:, 0] > 0).long()
    torch.testing.assert_close(make(images), make(images, sides), **CLOSE)


def test_one_column_is_never_argmaxed() -> None:
    model, images = parts(networks.binary)
    with pytest.raises(InvalidInputError, match="binary"):
        fastxai.GradCAM(model)(images)


def test_a_regression_s_value_can_be_explained_downwards() -> None:
    model, images = parts(networks.regression)
    make = fastxai.Saliency(model, task="regression", absolute=False)
    torch.testing.assert_close(make(images), -make(images, -1), **CLOSE)


@pytest.mark.parametrize("build", ["dict_output", "tuple_output", "logits_object"])
def test_whatever_the_model_returns(build: str) -> None:
    model, images = parts(networks.NETWORKS[build])
    plain = fastxai.GradCAM(model.trunk, layer="features")(images)
    assert torch.equal(fastxai.GradCAM(model, layer="trunk.features")(images), plain)


@pytest.mark.parametrize("build", [networks.two_inputs, networks.mapping_inputs])
def test_whatever_the_model_takes(build: Any) -> None:
    model, inputs = parts(build)
    wrt = "pixels" if isinstance(inputs, dict) else 0
    images = inputs[wrt]
    out = fastxai.explain(
        model, inputs, {"gradcam": {}, "saliency": {}, "occlusion": {"window": 12}}, wrt=wrt
    )
    for method in out:
        assert out[method].maps.shape == (2, *images.shape[2:])
    alone = fastxai.explain(model, inputs, "saliency", wrt=wrt, batch_size=1)
    torch.testing.assert_close(out["saliency"].maps, alone["saliency"].maps, **CLOSE)
