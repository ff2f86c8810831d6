"""One page about an explained set: `write` makes it."""

from .page import write

__all__ = ["write"]
