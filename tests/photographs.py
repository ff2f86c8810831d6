"""Photos that tests write and read."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (6, 8, 3), np.uint8)


def have(*modules: str) -> Any:
    missing = [name for name in modules if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


MODULE = """
import torch
from fastxai.explain.networks import Network
from fastxai.explain.networks.photos import Preprocess

def build():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))

def whole():
    return Network(build(), ("a", "b"), Preprocess((8, 8)))

def broken():
    raise RuntimeError("no weights here\\nnor there")

class Holder:
    build = staticmethod(build)

ready = build()
number = 3
nothing = dict
"""
