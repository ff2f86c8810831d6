"""Words: a second model that looks at a network's feature maps and says what is in the image."""

from .explainer import TextExplainer
from .result import TextExplanation, TextExplanations

__all__ = ["TextExplainer", "TextExplanation", "TextExplanations"]
