"""Which layer is looked at: by name, by module or by default."""

from .layers import Layer, OpTap, near_names, resolve_layers

__all__ = ["Layer", "OpTap", "near_names", "resolve_layers"]
