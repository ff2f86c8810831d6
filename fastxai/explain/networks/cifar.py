"""The CIFAR-10 network of the package cifar-10-model, in PyTorch."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


class CifarNet(nn.Module):
    """Convolutions without padding: 32, 30, 28, pooled 14, 12, 10, pooled 5, 3, 1."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 64, 64, 128, 128, 64, 64)
        layers: OrderedDict[str, Any] = OrderedDict()
        for k, (before, after) in enumerate(pairwise(widths), start=1):
            layers[f"conv{k}"] = nn.Conv2d(before, after, 3)
            layers[f"relu{k}"] = nn.ReLU()
            layers[f"norm{k}"] = nn.BatchNorm2d(after, eps=1e-3)
            if k in (2, 4):
                layers[f"pool{k // 2}"] = nn.MaxPool2d(2)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(64, 1024),
                relu1=nn.ReLU(),
                fc2=nn.Linear(1024, 512),
                relu2=nn.ReLU(),
                fc3=nn.Linear(512, 10),
            )
        )

    def forward(self, images: Any) -> Any:
        """Logits (N, 10) of images (N, 3, 32, 32) in 0..255."""
        return self.classifier(self.features(images).flatten(1))


def from_keras(weights: Any) -> dict[str, Any]:
    """The state of `CifarNet`; Keras keeps kernels (h, w, in, out) and matrices (in, out)."""

    def tensor(layer: str, name: str, axes: tuple[int, ...]) -> Any:
        return torch.from_numpy(
            np.asarray(weights[layer][layer][f"{name}:0"]).transpose(axes).copy()
        )

    def numbered(kind: str, k: int) -> str:
        return f"{kind}_{k}" if k else kind

    norms = (
        *(("weight", "gamma"), ("bias", "beta")),
        *(("running_mean", "moving_mean"), ("running_var", "moving_variance")),
    )
    state: dict[str, Any] = {}
    for k in range(6):
        conv, norm = numbered("conv2d", k), numbered("batch_normalization", k)
        state[f"features.conv{k + 1}.weight"] = tensor(conv, "kernel", (3, 2, 0, 1))
        state[f"features.conv{k + 1}.bias"] = tensor(conv, "bias", (0,))
        for ours, theirs in norms:
            state[f"features.norm{k + 1}.{ours}"] = tensor(norm, theirs, (0,))
        state[f"features.norm{k + 1}.num_batches_tracked"] = torch.tensor(0)
    for k in range(3):
        state[f"classifier.fc{k + 1}.weight"] = tensor(numbered("dense", k), "kernel", (1, 0))
        state[f"classifier.fc{k + 1}.bias"] = tensor(numbered("dense", k), "bias", (0,))
    return state
