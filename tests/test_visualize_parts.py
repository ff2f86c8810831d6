"""The parts of feature visualisation, each against its formula."""

from __future__ import annotations

import copy
import threading

import networks
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fastxai.errors import InvalidInputError
from fastxai.explain.layers.layers import Layer
from fastxai.visualize.objectives import of_channels, of_directions
from fastxai.visualize.options import Options
from fastxai.visualize.penalties import likeness, penalty, total_variation
from fastxai.visualize.redirect import Redirected
from fastxai.visualize.spectrum import Spectrum, principal_colours, start
from fastxai.visualize.upto import UpTo
from fastxai.visualize.views import Views

CPU = torch.device("cpu")


def seeds(n, first=0):
    return [(first + k,) for k in range(n)]


# --- spectrum ----------------------------------------------------------------------------


def by_numpy(coefficients, size, decay, decorrelate):
    """The images of coefficients, in float64."""
    c = coefficients.double().numpy()
    down, across = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])
    frequency = np.maximum(np.hypot(down, across), 1 / max(size))
    pixels = np.fft.irfft2((c[..., 0] + 1j * c[..., 1]) / frequency**decay, s=size, norm="ortho")
    pixels = pixels / 4
    if decorrelate:
        pixels = np.einsum("rc,nchw->nrhw", principal_colours().double().numpy(), pixels)
    return 1 / (1 + np.exp(-pixels))


@pytest.mark.parametrize(
    ("channels", "size", "decay", "decorrelate"),
    [
        pytest.param(3, (16, 16), 1.0, True, id="colours"),
        pytest.param(3, (16, 16), 1.0, False, id="three channels that are no colours"),
        pytest.param(1, (16, 12), 1.0, False, id="grey, higher than wide"),
        pytest.param(1, (9, 15), 0.5, False, id="odd sides, another decay"),
        pytest.param(5, (8, 11), 0.0, False, id="five channels, one odd side, no decay"),
    ],
)
def test_images_are_those_of_the_formula(channels, size, decay, decorrelate):
    coefficients = 30 * start(seeds(2), channels, size)
    found = Spectrum(coefficients, size, decay, decorrelate).images().detach()
    expected = by_numpy(coefficients.detach(), size, decay, decorrelate)
    assert found.shape == (2, channels, *size)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_some_rows_are_those_of_all():
    spectrum = Spectrum(start(seeds(3), 3, (8, 8)), (8, 8), 1.0, True)
    rows = torch.tensor([2, 0])
    np.testing.assert_allclose(spectrum.images(rows).detach(), spectrum.images()[rows].detach())


def test_the_start_is_the_seeds_own():
    assert torch.equal(start([(5,), (9,)], 1, (8, 8))[1], start([(9,)], 1, (8, 8))[0])
    assert not torch.equal(*start([(5,), (9,)], 1, (8, 8)))


# --- views -------------------------------------------------------------------------------


def slopes(images):
    """Down and across, in the middle of each image."""
    middle = images[:, 0, 20:40, 30:60].double()
    return middle.diff(dim=1).mean((1, 2)), middle.diff(dim=2).mean((1, 2))


def ramp(n, high=60, wide=90):
    """Columns by their number."""
    return torch.arange(wide, dtype=torch.float32).expand(n, 1, high, wide).contiguous()


def seen(n=8, **given):
    options = Options(**{"jitter": 0.0, "scaling": 0.0, "rotation": 0.0, **given})
    return Views(seeds(n), 1, options, (60, 90), CPU).of(ramp(n), 0)


def test_without_changes_the_image_itself_is_seen():
    images = ramp(2)
    still = Options(jitter=0.0, scaling=0.0, rotation=0.0)
    assert Views(seeds(2), 1, still, (60, 90), CPU).of(images, 0) is images


def test_jitter_shifts_by_a_share_of_the_side():
    shifts = (seen(n=64, jitter=0.1) - ramp(64))[:, 0, 20:40, 30:60]
    assert shifts.std((1, 2)).max() < 1e-3
    reached = shifts.mean((1, 2))
    assert reached.abs().max() <= 9.001
    assert reached.max() > 7
    assert reached.min() < -7


def test_scaling_is_by_a_factor_either_way():
    down, across = slopes(seen(n=64, scaling=0.25))
    assert down.abs().max() < 1e-4
    assert across.min() >= 0.8 - 1e-4
    assert across.max() <= 1.25 + 1e-4
    assert across.min() < 0.85
    assert across.max() > 1.15


def test_rotation_turns_without_stretching():
    down, across = slopes(seen(n=64, rotation=20.0))
    torch.testing.assert_close(
        torch.hypot(down, across), torch.ones(64).double(), rtol=0, atol=1e-3
    )
    degrees = torch.rad2deg(torch.atan2(down, across))
    assert degrees.abs().max() <= 20.01
    assert degrees.abs().max() > 15


def test_each_image_and_step_has_its_own_view():
    views = Views(seeds(2), 2, Options(), (60, 90), CPU)
    a, b = views.of(ramp(2), 0)
    assert not torch.equal(a, b)
    assert not torch.equal(a, views.of(ramp(2), 1)[0])


def test_a_view_does_not_depend_on_company():
    alone = Views([(7,)], 3, Options(), (60, 90), CPU).of(ramp(1), 2)[0]
    among = Views([(3,), (7,)], 3, Options(), (60, 90), CPU)
    torch.testing.assert_close(among.of(ramp(2), 2)[1], alone)
    torch.testing.assert_close(among.of(ramp(1), 2, torch.tensor([1]))[0], alone)


# --- objectives --------------------------------------------------------------------------


@pytest.fixture
def activation():
    return torch.randn(4, 6, 5, 7, generator=torch.Generator().manual_seed(0))


def test_channels_by_image(activation):
    found = of_channels([2, 0, 5, 2], "channel", 1).scores(activation)
    expected = torch.stack([activation[k, c].mean() for k, c in enumerate([2, 0, 5, 2])])
    torch.testing.assert_close(found, expected)


def test_units_by_image(activation):
    places = [(0, 1), (4, 6), (2, 2), (3, 0)]
    found = of_channels([2, 0, 5, 2], "unit", 2, places).scores(activation)
    rows = zip(activation, [2, 0, 5, 2], places, strict=True)
    expected = torch.stack([maps[c, y, x] for maps, c, (y, x) in rows])
    torch.testing.assert_close(found, expected)


def test_the_centre_is_the_middle(activation):
    found = of_channels([1] * 4, "unit", 2, "centre").checked((4, 6, 5, 7), "the layer")
    torch.testing.assert_close(found.scores(activation), activation[:, 1, 2, 3])


def test_directions_are_products_with_unit_vectors(activation):
    vectors = np.arange(24, dtype=np.float32).reshape(4, 6) - 7
    found = of_directions(vectors).scores(activation)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = np.einsum("nc,nc->n", unit, activation.mean((2, 3)).numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    at = of_directions(vectors, (1, 2)).scores(activation)
    np.testing.assert_allclose(
        at, np.einsum("nc,nc->n", unit, activation[:, :, 1, 2].numpy()), rtol=1e-5, atol=1e-6
    )


def test_the_direction_of_a_channel_is_the_channel(activation):
    eye = of_directions(3 * np.eye(6, dtype=np.float32)[[0, 1, 2, 3]])
    torch.testing.assert_close(
        eye.scores(activation), of_channels([0, 1, 2, 3], "channel", 1).scores(activation)
    )


@pytest.mark.parametrize("make", [of_channels, of_directions])
def test_layers_without_a_map(activation, make):
    flat = activation[:, :, 0, 0]
    if make is of_channels:
        found, expected = of_channels([3] * 4, "unit", 2, "centre"), flat[:, 3]
    else:
        found, expected = of_directions(np.eye(6)[[3] * 4]), flat[:, 3]
    torch.testing.assert_close(found.checked(tuple(flat.shape), "it").scores(flat), expected)


def test_parts_keep_titles_and_keys_together():
    whole = of_channels([4, 8, 6], "unit", 2, [(0, 0), (1, 1), (2, 2)])
    part = whole.part(torch.tensor([2, 2, 0]))
    assert part.titles == ("unit 6 at 2, 2", "unit 6 at 2, 2", "unit 4 at 0, 0")
    assert part.keys == ((2, 6, 2, 2), (2, 6, 2, 2), (2, 4, 0, 0))
    assert part.channels.tolist() == [6, 6, 4]
    assert part.positions.tolist() == [[2, 2], [2, 2], [0, 0]]


# --- penalties ---------------------------------------------------------------------------


def test_total_variation():
    images = torch.zeros(2, 1, 4, 5)
    images[1, 0, :, 2:] = 1.0  # one edge: 4 of 16 differences across are 1
    assert total_variation(images).tolist() == [0.0, 0.25]


@pytest.mark.parametrize(
    ("channels", "places"),
    [
        pytest.param(3, (4, 5), id="more places than channels"),
        pytest.param(40, (2, 3), id="more channels than places"),
        pytest.param(12, (), id="no places"),
    ],
)
def test_likeness_is_the_mean_cosine_of_gram_matrices(channels, places):
    features = torch.randn(6, channels, *places, generator=torch.Generator().manual_seed(1))
    found = likeness(features, 3)
    flat = features.reshape(6, channels, -1).double()
    if places:
        flat = flat - flat.mean(2, keepdim=True)
    gram = (flat @ flat.transpose(1, 2)).flatten(1)
    gram = gram / gram.norm(dim=1, keepdim=True)
    for k in range(6):
        others = [j for j in range(k // 3 * 3, k // 3 * 3 + 3) if j != k]
        expected = sum(float(gram[k] @ gram[j]) for j in others) / 2
        assert float(found[k]) == pytest.approx(expected, abs=1e-5)


def test_the_penalty_is_the_weighted_sum():
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    features = torch.rand(4, 5, 4, 4, generator=torch.Generator().manual_seed(3))
    options = Options(total_variation=2.0, l2=3.0, copies=2, diversity=0.5)
    expected = (
        2 * total_variation(images)
        + 3 * ((images - 0.5) ** 2).mean((1, 2, 3))
        + 0.5 * likeness(features, 2)
    )
    torch.testing.assert_close(penalty(options, images, features), expected)
    assert penalty(Options(), images, features) is None


# --- ReLUs that are off ------------------------------------------------------------------


def clamped(x):
    return x.clamp(min=0)


RELUS = {
    "function": torch.relu,
    "functional": F.relu,
    "method": lambda x: x.relu(),
    "in place, returned": lambda x: F.relu(x, inplace=True),
    "in place, the tensor itself": lambda x: (x.relu_(), x)[1],
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "ReLU6": nn.ReLU6(),
    "clamp": clamped,
}


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS)
def test_gradients_that_would_switch_on_pass(relu):
    x = torch.tensor([-1.0, -1.0, 2.0, 2.0], requires_grad=True)
    R = torch.tensor([1.0, -1.0, 1.0, -1.0])
    with Redirected():
        y = relu(1.0 * x)
    assert y.tolist() == [0.0, 0.0, 2.0, 2.0]
    assert torch.autograd.grad(y, x, R)[0].tolist() == [1.0, 0.0, 1.0, -1.0]


def test_other_activations_are_left_alone():
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    with Redirected():
        y = torch.tanh(x)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], 1 - torch.tanh(x.detach()) ** 2)


# --- up to a layer -----------------------------------------------------------------------


def whole(model, layer, x):
    kept = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *a: kept.append(a[2].clone()))
    with torch.no_grad():
        model(x)
    handle.remove()
    return kept


def layer_of(model, name, **more):
    return Layer(name, model.get_submodule(name), **more)


@pytest.mark.parametrize("name", ["features.0", "features.1", "features.4", "pool", "fc"])
def test_the_activation_is_that_of_the_whole_pass(name):
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn)
    expected = whole(model, name, x)[0]
    with UpTo(model, layer_of(model, name)) as network, torch.no_grad():
        assert torch.equal(network(x).activation, expected)


def test_nothing_above_the_layer_runs():
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn)
    for name in ("features.4", "pool", "fc"):
        model.get_submodule(name).register_forward_pre_hook(lambda *_: pytest.fail("it ran"))
    with UpTo(model, layer_of(model, "features.3")) as network:
        network(x)


def test_models_that_catch_exceptions_do_not_catch_the_stop():
    class Catching(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            try:
                return self.conv(x)
            except Exception:
                return x

    model = Catching()
    with UpTo(model, layer_of(model, "conv")) as network:
        assert network(torch.rand(1, 3, 8, 8)).activation.shape == (1, 4, 6, 6)


def test_a_call_of_several():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            return self.conv(self.conv(x))

    model, x = Twice(), torch.rand(1, 3, 8, 8)
    first, second = whole(model, "conv", x)
    for call, expected in ((0, first), (1, second)):
        with UpTo(model, layer_of(model, "conv", call=call)) as network, torch.no_grad():
            assert torch.equal(network(x).activation, expected)
    with (
        UpTo(model, layer_of(model, "conv", call=2)) as network,
        pytest.raises(InvalidInputError, match=r"ran 2 times.*call=2"),
    ):
        network(x)


def test_an_operation_without_a_module():
    model, x = networks.functional_cnn(), networks.images(networks.functional_cnn)
    with UpTo(model, Layer("relu[1]", op=("relu", 1))) as network, torch.no_grad():
        found = network(x).activation
    assert found.shape[1] == 12
    assert (found >= 0).all()


def test_features_of_an_operation_on_the_way():
    model, x = networks.functional_cnn(), networks.images(networks.functional_cnn)
    place = Layer("relu[1]", op=("relu", 1))
    with UpTo(model, None, None, place) as network, torch.no_grad():
        found = network(x)
    with UpTo(model, place) as network, torch.no_grad():
        assert torch.equal(network(x).activation, found.features)
    assert torch.equal(found.activation, model(x))


def test_features_of_a_layer_on_the_way():
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn)
    expected = whole(model, "features.3", x)[0]
    beside = layer_of(model, "features.3")
    with UpTo(model, layer_of(model, "fc"), None, beside) as network, torch.no_grad():
        assert torch.equal(network(x).features, expected)


def test_hooks_leave_and_copies_have_their_own():
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn)
    layer = layer_of(model, "features.3")
    with UpTo(model, layer) as network:
        twin = copy.deepcopy(network)
        with torch.no_grad():
            expected = network(x).activation
    assert not layer.module._forward_hooks
    with torch.no_grad():
        assert torch.equal(twin(x).activation, expected)
    assert twin.layer.module is twin.model.get_submodule("features.3")


def test_others_run_the_model_as_ever_meanwhile():
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn)
    with torch.no_grad():
        expected, found = model(x), []

        def other():
            with torch.no_grad():
                found.append(model(x))

        def once(*_):
            if not found:
                found.append(None)
                thread = threading.Thread(target=other)
                thread.start()
                thread.join()

        with UpTo(model, layer_of(model, "features.3")) as network:
            model.features[0].register_forward_pre_hook(once)
            network(x)
    assert torch.equal(found[1], expected)


def test_a_layer_that_does_not_run():
    model = networks.plain_cnn()
    model.spare = nn.Conv2d(3, 3, 1)
    with (
        UpTo(model, layer_of(model, "spare")) as network,
        pytest.raises(InvalidInputError, match="did not run"),
    ):
        network(networks.images(networks.plain_cnn))
