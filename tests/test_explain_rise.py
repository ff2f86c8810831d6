"""RISE: random masks of each image's own."""

import networks
import networks_attention  # noqa: F401  (registers the transformers)
import numpy as np
import pytest
from occluding import X, agree

from fastxai import RISE, InvalidInputError

torch = pytest.importorskip("torch")
from fastxai.explain.black_box.rise import random_masks  # noqa: E402


@pytest.mark.parametrize("size", [(40,), (24, 20), (8, 9, 10)], ids=str)
def test_masks_cover_with_their_probability(size):
    masks = random_masks(3, 0, 400, size, 4, 0.3)
    assert masks.shape == (400, *size)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert abs(masks.mean() - 0.3) < 0.03
    assert np.ptp(masks.mean(axis=0)) < 0.2


def test_a_mask_is_its_own():
    masks = random_masks(3, 0, 40, (20, 20), 4, 0.5)
    assert np.array_equal(random_masks(3, 10, 30, (20, 20), 4, 0.5), masks[10:30])
    assert not np.array_equal(random_masks(4, 0, 40, (20, 20), 4, 0.5), masks)


def test_rise_is_the_weighted_mean_of_its_masks():
    model = networks.plain_cnn()
    found = RISE(model, n_masks=30, cells=5, random_state=2)(X[:1], target=1)[0]
    masks = random_masks(2 * 1_000_003, 0, 30, (24, 24), 5, 0.5)
    with torch.no_grad():
        scores = model(X[:1] * masks[:, None]).softmax(1)[:, 1]
    agree(found, (scores[:, None, None] * masks).sum(0) / (30 * 0.5))


def test_rise_does_not_depend_on_the_batch():
    model = networks.plain_cnn()
    together = RISE(model, n_masks=20)(X)
    agree(RISE(model, n_masks=20, batch_size=7)(X), together)
    agree(RISE(model, n_masks=20)(X[:2]), together[:2])
    assert not torch.allclose(RISE(model, n_masks=20, random_state=1)(X), together)


def test_rise_finds_what_matters():
    def model(x):
        inside = x[:, 0, 4:12, 12:20].mean((1, 2))
        return torch.stack([10 * inside, torch.zeros_like(inside)], 1)

    ones = torch.ones(1, 1, 24, 24)
    found = RISE(model, n_masks=600, cells=6, score="logit")(ones, target=0)[0]
    place = int(found.argmax())
    assert 4 <= place // 24 < 12
    assert 12 <= place % 24 < 20
    covered = RISE(model, n_masks=50, baseline=1.0)(torch.ones(1, 1, 24, 24), target=0)
    assert covered.std() < 0.1


@pytest.mark.parametrize(
    "options, signed",
    [({}, False), ({"score": "logit"}, True), ({"task": "regression"}, True)],
    ids=["probability", "logit", "regression"],
)
def test_rise_tells_whether_its_maps_have_a_sign(options, signed):
    images = networks.images(networks.regression)
    found = RISE(networks.regression(), n_masks=4, **{"task": "binary", **options}).explain(images)
    assert found.signed is signed
    assert signed or (found.maps >= 0).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_masks": 0}, "n_masks=0"),
        ({"cells": 2.5}, "cells=2.5"),
        ({"cells": 30}, r"cells=30 for images of \(24, 24\)"),
        ({"p": 1.0}, "p=1.0"),
        ({"p": "half"}, "p='half'"),
        ({"p": None}, "p=None"),
        ({"fast": 1}, "fast=1"),
        ({"score": "x"}, "score='x'"),
        ({"random_state": -1}, "random_state=-1"),
    ],
    ids=lambda value: str(value),
)
def test_wrong_options_of_rise_are_refused(options, message):
    with pytest.raises(InvalidInputError, match=message):
        RISE(networks.plain_cnn(), **options)(X)
