"""Every method against its formula, written out by hand."""

from __future__ import annotations

from typing import Any

import networks
import networks_attention  # noqa: F401  (adds to networks.NETWORKS)
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import fastxai
from fastxai import FastxaiWarning, InvalidInputError

TARGET = torch.tensor([1, 3])
CLOSE: Any = {"rtol": 1e-4, "atol": 1e-6}


def parts(build: Any = networks.plain_cnn) -> tuple[Any, torch.Tensor]:
    return build(), networks.images(build)


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


# --- shapes -----------------------------------------------------------------------------------

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


# --- status ------------------------------------------------------------------------------------


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


# --- one-column outputs -------------------------------------------------------------------------


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


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "classification"}, "task='classification' is unknown"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"layer": "featurs"}, "features"),
        ({"call": -1}, "call=-1"),
        ({"colour": 1}, "colour"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    model, images = parts()
    with pytest.raises((InvalidInputError, TypeError), match=message):
        fastxai.GradCAM(model, **options)(images)


def test_an_unknown_method_names_the_near_one() -> None:
    model, images = parts()
    with pytest.raises(InvalidInputError, match="did you mean 'saliency'"):
        fastxai.explain(model, images, "saliancy")


def test_options_of_a_method_are_checked() -> None:
    model, images = parts()
    with pytest.raises(InvalidInputError, match=r"gradcam.*window"):
        fastxai.explain(model, images, {"gradcam": {"window": 3}})


def test_a_list_of_one_layer_is_still_a_dict() -> None:
    model, images = parts()
    assert list(fastxai.GradCAM(model, layer=["features"])(images)) == ["features"]


@pytest.mark.parametrize("written", ["Grad-CAM", "GradCAM", "grad_cam", "gradcam"])
def test_methods_are_known_however_they_are_written(written: str) -> None:
    model, images = parts()
    out = fastxai.explain(model, images, written, layer="features")
    assert out[written] is out["gradcam"]


def test_kinds_of_saliency_stand_beside_each_other() -> None:
    model, images = parts()
    options: Any = {"saliency": {}, "smoothgrad": {"n_samples": 2}, "integrated_gradients": {}}
    out = fastxai.explain(model, images, options)
    assert list(out) == ["saliency", "smoothgrad", "integrated_gradients"]
    alone = fastxai.Saliency(model, kind="integrated_gradients")(images)
    torch.testing.assert_close(out["integrated_gradients"].maps, alone, **CLOSE)


def test_a_class_names_its_options_where_one_is_unknown() -> None:
    model, _ = parts()
    with pytest.raises(TypeError, match="GradCAM has no option 'colour'; it has layer, relu"):
        fastxai.GradCAM(model, colour=1)


def test_classes_come_from_the_package_of_the_half_too() -> None:
    from fastxai.explain import GradCAM

    assert GradCAM is fastxai.GradCAM


def test_as_many_images_are_shown_as_were_explained() -> None:
    model, images = parts()
    out = fastxai.explain(model, images, "gradcam", layer="features")
    with pytest.raises(InvalidInputError, match="display= holds 1 images, and 2 were explained"):
        out.contact_sheet(display=images[:1])


# --- what a first user gives ----------------------------------------------------------------------


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_sigmoids_are_no_logits(task: str) -> None:
    build = networks.binary if task == "binary" else networks.plain_cnn
    model, images = torch.nn.Sequential(build(), torch.nn.Sigmoid()), networks.images(build)
    with pytest.raises(InvalidInputError, match=r"give output=torch\.logit"):
        fastxai.Saliency(model, task=task)(images)
    found = fastxai.Saliency(model, task=task, output=torch.logit)(images)
    expected = fastxai.Saliency(model[0], task=task)(images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_one_hot_rows_are_no_indices() -> None:
    model, images = parts()
    with pytest.raises(InvalidInputError, match=r"one-hot rows give target\.argmax"):
        fastxai.GradCAM(model)(images, F.one_hot(TARGET, 5))


def test_names_of_classes_are_not_known_here() -> None:
    model, images = parts()
    with pytest.raises(InvalidInputError, match=r"names\.index\('cat'\)"):
        fastxai.GradCAM(model)(images, "cat")


def test_a_class_predicted_nowhere_is_told() -> None:
    model, images = parts(networks.unet)
    with torch.no_grad():
        model.logits.bias[2] = -1e3
    with pytest.warns(FastxaiWarning, match="of 2 of 2 images no pixel is predicted"):
        fastxai.Saliency(model).explain(images, (2, "predicted"))


def test_a_function_may_return_numpy() -> None:
    model, images = parts()
    found = fastxai.Occlusion(lambda x: model(x).detach().numpy(), window=12)(images)
    expected = fastxai.Occlusion(model, window=12)(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (torch.nn.Linear, "is a class and no model"),
        ([networks.plain_cnn()], "the model is a list"),
        (networks.plain_cnn().state_dict(), "of a state dict"),
    ],
    ids=["class", "list", "state dict"],
)
def test_what_is_no_model(model: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fastxai.GradCAM(model)


def test_the_maps_are_one_step_further_in() -> None:
    model, images = parts()
    out = fastxai.explain(model, images, fastxai.GradCAM, layer="features")
    with pytest.raises(AttributeError, match=r"out\['gradcam'\]\.maps"):
        _ = out.maps
    assert out["gradcam"].layers == ("features",)
    assert "at 'features'" in repr(out["gradcam"])


@pytest.mark.parametrize("methods", [["gradcam", "saliency"], ["guided_gradcam", "saliency"]])
def test_a_layer_that_is_an_operation_in_place_goes_with_gradients_by_pixels(methods: Any) -> None:
    model, images = parts(networks.densenet_like)
    out = fastxai.explain(model, images, methods, target=TARGET)
    for method in methods:
        alone = fastxai.explain(model, images, method, target=TARGET)[method].maps
        torch.testing.assert_close(out[method].maps, alone, **CLOSE)


def test_each_rule_takes_one_backward_pass_and_the_last_frees_the_graph() -> None:
    """Saliency and Grad-CAM share the plain one, guided backprop and Guided Grad-CAM theirs."""
    model, images = parts()
    passes: list[int] = []
    model.features[0].register_full_backward_hook(lambda *_: passes.append(1))
    methods = ["saliency", "guided_backprop", "deconvnet", "gradcam", "guided_gradcam"]
    fastxai.explain(model, images, methods, target="top2")
    assert len(passes) == 2 * 3


def test_results_are_found_under_the_name_that_was_asked_for() -> None:
    model, images = parts()
    out = fastxai.explain(model, images, {"saliency": {"kind": "smoothgrad", "n_samples": 2}})
    assert out["saliency"].maps.shape == (2, 24, 24)


def test_a_kind_is_decided_by_its_name() -> None:
    model, images = parts()
    with pytest.raises(InvalidInputError, match="'smoothgrad' hold kind"):
        fastxai.explain(model, images, {"smoothgrad": {"kind": "gradient"}})
