"""Counts what goes between host and device, on a machine where both are the same memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from fastxai_kernels.gpu._triton import Kernel

_DOWN = {"numpy", "cpu", "tolist", "__array__"}
_UP = {"from_numpy", "tensor", "as_tensor", "asarray"}


class Crossing(NamedTuple):
    """One array that went over the bus: "up" to the device or "down" to the host."""

    way: str
    name: str
    bytes: int


class Traffic(TorchFunctionMode):
    """While it is entered every crossing that torch is asked for is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.crossings: list[Crossing] = []
        self.watching = True

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "")
        if not self.watching:
            return result
        if name in _DOWN and isinstance(args[0], torch.Tensor):
            self.crossings.append(Crossing("down", name, args[0].nbytes))
        elif name in _UP and isinstance(result, torch.Tensor):
            self.crossings.append(Crossing("up", name, result.nbytes))
        return result

    def large(self, way: str, least: int = 257) -> list[Crossing]:
        """Crossings of more than a handful of numbers."""
        return [c for c in self.crossings if c.way == way and c.bytes >= least]


@contextmanager
def counted(monkeypatch: Any) -> Iterator[Traffic]:
    """Crossings of the work within, those of the interpreter's launches left out."""
    launch = Kernel.launch

    def unseen(self: Kernel, *args: Any, **kwargs: Any) -> None:
        traffic.watching = False
        try:
            launch(self, *args, **kwargs)
        finally:
            traffic.watching = True

    traffic = Traffic()
    from_numpy = torch.from_numpy

    def seen(array: Any) -> Any:
        tensor = from_numpy(array)
        traffic.crossings.append(Crossing("up", "from_numpy", tensor.nbytes))
        return tensor

    monkeypatch.setattr(Kernel, "launch", unseen)
    monkeypatch.setattr(torch, "from_numpy", seen)
    with traffic:
        yield traffic
