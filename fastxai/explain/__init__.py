"""What a network looks at: maps of the evidence for its answers.

The package is itself the function `explain`: ``fastxai.explain(model, images, methods)``.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

from ..errors import MissingDependencyError

try:
    import torch  # noqa: F401
except ImportError as error:
    raise MissingDependencyError(
        "explaining networks needs PyTorch, which is not installed: pip install 'fastxai[torch]'"
    ) from error

from .explanation import Explanation, Explanations
from .methods import METHODS, class_of, explain

__all__ = ["METHODS", "Explanation", "Explanations", "explain"]


def __getattr__(name: str) -> Any:
    """The classes of the methods, too: ``from fastxai.explain import GradCAM``."""
    found = class_of(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found


class _Callable(ModuleType):
    """A package that can be called: importing a submodule binds its name in `fastxai`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Explanations:
        return explain(*args, **kwargs)


_module = sys.modules[__name__]
_module.__class__ = _Callable
_module.__dict__["__signature__"] = inspect.signature(explain)
_module.__doc__ = explain.__doc__
