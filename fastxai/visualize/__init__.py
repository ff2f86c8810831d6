"""What a unit of a network wants to see: images made by climbing its activation."""

from ..errors import MissingDependencyError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingDependencyError(
        "feature visualisation needs PyTorch: pip install 'fastxai[torch]'"
    ) from error

from .options import Options
from .visualization import Visualization
from .visualizer import FeatureVisualizer

__all__ = ["FeatureVisualizer", "Options", "Visualization"]
