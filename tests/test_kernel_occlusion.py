"""The kernels of occlusion against their reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")

IMAGES = {
    "1-D": (4, 3, 50),
    "2-D": (3, 3, 17, 12),
    "2-D, one channel": (2, 1, 9, 8),
    "3-D": (2, 2, 5, 6, 7),
    "one pixel": (1, 1, 1, 1),
}


def case(shape, batch=11, seed=0):
    """Images, baselines, rows and any windows, of which some touch the border."""
    random = np.random.default_rng(seed)
    images, baseline = random.standard_normal((2, *shape)).astype(np.float32)
    rows = random.integers(0, shape[0], batch).astype(np.int32)
    size = np.array(shape[2:])
    starts = random.integers(0, size, (batch, len(size)))
    stops = np.minimum(starts + random.integers(1, size + 1, starts.shape), size)
    return images, baseline, rows, np.stack([starts, stops], axis=2).astype(np.int32)


def buffer(shape, batch, last=False):
    if not last:
        return np.full((batch, *shape[1:]), np.nan, np.float32)
    return np.moveaxis(np.full((batch, *shape[2:], shape[1]), np.nan, np.float32), -1, 1)


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("shape", IMAGES.values(), ids=IMAGES.keys())
def test_batches_are_those_of_the_reference(shape, last):
    given = case(shape)
    found, expected = buffer(shape, 11, last), buffer(shape, 11)
    cpu.occlude(*given, found)
    reference.occlude(*given, expected)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_images_may_lie_with_the_channels_last_too(last):
    images, baseline, rows, windows = case((3, 3, 17, 12))
    moved = [
        np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) for x in (images, baseline)
    ]
    found, expected = buffer(images.shape, 11, last), buffer(images.shape, 11)
    cpu.occlude(*moved, rows, windows, found)
    reference.occlude(images, baseline, rows, windows, expected)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
def test_a_window_by_hand(backend):
    images = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    out = buffer(images.shape, 2)
    windows = np.array([[[0, 2], [1, 3]], [[2, 3], [3, 4]]], np.int32)
    backend.occlude(images, np.full_like(images, -1), np.zeros(2, np.int32), windows, out)
    assert out[0, 0].tolist() == [[0, -1, -1, 3], [4, -1, -1, 7], [8, 9, 10, 11]]
    assert out[1, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, -1]]


def test_read_only_images():
    given = case((3, 3, 17, 12))
    for part in given:
        part.flags.writeable = False
    found, expected = buffer((3, 3, 17, 12), 11), buffer((3, 3, 17, 12), 11)
    cpu.occlude(*given, found)
    reference.occlude(*given, expected)
    assert np.array_equal(found, expected)


def segmented(shape, batch=11, count=5, seed=0):
    """Images, baselines, segments, rows and what is shown of each."""
    random = np.random.default_rng(seed)
    images, baseline, rows, _ = case(shape, batch, seed)
    segments = random.integers(0, count, (shape[0], *shape[2:])).astype(np.int32)
    return images, baseline, segments, rows, random.random((batch, count)) < 0.5


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize(
    "shape",
    [*IMAGES.values(), (3, 2, 50, 43)],
    ids=[*IMAGES, "2-D, several blocks"],
)
def test_segments_are_those_of_the_reference(shape, last):
    given = segmented(shape)
    found, expected = buffer(shape, 11, last), buffer(shape, 11)
    cpu.occlude_segments(*given, found)
    reference.occlude_segments(*given, expected)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
def test_segments_by_hand(backend):
    """NaN of the image stays where it is shown, and that of the baseline where it is not."""
    images = np.array([[[np.nan, 1, 2]]], np.float32)
    baseline = np.array([[[0, np.inf, 0]]], np.float32)
    shown = np.array([[True, True], [False, False], [False, True]])
    segments = np.array([[0, 1, 1]], np.int32)
    out = buffer(images.shape, 3)
    backend.occlude_segments(images, baseline, segments, np.zeros(3, np.int32), shown, out)
    np.testing.assert_array_equal(out[:, 0], [[np.nan, 1, 2], [0, np.inf, 0], [0, 1, 2]])


@pytest.mark.parametrize("count", [1, 3])
def test_segments_do_not_depend_on_the_number_of_threads(count):
    given = segmented((2, 3, 90, 70), 30)
    found, expected = buffer((2, 3, 90, 70), 30), buffer((2, 3, 90, 70), 30)
    for part in given:
        part.flags.writeable = False
    with threads(count):
        cpu.occlude_segments(*given, found)
    reference.occlude_segments(*given, expected)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", IMAGES.values(), ids=IMAGES.keys())
def test_maps_are_those_of_the_reference(shape, dtype):
    windows = case(shape, batch=40)[3]
    scores = np.random.default_rng(1).standard_normal((3, 40)).astype(dtype)
    found = cpu.occlusion_map(scores, windows, shape[2:])
    assert found.dtype == np.float32
    expected = reference.occlusion_map(scores, windows, shape[2:])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
def test_overlaps_are_averaged_and_uncovered_pixels_nan(backend):
    windows = np.array([[[0, 2]], [[1, 3]]], np.int32)
    found = backend.occlusion_map(np.array([[1.0, 4.0]]), windows, (4,))
    np.testing.assert_array_equal(found, [[1, 2.5, 4, np.nan]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
def test_a_score_that_is_not_finite_stays_in_its_window(backend, value):
    windows = np.array([[[0, 2]], [[1, 3]], [[2, 5]]], np.int32)
    found = backend.occlusion_map(np.array([[1, value, 3], [1, 2, 3]]), windows, (5,))
    np.testing.assert_array_equal(found, [[1, np.nan, np.nan, 3, 3], [1, 1.5, 2.5, 3, 3]])


def test_no_maps():
    assert cpu.occlusion_map(np.empty((0, 1)), np.array([[[0, 3]]], np.int32), (3,)).shape == (0, 3)


def test_large_scores_leave_nothing_behind():
    windows = np.stack([np.arange(0, 1000), np.arange(1, 1001)], axis=1)[:, None].astype(np.int32)
    scores = np.random.default_rng(0).standard_normal((1, 1000))
    scores[0, :500] *= 1e6
    found = cpu.occlusion_map(scores, windows, (1000,))
    np.testing.assert_allclose(found, scores, rtol=1e-6, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 4)),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.integers(0, 9),
    st.booleans(),
)
def test_any_images_and_windows_agree_with_the_reference(n_and_channels, size, seed, last):
    shape = (*n_and_channels, *size)
    given = case(shape, seed=seed)
    found, expected = buffer(shape, 11, last), buffer(shape, 11)
    cpu.occlude(*given, found)
    reference.occlude(*given, expected)
    assert np.array_equal(found, expected)
    scores = np.random.default_rng(seed).standard_normal((2, 11))
    np.testing.assert_allclose(
        cpu.occlusion_map(scores, given[3], size),
        reference.occlusion_map(scores, given[3], size),
        rtol=1e-6,
        atol=1e-7,
    )


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_number_of_threads_changes_no_bit(count):
    shape = (3, 3, 40, 30)
    images, baseline, rows, windows = case(shape, 50)
    scores = np.random.default_rng(0).standard_normal((20, 50))

    def everything():
        out = buffer(shape, 50)
        cpu.occlude(images, baseline, rows, windows, out)
        return out, cpu.occlusion_map(scores, windows, shape[2:])

    with threads(count):
        found = everything()
    with threads(3):
        again = everything()
    assert np.array_equal(found[0], again[0])
    assert np.array_equal(found[1], again[1], equal_nan=True)
