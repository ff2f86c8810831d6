"""Whole image sets: explained in a stream, resumable, and read lazily."""

from __future__ import annotations

from importlib import import_module

from ..errors import MissingDependencyError


def need(*modules: str) -> None:
    """Say at once which optional packages are missing, before any work.

    Raises
    ------
    MissingDependencyError
        Naming them and the extra that brings them.
    """
    missing = []
    for module in modules:
        try:
            import_module(module)
        except ImportError:
            missing.append(module)
    if missing:
        raise MissingDependencyError(
            f"image sets need {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} "
            "not installed: pip install 'fastxai[sets]'"
        )
