"""How far pictures can be trusted: `embedding` judges maps of points, `maps` those of evidence."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import embedding, maps

__all__ = ["embedding", "maps"]


def __getattr__(name: str) -> Any:
    """Load a module of metrics when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
