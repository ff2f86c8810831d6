"""Numbers that users give: refused by name, with what may stand there."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InvalidInputError


def check_number(
    name: str, value: Any, low: float, *, above: bool = False, high: float = np.inf
) -> None:
    """Refuse what is no finite number in [low, high], or in (low, high] if ``above``."""
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not real or not np.isfinite(value) or value < low or (above and value == low):
        least = f"more than {low:g}" if above else f"{low:g} or more"
        raise InvalidInputError(f"{name}={value!r}: choose a number of {least}")
    if value > high:
        raise InvalidInputError(f"{name}={value!r}: choose a number of {high:g} or less")


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidInputError(f"{name}={value!r}: choose True or False")


def check_whole(name: str, value: Any, low: int) -> None:
    """Refuse what is no whole number of ``low`` or more."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not whole or value < low:
        raise InvalidInputError(f"{name}={value!r}: choose a whole number of {low} or more")
