"""Guided backprop and DeconvNet: how a gradient passes ReLUs, operation by operation."""

from .coverage import opaque_modules, unreached
from .rules import ReLURules

__all__ = ["ReLURules", "opaque_modules", "unreached"]
