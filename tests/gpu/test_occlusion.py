"""The GPU's kernels of occlusion against their reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastxai_kernels import reference
from fastxai_kernels.gpu.occlusion import occlude, occlude_segments, occlusion_map

IMAGES = {
    "1-D": (4, 3, 50),
    "1-D, several blocks": (1, 1, 600),
    "2-D": (3, 3, 17, 12),
    "2-D, odd": (3, 3, 5, 13),
    "2-D, one channel": (2, 1, 9, 8),
    "2-D, wide": (1, 3, 3, 132),
    "2-D, wide and odd": (1, 2, 3, 271),
    "3-D": (2, 2, 5, 6, 7),
    "one pixel": (1, 1, 1, 1),
}
EACH = pytest.mark.parametrize("shape", IMAGES.values(), ids=IMAGES.keys())
LIES = pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])


def case(shape, batch=7, seed=0):
    """Images, baselines, rows and any windows, of which some touch the border."""
    random = np.random.default_rng(seed)
    images, baseline = random.standard_normal((2, *shape)).astype(np.float32)
    rows = random.integers(0, shape[0], batch).astype(np.int32)
    size = np.array(shape[2:])
    starts = random.integers(0, size, (batch, len(size)))
    stops = np.minimum(starts + random.integers(1, size + 1, starts.shape), size)
    return images, baseline, rows, np.stack([starts, stops], axis=2).astype(np.int32)


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


def buffer(shape, batch, last=False):
    if not last:
        return torch.full((batch, *shape[1:]), torch.nan)
    return torch.full((batch, *shape[2:], shape[1]), torch.nan).movedim(-1, 1)


def expected_batch(given):
    out = np.full((len(given[2]), *given[0].shape[1:]), np.nan, np.float32)
    reference.occlude(*given, out)
    return out


@LIES
@EACH
def test_batches_are_those_of_the_reference(shape, last):
    given = case(shape)
    out = buffer(shape, 7, last)
    strides = out.stride()
    occlude(*tensors(*given), out)
    assert out.stride() == strides
    assert np.array_equal(out.numpy(), expected_batch(given))


@LIES
def test_images_may_lie_with_the_channels_last_too(last):
    given = case((3, 3, 17, 12))
    images, baseline, *rest = tensors(*given)
    moved = [x.contiguous(memory_format=torch.channels_last) for x in (images, baseline)]
    out = buffer(images.shape, 7, last)
    occlude(*moved, *rest, out)
    assert np.array_equal(out.numpy(), expected_batch(given))


def test_a_part_of_a_buffer():
    given = case((3, 3, 17, 12))
    whole = buffer((3, 3, 17, 12), 9, last=True)
    occlude(*tensors(*given), whole[:7])
    assert np.array_equal(whole[:7].numpy(), expected_batch(given))
    assert whole[7:].isnan().all()


def test_a_window_by_hand():
    images = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    out = buffer(images.shape, 2)
    windows = np.array([[[0, 2], [1, 3]], [[2, 3], [3, 4]]], np.int32)
    occlude(*tensors(images, np.full_like(images, -1), np.zeros(2, np.int32), windows), out)
    assert out[0, 0].tolist() == [[0, -1, -1, 3], [4, -1, -1, 7], [8, 9, 10, 11]]
    assert out[1, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, -1]]


def test_what_is_not_finite_is_copied():
    given = case((2, 1, 9, 8))
    given[0][:, :, ::2] = np.nan
    given[1][:, :, ::3] = np.inf
    out = buffer((2, 1, 9, 8), 7)
    occlude(*tensors(*given), out)
    assert np.array_equal(out.numpy(), expected_batch(given), equal_nan=True)


def segmented(shape, batch=7, count=5, seed=0):
    """Images, baselines, segments, rows and what is shown of each."""
    random = np.random.default_rng(seed)
    images, baseline, rows, _ = case(shape, batch, seed)
    segments = random.integers(0, count, (shape[0], *shape[2:])).astype(np.int32)
    return images, baseline, segments, rows, random.random((batch, count)) < 0.5


def expected_segments(given):
    out = np.full((len(given[3]), *given[0].shape[1:]), np.nan, np.float32)
    reference.occlude_segments(*given, out)
    return out


@LIES
@EACH
def test_segments_are_those_of_the_reference(shape, last):
    given = segmented(shape)
    out = buffer(shape, 7, last)
    strides = out.stride()
    occlude_segments(*tensors(*given), out)
    assert out.stride() == strides
    assert np.array_equal(out.numpy(), expected_segments(given))


def test_segments_of_a_part_of_a_buffer_and_of_images_that_lie_otherwise():
    given = segmented((3, 3, 17, 12))
    images, baseline, *rest = tensors(*given)
    images = images.contiguous(memory_format=torch.channels_last)
    whole = buffer((3, 3, 17, 12), 9)
    occlude_segments(images, baseline, *rest, whole[:7])
    assert np.array_equal(whole[:7].numpy(), expected_segments(given))
    assert whole[7:].isnan().all()


def test_what_is_not_finite_stays_where_it_belongs():
    """NaN of the image stays where it is shown, and that of the baseline where it is not."""
    images = np.array([[[np.nan, 1, 2]]], np.float32)
    baseline = np.array([[[0, np.inf, 0]]], np.float32)
    shown = np.array([[True, True], [False, False], [False, True]])
    segments = np.array([[0, 1, 1]], np.int32)
    given = images, baseline, segments, np.zeros(3, np.int32), shown
    out = buffer(images.shape, 3)
    occlude_segments(*tensors(*given), out)
    expected = [[np.nan, 1, 2], [0, np.inf, 0], [0, 1, 2]]
    np.testing.assert_array_equal(out[:, 0].numpy(), expected)


def agree(scores, windows, size):
    found = occlusion_map(*tensors(scores, windows), size)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    expected = reference.occlusion_map(scores, windows, size)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@EACH
def test_maps_are_those_of_the_reference(shape, dtype):
    windows = case(shape, batch=20)[3]
    scores = np.random.default_rng(1).standard_normal((3, 20)).astype(dtype)
    agree(scores, windows, shape[2:])


def test_many_windows_and_maps():
    """More windows than are looked at together; of most blocks of pixels none covers any."""
    starts = np.arange(0, 600, 5)
    windows = np.stack([starts, np.minimum(starts + 12, 600)], axis=1)[:, None].astype(np.int32)
    agree(np.random.default_rng(0).standard_normal((5, len(windows))), windows, (600,))


def test_overlaps_are_averaged_and_uncovered_pixels_nan():
    windows = np.array([[[0, 2]], [[1, 3]]], np.int32)
    found = occlusion_map(*tensors(np.array([[1.0, 4.0]]), windows), (4,))
    np.testing.assert_array_equal(found, [[1, 2.5, 4, np.nan]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_a_score_that_is_not_finite_stays_in_its_window(value):
    windows = np.array([[[0, 2]], [[1, 3]], [[2, 5]]], np.int32)
    scores = np.array([[1, value, 3], [1, 2, 3]])
    found = occlusion_map(*tensors(scores, windows), (5,))
    np.testing.assert_array_equal(found, [[1, np.nan, np.nan, 3, 3], [1, 1.5, 2.5, 3, 3]])


def test_no_maps():
    windows = torch.tensor([[[0, 3]]], dtype=torch.int32)
    assert occlusion_map(torch.empty((0, 1)), windows, (3,)).shape == (0, 3)


def test_large_scores_leave_nothing_behind():
    starts = np.arange(100)
    windows = np.stack([starts, starts + 1], axis=1)[:, None].astype(np.int32)
    scores = np.random.default_rng(0).standard_normal((1, 100))
    scores[0, :50] *= 1e6
    found = occlusion_map(*tensors(scores, windows), (100,))
    np.testing.assert_allclose(found, scores, rtol=1e-6)


def test_two_runs_give_the_same_bits_and_leave_their_inputs():
    given = tensors(*case((3, 3, 17, 12)))
    scores = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 7)))
    kept = [x.clone() for x in (*given, scores)]

    def everything():
        out = buffer((3, 3, 17, 12), 7)
        occlude(*given, out)
        return out, occlusion_map(scores, given[3], (17, 12)).nan_to_num(-1)

    assert all(map(torch.equal, everything(), everything()))
    assert all(map(torch.equal, kept, (*given, scores)))
