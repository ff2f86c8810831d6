"""Pictures of embeddings that one would put in a paper, of a thousand points or of millions."""

from .components import biplot, scree
from .maps import scatter
from .panels import panels

__all__ = ["biplot", "panels", "scatter", "scree"]
