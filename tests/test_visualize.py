"""Feature visualisation: images that excite their units, many at once, the model as it came."""

from __future__ import annotations

import networks
import networks_attention  # noqa: F401  (adds to networks.NETWORKS)
import numpy as np
import pytest
import torch
from states import assert_same_state, state_of
from torch import nn

import fastxai
from fastxai import FeatureVisualizer
from fastxai.explain.networks import Preprocess
from fastxai.visualize.penalties import likeness, total_variation


def visualizer(build, steps=8, **given):
    """One of a test network, at the size the network is for."""
    model = build() if callable(build) and hasattr(build, "shape") else build
    size = getattr(build, "shape", (3, 24, 24))[1:]
    return FeatureVisualizer(model, **{"size": size, "steps": steps, "views": 2, **given})


def rises(found):
    return found.history[:, -3:].mean(1) > found.history[:, 0]


@pytest.fixture(scope="module")
def digits():
    """A trained network, and how images are prepared for it."""
    return fastxai.explain.networks.digits_cnn()


# --- what is climbed ---------------------------------------------------------------------

LAYERS = {
    "plain_cnn": "features.4",  # a norm, which the ReLU behind it overwrites
    "grey": None,
    "functional_cnn": "relu[1]",
    "vgg_like": "features.8",
    "residual": None,
    "preactivation": None,
    "branching": None,
    "densenet_like": None,
    "relu6_mobile": None,
    "fully_convolutional": None,
    "vit": None,
}


@pytest.mark.parametrize("name", LAYERS)
def test_channels_rise(name):
    build = networks.NETWORKS[name]
    found = visualizer(build, 16).channels(LAYERS[name], [0, 3, 4])
    assert found.images.shape == (3, *build.shape)
    assert found.images.dtype == np.float32
    assert found.images.min() >= 0
    assert found.images.max() <= 1
    assert found.history.shape == (3, 16)
    assert found.titles == ("channel 0", "channel 3", "channel 4")
    on = found.history[:, 0] != 0  # of random weights some are off for good
    assert on.any()
    assert rises(found)[on].all()


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("plain_cnn", None),
        ("binary", None),
        ("dict_output", None),
        ("tuple_output", 0),
        ("unet", None),
        ("vit", None),
    ],
)
def test_classes_rise(name, output):
    found = visualizer(networks.NETWORKS[name], output=output).classes([0])
    assert rises(found).all()
    assert (found.layer, found.titles) == ("", ("class 0",))


def test_units_of_a_map_and_of_a_linear_layer():
    build = networks.NETWORKS["vgg_like"]
    at = visualizer(build).units("features.7", [3, 3], [(0, 0), (11, 11)])
    assert rises(at).all()
    assert at.titles == ("unit 3 at 0, 0", "unit 3 at 11, 11")
    neurons = visualizer(build).units("classifier.0", range(4))
    assert rises(neurons).all()


def test_a_unit_is_climbed_where_it_is():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, bias=False))
    nn.init.ones_(model[0].weight)
    still = {"jitter": 0, "scaling": 0, "rotation": 0}
    found = visualizer(model, 60, size=17, image_channels=1, **still).units("0", 0, (2, 12))
    image = found.images[0, 0]
    assert image[2:5, 12:15].min() > 0.95  # what the unit sees is white
    assert image.mean() < 0.8


def test_directions_rise():
    vectors = np.eye(16)[:2] - np.eye(16)[2:4]
    found = visualizer(networks.plain_cnn).directions("features.7", vectors)
    assert rises(found).all()


def test_all_channels_of_the_default_layer():
    found = visualizer(networks.plain_cnn, 1).channels()
    assert (len(found), found.layer) == (16, "features")


def test_the_activation_is_judged_on_views_that_no_step_saw():
    """The mean over such views, computed with nothing but the model."""
    model = networks.plain_cnn()
    given = {"jitter": 0, "scaling": 0, "rotation": 0, "mean": 0.4, "std": 0.3}
    found = visualizer(model, 5, **given).channels("features.7", [1, 2])
    seen = (torch.from_numpy(found.images) - 0.4) / 0.3
    with torch.no_grad():
        maps = model.features[:8](seen)
    expected = [float(maps[0, 1].mean()), float(maps[1, 2].mean())]
    np.testing.assert_allclose(found.activations, expected, rtol=1e-4, atol=1e-5)


def test_without_steps_images_are_the_start():
    found = visualizer(networks.plain_cnn, 0).channels("features", [0])
    assert found.history.shape == (1, 0)
    assert abs(found.images - 0.5).max() < 0.1
    assert found.status.tolist() == ["ok"]


# --- one batch, whoever is in it ---------------------------------------------------------


def test_the_same_seed_gives_the_same_bits():
    first, again, other = (
        visualizer(networks.plain_cnn, random_state=seed).channels("features", [1, 2])
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first.images, again.images)
    assert not np.allclose(first.images, other.images, atol=1e-3)
    assert first.random_state == 3


def test_no_seed_draws_one_that_repeats_the_images():
    first = visualizer(networks.plain_cnn, random_state=None).channels("features", [1])
    again = visualizer(networks.plain_cnn, random_state=first.random_state)
    assert np.array_equal(first.images, again.channels("features", [1]).images)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_an_image_does_not_depend_on_its_company(batch_size):
    """To rounding: convolutions of other batches sum in other orders."""
    alone = visualizer(networks.plain_cnn, 6).channels("features", [5])
    among = visualizer(networks.plain_cnn, 6, batch_size=batch_size)
    found = among.channels("features", [0, 9, 5])
    np.testing.assert_allclose(found.images[2], alone.images[0], atol=1e-4)
    np.testing.assert_allclose(found.history[2], alone.history[0], rtol=1e-3, atol=1e-4)


def test_units_start_from_noise_of_their_own():
    found = visualizer(networks.plain_cnn, 0).channels("features", [0, 1])
    assert not np.array_equal(*found.images)


def test_memory_that_does_not_suffice_halves_the_batch(capfd):
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = networks.plain_cnn()

        def forward(self, x):
            if len(x) > 3:
                raise MemoryError
            return self.net(x)

    found = visualizer(Small(), 3, batch_size=8, verbose=True).channels("net.features", range(8))
    alone = visualizer(networks.plain_cnn, 3).channels("features", range(8))
    np.testing.assert_allclose(found.images, alone.images, atol=1e-4)
    assert "memory did not suffice" in capfd.readouterr().err


# --- copies ------------------------------------------------------------------------------


def test_copies_of_a_unit_follow_each_other():
    found = visualizer(networks.plain_cnn, 2, copies=3).channels("features", [4, 7])
    assert found.titles == ("channel 4",) * 3 + ("channel 7",) * 3
    assert not np.allclose(found.images[0], found.images[1], atol=1e-3)
    assert rises(found).all()


def test_the_first_copy_is_the_image_without_others():
    one = visualizer(networks.plain_cnn, 4).channels("features", [4])
    three = visualizer(networks.plain_cnn, 4, copies=3).channels("features", [4])
    np.testing.assert_allclose(three.images[0], one.images[0], atol=1e-4)


@pytest.mark.parametrize(("what", "weight"), [("channels", 1.0), ("classes", 10.0)])
def test_diversity_pushes_copies_apart(what, weight, digits):
    """By the features of the layer; those of classes by the last convolution's."""

    def alike(diversity):
        seen = FeatureVisualizer(
            digits.model,
            preprocess=digits.preprocess,
            steps=40,
            copies=3,
            diversity=diversity,
        )
        found = seen.channels("relu2", [3]) if what == "channels" else seen.classes([3])
        with torch.no_grad():
            features = digits.model[:5](torch.from_numpy(found.images))
            return float(likeness(features, 3).mean())

    assert alike(0.0) > 0.98
    assert alike(weight) < 0.95


# --- what images pay ---------------------------------------------------------------------


def test_total_variation_makes_images_smoother():
    plain, smooth = (
        visualizer(networks.plain_cnn, 30, total_variation=w).channels("features", range(4))
        for w in (0.0, 5.0)
    )
    rough = [float(total_variation(torch.from_numpy(f.images)).mean()) for f in (plain, smooth)]
    assert rough[1] < 0.8 * rough[0]


def test_l2_keeps_images_grey():
    plain, grey = (
        visualizer(networks.plain_cnn, 30, l2=w).channels("features", range(4)) for w in (0.0, 10.0)
    )
    assert ((grey.images - 0.5) ** 2).mean() < 0.8 * ((plain.images - 0.5) ** 2).mean()


# --- any model, and as it came -----------------------------------------------------------


@pytest.mark.parametrize("name", ["plain_cnn", "functional_cnn", "vgg_like", "vit"])
@pytest.mark.parametrize("fast", [True, False])
def test_the_model_leaves_as_it_came(name, fast):
    model = networks.NETWORKS[name]().train()
    model(networks.images(networks.NETWORKS[name])).sum().backward()
    before = state_of(model)
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    visualizer(model, 2, fast=fast, size=networks.NETWORKS[name].shape[1:]).channels(None, [0])
    assert_same_state(before, model)
    after = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(gradients, after, strict=True))


def test_the_model_leaves_as_it_came_when_it_raises():
    model = networks.plain_cnn().train()

    def fail(module, given, result):
        if result.requires_grad:
            raise RuntimeError("the cable is out")

    handle = model.features[3].register_forward_hook(fail)
    before = state_of(model)
    with pytest.raises(fastxai.ModelError, match="the cable is out"):
        visualizer(model, fast=False).channels("features.7", [0])
    assert_same_state(before, model)
    handle.remove()


def test_nothing_above_the_layer_runs_while_climbing():
    model, calls = networks.plain_cnn(), []
    model.pool.register_forward_hook(lambda *_: calls.append(1))
    visualizer(model, 10, fast=False).channels("features", [0])
    assert len(calls) <= 2  # finding out what runs how often


def test_layers_above_need_not_fit_the_size():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3))
    assert rises(visualizer(model, size=20, image_channels=1).channels("1", [0, 1])).all()
    with pytest.raises(fastxai.ModelError, match="shape"):
        visualizer(model, size=20, image_channels=1).classes([0])


def test_frozen_and_trainable_models_give_the_same():
    trainable, frozen = networks.plain_cnn(), networks.plain_cnn().requires_grad_(False)
    images = [visualizer(m).channels("features", [2]).images for m in (trainable, frozen)]
    assert np.array_equal(*images)


def test_the_folded_copy_gives_the_same():
    fast, plain = (
        visualizer(networks.plain_cnn, 5, fast=f).channels("features.6", [2, 3])
        for f in (True, False)
    )
    np.testing.assert_allclose(fast.images, plain.images, atol=1e-3)


def test_models_in_double_precision():
    model = networks.plain_cnn().double()
    assert rises(visualizer(model).channels("features", [2])).all()


def test_models_made_in_inference_mode():
    with torch.inference_mode():
        model = networks.plain_cnn()
    assert rises(visualizer(model).channels("features", [2])).all()


def test_images_of_any_number_of_channels():
    model = nn.Sequential(nn.Conv2d(5, 6, 3), nn.ReLU())
    found = visualizer(model, mean=[0.1, 0.2, 0.3, 0.4, 0.5], std=0.5).channels("1", [0, 1])
    assert found.images.shape == (2, 5, 24, 24)
    assert found.to_picture().axes


def test_preprocess_tells_size_and_normalisation():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    preprocess = Preprocess((18, 20), 0.9, mean, std)
    model = networks.plain_cnn()
    by_name = FeatureVisualizer(model, preprocess=preprocess, steps=2).channels("features", [1])
    by_hand = FeatureVisualizer(model, size=(18, 20), mean=mean, std=std, steps=2)
    assert by_name.images.shape == (1, 3, 18, 20)
    assert np.array_equal(by_name.images, by_hand.channels("features", [1]).images)


# --- units that are off ------------------------------------------------------------------


def off(bias):
    """ReLUs that are off on grey images, functional and in place."""

    class Off(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3)
            nn.init.constant_(self.last.bias, bias)

        def forward(self, x):
            return torch.relu_(self.last(nn.functional.relu(self.conv(x), inplace=True)))

    return Off()


def test_units_that_start_off_are_switched_on():
    found = visualizer(off(-0.3), 80, learning_rate=0.2).channels("relu_[0]", range(4))
    assert (found.history[:, 0] == 0).all()
    assert (found.activations > 0).any()
    assert (found.status == "ok").all()


def test_units_that_nothing_reaches_are_told():
    model = off(-0.3)
    nn.init.zeros_(model.last.weight[1:2])
    with pytest.warns(
        fastxai.FastxaiWarning, match="no gradient came for 1 of 2 images.*channel 1"
    ):
        found = visualizer(model, 3).channels("relu_[0]", [0, 1])
    assert found.status.tolist() == ["ok", "no_gradient"]
    assert "no gradient" in [axes.get_xlabel() for axes in found.to_picture().axes]


# --- results -----------------------------------------------------------------------------


def test_the_picture_is_a_grid():
    found = visualizer(networks.plain_cnn, 1).channels("features", range(7))
    figure = found.to_picture(title="features")
    assert [axes.get_title() for axes in figure.axes] == list(found.titles)
    columns = {round(axes.get_position().x0, 3) for axes in figure.axes}
    assert len(columns) == 3


def test_copies_stand_in_one_row():
    found = visualizer(networks.plain_cnn, 1, copies=4).channels("features", [0, 1])
    figure = found.to_picture()
    rows = [round(axes.get_position().y0, 3) for axes in figure.axes]
    assert len(set(rows[:4])) == 1
    assert rows[0] != rows[4]


@pytest.mark.parametrize("ending", ["png", "svg", "npz"])
def test_files(ending, tmp_path):
    found = visualizer(networks.grey, 1).channels(None, [0, 1])
    path = tmp_path / f"found.{ending}"
    found.save(path)
    assert path.stat().st_size > 1000
    if ending == "npz":
        arrays = np.load(path)
        assert np.array_equal(arrays["images"], found.images)
        assert arrays["titles"].tolist() == ["channel 0", "channel 1"]


def test_progress_is_told(capfd):
    visualizer(networks.plain_cnn, 2, verbose=True).channels("features", [0])
    assert "steps" in capfd.readouterr().err


def test_trained_digits_are_named_by_the_network(digits):
    """On the network that saw only digits, the image of a class is of that class."""
    given = {"preprocess": digits.preprocess, "steps": 40, "total_variation": 1.0}
    found = FeatureVisualizer(digits.model, **given).classes(range(10))
    with torch.no_grad():
        named = digits.model(torch.from_numpy(found.images)).argmax(1)
    assert named.tolist() == list(range(10))
    assert (found.activations > 10).all()
