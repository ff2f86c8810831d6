"""`describe()` of maps alone: sentences and facts that are known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from describing import CORNER, NAN, TWO, UNCHECKED, blocks, check_numbers, of, texts

from fastxai.explain import Explanation
from fastxai.explain.description.places import (
    Box,
    boxes_elsewhere,
    place_name,
    strongest_box,
)

CASES = [
    pytest.param(
        of(CORNER),
        [
            "By gradcam, the evidence for the target is strongest in the upper left: a "
            "box of 11% of the image there holds 100% of it.",
            "Of nine equal parts of the image, the upper left holds most of it, 100%; the "
            "strongest 10% of the pixels hold 89%.",
            "Its centre of mass lies 17% of the width from the left and 17% of the height from "
            "the top; it spreads 32% as far around it as an even map does.",
            "The map has no values below zero, so it shows nothing that speaks against the target.",
        ],
        id="corner",
    ),
    pytest.param(
        of(TWO),
        [
            "By gradcam, the evidence for the target is strongest in the upper left: a "
            "box of 11% of the image there holds 60% of it.",
            "Of nine equal parts of the image, the upper left holds most of it, 60%, followed by "
            "the lower right with 40%; the strongest 10% of the pixels hold 53%.",
        ],
        id="two places",
    ),
    pytest.param(
        of(blocks([10, 11, 11], [11, 12, 11], [11, 11, 12]), "rise"),
        [
            "By rise, no place stands out in the evidence for the target: even the "
            "strongest box, in the centre, holds 12% of it on 11% of the image."
        ],
        id="nearly even",
    ),
    pytest.param(
        of(blocks([3, 0, 0], [0, 0, 0], [0, 0, -1]), "occlusion", signed=True),
        [
            "the evidence for the target is strongest in the upper left",
            "Of all values of the map by their size, 75% speak for the target and 25% against it.",
        ],
        id="both signs",
    ),
    pytest.param(
        of(-TWO, "occlusion", signed=True),
        [
            "the evidence against the target is strongest in the upper left",
            "0% speak for the target and 100% against it.",
        ],
        id="all against",
    ),
    pytest.param(
        of(TWO, minimum=np.array([-2.5])),
        ["Values below zero, down to -2.5, were cut off: what speaks against"],
        id="cut off",
    ),
    pytest.param(
        of(TWO, "saliency"),
        [
            "By saliency, the sensitivity of the score of the target is strongest",
            "Saliency shows sizes only: what speaks for and what against is not told apart.",
        ],
        id="sizes",
    ),
    pytest.param(
        of(np.stack([TWO, -TWO]), "guided_backprop", signed=True),
        [
            "By guided_backprop, the signal for the target is strongest in the upper left",
            "50% are above zero (by the method, the score rises with the pixel) and 50% below",
        ],
        id="by channel, where a sum would be zero",
    ),
    pytest.param(
        of(TWO, "attention_rollout"),
        [
            "By attention_rollout, the attention is strongest in the upper left",
            "and not whether it speaks for or against the target.",
        ],
        id="attention",
    ),
    pytest.param(
        of(TWO, layers=("features.3",)),
        ["By gradcam at layer features.3, the evidence"],
        id="layer",
    ),
    pytest.param(
        of([0, 0, 0, 0, 0, 0, 1, 1, 1]),
        [
            "strongest in the end: a box of 33%",
            "Of three equal parts of the image, the end holds most of it, 100%",
            "Its centre of mass lies 83% of the way along",
        ],
        id="1-D",
    ),
    pytest.param(
        of(np.stack([0 * TWO] * 4 + [CORNER] * 2)),
        [
            "strongest in the upper left of the last third of the slices: a box of 4% of the image",
            "Of twenty-seven equal parts",
            "and 83% of the slices from the first",
        ],
        id="3-D",
    ),
    pytest.param(
        of(0 * TWO),
        ["By gradcam, the map is zero everywhere: it relates no place to the score of the target."],
        id="zero",
    ),
    pytest.param(
        of(0 * TWO, status="empty_after_relu", maximum=np.array([-0.5])),
        [
            "By gradcam, the map is zero everywhere: before negative values were cut off, its "
            "highest value was -0.5, so nothing in it speaks for the target."
        ],
        id="empty after ReLU",
    ),
    pytest.param(
        of(0 * TWO + 0.5),
        ["By gradcam, the map has the same value, 0.5, everywhere: it points at no place."],
        id="constant",
    ),
    pytest.param(
        of(TWO * NAN, status="zero_gradient"),
        ["By gradcam, there is no map: the score of the target does not depend on"],
        id="zero gradient",
    ),
    pytest.param(
        of(TWO * NAN, status="nonfinite"),
        ["There is no map by gradcam: NaN or infinity came out."],
        id="nonfinite",
    ),
    pytest.param(
        of(np.where(TWO > 0.5, np.inf, TWO)),
        ["There is no map by gradcam: NaN or infinity came out."],
        id="infinity within",
    ),
    pytest.param(
        of([[3.0]]),
        ["By gradcam, the map has the same value, 3, everywhere"],
        id="one pixel",
    ),
]


@pytest.mark.parametrize(("explanation", "expected"), CASES)
def test_a_map_is_told_as_by_hand(explanation: Explanation, expected: list[str]) -> None:
    found = texts(explanation.describe())
    for one in expected:
        assert any(one in text for text in found), (one, found)
    assert found[-1].startswith(UNCHECKED)


@pytest.mark.parametrize(("explanation", "expected"), CASES)
def test_every_number_of_a_map_is_a_fact(explanation: Explanation, expected: list[str]) -> None:
    check_numbers(explanation.describe())


def test_facts_have_full_precision() -> None:
    facts = of(TWO).describe()[0].facts
    assert facts["box_share"] == pytest.approx(0.6, abs=1e-7)
    assert facts["top_share"] == pytest.approx(8 / 9 * 0.6, abs=1e-7)
    assert facts["top_pixels"] == 8 / 81
    assert facts["centre_x"] == pytest.approx((0.6 * 1.5 + 0.4 * 7.5) / 9)
    assert facts["share_lower_right"] == pytest.approx(0.4)
    assert (facts["box_start"], facts["box_size"]) == ([0, 0], [3, 3])


def test_an_even_map_has_the_spread_one() -> None:
    nearly = np.full((9, 9), 1.0)
    nearly[4, 4] += 1e-6
    assert of(nearly).describe()[0].facts["spread"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ((0.0, 0.0), "upper left"),
        ((0.5, 0.5), "centre"),
        ((0.5, 0.99), "middle right"),
        ((0.9, 0.5), "lower middle"),
        ((0.1,), "beginning"),
        ((0.5, 0.5, 0.5), "centre of the middle third of the slices"),
    ],
)
def test_names_of_places(place: Any, name: str) -> None:
    assert place_name(place) == name


@pytest.mark.parametrize("shape", [(7,), (6, 11), (4, 5, 6), (1, 1), (2, 9)])
def test_the_strongest_box_is_that_of_a_plain_loop(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random(shape)
    box = strongest_box(values)
    room = [pixels - size + 1 for pixels, size in zip(shape, box.size, strict=True)]
    sums = {start: values[Box(start, box.size).slices].sum() for start in np.ndindex(*room)}
    assert box.start == max(sums, key=lambda start: sums[start])


def test_boxes_elsewhere_do_not_touch_the_strongest() -> None:
    box = Box((2, 3), (3, 3))
    found = boxes_elsewhere(box, (9, 9), 100, np.random.default_rng(0))
    assert len(set(found)) == len(found) == 49 - 25  # starts, less those that overlap
    for one in found:
        both = np.zeros((9, 9), int)
        both[box.slices] += 1
        both[one.slices] += 1
        assert both.max() == 1
