"""Tiny vision transformers: attention by each of the three ways it is written in PyTorch.

Same builders as in `networks.py`, in the same `NETWORKS`.
"""

import torch
import torch.nn.functional as F
from networks import CLASSES, network
from torch import nn

WIDTH = 16


def perceptron(width):
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


class EncoderBlock(nn.Module):
    """torchvision's names: ln_1, self_attention (nn.MultiheadAttention), ln_2, mlp; pre-norm."""

    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.dropout, self.mlp = nn.Dropout(0.1), perceptron(width)

    def forward(self, x):
        y = self.ln_1(x)
        y, _ = self.self_attention(y, y, y, need_weights=False)
        x = x + self.dropout(y)
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions, blocks, a last norm: `layers`, `ln`."""

    def __init__(self, tokens, width, heads, depth):
        super().__init__()
        self.pos_embedding = nn.Parameter(0.1 * torch.randn(1, tokens, width))
        self.layers = nn.Sequential(*(EncoderBlock(width, heads) for _ in range(depth)))
        self.ln = nn.LayerNorm(width)

    def forward(self, x):
        return self.ln(self.layers(x + self.pos_embedding))


class ViT(nn.Module):
    """torchvision's ViT: `conv_proj`, `class_token`, `encoder`, `heads`; any grid."""

    def __init__(self, size, patch=8, heads=2, depth=3):
        super().__init__()
        self.conv_proj = nn.Conv2d(3, WIDTH, patch, patch)
        self.class_token = nn.Parameter(torch.randn(1, 1, WIDTH))
        tokens = 1 + (size[0] // patch) * (size[1] // patch)
        self.encoder = Encoder(tokens, WIDTH, heads, depth)
        self.heads = nn.Sequential(nn.Linear(WIDTH, CLASSES))

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        return self.heads(self.encoder(x)[:, 0])


@network(3, 24, 32)
def vit():
    """Class token, 3 x 4 patches, nn.MultiheadAttention. Default layer: the last block's ln_1."""
    return ViT((24, 32))


class Attention(nn.Module):
    """timm's names: qkv, proj; by F.scaled_dot_product_attention, or written out."""

    def __init__(self, width, heads, fused):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            attention = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
            x = attention.softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).reshape(n, t, c))


class Block(nn.Module):
    """timm's names: norm1, attn, norm2, mlp; pre-norm."""

    def __init__(self, width, heads, fused):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = Attention(width, heads, fused), perceptron(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TimmViT(nn.Module):
    """timm's ViT: `patch_embed`, `cls_token`, `reg_token`, `blocks`, `norm`, `head`."""

    def __init__(self, tokens, prefix, fused, heads=2, depth=3):
        super().__init__()
        self.prefix = prefix
        self.patch_embed = nn.Conv2d(3, WIDTH, 8, 8)
        self.prefix_tokens = nn.Parameter(torch.randn(1, prefix, WIDTH))
        self.pos_embed = nn.Parameter(0.1 * torch.randn(1, tokens, WIDTH))
        self.blocks = nn.Sequential(*(Block(WIDTH, heads, fused) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2) + self.pos_embed
        x = torch.cat([self.prefix_tokens.expand(len(x), -1, -1), x], dim=1)
        x = self.norm(self.blocks(x))
        return self.head(x[:, 0] if self.prefix else x.mean(dim=1))


@network(3, 32, 24)
def vit_registers():
    """Class token and 2 registers, 4 x 3 patches, fused attention. Default: blocks.2.norm1."""
    return TimmViT(tokens=12, prefix=3, fused=True)


@network(3, 24, 24)
def vit_mean():
    """No class token, the mean of 3 x 3 patches, attention written out. Default: blocks.2.norm1."""
    return TimmViT(tokens=9, prefix=0, fused=False)


class WindowAttention(nn.Module):
    """Attention within windows of (N, H, W, C) tokens, rolled by `shift`."""

    def __init__(self, width, heads, window, shift):
        super().__init__()
        self.window, self.shift = window, shift
        self.attend = Attention(width, heads, fused=False)

    def forward(self, x):
        n, h, w, c = x.shape
        size, rolled = self.window, torch.roll(x, (-self.shift, -self.shift), (1, 2))
        tiles = rolled.view(n, h // size, size, w // size, size, c).permute(0, 1, 3, 2, 4, 5)
        tiles = self.attend(tiles.reshape(-1, size * size, c))
        tiles = tiles.view(n, h // size, w // size, size, size, c).permute(0, 1, 3, 2, 4, 5)
        return torch.roll(tiles.reshape(n, h, w, c), (self.shift, self.shift), (1, 2))


class SwinBlock(nn.Module):
    """torchvision's names: norm1, attn, norm2, mlp; on (N, H, W, C)."""

    def __init__(self, width, shift):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads=2, window=2, shift=shift)
        self.mlp = perceptron(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    """Four neighbours become one token of twice the width."""

    def __init__(self, width):
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width)

    def forward(self, x):
        corners = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, -1)))


class Permute(nn.Module):
    """Moves the axes, as torchvision.ops.Permute does."""

    def __init__(self, *order):
        super().__init__()
        self.order = order

    def forward(self, x):
        return x.permute(self.order)


class SwinLike(nn.Module):
    """`features` (embedding, blocks, merging, blocks), `norm`, `permute`, `avgpool`, `head`."""

    def __init__(self):
        super().__init__()
        embedding = nn.Sequential(nn.Conv2d(3, 8, 4, 4), Permute(0, 2, 3, 1), nn.LayerNorm(8))
        first = nn.Sequential(SwinBlock(8, 0), SwinBlock(8, 1))
        second = nn.Sequential(SwinBlock(16, 0), SwinBlock(16, 1))
        self.features = nn.Sequential(embedding, first, PatchMerging(8), second)
        self.norm, self.permute = nn.LayerNorm(16), Permute(0, 3, 1, 2)
        self.avgpool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(16, CLASSES)

    def forward(self, x):
        x = self.permute(self.norm(self.features(x)))
        return self.head(torch.flatten(self.avgpool(x), 1))


@network(3, 32, 48)
def swin_like():
    """Windowed, shifted attention on (N, H, W, C): 4 x 6 tokens in the end. Default: norm2."""
    return SwinLike()
