"""Feature visualisation: what can not be done, and what is said then."""

from __future__ import annotations

from types import SimpleNamespace

import networks
import numpy as np
import pytest
import torch
from torch import nn

import fastxai
from fastxai import FeatureVisualizer, InvalidInputError


def cnn(**given):
    return FeatureVisualizer(networks.plain_cnn(), **{"size": 24, "steps": 2, "views": 1, **given})


TWICE = nn.Conv2d(3, 3, 3, padding=1)
CALLS = {
    "unknown layer": (lambda: cnn().channels("featurs"), "no layer 'featurs'; near are 'features'"),
    "several layers": (lambda: cnn().channels(["features", "fc"]), "give one layer"),
    "a layer that runs twice": (
        lambda: FeatureVisualizer(nn.Sequential(TWICE, TWICE), size=8).channels("0"),
        "runs 2 times in one forward pass: say which is meant, call=0 to call=1",
    ),
    "a call too many": (lambda: cnn().channels("features", [0], call=1), "ran 1 times"),
    "channel out of range": (
        lambda: cnn().channels("features", [0, 16]),
        "layer 'features' has 16 channels and no 16: give 0 to 15",
    ),
    "class out of range": (lambda: cnn().classes(5), "output has 5 channels and no 5"),
    "class by name": (lambda: cnn().classes(["cat"]), "^classes="),
    "negative channel": (lambda: cnn().channels("features", -1), "-1 is negative"),
    "no channel": (lambda: cnn().channels("features", []), "names none"),
    "channels that are no numbers": (lambda: cnn().channels("features", ["a"]), "whole number"),
    "channels that are fractions": (lambda: cnn().channels("features", 0.5), "whole number"),
    "a place in a layer without space": (
        lambda: cnn().units("fc", 0, (1, 1)),
        "layer 'fc' gives a number a channel and has no places",
    ),
    "a place outside of the map": (
        lambda: cnn().units("features", 0, (6, 0)),
        r"maps of 6 x 6, and no place \(6, 0\)",
    ),
    "a place of three numbers": (lambda: cnn().units("features", 0, (1, 1, 1)), "has 2 numbers"),
    "fewer places than units": (
        lambda: cnn().units("features", [0, 1, 2], [(1, 1), (2, 2)]),
        "2 positions for 3 units",
    ),
    "places that are no numbers": (lambda: cnn().units("features", 0, "middle"), "positions="),
    "a direction of zeros": (
        lambda: cnn().directions("features", np.zeros((2, 16))),
        "direction 0 is zero",
    ),
    "a direction with NaN": (
        lambda: cnn().directions("features", [[1.0] * 16, [np.nan] * 16]),
        "direction 1 is zero, or holds NaN",
    ),
    "a direction of another length": (
        lambda: cnn().directions("features", np.ones((1, 15))),
        "16 channels, and the directions are of 15",
    ),
    "directions that are no array": (lambda: cnn().directions("features", "up"), "an array"),
    "an attribute that is no layer": (lambda: cnn().channels(nn.Conv2d(3, 3, 3)), "does not hold"),
    "classes of a size that does not fit": (
        lambda: FeatureVisualizer(networks.vgg_like(), size=(8, 1000)).channels("nothing"),
        "no layer 'nothing'",
    ),
}


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_calls(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


OPTIONS = {
    "no steps": ({"steps": -1}, "steps"),
    "steps that are no number": ({"steps": 2.5}, "steps"),
    "a learning rate of 0": ({"learning_rate": 0.0}, "learning_rate"),
    "jitter of pixels": ({"jitter": 8}, "jitter"),
    "a negative weight": ({"l2": -1}, "l2"),
    "NaN": ({"total_variation": float("nan")}, "total_variation"),
    "diversity of one": ({"diversity": 1.0}, "copies=2"),
    "no copy": ({"copies": 0}, "copies"),
    "a seed that is none": ({"random_state": "today"}, "random_state"),
    "a size of 1": ({"size": 1}, "size"),
    "three sides": ({"size": (8, 8, 8)}, "size"),
    "a std of 0": ({"std": 0.0}, "positive"),
    "two means for three channels": ({"mean": [0.1, 0.2]}, "2 values of mean for images of 3"),
    "a mean that is none": ({"mean": "grey"}, "mean"),
    "a preprocess that is none": ({"preprocess": 224}, "preprocess"),
    "a batch of none": ({"batch_size": 0}, "batch_size"),
    "fast by another word": ({"fast": "yes"}, "fast"),
    "colours of two channels": ({"decorrelate": True, "image_channels": 2}, "three channels"),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_options(options, message):
    with pytest.raises(InvalidInputError, match=message):
        cnn(**options)


def test_unknown_options_are_told_with_those_that_are():
    with pytest.raises(TypeError, match=r"no option 'step'; it has size, .*steps"):
        cnn(step=3)


MODELS = {
    "no module": (lambda: FeatureVisualizer(lambda x: x), "torch.nn.Module"),
    "a traced model": (
        lambda: FeatureVisualizer(torch.jit.trace(networks.plain_cnn(), torch.rand(1, 3, 24, 24))),
        "scripted or traced",
    ),
    "signals": (lambda: FeatureVisualizer(networks.cnn_1d()), "1 spatial axes"),
    "volumes": (lambda: FeatureVisualizer(networks.cnn_3d()), "3 spatial axes"),
    "no convolution": (
        lambda: FeatureVisualizer(nn.Sequential(nn.Flatten(), nn.Linear(48, 3)), size=4),
        "image_channels=3",
    ),
}


MODELS["a model and what belongs to it"] = (
    lambda: FeatureVisualizer(SimpleNamespace(model=networks.plain_cnn())),
    "which holds one: give its .model",
)


@pytest.mark.parametrize(("make", "message"), MODELS.values(), ids=MODELS)
def test_models(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_perceptrons_work_once_the_channels_are_told():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    found = FeatureVisualizer(model, size=4, image_channels=1, steps=5).classes([0, 1])
    assert found.images.shape == (2, 1, 4, 4)


def test_images_too_small_for_the_network():
    with pytest.raises(fastxai.ModelError, match="given images of shape"):
        FeatureVisualizer(networks.vgg_like(), size=2).channels("features.9")


def test_a_size_that_was_not_given_is_told():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 6 * 6, 3))
    with pytest.raises(fastxai.ModelError, match="size= is that of the images"):
        FeatureVisualizer(model).classes(0)
    with pytest.raises(fastxai.ModelError, match=r"given images of shape.*channels\)$"):
        FeatureVisualizer(model, size=9).classes(0)


def test_a_model_that_cuts_the_graph():
    model = networks.plain_cnn()
    model.features[0].register_forward_hook(lambda m, a, out: out.detach())
    with pytest.raises(fastxai.NoGradientError, match="cuts the graph before it"):
        FeatureVisualizer(model, size=24, steps=2).channels("features", [0])


def test_activations_that_are_no_numbers():
    model = networks.plain_cnn()
    nn.init.constant_(model.features[0].weight, float("nan"))
    visualizer = FeatureVisualizer(model, size=24, steps=2, fast=False)
    with pytest.raises(fastxai.DivergedError, match="channel 3: the activation is nan in step 0"):
        visualizer.channels("features", [3])


def test_outputs_without_floats():
    class Labels(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.last = nn.Identity()

        def forward(self, x):
            return self.last(self.conv(x).mean((2, 3)).argmax(1))

    with pytest.raises(InvalidInputError, match="int64"):
        FeatureVisualizer(Labels(), size=8).classes(0)
    with pytest.raises(InvalidInputError, match="without a tensor of floats"):
        FeatureVisualizer(Labels(), size=8).channels("last", 0)


@pytest.mark.parametrize(
    ("look", "message"),
    [
        pytest.param({"titles": ["one"]}, "1 titles for 2 images", id="too few titles"),
        pytest.param({"size": 0}, "size", id="no size"),
        pytest.param({"columns": 0}, "columns", id="no columns"),
    ],
)
def test_pictures(look, message):
    found = cnn(steps=0).channels("features", [0, 1])
    with pytest.raises(InvalidInputError, match=message):
        found.to_picture(**look)


def test_files_of_another_kind(tmp_path):
    with pytest.raises(InvalidInputError, match="unknown ending"):
        cnn(steps=0).channels("features", [0]).save(tmp_path / "found.jpg")
