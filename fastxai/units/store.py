"""A scan on the disk: what it is, how far it is, and the pictures of some units."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..image_sets.lock import only_writer
from ..image_sets.manifest import check_same
from ..image_sets.store import told
from ..io import atomic_write
from .reach import Field
from .strongest import Strongest

NAME, STATE, ITEMS, PICTURES, TABLE = (
    *("units.json", "state.npz", "items.parquet"),
    *("pictures", "units.csv"),
)
FORMAT, VERSION = "fastxai units", 1


@dataclass(frozen=True)
class LayerShape:
    """A layer by its name: so many units, at positions of this shape, which read these fields."""

    name: str
    channels: int
    shape: tuple[int, ...]
    field: Field

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        ends = {"low": self.field.low, "high": self.field.high}
        return {
            "name": self.name,
            "channels": self.channels,
            "shape": list(self.shape),
            **{name: [axis.tolist() for axis in axes] for name, axes in ends.items()},
        }

    @classmethod
    def of_json(cls, found: dict[str, Any], image: Sequence[int]) -> LayerShape:
        """What `to_json` gave."""
        low, high = (
            tuple(np.array(axis, np.int64) for axis in found[name]) for name in ("low", "high")
        )
        shape = tuple(map(int, found["shape"]))
        return cls(found["name"], int(found["channels"]), shape, Field(low, high, tuple(image)))


@dataclass
class Manifest:
    """What a scan is; fixed when it begins.

    Attributes
    ----------
    settings : dict
        What a scan that continues must have in common, JSON values.
    n, batch_size, k, threads : int
        Images, how many run together, how many are kept a unit; threads of torch.
    threshold : float
        Above it an activation is active.
    image_shape : tuple of int
        (C, *spatial), which every image must have.
    layers : dict of str to LayerShape
    """

    settings: dict[str, Any]
    n: int
    batch_size: int
    k: int
    threads: int
    threshold: float
    image_shape: tuple[int, ...]
    layers: dict[str, LayerShape]

    @property
    def batches(self) -> int:
        """How many batches there are."""
        return -(-self.n // self.batch_size)

    def span(self, number: int) -> tuple[int, int]:
        """First and one past the last image of a batch."""
        return number * self.batch_size, min(self.n, (number + 1) * self.batch_size)

    def write(self, folder: Path) -> None:
        """Write it whole or not at all."""
        content = {"format": FORMAT, "version": VERSION, **vars(self)}
        content["layers"] = [layer.to_json() for layer in self.layers.values()]
        with atomic_write(folder / NAME) as temporary:
            temporary.write_text(json.dumps(content) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read what a scan is.

    Raises
    ------
    InvalidInputError
        If there is none, or it is damaged, or of a newer version.
    """
    file = folder / NAME
    if not file.is_file():
        raise InvalidInputError(
            f"{folder} holds no scan of units: {NAME} is not there; fastxai.scan_units writes one"
        )
    try:
        content = json.loads(file.read_text("utf-8"))
        if content.pop("format") != FORMAT:
            raise KeyError("format")
        if int(version := content.pop("version")) > VERSION:
            raise InvalidInputError(
                f"{file} is of version {version}, and this fastxai knows versions up to "
                f"{VERSION}: it was written by a newer one; upgrade fastxai"
            )
        shape = tuple(map(int, content.pop("image_shape")))
        layers = [LayerShape.of_json(layer, shape[1:]) for layer in content.pop("layers")]
        return Manifest(
            **content, image_shape=shape, layers={layer.name: layer for layer in layers}
        )
    except InvalidInputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"{file} is damaged ({type(error).__name__}: {error}); scan into another folder"
        ) from None


@dataclass
class Progressed:
    """How far a scan is.

    Attributes
    ----------
    batches : int
        How many are done.
    together : int
        How many images run together; fewer than a batch where memory did not suffice.
    failed : dict of int to str
        Images that could not be read, and why.
    states : dict of str to Strongest
        By layer.
    """

    batches: int
    together: int
    failed: dict[int, str] = field(default_factory=dict)
    states: dict[str, Strongest] = field(default_factory=dict)

    @classmethod
    def begun(cls, manifest: Manifest) -> Progressed:
        """Before the first batch."""
        states = {
            name: Strongest.empty(layer.channels, manifest.k)
            for name, layer in manifest.layers.items()
        }
        return cls(0, manifest.batch_size, {}, states)

    def write(self, folder: Path) -> None:
        """Write it whole or not at all."""
        head = {"batches": self.batches, "together": self.together, "failed": self.failed}
        text = np.frombuffer(json.dumps(head).encode(), np.uint8)
        arrays: dict[str, NDArray[Any]] = {
            f"{number}/{name}": array
            for number, state in enumerate(self.states.values())
            for name, array in state.arrays().items()
        }
        content = io.BytesIO()
        np.savez(content, head=text, **arrays)  # type: ignore[arg-type]
        with told(folder), atomic_write(folder / STATE) as temporary:
            temporary.write_bytes(content.getvalue())

    @classmethod
    def read(cls, folder: Path, manifest: Manifest) -> Progressed:
        """What was written last; the beginning where nothing was.

        Raises
        ------
        InvalidInputError
            If it is damaged.
        """
        file = folder / STATE
        if not file.exists():
            return cls.begun(manifest)
        try:
            with np.load(file, allow_pickle=False) as found:
                head = json.loads(found["head"].tobytes())
                states = {}
                for number, name in enumerate(manifest.layers):
                    start = f"{number}/"
                    own = [key for key in found.files if key.startswith(start)]
                    states[name] = Strongest.of({key[len(start) :]: found[key] for key in own})
            failed = {int(number): reason for number, reason in head["failed"].items()}
            return cls(int(head["batches"]), int(head["together"]), failed, states)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise InvalidInputError(
                f"{file} is damaged ({type(error).__name__}: {error}); scan into another folder"
            ) from None


@contextmanager
def open_folder(folder: Path, settings: dict[str, Any]) -> Iterator[Manifest | None]:
    """A folder for a scan, with nobody else writing to it; what it is, if it was begun.

    Raises
    ------
    InvalidInputError
        If it is a file, holds other things, or a scan with other settings.
    StorageError
        If it can not be written to, or another process writes there.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"{folder} is a file: give a folder for the output")
    if folder.is_dir() and not (folder / NAME).exists():
        strange = sorted(file.name for file in folder.iterdir() if not _is_ours(file.name))
        if strange:
            raise InvalidInputError(
                f"{folder} is not empty and holds no scan of units (there is {strange[0]}): give "
                "another folder"
            )
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / "try", keep=False):
            pass
    with only_writer(folder):
        for file in folder.glob(".*.tmp*"):
            file.unlink(missing_ok=True)
        found = None
        if (folder / NAME).exists():
            found = read_manifest(folder)
            check_same(folder, found.settings, settings)
        yield found


def _is_ours(name: str) -> bool:
    own = name in (STATE, ITEMS, PICTURES, TABLE, ".lock", ".writer.json")
    pictures = name.startswith(("filters", "feature-maps")) and name.endswith(".png")
    return own or pictures or (name.startswith(".") and ".tmp" in name)
