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
    from .examples.bank import FeatureBank
    from .examples.by_example import explain_by_example
    from .examples.prototypes import Prototypes, prototypes
    from .explain.black_box.occlusion import Occlusion
    from .explain.black_box.rise import RISE
    from .explain.cam import CAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
    from .explain.explanation import Explanation, Explanations
    from .explain.gradients import DeconvNet, GuidedBackprop
    from .explain.guided_gradcam import GuidedGradCAM
    from .explain.methods import explain
    from .explain.rollout import AttentionRollout
    from .explain.saliency import Saliency
    from .explain.superpixels.kernel_shap import KernelSHAP
    from .explain.superpixels.lime import LIME
    from .image_sets.embed import MapEmbedding, embed_maps
    from .image_sets.results import Results, open_results
    from .image_sets.run import explain_dataset
    from .surrogates.surrogate import surrogate
    from .units.dead import dead_units
    from .units.feature_maps import feature_maps
    from .units.filters import filters
    from .units.results import UnitScan, open_units
    from .units.scan import scan_units
    from .visualize.visualizer import FeatureVisualizer
    from .words.explainer import TextExplainer

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
    "FeatureBank",
    "FeatureVisualizer",
    "GradCAM",
    "GradCAMPlusPlus",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "InvalidInputError",
    "KernelSHAP",
    "LIME",
    "LayerCAM",
    "MapEmbedding",
    "MissingDependencyError",
    "ModelError",
    "NeighborGraph",
    "NoGradientError",
    "NotEnoughMemoryError",
    "Occlusion",
    "PCA",
    "Prototypes",
    "RISE",
    "Results",
    "Saliency",
    "StorageError",
    "TSNE",
    "TextExplainer",
    "UMAP",
    "UnitScan",
    "align",
    "datasets",
    "dead_units",
    "embed_maps",
    "explain",
    "explain_by_example",
    "explain_dataset",
    "feature_maps",
    "filters",
    "metrics",
    "neighbors",
    "open_results",
    "open_units",
    "plot",
    "prototypes",
    "report",
    "scan_units",
    "surrogate",
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
    "FeatureBank": ".examples.bank",
    "FeatureVisualizer": ".visualize.visualizer",
    "GradCAM": ".explain.cam",
    "GradCAMPlusPlus": ".explain.cam",
    "GuidedBackprop": ".explain.gradients",
    "GuidedGradCAM": ".explain.guided_gradcam",
    "HiResCAM": ".explain.cam",
    "InvalidInputError": ".errors",
    "KernelSHAP": ".explain.superpixels.kernel_shap",
    "LIME": ".explain.superpixels.lime",
    "LayerCAM": ".explain.cam",
    "MapEmbedding": ".image_sets.embed",
    "MissingDependencyError": ".errors",
    "ModelError": ".errors",
    "NeighborGraph": ".embed.neighbors",
    "NoGradientError": ".errors",
    "NotEnoughMemoryError": ".errors",
    "Occlusion": ".explain.black_box.occlusion",
    "PCA": ".embed.pca",
    "Prototypes": ".examples.prototypes",
    "RISE": ".explain.black_box.rise",
    "Results": ".image_sets.results",
    "Saliency": ".explain.saliency",
    "StorageError": ".errors",
    "TSNE": ".embed.tsne",
    "TextExplainer": ".words.explainer",
    "UMAP": ".embed.umap",
    "UnitScan": ".units.results",
    "align": ".embed.align",
    "dead_units": ".units.dead",
    "embed_maps": ".image_sets.embed",
    "explain_by_example": ".examples.by_example",
    "explain_dataset": ".image_sets.run",
    "feature_maps": ".units.feature_maps",
    "filters": ".units.filters",
    "neighbors": ".embed.neighbors",
    "open_results": ".image_sets.results",
    "open_units": ".units.results",
    "scan_units": ".units.scan",
    "surrogate": ".surrogates.surrogate",
    "prototypes": ".examples.prototypes",
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
