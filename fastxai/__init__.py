"""Look at your data: PCA, t-SNE and UMAP of millions of points, by compiled kernels.

``import fastxai`` is cheap: every name is loaded when it is first used.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets, metrics, plot
    from .embed.align import align
    from .embed.neighbors import NeighborGraph, neighbors
    from .embed.pca import PCA
    from .embed.sweep import sweep
    from .embed.tsne import TSNE
    from .embed.umap import UMAP
    from .errors import (
        DivergedError,
        FastxaiError,
        FastxaiWarning,
        InvalidInputError,
        MissingDependencyError,
        NotEnoughMemoryError,
    )

try:
    __version__ = version("fastxai")
except PackageNotFoundError:  # run from a source tree that nobody installed
    __version__ = "0+unknown"

__all__ = [
    "DivergedError",
    "FastxaiError",
    "FastxaiWarning",
    "InvalidInputError",
    "MissingDependencyError",
    "NeighborGraph",
    "NotEnoughMemoryError",
    "PCA",
    "TSNE",
    "UMAP",
    "align",
    "datasets",
    "metrics",
    "neighbors",
    "plot",
    "sweep",
]

_HOME = {
    "DivergedError": ".errors",
    "FastxaiError": ".errors",
    "FastxaiWarning": ".errors",
    "InvalidInputError": ".errors",
    "MissingDependencyError": ".errors",
    "NeighborGraph": ".embed.neighbors",
    "NotEnoughMemoryError": ".errors",
    "PCA": ".embed.pca",
    "TSNE": ".embed.tsne",
    "UMAP": ".embed.umap",
    "align": ".embed.align",
    "neighbors": ".embed.neighbors",
    "sweep": ".embed.sweep",
}
_MODULES = ("datasets", "metrics", "plot")


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
