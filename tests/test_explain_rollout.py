"""Attention rollout: attention as it was, whichever way it is written, and its product."""

import networks
import networks_attention as transformers
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks_unusual import CutOut, Merging, NormsByHand, Registers, TorchEncoder, unusual
from torch import nn

from fastxai import AttentionRollout, InvalidInputError
from fastxai.explain.rollout import AttentionTap, rollout


def frozen(model):
    return model.eval().requires_grad_(False)


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
    with torch.no_grad(), AttentionTap() as tap:
        model(x)
    coarse = rollout(tap.attentions, 2, prefix, grid, not prefix)
    torch.testing.assert_close(coarse, on_grid(rows, prefix, grid))
    check_fine(AttentionRollout(model)(x), coarse)


def on_grid(rows, prefix, grid):
    return rows[:, prefix:].reshape(len(rows), *grid).float()


def check_fine(maps, coarse):
    size = maps.shape[1:]
    fine = F.interpolate(coarse[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(maps, fine, rtol=1e-4, atol=1e-6)


def test_rollout_reads_the_class_token_whatever_means_a_norm_takes():
    model, x = unusual(NormsByHand)
    rows = by_hand(seen_attention(unusual(NormsByHand)[0], x))[:, 0]
    check_fine(AttentionRollout(model)(x), on_grid(rows, 1, (3, 4)))


def test_rollout_where_registers_stand_by_and_patches_are_read():
    model, x = unusual(Registers)
    rows = by_hand(seen_attention(unusual(Registers)[0], x))[:, 2:].mean(1)
    check_fine(AttentionRollout(model)(x), on_grid(rows, 2, (3, 4)))


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


def test_attention_that_is_mixed_before_it_multiplies():
    one, other, v = torch.randn(3, 2, 4, 6, 6).unbind(0)
    with AttentionTap() as tap:
        mixed = 0.25 * one.softmax(-1) + 0.75 * F.softmax(other, dim=-1)
        mixed.matmul(v)
    (found,) = tap.attentions
    assert torch.equal(found, mixed)


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
    model, x = unusual(build)
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
