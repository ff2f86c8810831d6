"""The folder of a bank: features and small pictures as .npy files, a table, and what was asked.

While it is being written, raw files lie beside the parts of the table in ``table/``: a row of
the raw files counts when its part of the table is there.  In the end what failed is left out,
so that row i of every file is the same image.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from ..errors import InvalidInputError
from ..image_sets.lock import LOCK, WRITER
from ..image_sets.manifest import Layout, Manifest
from ..image_sets.rows import OK
from ..image_sets.store import Encoded, Store, told
from ..image_sets.table import PARTS, TABLE, join
from ..io import atomic_write

NAME, FEATURES, THUMBNAILS = "bank.json", "features.npy", "thumbnails.npy"
FORMAT, VERSION = "fastxai feature bank", 1
_FILES = {"features": FEATURES, "thumbnails": THUMBNAILS}
_OURS = {NAME, FEATURES, THUMBNAILS, PARTS, TABLE, LOCK, WRITER}
_BYTES = 2**24  # of rows that are copied together


class BankManifest(Manifest):
    """What a bank is: its settings, how many features of how many images, names of classes.

    A batch of the layout is what is written together; in the network fewer images may run so.
    """

    def size(self, k: int) -> int:
        """How many images of batch k run together."""
        return self.halved.get(k, int(self.settings["batch_size"]))

    def write(self, folder: Path) -> None:
        """Write it whole or not at all."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "settings": self.settings,
            "layout": asdict(self.layout),
            "names": self.names,
            "threads": self.threads,
            "halved": {str(k): size for k, size in sorted(self.halved.items())},
        }
        with atomic_write(folder / NAME) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def read_manifest(folder: Path) -> BankManifest:
    """Read what a bank is.

    Raises
    ------
    InvalidInputError
        If there is none, it is damaged, or of a newer version.
    """
    file = folder / NAME
    if not file.is_file():
        raise InvalidInputError(f"{folder} holds no feature bank: {NAME} is not there")
    try:
        content = json.loads(file.read_text("utf-8"))
        if content["format"] != FORMAT:
            raise KeyError("format")
        if (version := int(content["version"])) > VERSION:
            raise InvalidInputError(
                f"{file} is of version {version}, and this fastxai knows versions up to "
                f"{VERSION}: it was written by a newer one; upgrade fastxai"
            )
        layout = content["layout"]
        layout |= {name: tuple(layout[name]) for name in ("maps", "image_shape")}
        names, halved = content["names"], content["halved"]
        return BankManifest(
            content["settings"],
            Layout(**layout),
            None if names is None else tuple(names),
            seed=0,
            memory=0,
            threads=int(content["threads"]),
            halved={int(k): size for k, size in halved.items()},
        )
    except InvalidInputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"{file} is damaged ({type(error).__name__}: {error}); build another bank"
        ) from None


def is_bank(folder: str | Path) -> bool:
    """Whether a folder holds a bank, finished or not."""
    return (Path(folder) / NAME).is_file()


def open_folder(folder: Path) -> None:
    """Make the folder, or make sure that what is there can be ours.

    Raises
    ------
    StorageError
        If it can not be made or written to.
    InvalidInputError
        If it is a file, or holds other things and no bank.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"{folder} is a file: give a folder for the bank")
    if folder.is_dir() and not is_bank(folder):
        strange = sorted(file.name for file in folder.iterdir() if not _is_ours(file.name))
        if strange:
            raise InvalidInputError(
                f"{folder} is not empty and holds no feature bank (there is {strange[0]}): give "
                "another folder"
            )
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / "try", keep=False):
            pass


def _is_ours(name: str) -> bool:
    return name in _OURS or (name.startswith(".") and ".tmp" in name)


class BankStore(Store):
    """Writes batches, each whole or not at all."""

    def create(self, manifest: Manifest, items: bytes = b"") -> None:
        """Begin: empty raw files first, the manifest last."""
        self._sweep()
        with told(self.folder):
            shutil.rmtree(self.folder / PARTS, ignore_errors=True)
            for name in (TABLE, *_FILES.values()):  # of a bank whose manifest somebody removed
                (self.folder / name).unlink(missing_ok=True)
            (self.folder / PARTS).mkdir()
            for name, of in self.layout.arrays.items():
                file, shape = self._raw(name), (self.layout.n, *of["shape"])
                np.lib.format.open_memmap(file, "w+", of["dtype"], shape).flush()
            manifest.write(self.folder)

    def _raw(self, name: str) -> Path:
        return self.folder / PARTS / _FILES[name]

    def publish(self, k: int, batch: Encoded) -> None:
        """Write batch k: its part of the table is last, and tells that the rest is there."""
        with told(self.folder):
            for name, content in batch.arrays.items():
                # Not through the mapping: a full disk would end the process instead of the call.
                with open(self._raw(name), "r+b") as file:
                    start, row = _place(self._raw(name))
                    file.seek(start + row * self.layout.span(k)[0])
                    file.write(content or b"")
                    file.flush()
                    os.fsync(file.fileno())
            with atomic_write(self.part(k)) as temporary:
                temporary.write_bytes(batch.rows)

    def clean(self, done: set[int]) -> None:
        """Remove what a run that was killed left half done; rows without a part are rewritten."""
        self._sweep()

    def finish(self) -> None:
        """When every batch is there: the images that did not fail, and the table in one file."""
        with told(self.folder):
            if not (self.folder / TABLE).exists():
                parts = [self.part(k) for k in range(self.layout.chunks)]
                good = np.concatenate([_good(part) for part in parts])
                for name, file in _FILES.items():
                    if self._raw(name).exists():  # else it was moved before the run was killed
                        _move(self._raw(name), self.folder / file, good)
                join(parts, self.folder / TABLE)
            shutil.rmtree(self.folder / PARTS, ignore_errors=True)


def _place(file: Path) -> tuple[int, int]:
    """Where the first row of a .npy file begins, and how many bytes a row has."""
    mapped: Any = np.load(file, mmap_mode="r")
    return int(mapped.offset), int(mapped.dtype.itemsize * np.prod(mapped.shape[1:]))


def _good(part: Path) -> NDArray[np.bool_]:
    status = parquet.read_table(part, columns=["status"])["status"].to_pylist()
    return np.array([one == OK for one in status], np.bool_)


def _move(raw: Path, to: Path, good: NDArray[np.bool_]) -> None:
    """The good rows of a raw file, in a file of their own; all of them without a copy."""
    if good.all():
        os.replace(raw, to)
        return
    mapped = np.load(raw, mmap_mode="r")
    with atomic_write(to) as temporary, open(temporary, "wb") as file:
        header = np.lib.format.header_data_from_array_1_0(mapped)
        shape = (int(good.sum()), *mapped.shape[1:])
        np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
        for rows in _slices(mapped):
            file.write(np.ascontiguousarray(mapped[rows][good[rows]]).tobytes())


def _slices(mapped: NDArray[Any]) -> Iterator[slice]:
    size = max(1, _BYTES // max(1, int(mapped.dtype.itemsize * np.prod(mapped.shape[1:]))))
    for start in range(0, len(mapped), size):
        yield slice(start, start + size)
