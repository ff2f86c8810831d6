"""Warnings that name the user's line, however deep in the package they arise."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from .errors import FastxaiWarning

# Code between the user and ours: decorators of scikit-learn's estimators, context managers.
_OURS = ("fastxai", "fastxai_kernels", "sklearn", "contextlib")


def warn(message: str) -> None:
    """Issue a `FastxaiWarning` at the first line outside of the package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _package(frame.f_globals) in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, FastxaiWarning, stacklevel=level)


def _package(names: dict[str, Any]) -> str:
    return str(names.get("__name__", "")).split(".")[0]
