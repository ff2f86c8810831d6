"""Where the images of a set come from: files, tables, arrays, Datasets."""

from .base import Source
from .choose import read_source
from .paths import from_text, to_text

__all__ = ["Source", "from_text", "read_source", "to_text"]
