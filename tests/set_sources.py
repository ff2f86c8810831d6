"""Small image sets of every kind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from set_files import blobs, content, write

torch = pytest.importorskip("torch")
from torch.utils import data  # noqa: E402

from fastxai.explain.networks.photos import Preprocess  # noqa: E402
from fastxai.image_sets.sources import Source, from_text, read_source  # noqa: E402

PREPARE = Preprocess((8, 8))
PHOTO = content(blobs(16, 16), "PNG")


def opened(source: Any, **options: Any) -> Source:
    return read_source(source, preprocess=PREPARE, **options)


def names_of(source: Source, folder: Path) -> list[str]:
    return [os.path.relpath(from_text(path), folder) for path in source.paths]


def fill(folder: Path, *names: str) -> None:
    for name in names:
        write(folder / name, PHOTO)


def as_csv(folder: Path, text: str, name: str = "t.csv") -> Path:
    return write(folder / name, text.encode())


NAMES = ["comma, and 'quote\".png", "line\nbreak.png", "日本 ☕.png", " space .png", "a%41.png"]
INPUT = np.random.default_rng(2).normal(size=(5, 3, 6, 7)).astype(np.float32)


class Items(data.Dataset):  # type: ignore[type-arg]
    """Items of a list; exceptions among them are raised."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        if isinstance(self.items[i], BaseException):
            raise self.items[i]
        return self.items[i]


def tensors(n: int = 3) -> list[Any]:
    return [(torch.full((1, 4, 4), float(i)), i) for i in range(n)]
