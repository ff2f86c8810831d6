"""Segments: ours, the user's, and those that are refused."""

import networks
import numpy as np
import pytest
from scipy import ndimage

from fastxai import LIME, InvalidInputError, KernelSHAP
from fastxai.explain.superpixels.segments import read_segments, segments_of
from fastxai.explain.superpixels.slic import cells_of, grid, slic

torch = pytest.importorskip("torch")

IMAGE = torch.zeros(3, 24, 24)
X = networks.images(networks.plain_cnn, 2)
HALVES = np.repeat([[0, 1]], 12, axis=1) + np.zeros((24, 1), int)


def picture(size, channels=3, seed=0):
    """Smooth blobs and a little grain."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(
        random.standard_normal((channels, *size)), (0, *[3] * len(size))
    )
    return smooth / smooth.std() + 0.1 * random.standard_normal(smooth.shape)


SIZES = {
    "1-D": (60,),
    "2-D": (40, 50),
    "2-D, narrow": (4, 90),
    "3-D": (12, 10, 14),
    "one pixel": (1, 1),
}


@pytest.mark.parametrize("n_segments", [1, 2, 7, 50])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_a_grid_has_at_most_so_many_cells_of_nearly_one_size(size, n_segments):
    assert 1 <= np.prod(cells_of(size, n_segments)) <= n_segments
    numbers = grid(size, n_segments)
    assert numbers.dtype == np.int32
    counts = np.bincount(numbers.ravel())
    assert len(counts) == np.prod(cells_of(size, n_segments))
    assert counts.min() > 0
    assert counts.max() <= counts.min() * 4


@pytest.mark.parametrize("kind", ["picture", "noise", "constant", "not finite"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_superpixels_are_whole_and_numbered_without_gaps(size, kind):
    image = {
        "picture": picture(size),
        "noise": np.random.default_rng(0).standard_normal((3, *size)),
        "constant": np.full((3, *size), 2.0),
        "not finite": np.full((1, *size), np.nan),
    }[kind]
    numbers = slic(image, 12)
    assert numbers.dtype == np.int32
    assert numbers.shape == size
    found = np.unique(numbers)
    assert len(found) <= 12
    assert np.array_equal(found, np.arange(len(found)))
    assert all(ndimage.label(numbers == k)[1] == 1 for k in found)


def test_superpixels_follow_edges():
    """A bright disc: its border is one of segments, which a grid's cells cross."""
    y, x = np.indices((60, 60))
    disc = np.hypot(y - 27, x - 33) < 14
    for numbers, purity in ((slic(disc[None] * 1.0, 20), 0.99), (grid((60, 60), 20), 0.0)):
        inside = np.bincount(numbers.ravel(), disc.ravel()) / np.bincount(numbers.ravel())
        share = np.maximum(inside, 1 - inside) @ np.bincount(numbers.ravel()) / disc.size
        assert share >= purity
    assert share < 0.95  # the grid's


def test_superpixels_do_not_depend_on_the_range_of_the_image():
    image = picture((40, 40))
    assert np.array_equal(slic(image, 20), slic(image * 0.25 + 3, 20))


@pytest.mark.parametrize("channels", [1, 9])
def test_superpixels_of_any_channels(channels):
    assert len(np.unique(slic(picture((40, 40), channels), 16))) > 8


# --- the user's --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [HALVES, torch.tensor(HALVES), HALVES == 1, HALVES.astype(np.uint8), np.stack([HALVES] * 2)],
    ids=["int", "tensor", "bool", "uint8", "one an image"],
)
def test_arrays_of_numbers(given):
    found = segments_of(read_segments(given), IMAGE, 1, 50)
    assert np.array_equal(found.numbers, HALVES)
    assert found.ids.tolist() == [0, 1]


def test_gaps_are_closed_and_the_users_numbers_kept():
    found = segments_of(read_segments(HALVES * 7 + 3), IMAGE, 0, 50)
    assert np.array_equal(found.numbers, HALVES)
    assert found.ids.tolist() == [3, 10]
    details = LIME(networks.plain_cnn(), segments=HALVES * 7 + 3, n_samples=20).explain(X).details
    assert details[0].ids.tolist() == [3, 10]
    assert details[0].coefficients.shape == (2,)


def test_a_function_sees_the_image_with_the_channels_last():
    seen = []

    def segments(image):
        seen.append(image.copy())
        image[:] = 7  # its own
        return (image[..., 0] > 0) * 1 + HALVES

    given = X.clone()
    details = LIME(networks.plain_cnn(), segments=segments, n_samples=20).explain(X).details
    assert np.array_equal(seen[1], X[1].permute(1, 2, 0))
    assert torch.equal(given, X)
    assert details[0].ids.tolist() == [1, 2]


def test_each_image_has_its_own():
    both = np.stack([HALVES, HALVES.T])
    method = LIME(networks.plain_cnn(), segments=both, n_samples=20, batch_size=1)
    for found, expected in zip(method.explain(X).details, both, strict=True):
        assert np.array_equal(found.segments, expected)


@pytest.mark.parametrize(
    "given, message",
    [
        ("quickshift", "segments='quickshift' is unknown"),
        (HALVES - 1, "holds -1"),
        (HALVES * 0.5, "float64"),
        (np.zeros((0, 24), int), "empty"),
        ([[0, 1], [1]], "no array of one shape"),
        (HALVES[:12], r"shape \(12, 24\) for images \(2, 3, 24, 24\)"),
        (np.stack([HALVES] * 3), r"shape \(3, 24, 24\)"),
        (7, r"shape \(\)"),
        (lambda image: image[..., 0], "returned for image 0 holds float32"),
        (lambda image: HALVES[:3], r"returned the shape \(3, 24\) for image 0"),
        (lambda image: image.nothing, "raised AttributeError for image 0"),
        (lambda image: None, "holds object"),
    ],
    ids=[
        *["unknown name", "negative", "floats", "empty", "ragged", "cut", "one too many", "number"],
        *["function of floats", "function of another shape", "function that raises", "of None"],
    ],
)
@pytest.mark.parametrize("method", [LIME, KernelSHAP])
def test_wrong_segments_are_refused(method, given, message):
    with pytest.raises(InvalidInputError, match=message):
        method(networks.plain_cnn(), segments=given, n_samples=60)(X)


def test_segments_of_a_set_need_a_function():
    from fastxai.explain.engine import run

    method = LIME(networks.plain_cnn(), segments=np.stack([HALVES] * 2), n_samples=20)
    with pytest.raises(InvalidInputError, match="holds 2 images, and image 2 of the set"):
        run([method], X, first=2)
