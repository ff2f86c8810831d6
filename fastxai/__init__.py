"""Look at your data and at your model: PCA, t-SNE and UMAP; explanations of any image network.

``import fastxai`` is cheap: every name is loaded when it is first used.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets, metrics, plot, report
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
        ModelError,
        NoGradientError,
        NotEnoughMemoryError,
        StorageError,
    )
    from .explain.black_box.occlusion import Occlusion
    from .explain.black_box.rise import RISE
    from .explain.cam import CAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
    from .explain.explanation import Explanation, Explanations
    from .explain.gradients import DeconvNet, GuidedBackprop
    from .explain.guided_gradcam import GuidedGradCAM
    from .explain.methods import explain
    from .explain.rollout import AttentionRollout
    from .explain.saliency import Saliency
    from .image_sets.embed import MapEmbedding, embed_maps
    from .image_sets.results import Results, open_results
    from .image_sets.run import explain_dataset

try:
    __version__ = version("fastxai")
except PackageNotFoundError:  # run from a source tree that nobody installed
    __version__ = "0+unknown"

__all__ = [
    "AttentionRollout",
    "CAM",
    "DeconvNet",
    "DivergedError",
    "Explanation",
    "Explanations",
    "FastxaiError",
    "FastxaiWarning",
    "GradCAM",
    "GradCAMPlusPlus",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "InvalidInputError",
    "LayerCAM",
    "MapEmbedding",
    "MissingDependencyError",
    "ModelError",
    "NeighborGraph",
    "NoGradientError",
    "NotEnoughMemoryError",
    "Occlusion",
    "PCA",
    "RISE",
    "Results",
    "Saliency",
    "StorageError",
    "TSNE",
    "UMAP",
    "align",
    "datasets",
    "embed_maps",
    "explain",
    "explain_dataset",
    "metrics",
    "neighbors",
    "open_results",
    "plot",
    "report",
    "sweep",
]

_HOME = {
    "AttentionRollout": ".explain.rollout",
    "CAM": ".explain.cam",
    "DeconvNet": ".explain.gradients",
    "DivergedError": ".errors",
    "Explanation": ".explain.explanation",
    "Explanations": ".explain.explanation",
    "FastxaiError": ".errors",
    "FastxaiWarning": ".errors",
    "GradCAM": ".explain.cam",
    "GradCAMPlusPlus": ".explain.cam",
    "GuidedBackprop": ".explain.gradients",
    "GuidedGradCAM": ".explain.guided_gradcam",
    "HiResCAM": ".explain.cam",
    "InvalidInputError": ".errors",
    "LayerCAM": ".explain.cam",
    "MapEmbedding": ".image_sets.embed",
    "MissingDependencyError": ".errors",
    "ModelError": ".errors",
    "NeighborGraph": ".embed.neighbors",
    "NoGradientError": ".errors",
    "NotEnoughMemoryError": ".errors",
    "Occlusion": ".explain.black_box.occlusion",
    "PCA": ".embed.pca",
    "RISE": ".explain.black_box.rise",
    "Results": ".image_sets.results",
    "Saliency": ".explain.saliency",
    "StorageError": ".errors",
    "TSNE": ".embed.tsne",
    "UMAP": ".embed.umap",
    "align": ".embed.align",
    "embed_maps": ".image_sets.embed",
    "explain_dataset": ".image_sets.run",
    "neighbors": ".embed.neighbors",
    "open_results": ".image_sets.results",
    "sweep": ".embed.sweep",
}
_MODULES = ("datasets", "explain", "metrics", "plot", "report")


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
