"""The masks of LIME and KernelSHAP: how they are drawn, and what they weigh."""

import math

import numpy as np
import pytest

from fastxai.explain.superpixels.sampling import lime_masks, shapley_masks

pytest.importorskip("torch")


def shares(segments):
    """The Shapley kernel's share of each size, with what 0 and all have left out."""
    kernel = np.array([1 / (s * (segments - s)) for s in range(1, segments)])
    return kernel / kernel.sum()


def test_lime_leaves_each_segment_with_a_half():
    masks = lime_masks(4000, 20, 3, 0.25)
    assert masks.shown.shape == (4000, 20)
    assert masks.shown[0].all()
    assert not masks.exact
    # Five standard deviations of a mean of 4000 coins.
    assert np.abs(masks.shown[1:].mean(0) - 0.5).max() < 5 * 0.5 / math.sqrt(4000)


def test_lime_weighs_by_the_cosine_distance_from_the_image():
    masks = lime_masks(200, 9, 0, 0.4)
    for row, weight in zip(masks.shown.astype(float), masks.weights, strict=True):
        norm = np.linalg.norm(row) * 3
        away = 1 - (row.sum() / norm if norm else 0)
        assert weight == pytest.approx(math.sqrt(math.exp(-(away**2) / 0.4**2)), rel=1e-12)


@pytest.mark.parametrize("draw", [lambda n: lime_masks(n, 30, 5, 0.25)], ids=["lime"])
def test_more_masks_begin_with_the_same(draw):
    assert np.array_equal(draw(300).shown[:100], draw(100).shown)


@pytest.mark.parametrize("segments", [1, 2, 3, 7])
def test_few_segments_are_written_out(segments):
    masks = shapley_masks(2**segments, segments, 0)
    assert masks.exact
    assert len(masks) == 2**segments
    assert len(np.unique(masks.shown, axis=0)) == 2**segments
    assert masks.shown[0].all()
    assert not masks.shown[1].any()
    assert masks.weights[:2].tolist() == [0, 0]
    left = masks.shown[2:].sum(1)
    for size, share in enumerate(shares(segments), 1):
        mine = masks.weights[2:][left == size]
        assert mine == pytest.approx(share / math.comb(segments, size))


@pytest.mark.parametrize(
    "n, segments", [(100, 7), (200, 12), (1000, 50), (301, 40), (62, 6)], ids=str
)
def test_sizes_have_the_share_of_the_shapley_kernel(n, segments):
    masks = shapley_masks(n, segments, 4)
    assert n - 1 <= len(masks) <= n
    assert masks.weights.sum() == pytest.approx(1)
    left = masks.shown.sum(1)
    found = np.bincount(left, masks.weights, segments + 1)[1:-1]
    # Whole sizes are exact, and the rest of the masks draws within four standard deviations.
    assert np.abs(found - shares(segments)).max() < 4 * math.sqrt(shares(segments).max() / n)
    assert found == pytest.approx(found[::-1])


def test_masks_that_are_drawn_have_their_opposite_beside_them():
    masks = shapley_masks(1000, 50, 4)
    drawn = masks.pairs >= 0
    assert 0 < (~drawn).sum() < 200  # both ends, and those of one segment and of all but one
    first, second = masks.shown[drawn][::2], masks.shown[drawn][1::2]
    assert np.array_equal(first, ~second)
    assert np.array_equal(masks.pairs[drawn][::2], masks.pairs[drawn][1::2])
    alone = masks.shown[2:][~drawn[2:]]
    assert len(np.unique(alone, axis=0)) == len(alone) == 100


@pytest.mark.parametrize("draw", [shapley_masks, lambda *a: lime_masks(*a, 0.25)])
def test_the_seed_covers_the_masks(draw):
    assert np.array_equal(draw(200, 30, 1).shown, draw(200, 30, 1).shown)
    assert not np.array_equal(draw(200, 30, 1).shown, draw(200, 30, 2).shown)
