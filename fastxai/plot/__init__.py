"""Pictures of embeddings that one would put in a paper, of a thousand points or of millions."""

from .components import biplot, scree
from .maps import scatter

__all__ = ["biplot", "scatter", "scree"]
