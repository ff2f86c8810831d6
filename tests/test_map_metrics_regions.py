"""The pointing game and the share of evidence against plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fastxai.errors import InvalidInputError
from fastxai.metrics import maps

RNG = np.random.default_rng(4)


def distance(place: Any, mask: Any) -> float:
    """From the centre of a pixel to that of the nearest of the mask."""
    return min(math.dist(place, inside) for inside in np.argwhere(mask))


def hit(values: Any, mask: Any, tolerance: float) -> float:
    peaks = np.argwhere(values == values.max())
    return float(np.mean([distance(peak, mask) <= tolerance for peak in peaks]))


def share(values: Any, mask: Any) -> float:
    inside = sum(v for v, m in zip(values.flat, mask.flat, strict=True) if m and v > 0)
    return float(inside / sum(v for v in values.flat if v > 0))


SIZES = [pytest.param((30,), id="1-D"), pytest.param((9, 12), id="2-D")]
SIZES += [pytest.param((5, 6, 7), id="3-D")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tolerance", [0, 1, 2.5])
def test_pointing_game_is_that_of_a_plain_loop(size: Any, tolerance: float) -> None:
    values = RNG.integers(0, 20, (12, *size)).astype(np.float64)  # with ties
    masks = RNG.random((12, *size)) < 0.05
    masks[:, *[0] * len(size)] = True
    found = maps.pointing_game(values, masks=masks, tolerance=tolerance, axes=len(size))
    expected = [hit(v, m, tolerance) for v, m in zip(values, masks, strict=True)]
    np.testing.assert_allclose(found.values, expected)
    near = [[distance(p, m) <= tolerance for p in np.ndindex(size)] for m in masks]
    assert found.chance == pytest.approx(np.mean(near))


@pytest.mark.parametrize("size", SIZES)
def test_evidence_share_is_that_of_a_plain_loop(size: Any) -> None:
    values, masks = RNG.normal(size=(9, *size)), RNG.random((9, *size)) < 0.3
    found = maps.evidence_share(values, masks=masks, axes=len(size))
    expected = [share(v, m) for v, m in zip(values, masks, strict=True)]
    np.testing.assert_allclose(found.values, expected)
    assert found.chance == pytest.approx(masks.mean())
    outside = maps.evidence_share(values, masks=masks, axes=len(size), outside=True)
    np.testing.assert_allclose(outside.values, 1 - found.values)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        pytest.param([2, 1, 5, 4], range(1, 4), range(2, 5), id="whole"),
        pytest.param([1.4, 0.6, 3.6, 2.2], range(1, 2), range(1, 4), id="centres"),
        pytest.param([-3, -3, 2, 2], range(2), range(2), id="beyond the image"),
    ],
)
def test_a_box_is_left_top_right_bottom(box: Any, rows: Any, columns: Any) -> None:
    mask = np.zeros((1, 6, 8), bool)
    mask[0, rows.start : rows.stop, columns.start : columns.stop] = True
    values = RNG.random((1, 6, 8))
    by_mask = maps.evidence_share(values, masks=mask)
    assert maps.evidence_share(values, boxes=[box]).estimate == by_mask.estimate
    assert maps.evidence_share(values, boxes=np.array([[box]])).estimate == by_mask.estimate


def test_the_union_of_several_boxes_counts() -> None:
    values = np.ones((2, 4, 4))
    found = maps.evidence_share(values, boxes=[[[0, 0, 2, 2], [1, 0, 3, 2]], [0, 0, 1, 1]])
    np.testing.assert_allclose(found.values, [6 / 16, 1 / 16])


def test_boxes_of_volumes_name_x_first() -> None:
    values = np.zeros((1, 4, 5, 6))
    values[0, 1, 2, 3] = 1
    box = [3, 2, 1, 4, 3, 2]
    assert maps.pointing_game(values, [box], axes=3, tolerance=0).estimate == 1


def test_several_targets_and_masks_of_their_own() -> None:
    values, masks = RNG.random((3, 2, 8, 8)), RNG.random((3, 2, 8, 8)) < 0.4
    found = maps.evidence_share(values, masks=masks)
    assert found.values.shape == (3, 2)
    for k in range(2):
        one = maps.evidence_share(values[:, k], masks=masks[:, k])
        np.testing.assert_allclose(found.values[:, k], one.values)
    shared = maps.evidence_share(values, masks=masks[:, 0])
    other = maps.evidence_share(values[:, 1], masks=masks[:, 0])
    np.testing.assert_allclose(shared.values[:, 1], other.values)


def test_an_image_counts_once_whatever_its_targets() -> None:
    values, masks = RNG.random((5, 4, 8, 8)), RNG.random((5, 8, 8)) < 0.4
    found = maps.evidence_share(values, masks=masks)
    assert found.n == 5
    assert found.estimate == pytest.approx(found.values.mean(1).mean())


def test_maps_by_channel_are_added_up() -> None:
    values, masks = RNG.normal(size=(3, 2, 8, 8)), RNG.random((3, 8, 8)) < 0.4
    for channels, summed in (("absolute", np.abs(values).sum(1)), ("sum", values.sum(1))):
        found = maps.evidence_share(values, masks=masks, by_channel=True, channels=channels)
        np.testing.assert_allclose(found.values, maps.evidence_share(summed, masks=masks).values)


def test_a_map_that_is_the_same_everywhere_scores_as_chance_does() -> None:
    masks = RNG.random((4, 8, 8)) < 0.2
    for value in (0.0, 1.0):
        found = maps.pointing_game(np.full((4, 8, 8), value), masks=masks, tolerance=1)
        assert found.estimate == pytest.approx(float(found.chance))


def test_what_says_nothing_does_not_count() -> None:
    values, masks = RNG.random((4, 8, 8)), np.ones((4, 8, 8), bool)
    values[0, 3, 3] = np.nan
    values[1] = -1  # nothing positive
    masks[2] = False  # no object
    share, game = (f(values, masks=masks) for f in (maps.evidence_share, maps.pointing_game))
    assert np.isnan(share.values).tolist() == [True, True, True, False]
    assert np.isnan(game.values).tolist() == [True, False, True, False]
    assert (share.n, game.n) == (1, 2)


def test_nothing_at_all_is_no_number() -> None:
    found = maps.pointing_game(np.full((2, 8, 8), np.nan), [[0, 0, 2, 2]] * 2)
    assert found.n == 0
    assert np.isnan([found.estimate, found.estimate.low, found.estimate.high]).all()


def test_huge_values_are_shares_too() -> None:
    values = np.full((1, 4, 4), 1e308)
    assert maps.evidence_share(values, [[0, 0, 2, 4]]).estimate == pytest.approx(0.5)


def test_true_evidence_beats_noise_and_its_reverse() -> None:
    masks = np.zeros((20, 16, 16), bool)
    masks[:, 4:8, 4:8] = True
    true = masks + 0.1 * RNG.random(masks.shape)
    noise, reverse = RNG.random(masks.shape), -true
    for measure in (maps.pointing_game, maps.evidence_share):
        options = {"tolerance": 0} if measure is maps.pointing_game else {}
        found = [measure(m - m.min(), masks=masks, **options) for m in (true, noise, reverse)]
        assert found[0].estimate.low > found[1].estimate.high >= found[2].estimate


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        pytest.param((2, 8, 8), {}, "neither is given", id="nothing"),
        pytest.param(
            (2, 8, 8), {"boxes": [[0, 0, 1, 1]] * 2, "masks": np.ones((2, 8, 8))}, "both",
            id="both",
        ),
        pytest.param((2, 8, 8), {"boxes": [[0, 0, 1, 1]]}, "holds 1 for 2", id="too few boxes"),
        pytest.param((1, 8, 8), {"boxes": [[0, 0, 1]]}, "left, top, right", id="three numbers"),
        pytest.param((1, 8, 8), {"boxes": [[5, 5, 1, 1]]}, "low corner", id="upside down"),
        pytest.param((1, 8, 8), {"boxes": [[0, 0, np.nan, 1]]}, "finite", id="NaN"),
        pytest.param((2, 8, 8), {"masks": np.ones((2, 4, 4))}, r"give \(2, 8, 8\)", id="size"),
        pytest.param((8, 8), {"masks": np.ones((8, 8))}, r"give \(N, \[K,\] H, W\)", id="no batch"),
        pytest.param((2, 8, 8), {"masks": np.ones((2, 8, 8)), "by_channel": True}, "C, H", id="C"),
        pytest.param((2, 8, 8), {"masks": np.ones((2, 8, 8)), "axes": 4}, "1 to 3", id="axes"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(shape: Any, options: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        maps.evidence_share(np.ones(shape), **options)


def test_the_tolerance_is_a_length() -> None:
    with pytest.raises(InvalidInputError, match="tolerance"):
        maps.pointing_game(np.ones((1, 8, 8)), [[0, 0, 1, 1]], tolerance=-1)
