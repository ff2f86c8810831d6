"""The tensors inside of what models take and return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def tensors_in(found: Any, attributes: bool = False, depth: int = 4) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and mappings (and attributes of other objects)."""
    if isinstance(found, Tensor):
        yield found
    elif depth and isinstance(found, Mapping):
        for value in found.values():
            yield from tensors_in(value, attributes, depth - 1)
    elif depth and isinstance(found, (tuple, list)):
        for value in found:
            yield from tensors_in(value, attributes, depth - 1)
    elif depth and attributes and hasattr(found, "__dict__"):
        yield from tensors_in(vars(found), attributes, depth - 1)
