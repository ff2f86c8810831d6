"""Whether kernels can run on a CUDA device here; what is missing if not."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from functools import cache
from typing import Any

_PREFIX = "cuda"
# Older ones know no functions of constants, and multiply no matrices of eight rows.
_TRITON = (3, 5)


def interpreted() -> bool:
    """Whether Triton's interpreter stands in for a GPU: its kernels take tensors of the CPU."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


@cache
def missing() -> str | None:
    """What keeps kernels from running on CUDA, and what to do about it; None if nothing does."""
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed (pip install torch, the build for your CUDA version)"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (it comes with PyTorch's CUDA builds; pip install triton)"
    if interpreted():
        return None
    import torch

    if torch.version.cuda is None:
        return (
            f"PyTorch {torch.__version__} was built without CUDA (install the build for your CUDA "
            "version, see pytorch.org/get-started)"
        )
    if not torch.cuda.is_available():
        return (
            "PyTorch finds no CUDA device: no NVIDIA GPU, a driver that is missing or older than "
            f"CUDA {torch.version.cuda} wants, or CUDA_VISIBLE_DEVICES hides it (nvidia-smi tells)"
        )
    import triton

    if _numbers(triton.__version__) < _TRITON:
        return (
            f"Triton {triton.__version__} is too old: 3.5 or newer, which comes with PyTorch 2.9 "
            "and newer (pip install --upgrade torch triton)"
        )
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version, (0, 0) of what is none."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else (0, 0)


def available() -> bool:
    """Whether there is a real CUDA device: cheap where PyTorch is not installed at all."""
    if interpreted():
        return False
    if "torch" not in sys.modules and not _driver_may_be_there():
        return False  # spares the import of PyTorch
    return not _forked() and missing() is None


def _forked() -> bool:
    """Whether this is the forked child of a process that asked for CUDA: it can not use it."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda._is_in_bad_fork())


def _driver_may_be_there() -> bool:
    """False where there is certainly no NVIDIA driver."""
    return (
        not sys.platform.startswith("linux")
        or os.path.exists("/proc/driver/nvidia")
        or (os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/dxg"))
    )


def torch_device(name: str) -> Any:
    """The device of PyTorch that ``"cuda"`` or ``"cuda:1"`` means.

    Raises
    ------
    ValueError
        If there is no such device; the message says what is missing.
    """
    number = name.removeprefix(_PREFIX).removeprefix(":") if name != _PREFIX else ""
    if not name.startswith(_PREFIX) or (name != _PREFIX and not number.isdecimal()):
        raise ValueError(f"device={name!r} is unknown; choose 'auto', 'cpu', 'cuda' or 'cuda:1'")
    lacking = missing()
    if lacking is None and _forked():
        lacking = "this process was forked from one that uses CUDA; start it by 'spawn'"
    if lacking is not None:
        raise ValueError(f"device={name!r} can not be used: {lacking}")
    import torch

    if interpreted():
        return torch.device("cpu")
    index = int(number) if number else torch.cuda.current_device()
    if index >= (count := torch.cuda.device_count()):
        raise ValueError(
            f"device={name!r}: there {'is' if count == 1 else 'are'} {count} CUDA "
            f"device{'' if count == 1 else 's'} here, numbered from 0"
        )
    return torch.device(_PREFIX, index)
