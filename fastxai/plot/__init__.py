"""Pictures that one would put in a paper: of embeddings, and of what explains a class."""

from .components import biplot, scree
from .contact import contact_sheet
from .maps import scatter
from .overlay import overlay
from .panels import panels

__all__ = ["biplot", "contact_sheet", "overlay", "panels", "scatter", "scree"]
