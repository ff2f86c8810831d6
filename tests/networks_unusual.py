"""Transformers out of the ordinary, for which layer choice and rollout must still be right."""

import networks
import networks_attention as transformers
import torch
import torch.nn.functional as F
from networks_attention import WIDTH
from torch import nn


def unusual(build):
    """A model in eval mode, frozen, and two images that fit."""
    torch.manual_seed(0)
    size = (32, 32) if build in (PostNorm, AttentionInside) else (24, 32)
    return build().eval().requires_grad_(False), torch.randn(2, 3, *size)


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
        x = self.attend(x)
        return self.head(x[:, 0] if isinstance(self, MergingToOne) else x.mean(1))

    def attend(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class MergingToOne(Merging):
    """A class token joins the merged tokens (PiT)."""

    def attend(self, x):
        x = super().attend(torch.cat([torch.zeros_like(x[:, :1]), x], 1))
        return x[:, :1]


class WrittenNorm(nn.LayerNorm):
    """A layer norm of means and squares."""

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        scale = centred.square().mean(-1, keepdim=True).add(self.eps).rsqrt()
        return centred * scale * self.weight + self.bias


class NormsByHand(transformers.TimmViT):
    """A class token; the last norm takes means, but not of tokens."""

    def __init__(self):
        super().__init__(tokens=12, prefix=1, fused=True, depth=2)
        self.norm = WrittenNorm(WIDTH)


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


class Registers(transformers.TimmViT):
    """Register tokens, but the mean of the patches is read."""

    def __init__(self):
        super().__init__(tokens=12, prefix=2, fused=True, depth=2)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2) + self.pos_embed
        x = self.blocks(torch.cat([self.prefix_tokens.expand(len(x), -1, -1), x], dim=1))
        return self.head(self.norm(x)[:, 2:].mean(1))


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
