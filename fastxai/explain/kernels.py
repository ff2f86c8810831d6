"""Which kernels work on a network's tensors: those of the device on which they lie."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastxai_kernels import _cuda, select

# Tests set this: in Triton's interpreter tensors of the CPU then go to the GPU's kernels.
pretend_gpu = False


class Room:
    """Kernels of the CPU, and the way to their arrays and back.

    Attributes
    ----------
    kernels : module
        What `fastxai_kernels.select` gives.
    """

    is_gpu = False

    def __init__(self) -> None:
        self.kernels: Any = select("cpu")

    def array(self, tensor: Tensor) -> Any:
        """A tensor as the kernels see it: float32, contiguous, without a graph."""
        return tensor.detach().to("cpu", torch.float32).contiguous().numpy()

    def table(self, array: Any, like: Tensor) -> Any:
        """A small array of whole numbers, where the kernels read it."""
        return array

    def tensor(self, array: Any) -> Tensor:
        """What a kernel returned, as a tensor."""
        return torch.from_numpy(array)


class GpuRoom(Room):
    """Kernels of a GPU: tensors in, tensors out, where they lie."""

    is_gpu = True

    def __init__(self) -> None:
        self.kernels = select("cuda")

    def array(self, tensor: Tensor) -> Any:
        """A tensor as the kernels see it."""
        return tensor.detach().to(torch.float32).contiguous()

    def table(self, array: Any, like: Tensor) -> Any:
        """A small array of whole numbers, on the device."""
        return torch.as_tensor(array, device=like.device)

    def tensor(self, array: Any) -> Tensor:
        """What a kernel returned."""
        found: Tensor = array
        return found


def room_for(tensor: Tensor) -> Room:
    """The kernels for a tensor: on CUDA without Triton, and anywhere else, the CPU's."""
    there = tensor.device.type == "cuda" or (pretend_gpu and _cuda.interpreted())
    return GpuRoom() if there and _cuda.missing() is None else Room()
