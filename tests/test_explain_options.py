"""Options, names and models as a first user gives them."""

from __future__ import annotations

from typing import Any

import networks
import networks_attention  # noqa: F401  (adds to networks.NETWORKS)
import pytest
import torch
import torch.nn.functional as F
from formulas import CLOSE, TARGET, parts

import fastxai
from fastxai import FastxaiWarning, InvalidInputError


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
