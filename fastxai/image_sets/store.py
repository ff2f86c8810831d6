"""The output on disk: a Zarr v3 group of maps, and a table whose parts say what is done."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from ..errors import InvalidInputError, StorageError
from ..io import atomic_write
from . import table
from .manifest import NAME, Layout, Manifest
from .table import PARTS, TABLE

MAPS, ITEMS = "maps.zarr", "items.parquet"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OURS = {MAPS, PARTS, TABLE, ITEMS, NAME, ".lock", ".writer.json"}


class Encoded(NamedTuple):
    """A batch as it lies on the disk: bytes of each array's chunk (None: all fill value).

    ``size`` is how many images ran together, where memory did not suffice for the batch.
    """

    arrays: dict[str, bytes | None]
    rows: bytes
    size: int


def encode(layout: Layout, arrays: Mapping[str, NDArray[Any]], rows: bytes, size: int) -> Encoded:
    """Compress a batch; a pure function of its content."""
    found = {}
    for name, block in arrays.items():
        memory = zarr.storage.MemoryStore()
        array = _create(memory, name, layout, layout.batch_size)
        array[: len(block)] = block
        content = memory._store_dict.get(f"{name}/{_key(array.ndim, 0)}")
        found[name] = None if content is None else content.to_bytes()
    return Encoded(found, rows, size)


def _create(store: Any, name: str, layout: Layout, n: int) -> Any:
    of = layout.arrays[name]
    return zarr.create_array(
        store,
        name=name,
        shape=(n, *of["shape"]),
        chunks=(layout.batch_size, *of["shape"]),
        dtype=of["dtype"],
        # Pictures are smooth: with the bytes of equal weight side by side they shrink by half.
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
        fill_value=np.nan if np.dtype(of["dtype"]).kind == "f" else 0,
        dimension_names=("image", *of["dimensions"]),
        attributes=of["attributes"],
    )


def _key(axes: int, k: int) -> str:
    """Name of a chunk that spans all axes but the first."""
    return "/".join(["c", str(k), *["0"] * (axes - 1)])


class Store:
    """Writes batches, each whole or not at all."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder, self.layout = folder, layout

    def create(self, manifest: Manifest, items: bytes) -> None:
        """Begin: empty arrays and the list of images first, the manifest last."""
        self._sweep()
        for name in (MAPS, PARTS):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        with told(self.folder):
            for name in (TABLE, "trust.json"):  # of a run whose manifest somebody removed
                (self.folder / name).unlink(missing_ok=True)
            group = zarr.create_group(str(self.folder / MAPS))
            for name in self.layout.arrays:
                _create(group.store, name, self.layout, self.layout.n)
            (self.folder / PARTS).mkdir()
            _write(self.folder / ITEMS, items)
            manifest.write(self.folder)

    def publish(self, k: int, batch: Encoded) -> None:
        """Write batch k: its part of the table is last, and tells that the rest is there."""
        with told(self.folder):
            for name, content in batch.arrays.items():
                axes = len(self.layout.arrays[name]["shape"]) + 1
                file = self.folder / MAPS / name / _key(axes, k)
                if content is None:
                    file.unlink(missing_ok=True)
                    continue
                file.parent.mkdir(parents=True, exist_ok=True)
                _write(file, content)
            _write(self.part(k), batch.rows)

    def part(self, k: int) -> Path:
        """The file of a part of the table."""
        return self.folder / PARTS / f"part-{k:06d}.parquet"

    def done(self) -> set[int]:
        """The batches that are there."""
        if (self.folder / TABLE).exists():
            return set(range(self.layout.chunks))
        names = (file.name for file in (self.folder / PARTS).glob("part-*.parquet"))
        return {int(name[5:-8]) for name in names}

    def finish(self) -> None:
        """When every batch is there: the table in one file."""
        with told(self.folder):
            if not (self.folder / TABLE).exists():
                table.join([self.part(k) for k in range(self.layout.chunks)], self.folder / TABLE)
            shutil.rmtree(self.folder / PARTS, ignore_errors=True)

    def clean(self, done: set[int]) -> None:
        """Remove what a run that was killed left half done."""
        self._sweep()
        with told(self.folder):
            for name in self.layout.arrays:
                chunks = self.folder / MAPS / name / "c"
                for k in os.listdir(chunks) if chunks.is_dir() else ():
                    if int(k) not in done:
                        shutil.rmtree(chunks / k)

    def _sweep(self) -> None:
        """Remove files that were being written."""
        with told(self.folder):
            for folder in (self.folder, self.folder / PARTS):
                for file in folder.glob(".*.tmp*"):
                    file.unlink(missing_ok=True)


def _write(file: Path, content: bytes) -> None:
    with atomic_write(file) as temporary:
        temporary.write_bytes(content)


def open_folder(folder: Path) -> None:
    """Make the folder, or make sure that what is there can be ours.

    Raises
    ------
    StorageError
        If it can not be made or written to.
    InvalidInputError
        If it is a file, or holds other things and no run.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"{folder} is a file: give a folder for the output")
    if folder.is_dir() and not (folder / NAME).exists():
        strange = sorted(file.name for file in folder.iterdir() if not _is_ours(file.name))
        if strange:
            raise InvalidInputError(
                f"{folder} is not empty and holds no explained image set (there is "
                f"{strange[0]}): give another folder"
            )
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / "try", keep=False):
            pass


def _is_ours(name: str) -> bool:
    return name in _OURS or (name.startswith(".") and ".tmp" in name)


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """What the file system refuses, in words; what is written already stays."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        text = f"{folder} can not be written: {error.strerror or error}"
        if error.errno in _FULL:
            text = (
                f"{folder}: no space left on the disk; what is written so far is whole: make room "
                "and start the same again to continue"
            )
        found = StorageError(text)
        found.errno = error.errno
        raise found from error
