"""Vision transformers: which layer is explained, and how its tokens become maps."""

import networks
import networks_attention as transformers
import networks_unusual
import pytest
import torch
from torch import nn

from fastxai import InvalidInputError
from fastxai.explain.inputs import read_inputs
from fastxai.explain.layers.layers import resolve_layers
from fastxai.explain.layers.tokens import ChannelsLast, Patches
from fastxai.explain.recorder import record

DEFAULTS = {
    "vit": ("encoder.layers.2.ln_1", Patches((3, 4), prefix=1)),
    "vit_registers": ("blocks.2.norm1", Patches((4, 3), prefix=3)),
    "vit_mean": ("blocks.2.norm1", Patches((3, 3))),
    "swin_like": ("features.3.1.norm2", ChannelsLast(2)),
}


def resolve(model, x, layer=None, **options):
    (found,) = resolve_layers(model, layer, read_inputs(x), **options)
    return found


def frozen(model):
    return model.eval().requires_grad_(False)


def recorded(model, x, layer):
    """The layer's activation and the first logit's gradient by it, arranged."""
    with record(frozen(model), read_inputs(x), [layer]) as recording:
        (raw,) = recording.activations[layer]
        (gradient,) = torch.autograd.grad(recording.output[:, 0].sum(), raw)
    return layer.arranged(raw.detach(), x.ndim - 2), layer.arranged(gradient, x.ndim - 2)


@pytest.mark.parametrize("name", DEFAULTS)
def test_default_layer(name):
    build = networks.NETWORKS[name]
    model, x = build(), networks.images(build, 3)
    layer = resolve(model, x)
    assert (layer.name, layer.reshape) == DEFAULTS[name]
    activation, gradient = recorded(model, x, layer)
    assert activation.shape[:2] == (3, 16)
    assert activation.ndim == 4
    assert (gradient.abs().sum(1) > 0).all()  # of every patch


def test_behind_the_last_attention_only_the_class_token_has_a_gradient():
    model, x = transformers.vit(), networks.images(transformers.vit)
    _, gradient = recorded(model, x, resolve(model, x, "encoder.layers.2.ln_2"))
    assert gradient.abs().max() == 0


OTHERS = {
    networks_unusual.SequenceFirst: ("norm", Patches((3, 4), 1, tokens_first=True)),
    networks_unusual.Merging: ("norm2", Patches((3, 4))),
    networks_unusual.MergingToOne: ("norm1", Patches((3, 4), 1)),
    networks_unusual.NormsByHand: ("blocks.1.norm1", Patches((3, 4), 1)),
    networks_unusual.Registers: ("blocks.1.norm1", Patches((3, 4), 2)),
    networks_unusual.PostNorm: ("stage", ChannelsLast(2)),
    networks_unusual.CutOut: ("norm", Patches((3, 4))),
    networks_unusual.Mixer: ("norm2", Patches((3, 4))),
    networks_unusual.Hybrid: ("trunk", None),
    networks_unusual.AttentionInside: ("norm", None),
    networks_unusual.TorchEncoder: ("encoder.layers.1.norm1", Patches((3, 4))),
}


@pytest.mark.parametrize("build", OTHERS, ids=lambda build: build.__name__)
def test_default_layer_of_other_transformers(build):
    model, x = networks_unusual.unusual(build)
    layer = resolve(model, x)
    assert (layer.name, layer.reshape) == OTHERS[build]
    activation, gradient = recorded(model, x, layer)
    assert activation.shape[:2] == (2, 16)
    assert (gradient.abs().sum(1) > 0).all()


FIRST_NORM = {
    "vit": ("encoder.layers.0.ln_1", 8),
    "vit_registers": ("blocks.0.norm1", 8),
    "vit_mean": ("blocks.0.norm1", 8),
    "swin_like": ("features.1.0.norm1", 4),
}


@pytest.mark.parametrize("name", FIRST_NORM)
def test_each_token_lands_where_its_patch_lies(name):
    build, (layer, patch) = networks.NETWORKS[name], FIRST_NORM[name]
    model, x = build(), networks.images(build, 1)
    touched = x.clone()
    touched[:, :, patch : 2 * patch, 2 * patch : 3 * patch] += 1
    layer = resolve(model, x, layer)
    before, after = recorded(model, x, layer)[0], recorded(model, touched, layer)[0]
    changed = (before != after).any(1)[0].nonzero().tolist()
    assert changed == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "layer", "reshape"),
    [
        ("vit", "conv_proj", None),
        ("vit", "encoder.layers.1", Patches((3, 4), 1)),
        ("vit", "encoder.layers.1.mlp.1", Patches((3, 4), 1)),
        ("vit_registers", "blocks.0.attn.qkv", Patches((4, 3), 3)),
        ("swin_like", "features.0.0", None),
        ("swin_like", "features.0.1", ChannelsLast(2)),
        ("swin_like", "features.3.1", ChannelsLast(2)),
        ("swin_like", "features.3.1.attn", ChannelsLast(2)),
        ("swin_like", "features.2", ChannelsLast(2)),
        ("swin_like", "permute", None),
    ],
)
def test_named_layers_are_arranged(name, layer, reshape):
    build = networks.NETWORKS[name]
    assert resolve(build(), networks.images(build), layer).reshape == reshape


@pytest.mark.parametrize("layer", ["features.0.0", "features.0.1", "features.0.2", "features.1"])
def test_a_cube_of_tokens_is_told_apart(layer):
    model, x = transformers.swin_like(), torch.randn(1, 3, 32, 32)  # (8, 8) tokens of width 8
    expected = None if layer == "features.0.0" else ChannelsLast(2)
    assert resolve(model, x, layer).reshape == expected


@pytest.mark.parametrize("layer", ["layer1", "layer2.1.bn2"])
def test_convolutional_networks_are_never_permuted(layer):
    model, x = networks.residual(), torch.randn(1, 3, 8, 8)
    assert resolve(model, x, layer).reshape is None


def test_channels_first_layer_norms_are_never_permuted():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.LayerNorm((8, 8, 8)), nn.ReLU())
    model.extend(networks.head(8))
    assert resolve(model, torch.randn(1, 3, 8, 8), "1").reshape is None
    assert resolve(model, torch.randn(1, 3, 8, 8)).name == "2"


def test_the_users_reshape_wins():
    model, x = transformers.vit(), networks.images(transformers.vit)
    assert resolve(model, x, "encoder.ln", reshape=torch.relu).reshape is torch.relu
    assert resolve(model, x, reshape=torch.relu).reshape is torch.relu


@pytest.mark.parametrize("layer", ["heads", "heads.0"])
def test_what_can_not_be_arranged_is_said(layer):
    model, x = transformers.vit(), networks.images(transformers.vit)
    with pytest.raises(InvalidInputError, match=r"layer 'heads.*gives \(1, 5\).*reshape="):
        resolve(model, x, layer)


@pytest.mark.parametrize("arrange", [Patches((3, 4), 1), ChannelsLast(2)], ids=lambda a: type(a))
def test_another_shape_than_the_expected_is_refused(arrange):
    with pytest.raises(InvalidInputError, match=r"\(2, 20, 16\).*reshape="):
        arrange(torch.rand(2, 20, 16))
