"""What tests of examples share: a network whose features are known by hand, and banks to kill."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from small_sets import images, small_net
from torch import nn

import fastxai
from fastxai.examples import build as building

N, BATCH = 10, 2


class Means(nn.Module):
    """Features of an image are the means of its two channels; class 0 where the first is larger."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(2))
            self.head.bias.zero_()

    def forward(self, x: Any) -> Any:
        return self.head(self.pool(x))


def dots(places: Any) -> Any:
    """Images (n, 2, 4, 4) whose features under `Means` are these places (n, 2)."""
    found = np.asarray(places, np.float32)
    return np.ascontiguousarray(np.broadcast_to(found[:, :, None, None], (len(found), 2, 4, 4)))


def bank_of(places: Any, out: Path, **options: Any) -> fastxai.FeatureBank:
    """A bank with these features."""
    return fastxai.FeatureBank.build(Means(), dots(places), out=out, **options)


def run(
    out: Path | str, model: Any = None, lost: tuple[int, ...] = (), **options: Any
) -> fastxai.FeatureBank:
    """The bank that is killed, interrupted and continued; some images can not be read."""
    values = images(N)
    values[list(lost), 0, 0, 0] = np.nan
    with patch.object(building, "_TOGETHER", 1):  # as photos: each batch is written by itself
        return fastxai.FeatureBank.build(
            small_net() if model is None else model,
            values,
            out=out,
            **{"labels": [k % 3 for k in range(N)], "batch_size": BATCH, **options},
        )


def stuck(out: str) -> None:
    """Begin a bank, and get stuck in the middle."""
    torch.set_num_threads(1)
    net, calls = small_net(), []
    after = int(os.environ["FASTXAI_TEST_STUCK_AFTER"])

    def hook(*_: Any) -> None:
        calls.append(1)
        time.sleep(600 if len(calls) > after else 0)

    net.register_forward_pre_hook(hook)
    run(out, net)
