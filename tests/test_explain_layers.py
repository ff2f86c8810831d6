"""Layers by name and by module, and those that there are not."""

import networks
import pytest
import torch
from layering import default, inputs_for
from torch import nn

from fastxai import InvalidInputError
from fastxai.explain.layers.layers import Layer, near_names, resolve_layers
from fastxai.explain.recorder import record


def test_by_name_and_by_module():
    model, inputs = networks.residual(), inputs_for(networks.residual)
    named = resolve_layers(model, ["layer1", "layer2.0.conv1"], inputs)
    given = resolve_layers(model, (model.layer1, model.layer2[0].conv1), inputs)
    assert named == given
    assert [layer.name for layer in named] == ["layer1", "layer2.0.conv1"]
    assert named[1].module is model.layer2[0].conv1


def test_what_is_asked_for_twice_comes_once():
    model, inputs = networks.residual(), inputs_for(networks.residual)
    assert len(resolve_layers(model, ["layer1", model.layer1], inputs)) == 1


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_of_wrapped_models_hold(prefix):
    model, inputs = networks.residual(), inputs_for(networks.residual)
    (layer,) = resolve_layers(model, f"{prefix}layer2", inputs)
    assert layer.name == "layer2"


def test_operations_are_named_as_the_default_layer_says():
    model, inputs = networks.functional_cnn(), inputs_for(networks.functional_cnn)
    found = resolve_layers(model, ["relu[0]", "conv1", "relu[1]"], inputs)
    assert [layer.op for layer in found] == [("relu", 0), None, ("relu", 1)]
    assert found[2] == default(model, inputs)


@pytest.mark.parametrize(
    ("layer", "message"),
    [("relu[2]", "relu runs 2 times, counted from 0"), ("gelu[0]", "it runs clone, conv2d, fl")],
)
def test_operations_that_do_not_run(layer, message):
    with pytest.raises(InvalidInputError, match=message):
        resolve_layers(networks.functional_cnn(), layer, inputs_for(networks.functional_cnn))


def test_call_and_reshape_are_handed_on():
    model, inputs = networks.reused_block(), inputs_for(networks.reused_block)
    (layer,) = resolve_layers(model, "block", inputs, call=0, reshape=torch.relu)
    assert (layer.call, layer.reshape) == (0, torch.relu)
    layer = default(model, inputs, call=0, reshape=torch.relu)
    assert (layer.name, layer.call, layer.reshape) == ("block", 0, torch.relu)


def test_a_reshape_need_have_no_hash():
    class Same:
        __hash__ = None

        def __call__(self, tensor):
            return tensor

    model, inputs = networks.reused_block(), inputs_for(networks.reused_block)
    layers = resolve_layers(model, ["block"], inputs, reshape=Same())
    with record(model, inputs, layers) as recording:
        assert len(recording.activations[layers[0]]) > 1


WRONG = {
    "unknown": ("layer9", r"no layer 'layer9'; near are 'layer[12]', 'layer[12]'"),
    "a part of a name": ("1.conv2", "'layer1.1.conv2', 'layer2.1.conv2'"),
    "too deep": ("layer2.1.conv2.weight", "near are 'layer2.1.conv2'"),
    "brackets": ("layer2[1].conv2", "near are 'layer2.1.conv2'"),
    "an index": ("layer2[1]", "near are 'layer2.1'"),
    "capitals": ("Layer2", "near are 'layer2'"),
    "nothing like it": ("transformer_blocks", "it holds 'conv1', 'bn1'"),
    "the empty name": ("", "no layer ''"),
    "a number": (3, "layer=3 is a int"),
    "an empty list": ([], "names no layer"),
    "a module of another model": (nn.ReLU(), "ReLU that the model does not hold"),
}


@pytest.mark.parametrize(("layer", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_layers(layer, message):
    with pytest.raises(InvalidInputError, match=message):
        resolve_layers(networks.residual(), layer, inputs_for(networks.residual))


def test_the_model_is_no_layer_of_itself():
    model = networks.residual()
    with pytest.raises(InvalidInputError, match="the model itself"):
        resolve_layers(model, model, inputs_for(networks.residual))


def test_near_names_are_few_and_known():
    model = networks.residual()
    near = near_names(model, "conv")
    assert 0 < len(near) <= 6
    assert set(near) <= dict(model.named_modules()).keys()


@pytest.mark.parametrize(
    ("reshape", "message"),
    [(None, r"layer 'fc': gives \(2, 5\)"), (torch.ravel, r"\(2, 5\) was reshaped to \(10,\)")],
    ids=["as it is", "reshaped"],
)
def test_what_is_no_map_is_refused(reshape, message):
    with pytest.raises(InvalidInputError, match=message):
        Layer("fc", reshape=reshape).arranged(torch.rand(2, 5), 2)
