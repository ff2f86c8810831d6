"""Vision transformers: which layer, how tokens become maps, and attention rollout."""

import networks
import networks_attention as transformers
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastxai import InvalidInputError
from fastxai.explain.inputs import read_inputs
from fastxai.explain.layers import resolve_layers
from fastxai.explain.recorder import record
from fastxai.explain.rollout import AttentionRollout, AttentionTap, rollout
from fastxai.explain.tokens import ChannelsLast, Patches

WIDTH = transformers.WIDTH
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


class SequenceFirst(nn.Module):
    """Tokens as (T, N, C), in the order of nn.MultiheadAttention."""

    def __init__(self):
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, WIDTH, 8, 8), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).permute(2, 0, 1)
        x = torch.cat([torch.zeros_like(x[:1]), x])
        y = self.norm(x)
        return self.head((x + self.attention(y, y, y)[0])[0])


class Merging(nn.Module):
    """Tokens as (N, T, C), of which four become one: a Swin without (N, H, W, C)."""

    def __init__(self):
        super().__init__()
        self.patches, self.merge = nn.Conv2d(3, 4, 4, 4), nn.Linear(16, WIDTH)
        self.first, self.norm1, self.norm2 = nn.LayerNorm(4), nn.LayerNorm(WIDTH), nn.LayerNorm(16)
        self.attention = transformers.Attention(WIDTH, 2, fused=True)
        self.mlp, self.head = transformers.perceptron(WIDTH), nn.Linear(WIDTH, 5)

    def forward(self, x):
        x = self.patches(x).permute(0, 2, 3, 1)
        n, h, w, c = x.shape
        x = self.first(x.reshape(n, h * w, c)).view(n, h // 2, 2, w // 2, 2, c)
        x = self.merge(x.permute(0, 1, 3, 2, 4, 5).reshape(n, h * w // 4, 4 * c))
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(x.mean(1))


class PostNorm(nn.Module):
    """Norms stand behind each branch, on (N, H, W, C) (Swin v2)."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.start, self.end = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.block = nn.ModuleDict(
            {
                "attn": transformers.WindowAttention(WIDTH, 2, window=2, shift=0),
                "norm1": nn.LayerNorm(WIDTH),
                "mlp": transformers.perceptron(WIDTH),
                "norm2": nn.LayerNorm(WIDTH),
            }
        )
        self.stage = nn.Identity()
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x):
        x = self.start(self.patches(x).permute(0, 2, 3, 1))
        x = x + self.block["norm1"](self.block["attn"](x))
        x = self.stage(x + self.block["norm2"](self.block["mlp"](x)))
        return self.head(self.end(x).mean((1, 2)))


class CutOut(nn.Module):
    """No convolution: patches are cut out and multiplied."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Linear(192, WIDTH), nn.LayerNorm(WIDTH)
        self.attention = transformers.Attention(WIDTH, 2, fused=True)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x):
        x = self.embed(F.unfold(x, 8, stride=8).transpose(1, 2))
        return self.head((x + self.attention(self.norm(x))).mean(1))


class Mixer(nn.Module):
    """A perceptron mixes the tokens: no attention."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.tokens, self.channels = nn.Linear(12, 12), transformers.perceptron(WIDTH)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return self.head((x + self.channels(self.norm2(x))).mean(1))


class Hybrid(nn.Module):
    """Attention pools the maps of a convolutional trunk (CLIP's ResNet)."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, WIDTH, 3, 8, padding=1), nn.ReLU())
        self.attention, self.head = nn.MultiheadAttention(WIDTH, 2), nn.Linear(WIDTH, 5)

    def forward(self, x):
        x = self.trunk(x).flatten(2).permute(2, 0, 1)
        query = x.mean(0, keepdim=True)
        return self.head(self.attention(query, x, x, need_weights=False)[0][0])


class AttentionInside(nn.Module):
    """Attention on maps, which stay maps, between convolutions and pooling (MaxViT)."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Conv2d(3, WIDTH, 3, 8, padding=1)
        self.block = transformers.SwinBlock(WIDTH, 0)
        self.back, self.norm = transformers.Permute(0, 3, 1, 2), nn.BatchNorm2d(WIDTH)
        self.head = nn.Sequential(*networks.head(WIDTH))

    def forward(self, x):
        x = self.block(self.trunk(x).permute(0, 2, 3, 1))
        return self.head(self.norm(self.back(x)))


class TorchEncoder(nn.Module):
    """PyTorch's own encoder layer, whose fast path calls none of its modules."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x):
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


OTHERS = {
    SequenceFirst: ("norm", Patches((3, 4), 1, tokens_first=True)),
    Merging: ("norm2", Patches((3, 4))),
    PostNorm: ("stage", ChannelsLast(2)),
    CutOut: ("norm", Patches((3, 4))),
    Mixer: ("norm2", Patches((3, 4))),
    Hybrid: ("trunk", None),
    AttentionInside: ("norm", None),
    TorchEncoder: ("encoder.layers.1.norm1", Patches((3, 4))),
}


def other(build, size=(24, 32)):
    torch.manual_seed(0)
    size = (32, 32) if build is PostNorm or build is AttentionInside else size
    return frozen(build()), torch.randn(2, 3, *size)


@pytest.mark.parametrize("build", OTHERS, ids=lambda build: build.__name__)
def test_default_layer_of_other_transformers(build):
    model, x = other(build)
    layer = resolve(model, x)
    assert (layer.name, layer.reshape) == OTHERS[build]
    activation, gradient = recorded(model, x, layer)
    assert activation.shape[:2] == (2, WIDTH)
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


def by_hand(attention):
    """Abnar and Zuidema, with whole matrices: (layers, N, heads, T, T) to (N, T, T)."""
    a = torch.stack(attention).double().mean(2) + torch.eye(attention[0].shape[-1])
    a = a / a.sum(-1, keepdim=True)
    product = a[0]
    for layer in a[1:]:
        product = layer @ product
    return product


def seen_attention(model, x):
    """The attention of each block, by its own module's parameters and input."""
    found = []

    def of_module(module, args, kwargs):
        wanted = {"need_weights": True, "average_attn_weights": False}
        found.append(nn.MultiheadAttention.forward(module, *args, **wanted)[1])

    def of_qkv(module, args):
        n, t, _ = args[0].shape
        q, k, _ = module.qkv(args[0]).view(n, t, 3, module.heads, -1).permute(2, 0, 3, 1, 4)
        found.append((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1))

    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention):
            module.register_forward_pre_hook(of_module, with_kwargs=True)
        elif isinstance(module, transformers.Attention):
            module.register_forward_pre_hook(of_qkv)
    with torch.no_grad():
        model(x)
    return found


ROLLOUTS = {"vit": (1, (3, 4)), "vit_registers": (3, (4, 3)), "vit_mean": (0, (3, 3))}


@pytest.mark.parametrize("name", ROLLOUTS)
def test_rollout_is_the_product_of_the_matrices(name):
    build, (prefix, grid) = networks.NETWORKS[name], ROLLOUTS[name]
    model, x = frozen(build()), networks.images(build)
    product = by_hand(seen_attention(frozen(build()), x))
    rows = product[:, 0] if prefix else product.mean(1)
    expected = rows[:, prefix:].reshape(len(x), *grid).float()
    with torch.no_grad(), AttentionTap() as tap:
        model(x)
    torch.testing.assert_close(rollout(tap.attentions, 2, prefix, grid, not prefix), expected)
    maps = AttentionRollout(model)(x)
    size = x.shape[2:]
    fine = F.interpolate(expected[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(maps, fine, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [*ROLLOUTS, "swin_like"])
def test_a_tap_changes_nothing(name):
    build = networks.NETWORKS[name]
    model, x = build(), networks.images(build)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            plain = model(x)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    with torch.no_grad(), AttentionTap() as tap:
        assert torch.equal(model(x), plain)
    assert len(tap.attentions) == (4 if name == "swin_like" else 3)
    for attention in tap.attentions:
        torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))


def lower(t):
    return torch.ones(t, t, dtype=torch.bool).tril()


FUSED = {
    "plain": {},
    "scale": {"scale": 0.3},
    "causal": {"is_causal": True},
    "bool mask": {"attn_mask": lower(6).flip(1) | torch.eye(6, dtype=torch.bool)},
    "added mask": {"attn_mask": torch.linspace(-2, 2, 36).view(6, 6)},
    "grouped queries": {"enable_gqa": True},
}


@pytest.mark.parametrize("options", FUSED.values(), ids=FUSED.keys())
def test_attention_of_the_fused_function(options):
    generator = torch.Generator().manual_seed(0)
    heads = 2 if "enable_gqa" in options else 4
    q = torch.randn(2, 4, 6, 8, generator=generator)
    k, v = torch.randn(2, 2, heads, 6, 8, generator=generator).unbind(0)
    with AttentionTap() as tap:
        F.scaled_dot_product_attention(q, k, v, **options)
    k = k.repeat_interleave(4 // heads, 1)
    logits = q @ k.mT * options.get("scale", 8**-0.5)
    mask = options.get("attn_mask", lower(6) if "is_causal" in options else torch.zeros(6, 6))
    logits = logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
    torch.testing.assert_close(tap.attentions[0], logits.softmax(-1))


WRITTEN = {
    "operator": lambda a, v: a @ v,
    "matmul": lambda a, v: torch.matmul(a, v),
    "einsum": lambda a, v: torch.einsum("nhts,nhsd->nhtd", a, v),
    "after dropout": lambda a, v: nn.Dropout(0.5).eval()(a) @ v,
    "in another type": lambda a, v: a.to(torch.float64) @ v.double(),
}


@pytest.mark.parametrize("multiply", WRITTEN.values(), ids=WRITTEN.keys())
def test_attention_that_is_written_out(multiply):
    logits, v = torch.randn(2, 3, 6, 6), torch.randn(2, 3, 6, 4)
    with AttentionTap() as tap:
        multiply(logits.softmax(-1), v)
        logits.softmax(-1).sum()  # weights of something else
    (found,) = tap.attentions
    assert torch.equal(found, logits.softmax(-1))


def test_heads_within_the_batch_axis():
    attention = torch.rand(2, 3, 5, 5)
    expected = rollout([attention], 2, 1, (2, 2))
    torch.testing.assert_close(rollout([attention.flatten(0, 1)], 2, 1, (2, 2)), expected)


def test_a_pooling_head_reads_last():
    attention, head = torch.rand(2, 3, 4, 4).softmax(-1), torch.rand(2, 3, 1, 4).softmax(-1)
    whole = by_hand([attention]).float()
    expected = (head.mean(1) @ whole)[:, 0].view(2, 2, 2)
    torch.testing.assert_close(rollout([attention, head], 2, 0, (2, 2)), expected)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (transformers.swin_like, r"within windows.*GradCAM"),
        (networks.plain_cnn, r"no attention was seen.*GradCAM"),
    ],
    ids=["windows", "no attention"],
)
def test_what_can_not_be_rolled_out(build, message):
    with pytest.raises(InvalidInputError, match=message):
        AttentionRollout(build())(networks.images(build))


@pytest.mark.parametrize("build", [Merging, CutOut, TorchEncoder], ids=lambda b: b.__name__)
def test_rollout_of_other_transformers(build):
    model, x = other(build)
    maps = AttentionRollout(model)(x)
    assert maps.shape == (2, 24, 32)
    assert maps.std() > 0


def test_layers_of_different_tokens_can_not_be_multiplied():
    with pytest.raises(InvalidInputError, match="differ in their tokens"):
        rollout([torch.rand(2, 3, 16, 16), torch.rand(2, 3, 4, 4)], 2, 0, (2, 2))


def test_every_target_has_the_same_rollout():
    model, x = transformers.vit(), networks.images(transformers.vit).numpy()
    one, three = AttentionRollout(model)(x), AttentionRollout(model)(x, target="top3")
    assert isinstance(three, np.ndarray)
    assert (one.shape, three.shape) == ((2, 24, 32), (2, 3, 24, 32))
    assert (three == one[:, None]).all()


def test_rollout_costs_one_forward_and_one_probe():
    model, x = transformers.vit(), networks.images(transformers.vit, 3)
    sizes = []
    model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    rolled = AttentionRollout(model)
    rolled(x)
    rolled(x)
    assert sizes == [1, 3, 3]
