"""What the work takes of a device's memory: asked before it begins."""

from __future__ import annotations

from typing import Any

from ...devices import Device
from ...errors import NotEnoughMemoryError
from ..project import WIDEST
from ..spaces import ANGULAR

_GIB = 2**30
_SPARE = 2**28  # of the libraries' own work space


def free_bytes(device: Device) -> int | None:
    """Bytes of the device that this process may still take; None where that is not known."""
    if device.torch.type != "cuda":
        return None
    import torch

    free, _ = torch.cuda.mem_get_info(device.torch)
    held = torch.cuda.memory_reserved(device.torch) - torch.cuda.memory_allocated(device.torch)
    return int(free + held)


def require_device_memory(device: Device, needed: float, what: str, remedy: str = "") -> None:
    """Refuse work that will not fit.

    Raises
    ------
    NotEnoughMemoryError
        With what is needed and what there is.
    """
    free = free_bytes(device)
    if free is None or needed <= free:
        return
    remedy = remedy or "take fewer points, or fewer dimensions (fastxai.PCA first)"
    raise NotEnoughMemoryError(
        f"{what} needs about {needed / _GIB:.1f} GiB on {device.name}, and {free / _GIB:.1f} GiB "
        f"are free: {remedy}, or use device='cpu'"
    )


def search_bytes(n: int, d: int, k: int, metric: Any) -> float:
    """Bytes of a search, the points themselves not counted: they are there already."""
    from .search import is_quick

    changed = 4.0 * n * (d + 1) if metric in ANGULAR else 0.0
    lists = 8.0 * n * k
    if is_quick(n, d):
        return changed + 2 * lists + 2 * _SPARE
    length = max(4 * k, k + 48)
    # Projected points twice and packed; lists of candidates, their keys, and those joined.
    held = 12.0 * min(d, WIDEST) + 24.0 * length + 100.0
    return changed + 2 * lists + n * held + 2 * _SPARE


def layout_bytes(n: int, k: int) -> float:
    """Bytes of the graph: keys of both directions while it is sorted, then packed edges."""
    return 96.0 * n * k + 200.0 * n + _SPARE
