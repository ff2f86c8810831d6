"""Networks and data for tests on clusters, which workers import: they can tell where they are."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from small_sets import images, small_net
from torch import nn
from torch.utils.data import Dataset

MARK = 0.25  # an image of this value alone


def marked(n: int, where: int) -> Any:
    """Images as of `small_sets`, one of which can be told from all others."""
    found = images(n)
    found[where] = MARK
    return found


class Elsewhere(nn.Module):
    """The small network; in other processes than the one that made it, something happens first."""

    def __init__(self, happens: Callable[[Any], None]) -> None:
        super().__init__()
        self.net, self.happens, self.home = small_net(), happens, os.getpid()
        self.eval()

    def forward(self, x: Any) -> Any:
        if os.getpid() != self.home:
            self.happens(x)
        return self.net(x)


class Dies:
    """Ends the process as kill -9 does, at the marked image: while there is a file, if one is."""

    def __init__(self, while_there: Path | None = None) -> None:
        self.file = while_there

    def __call__(self, x: Any) -> None:
        if not (x == MARK).flatten(1).all(1).any():
            return
        if self.file is not None:
            try:
                self.file.unlink()
            except FileNotFoundError:
                return
        os.kill(os.getpid(), signal.SIGKILL)


def fails(x: Any) -> None:
    """Raise as a broken network does."""
    raise ValueError("this layer is for Sundays")


def named() -> Any:
    """What "cluster_nets:named" builds."""
    return small_net()


def elsewhere_another() -> Any:
    """Other weights in every process."""
    return small_net(os.getpid())


class Items(Dataset[Any]):
    """Images that bring their labels; ``only_here``: and that no other process can read."""

    def __init__(self, n: int, only_here: bool = False) -> None:
        self.images = torch.from_numpy(images(n))
        self.home = os.getpid() if only_here else None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Any:
        if self.home not in (None, os.getpid()):
            raise FileNotFoundError("no such disk")
        return self.images[i], i % 4
