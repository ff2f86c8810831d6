"""The GPU's class activation maps against their reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastxai_kernels import reference
from fastxai_kernels.gpu.cam import cam_maps, upsample, weighted_sum

METHODS = ["gradcam", "gradcam++", "hirescam", "layercam"]
LAYERS = {
    "1-D": (3, 5, 50),
    "2-D": (2, 37, 7, 9),
    "3-D": (2, 6, 3, 4, 5),
    "one number": (1, 1, 1, 1),
    "a block and no more": (1, 3, 8, 8),
    "one pixel more than a narrow block": (2, 9, 5, 13),
    "several parts": (1, 261, 2, 3),
    "several wide blocks": (2, 35, 19, 17),
    "whole steps": (2, 35, 18, 18),
    "many pixels": (1, 1, 1, 1047),
    "many pixels, whole steps": (1, 2, 1028),
}
EACH = pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS.keys())


def layer(shape, seed=0, scale=1.0):
    """Activations as a rectifier leaves them, and gradients of both signs, some exactly 0."""
    random = np.random.default_rng(seed)
    A = np.maximum(random.standard_normal(shape), 0)
    G = random.standard_normal(shape) * (random.random(shape) < 0.8) * scale
    return A.astype(np.float32), G.astype(np.float32)


def on_device(function, *arrays_and_options):
    given = [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arrays_and_options]
    found = function(*given)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    return found.numpy()


def agree(found, expected):
    """Equal to the rounding of float32."""
    assert found.shape == expected.shape
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    size = np.abs(expected[np.isfinite(expected)]).max(initial=1)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6 * size)


@pytest.mark.parametrize("method", METHODS)
@EACH
def test_maps_are_those_of_the_reference(shape, method):
    A, G = layer(shape)
    agree(on_device(cam_maps, A, G, method), reference.cam_maps(A, G, method))


@EACH
def test_weighted_sums_are_those_of_the_reference(shape):
    A, G = layer(shape)
    weights = np.ascontiguousarray(G.reshape(*shape[:2], -1)[:, :, 0])
    agree(on_device(weighted_sum, A, weights), reference.weighted_sum(A, weights))


def test_grad_cam_by_hand():
    A = np.array([[[[1, 2], [3, 4]], [[0, 1], [0, 0]]]], np.float32)
    G = np.array([[[[2, 0], [0, 2]], [[-4, 0], [0, 0]]]], np.float32)
    found = {method: on_device(cam_maps, A, G, method)[0] for method in METHODS}
    np.testing.assert_allclose(found["gradcam"], [[1, 1], [3, 4]])
    np.testing.assert_allclose(found["hirescam"], [[2, 0], [0, 8]])
    np.testing.assert_allclose(found["layercam"], [[2, 0], [0, 8]])
    np.testing.assert_allclose(found["gradcam++"], 4 * 4 / 88 * A[0, 0], rtol=1e-6)


def test_grad_cam_plus_plus_of_tiny_gradients():
    A, G = layer((1, 4, 5, 5), scale=1e-20)
    expected = reference.cam_maps(A, G, "gradcam++")
    np.testing.assert_allclose(on_device(cam_maps, A, G, "gradcam++"), expected, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_channels_that_lie_last(method):
    A, G = map(torch.from_numpy, layer((2, 8, 5, 6)))
    last = [x.contiguous(memory_format=torch.channels_last) for x in (A, G)]
    assert torch.equal(cam_maps(*last, method), cam_maps(A, G, method))


@pytest.mark.parametrize("which", ["activations", "gradients"])
@pytest.mark.parametrize("side", [5, 17], ids=["small", "large"])
@pytest.mark.parametrize("method", METHODS)
def test_nan_is_seen(method, side, which):
    A, G = layer((2, 4, side, side))
    (A if which == "activations" else G)[0, 1, 2, 3] = np.nan
    G[0, 1, 0, 0] = 1.0
    found = on_device(cam_maps, A, G, method)
    assert np.array_equal(np.isnan(found), np.isnan(reference.cam_maps(A, G, method)))
    assert np.isnan(found[0, 2, 3])
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_map_does_not_depend_on_the_others_in_the_batch(method):
    A, G = map(torch.from_numpy, layer((2, 33, 17, 17)))
    whole = cam_maps(A, G, method)
    alone = [cam_maps(A[i : i + 1], G[i : i + 1], method) for i in range(2)]
    assert torch.equal(whole, torch.cat(alone))


def test_large_sums_keep_their_digits():
    """Of which 16 blocks at a time are summed in float32."""
    A = np.ones((1, 1, 20_000), np.float32)
    found = on_device(cam_maps, A, np.full_like(A, 0.1), "gradcam")
    np.testing.assert_allclose(found, np.float32(0.1), rtol=2e-7)


SIZES = {
    "1-D": ((4, 5), (17,)),
    "1-D, long": ((1, 50), (300,)),
    "2-D": ((2, 7, 7), (9, 130)),
    "3-D": ((2, 3, 4, 5), (9, 11, 13)),
    "one cell": ((2, 1, 1), (5, 6)),
    "same size": ((2, 6, 7), (6, 7)),
    "smaller": ((2, 16, 9), (5, 4)),
    "one pixel": ((2, 4, 4), (1, 1)),
    "thirds": ((1, 4, 4), (12, 6)),
    "no map": ((0, 4, 4), (8, 8)),
}
INTO = pytest.mark.parametrize("shape, size", SIZES.values(), ids=SIZES.keys())


@pytest.mark.parametrize("relu", [True, False], ids=["relu", "signed"])
@INTO
def test_upsampling_is_that_of_the_reference(shape, size, relu):
    coarse = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    agree(on_device(upsample, coarse, size, relu), reference.upsample(coarse, size, relu))


def test_upsampling_rectifies_first():
    found = on_device(upsample, np.array([[-3.0, 1.0]], np.float32), (4,), True)
    np.testing.assert_allclose(found, [[0, 0.25, 0.75, 1]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("relu", [True, False], ids=["relu", "signed"])
@pytest.mark.parametrize("size", [(4, 4), (16, 12), (3, 5)], ids=str)
def test_what_is_not_finite_reaches_its_pixels_only(size, relu, value):
    coarse = np.ones((1, 4, 4), np.float32)
    coarse[0, 1, 2] = value
    found, expected = (
        on_device(upsample, coarse, size, relu),
        reference.upsample(coarse, size, relu),
    )
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.isfinite(found[0, -1]).all()


def test_long_axes_do_not_overflow():
    """(2 i + 1) n passes 2^31."""
    n, size = 1_500_000, 1000
    coarse = np.random.default_rng(0).standard_normal((1, n)).astype(np.float32)
    found = on_device(upsample, coarse, (size,), False)[0]
    place = (np.arange(size) + 0.5) * n / size - 0.5
    np.testing.assert_allclose(found, np.interp(place, np.arange(n), coarse[0]), atol=2e-6)


def test_two_runs_give_the_same_bits_and_leave_their_inputs():
    A, G = map(torch.from_numpy, layer((1, 9, 17, 18)))
    kept = A.clone(), G.clone()

    def everything():
        maps = [cam_maps(A, G, method) for method in METHODS] + [weighted_sum(A, G[:, :, 0, 0])]
        return [*maps, *(upsample(found, (8, 30), True) for found in maps)]

    assert all(map(torch.equal, everything(), everything()))
    assert torch.equal(A, kept[0])
    assert torch.equal(G, kept[1])
