"""A scan that ends its own process, as kill -9 does, in the middle of the set."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import small_sets

import fastxai
from fastxai.units import passing

N, BATCH, FATAL = 44, 4, 30
LAYERS = ["1", "4", "6"]


class Images:
    """Images of which one is fatal, once."""

    def __init__(self, fatal: str = "") -> None:
        self.images, self.fatal = small_sets.images(N), fatal

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        if i == FATAL and self.fatal == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if i == FATAL and self.fatal == "interrupt":
            raise KeyboardInterrupt
        if i == 7:
            raise ValueError("a bad image")
        import torch

        return torch.from_numpy(self.images[i])


def run(out: Path | None, fatal: str = "", **options: Any) -> Any:
    net = small_sets.small_net()
    options = {"k": 5, "units": 3, "batch_size": BATCH, **options}
    return fastxai.scan_units(net, Images(fatal), LAYERS, out, **options)


def killed(out: str) -> None:
    """End this process on the way; what is done is written after every batch."""
    passing._EVERY = 0.0
    run(Path(out), "kill")
