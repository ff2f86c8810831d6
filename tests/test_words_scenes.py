"""Scenes with texts that are true of them, and a decoder that learns to say such texts."""

import numpy as np
import pytest
import torch
from states import assert_same_state, state_of

from fastxai import InvalidInputError, TextExplainer
from fastxai.words import scenes as room
from fastxai.words.drawing import COLOURS, SHAPES, UNSEEN, Thing
from fastxai.words.scenes import attribute_accuracy, attributes, describe, scenes


def test_the_same_seed_draws_the_same_scenes():
    one, other, third = scenes(20), scenes(20), scenes(20, seed=1)
    assert torch.equal(one.images, other.images) and one.texts == other.texts
    assert one.texts != third.texts


def test_scenes_are_images_and_texts():
    data = scenes(300)
    assert data.images.shape == (300, 3, 56, 56) and data.images.dtype == torch.float32
    assert data.images.min() >= 0 and data.images.max() <= 1
    assert len(data.texts) == len(data.things) == 300
    assert {len(things) for things in data.things} == {1, 2}


def pairs(data):
    return {(thing.colour, thing.shape) for things in data.things for thing in things}


def test_some_pairs_of_colour_and_shape_are_kept_out():
    assert {colour for colour, _ in UNSEEN} == set(COLOURS)
    assert {shape for _, shape in UNSEEN} == set(SHAPES)
    assert pairs(scenes(1000)) == {(c, s) for c in COLOURS for s in SHAPES} - UNSEEN


def test_unseen_scenes_hold_one_of_them_at_least():
    for things in scenes(200, unseen=True).things:
        assert any(thing.unseen for thing in things)


def thing(x, y, words="large red ring"):
    return Thing(*words.split(), x, y, 8.0, 0.0)


@pytest.mark.parametrize(
    "first, second, text",
    [
        (thing(10, 10), thing(14, 40), "a large red ring above a large red ring"),
        (thing(10, 30), thing(40, 25), "a large red ring left of a large red ring"),
    ],
    ids=["above", "left of"],
)
def test_the_relation_is_that_of_the_farther_way(first, second, text):
    assert describe((first, second)) == text


def test_what_is_named_first_lies_above_or_left():
    for things, text in zip(*scenes(300, things=2)[:0:-1], strict=True):
        one, other = things
        assert one.y < other.y if "above" in text else one.x < other.x


def test_pixels_have_the_colour_of_the_thing_and_lie_about_its_middle():
    data = scenes(60, things=1)
    across = torch.arange(56) + 0.5
    for image, (one,) in zip(data.images, data.things, strict=True):
        ground = image[:, 0, 0][:, None, None]
        cover = (image - ground).abs().amax(0) > 0.15
        assert abs(across[cover.any(0)].mean() - one.x) < 1.0
        assert cover.any(0).sum() <= 2 * 1.2 * one.radius + 2
        assert cover.float().mean() > 0.004


@pytest.mark.parametrize("options", [{"count": 0}, {"count": 3, "things": 3}, {"count": 1.5}])
def test_scenes_that_are_refused(options):
    with pytest.raises(InvalidInputError):
        scenes(**options)


def test_attributes_are_what_can_be_right_or_wrong():
    text = "a small pink cross left of a large blue square"
    assert attributes(text) == ("small", "pink", "cross", "left of", "large", "blue", "square")


ACCURACIES = {
    "right": ("a small pink cross", 1.0),
    "one wrong": ("a small red cross", 2 / 3),
    "one missing": ("a small pink", 2 / 3),
    "nothing": ("", 0.0),
    "something invented": ("a small pink cross above a large red ring", 0.0),
}


@pytest.mark.parametrize("said, share", ACCURACIES.values(), ids=ACCURACIES)
def test_the_accuracy_of_attributes(said, share):
    assert attribute_accuracy([said], ["a small pink cross"]) == pytest.approx(share)


@pytest.fixture(scope="module")
def network():
    return room.network(count=500, epochs=4)


def test_the_network_is_the_same_every_time():
    one, other = (room.network(count=64, epochs=1).model.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_decoder_learns_sizes_colours_and_shapes(network):
    data, other = scenes(500, seed=1, things=1), scenes(60, seed=2, things=1)
    before = state_of(network.model)
    explainer = TextExplainer(network.model, epochs=10, batch_size=32).fit(data.images, data.texts)
    found = explainer.explain(other.images)
    assert_same_state(before, network.model)
    assert attribute_accuracy(found.texts, other.texts) > 0.7
    looks = [pair for one in found for pair in zip(one.words, one.looked, strict=True)]
    looked = {word: np.mean([look for w, look in looks if w == word]) for word in ("a", "red")}
    assert looked["a"] < looked["red"]
