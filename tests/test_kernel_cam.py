"""The kernels of the class activation maps against their reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")

METHODS = ["gradcam", "gradcam++", "hirescam", "layercam"]
LAYERS = {
    "1-D": (3, 5, 50),
    "2-D": (2, 37, 7, 9),
    "3-D": (2, 6, 3, 4, 5),
    "one image, one channel, one pixel": (1, 1, 1, 1),
    "several blocks and parts": (2, 70, 62, 67),
    "one channel of many pixels": (1, 1, 300, 301),
    "one image more than threads": (9, 3, 4, 4),
}


def layer(shape, seed=0, scale=1.0):
    """Activations as a rectifier leaves them, and gradients of both signs, some exactly 0."""
    random = np.random.default_rng(seed)
    A = np.maximum(random.standard_normal(shape), 0)
    G = random.standard_normal(shape) * (random.random(shape) < 0.8) * scale
    return A.astype(np.float32), G.astype(np.float32)


def agree(found, expected, terms=1.0):
    """Equal to the rounding of float32, of sums whose terms are up to ``terms``."""
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6 * terms)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS.keys())
def test_maps_are_those_of_the_reference(shape, method):
    A, G = layer(shape)
    agree(cpu.cam_maps(A, G, method), reference.cam_maps(A, G, method))


@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS.keys())
def test_weighted_sums_are_those_of_the_reference(shape):
    A, G = layer(shape)
    weights = np.ascontiguousarray(G.reshape(*shape[:2], -1)[:, :, 0])
    agree(cpu.weighted_sum(A, weights), reference.weighted_sum(A, weights))


@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
def test_grad_cam_by_hand(backend):
    A = np.array([[[[1, 2], [3, 4]], [[0, 1], [0, 0]]]], np.float32)
    G = np.array([[[[2, 0], [0, 2]], [[-4, 0], [0, 0]]]], np.float32)
    found = {method: backend.cam_maps(A, G, method)[0] for method in METHODS}
    np.testing.assert_allclose(found["gradcam"], [[1, 1], [3, 4]])
    np.testing.assert_allclose(found["hirescam"], [[2, 0], [0, 8]])
    np.testing.assert_allclose(found["layercam"], [[2, 0], [0, 8]])
    # alpha = 4 / (8 + 10 * 8) where G is 2; the second channel has no positive gradient.
    np.testing.assert_allclose(found["gradcam++"], 4 * 4 / 88 * A[0, 0], rtol=1e-6)


@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
def test_grad_cam_plus_plus_of_tiny_gradients(backend):
    A, G = layer((1, 4, 5, 5), scale=1e-20)
    # sum(A) G is nothing beside 2, and alpha is 1/2.
    expected = (np.maximum(G.astype(float), 0).sum(axis=(2, 3))[:, :, None, None] / 2 * A).sum(1)
    np.testing.assert_allclose(backend.cam_maps(A, G, "gradcam++"), expected, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_channels_that_lie_last(method):
    A, G = layer((2, 8, 5, 6))
    last = [np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for x in (A, G)]
    assert np.array_equal(cpu.cam_maps(*last, method), cpu.cam_maps(A, G, method))


@pytest.mark.parametrize("which", ["activations", "gradients"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
def test_nan_is_seen(backend, method, which):
    A, G = layer((2, 4, 5, 5))
    (A if which == "activations" else G)[0, 1, 2, 3] = np.nan
    if method == "gradcam++":
        G[0, 1, 0, 0] = 1.0
    found = backend.cam_maps(A, G, method)
    assert np.isnan(found[0, 2, 3])
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_map_does_not_depend_on_the_others_in_the_batch(method):
    A, G = layer((5, 30, 70, 70))
    whole = cpu.cam_maps(A, G, method)
    alone = [cpu.cam_maps(A[i : i + 1], G[i : i + 1], method)[0] for i in range(5)]
    assert np.array_equal(whole, alone)


def test_large_sums_keep_their_digits():
    A = np.ones((1, 1, 1, 2**20), np.float32)
    G = np.full_like(A, 0.1)
    np.testing.assert_allclose(cpu.cam_maps(A, G, "gradcam"), np.float32(0.1), rtol=2e-7)


SIZES = {
    "1-D": ((4, 5), (17,)),
    "2-D": ((3, 7, 7), (224, 200)),
    "3-D": ((2, 3, 4, 5), (9, 11, 13)),
    "one cell": ((2, 1, 1), (5, 6)),
    "same size": ((2, 6, 7), (6, 7)),
    "smaller": ((2, 16, 9), (5, 4)),
    "one pixel": ((2, 4, 4), (1, 1)),
    "no map": ((0, 4, 4), (8, 8)),
}


@pytest.mark.parametrize("relu", [True, False], ids=["relu", "signed"])
@pytest.mark.parametrize("shape, size", SIZES.values(), ids=SIZES.keys())
def test_upsampling_is_that_of_the_reference(shape, size, relu):
    coarse = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    agree(cpu.upsample(coarse, size, relu), reference.upsample(coarse, size, relu))


@pytest.mark.parametrize("relu", [True, False], ids=["relu", "signed"])
@pytest.mark.parametrize("shape, size", SIZES.values(), ids=SIZES.keys())
def test_upsampling_is_that_of_torch(shape, size, relu):
    torch = pytest.importorskip("torch")
    if 0 in shape:
        pytest.skip("torch refuses an empty batch")
    coarse = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)]
    given = torch.from_numpy(coarse)[:, None]
    expected = torch.nn.functional.interpolate(given.relu() if relu else given, size, mode=mode)
    # torch computes the places in float32, too.
    np.testing.assert_allclose(
        cpu.upsample(coarse, size, relu), expected[:, 0].numpy(), atol=5e-7 * max(shape)
    )


@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
def test_upsampling_rectifies_first(backend):
    found = backend.upsample(np.array([[-3.0, 1.0]], np.float32), (4,), True)
    np.testing.assert_allclose(found, [[0, 0.25, 0.75, 1]])


@pytest.mark.parametrize("relu", [True, False], ids=["relu", "signed"])
@pytest.mark.parametrize("size", [(4, 4), (16, 12), (3, 5)], ids=str)
def test_upsampled_nan_reaches_its_pixels_only(size, relu):
    coarse = np.ones((1, 4, 4), np.float32)
    coarse[0, 1, 2] = np.nan
    found, expected = cpu.upsample(coarse, size, relu), reference.upsample(coarse, size, relu)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.isnan(found).any()
    assert np.isfinite(found[0, -1]).all()


floats = st.floats(-100, 100, width=32)
shapes = st.tuples(st.integers(1, 3), st.integers(1, 5)).flatmap(
    lambda nc: hnp.array_shapes(min_dims=1, max_dims=3, max_side=6).map(lambda s: nc + s)
)


@settings(max_examples=60, deadline=None)
@given(shapes, st.sampled_from(METHODS), st.data())
def test_any_layer_gives_the_maps_of_the_reference(shape, method, data):
    A = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 100, width=32)))
    G = data.draw(hnp.arrays(np.float32, shape, elements=floats))
    agree(cpu.cam_maps(A, G, method), reference.cam_maps(A, G, method), 1e4 * shape[1])


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=6), elements=floats),
    st.lists(st.integers(1, 15), min_size=3, max_size=3),
    st.booleans(),
)
def test_any_map_is_upsampled_as_by_the_reference(coarse, size, relu):
    size = tuple(size[: coarse.ndim - 1])
    agree(cpu.upsample(coarse, size, relu), reference.upsample(coarse, size, relu), 100)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_number_of_threads_changes_no_bit(count):
    A, G = layer((2, 60, 70, 70))
    weights = np.ascontiguousarray(G[:, :, 0, 0])

    def everything():
        maps = [cpu.cam_maps(A, G, method) for method in METHODS]
        maps.append(cpu.weighted_sum(A, weights))
        return [cpu.upsample(found, (224, 224), True) for found in maps] + maps

    with threads(count):
        found = everything()
    with threads(3):
        assert all(map(np.array_equal, found, everything()))
