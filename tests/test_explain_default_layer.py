"""The default layer, by execution, and the one forward that it costs."""

import gc
import weakref

import networks
import pytest
import torch
import torch.nn.functional as F
from layering import default, inputs_for
from torch import nn

from fastxai import InvalidInputError
from fastxai.errors import ModelError
from fastxai.explain.inputs import read_inputs
from fastxai.explain.layers.layers import OpTap, resolve_layers
from fastxai.explain.recorder import record


class Count:
    """How often a model ran."""

    def __init__(self, model):
        self.calls = 0
        model.register_forward_pre_hook(self)

    def __call__(self, *_):
        self.calls += 1


DEFAULTS = {
    "plain_cnn": "features",
    "vgg_like": "features.8",
    "functional_cnn": ("relu", 1),
    "residual": "layer2",
    "preactivation": "3",
    "branching": "2",
    "densenet_like": ("relu", 2),
    "reused_block": "block",
    "relu6_mobile": "6",
    "unet": "up",
    "dict_output": "trunk.features",
    "tuple_output": "trunk.features",
    "logits_object": "trunk.features",
    "binary": "features",
    "two_inputs": "trunk.features",
    "mapping_inputs": "trunk.features",
    "cnn_1d": "4",
    "cnn_3d": "4",
    "grey": "features",
    "cam_net": "4",
    "fully_convolutional": "6",
    "no_grad_inside": "last",
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_default_layer(name):
    build = networks.NETWORKS[name]
    layer, expected = default(model := build(), inputs_for(build)), DEFAULTS[name]
    if isinstance(expected, tuple):
        assert (layer.module, layer.op) == (None, expected)
    else:
        assert (layer.name, layer.op) == (expected, None)
        assert layer.module is model.get_submodule(expected)
    assert layer.reshape is None
    assert layer.call == (1 if name == "reused_block" else None)


class Backwards(nn.Module):
    """Runs its modules in another order than it registers them."""

    def __init__(self):
        super().__init__()
        self.fc, self.second = nn.Linear(8, 5), nn.Conv2d(8, 8, 3)
        self.first, self.unused = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)

    def forward(self, x):
        return self.fc(self.second(self.first(x)).mean((2, 3)))


class SideBranch(Backwards):
    """An auxiliary head runs last; the explained output does not depend on it."""

    def forward(self, x):
        x = self.first(x)
        y = self.fc(self.second(x).mean((2, 3)))
        return {"logits": y, "auxiliary": self.unused(x).mean((2, 3))}


class Smoothed(Backwards):
    """A pooling that keeps the size comes before the mean."""

    def forward(self, x):
        x = self.second(self.first(x))
        return self.fc(F.avg_pool2d(x, 3, stride=1, padding=1).mean((2, 3)))


class Filled(Backwards):
    """Maps are written into a buffer, piece by piece."""

    def forward(self, x):
        x = self.first(x)
        maps = torch.zeros(len(x), 8, 12, 12)
        maps[:, :4], maps[:, 4:] = self.second(x)[:, :4], self.second(x)[:, 4:]
        return self.fc(maps.relu().mean((2, 3)))


class NeedsTwo(Backwards):
    """`squeeze` without an axis: a single image fails."""

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.second(self.first(x)), 1).squeeze()
        return self.fc(x).log_softmax(dim=1)


class Segments(Backwards):
    """Logits a pixel, brought to the images' size and turned into probabilities."""

    def forward(self, x):
        x = F.relu(self.second(self.first(x)))
        return F.interpolate(self.unused(x), scale_factor=2).softmax(1)


class SegmentsOne(Segments):
    """One map, without an axis of classes."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Conv2d(8, 1, 3)

    def forward(self, x):
        return self.unused(F.relu(self.second(self.first(x)))).squeeze(1)


class Swish(nn.Module):
    """As an extension or scripted code would do it: no operation of it can be seen."""

    def forward(self, x):
        with torch._C.DisableTorchFunction():
            return x * torch.sigmoid(x)


class Hidden(Backwards):
    """The activation can not be looked into, nor can a part of the head."""

    def __init__(self):
        super().__init__()
        self.act, self.last = Swish(), Swish()

    def forward(self, x):
        return self.last(self.fc(self.act(self.second(self.first(x))).mean((2, 3))))


class Detour(Backwards):
    """NumPy on the way: what the output depends on can not be followed."""

    def forward(self, x):
        maps = F.relu(self.second(self.first(x)))
        return self.fc(torch.from_numpy(maps.numpy()).mean((2, 3)))


class Doubled(Backwards):
    """Dropout hands on the very tensor that the convolution gave."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout()

    def forward(self, x):
        return self.fc(self.drop(self.second(self.first(x))).mean((2, 3)))


@pytest.mark.parametrize(
    ("net", "name", "n"),
    [
        (Backwards, "second", 1),
        (SideBranch, "second", 1),
        (Smoothed, "second", 1),
        (Filled, "relu[0]", 1),
        (NeedsTwo, "second", 2),
        (Segments, "relu[0]", 1),
        (SegmentsOne, "relu[0]", 1),
        (Doubled, "second", 1),
        (Hidden, "act", 1),
        (Detour, "relu[0]", 1),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_default_layer_goes_by_execution_and_by_what_the_output_depends_on(net, name, n):
    assert default(net().eval(), torch.rand(n, 3, 16, 16)).name == name


class TwoTowers(nn.Module):
    """Another input has convolutions of its own, which run last."""

    def __init__(self):
        super().__init__()
        self.image, self.other = nn.Conv2d(3, 4, 3), nn.Conv2d(1, 4, 3)

    def forward(self, image, other):
        image, other = self.image(image).relu(), self.other(other).relu()
        return image.mean((2, 3)) + other.mean((2, 3))


@pytest.mark.parametrize(("wrt", "op"), [(0, ("relu", 0)), (1, ("relu", 1))])
def test_other_inputs_convolutions_do_not_count(wrt, op):
    given = (torch.rand(2, 3, 16, 16), torch.rand(2, 1, 16, 16))
    assert default(TwoTowers().eval(), read_inputs(given, wrt)).op == op


def test_the_explained_output_decides_among_branches():
    model, x = SideBranch().eval(), torch.rand(1, 3, 16, 16)
    assert default(model, x, output="logits").name == "second"
    assert default(model, x, output="auxiliary").name == "unused"


def test_without_convolution_and_attention_the_layer_must_be_named():
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    with pytest.raises(InvalidInputError, match=r"no convolution.*layer="):
        default(model, torch.rand(1, 3, 4, 4))


@pytest.mark.parametrize("name", ["functional_cnn", "densenet_like"])
def test_a_tap_cuts_at_the_operation(name):
    build = networks.NETWORKS[name]
    model, x = build(), networks.images(build)
    layer = default(model, x)
    given = []

    def double(where, tensor):
        given.append((where, tensor.clone()))
        return 2 * tensor

    with torch.no_grad(), OpTap([layer], double):
        changed = model(x)
    ((where, maps),) = given
    assert where is layer
    assert maps.min() == 0 and maps.ndim == 4
    with torch.no_grad():
        if name == "functional_cnn":
            expected = model.fc(torch.flatten(F.max_pool2d(2 * maps, 2), 1))
            seen = F.relu(model.conv2(F.max_pool2d(F.relu(model.conv1(x)), 2)))
        else:
            expected = model.classifier(2 * maps.mean((2, 3)))
            seen = F.relu(model.features(x))
    torch.testing.assert_close(changed, expected)
    torch.testing.assert_close(maps, seen)


class InPlace(Backwards):
    """A ReLU in place, whose result is not looked at."""

    def forward(self, x):
        x = self.second(self.first(x))
        x.relu_()
        return self.fc(x.mean((2, 3)))


class Pieces(Filled):
    """The last thing that happens to the maps is that they are filled."""

    def forward(self, x):
        x, maps = self.second(self.first(x)), torch.empty(len(x), 8, 12, 12)
        maps[:, 4:], maps[:, :4] = x[:, 4:], x[:, :4]
        return self.fc(maps.mean((2, 3)))


class Handed(Backwards):
    """What the others compute, in one piece."""

    def forward(self, x):
        x = self.second(self.first(x))
        return self.fc((F.relu(x) if self.activated else x).mean((2, 3)))


@pytest.mark.parametrize(("net", "op"), [(InPlace, ("relu_", 0)), (Pieces, ("__setitem__", 1))])
def test_operations_in_place_are_cut_though_nothing_is_handed_on(net, op):
    torch.manual_seed(0)
    model, plain = net().eval().requires_grad_(False), Handed().eval().requires_grad_(False)
    plain.load_state_dict(model.state_dict())
    plain.activated = net is InPlace
    x = torch.randn(2, 3, 16, 16)
    layer = default(model, x)
    assert layer.op == op
    with record(model, read_inputs(x), [layer]) as recording:
        (maps,) = recording.activations[layer]
        (gradient,) = torch.autograd.grad(recording.output[:, 1].sum(), maps)
    torch.testing.assert_close(recording.output, plain(x))
    torch.testing.assert_close(gradient, plain.fc.weight[1, :, None, None].expand_as(maps) / 144)
    seen = plain.second(plain.first(x))
    torch.testing.assert_close(maps, seen.relu() if plain.activated else seen)


@pytest.mark.parametrize("layer", [None, "layer2", "layer2.1.conv2", ["layer1", "layer2"]])
def test_only_the_default_costs_a_forward_and_only_once(layer):
    model = networks.residual()
    count, inputs = Count(model), inputs_for(networks.residual)
    for _ in range(3):
        resolve_layers(model, layer, inputs)
    assert count.calls == (1 if layer is None else 0)


def test_a_model_that_was_changed_is_looked_at_again():
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn)
    assert default(model, x).name == "features"
    model.pool = nn.Sequential(nn.Conv2d(16, 16, 1), nn.AdaptiveAvgPool2d(1))
    assert default(model, x).name == "pool.0"


def test_nothing_keeps_the_model_or_its_activations_alive():
    model, x = networks.residual(), networks.images(networks.residual)
    gc.collect()
    before = sum(type(found) is torch.Tensor for found in gc.get_objects())
    default(model, x)
    gc.collect()
    assert sum(type(found) is torch.Tensor for found in gc.get_objects()) == before
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("fails", [False, True], ids=["runs", "raises"])
def test_no_hook_stays(fails):
    model = networks.plain_cnn()
    x = torch.rand(1, 5 if fails else 3, 24, 24)
    if fails:
        with pytest.raises(ModelError, match="the model's forward raised") as caught:
            default(model, x)
        assert isinstance(caught.value.__cause__, RuntimeError)
    else:
        default(model, x)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.overrides._get_current_function_mode() is None
