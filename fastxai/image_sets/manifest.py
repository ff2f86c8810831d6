"""What a run is: its settings and its partition into batches, fixed at the start."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError
from ..io import atomic_write

NAME = "manifest.json"
FORMAT, VERSION = "fastxai image set", 1
_LISTED = 6  # differences in a message
_SHORT = 60  # letters of a value in a message

# What a difference of hashes says.
_HASHED = {
    "model.sha256": "the network's layers or weights differ",
    "source.paths": "the paths differ",
    "source.labels": "the labels differ",
    "source.groups": "the groups differ",
    "source.rows_sha256": "the values of the array differ",
    "source.items": "the items of the dataset differ",
    "names": "the names of the classes differ",
}


@dataclass(frozen=True)
class Layout:
    """What is written: how many images in how many batches, and arrays of which shape.

    Attributes
    ----------
    n : int
        Images.
    batch_size : int
        Images of a batch, which is a chunk of every array and a part of the table.
    image_shape : tuple of int
        (C, *spatial), which every image must have.
    arrays : dict of str to dict
        Of each array ``shape`` (without the axis of images), ``dtype``, ``dimensions`` and
        ``attributes``.
    maps : tuple of str
        Which of them are maps.
    targets : int
        Targets an image; ``single`` tells whether arrays and columns leave their axis out.
    classes : int
        The model's outputs.
    """

    n: int
    batch_size: int
    image_shape: tuple[int, ...]
    arrays: dict[str, dict[str, Any]]
    maps: tuple[str, ...]
    targets: int
    single: bool
    classes: int

    @property
    def chunks(self) -> int:
        """How many batches there are."""
        return -(-self.n // self.batch_size)

    def span(self, k: int) -> tuple[int, int]:
        """First and one past the last image of batch k."""
        return k * self.batch_size, min(self.n, (k + 1) * self.batch_size)


@dataclass
class Manifest:
    """The manifest of an output.

    Attributes
    ----------
    settings : dict
        What a run that continues must have in common, JSON values.
    layout : Layout
    names : tuple of str or None
        Names of the classes.
    seed : int
        Of what is drawn at random.
    memory, threads : int
        See `job.Job`.
    halved : dict of int to int
        Batches that did not fit into memory: how many of their images ran together.
    """

    settings: dict[str, Any]
    layout: Layout
    names: tuple[str, ...] | None
    seed: int
    memory: int
    threads: int
    halved: dict[int, int] = field(default_factory=dict)

    def size(self, k: int) -> int:
        """How many images of batch k run together."""
        return self.halved.get(k, self.layout.batch_size)

    def write(self, folder: Path) -> None:
        """Write it whole or not at all."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "settings": self.settings,
            "layout": asdict(self.layout),
            "names": self.names,
            "seed": self.seed,
            "memory": self.memory,
            "threads": self.threads,
            "halved": {str(k): size for k, size in sorted(self.halved.items())},
        }
        with atomic_write(folder / NAME) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an output.

    Raises
    ------
    InvalidInputError
        If there is none, it is damaged, or of a newer version.
    """
    file = folder / NAME
    if not file.is_file():
        raise InvalidInputError(f"{folder} holds no explained image set: {NAME} is not there")
    try:
        content = json.loads(file.read_text("utf-8"))
        if content["format"] != FORMAT:
            raise KeyError("format")
        version = int(content["version"])
        if version > VERSION:
            raise InvalidInputError(
                f"{file} is of version {version}, and this fastxai knows versions up to "
                f"{VERSION}: it was written by a newer one; upgrade fastxai"
            )
        layout = content["layout"]
        layout |= {name: tuple(layout[name]) for name in ("maps", "image_shape")}
        names = content["names"]
        return Manifest(
            content["settings"],
            Layout(**layout),
            None if names is None else tuple(names),
            int(content["seed"]),
            int(content["memory"]),
            int(content["threads"]),
            {int(k): size for k, size in content["halved"].items()},
        )
    except InvalidInputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"{file} is damaged ({type(error).__name__}: {error}); explain into another folder"
        ) from None


def check_same(folder: Path, there: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to continue a run with other settings.

    Raises
    ------
    InvalidInputError
        With the differences.
    """
    before, after = dict(_flat(there)), dict(_flat(now))
    names = [
        name
        for name in (*before, *(name for name in after if name not in before))
        if before.get(name, "nothing") != after.get(name, "nothing")
    ]
    # What can be read comes first.
    names.sort(key=lambda name: _is_hash(before.get(name)))
    different = [_difference(name, before, after) for name in names]
    if different:
        listed = "; ".join(different[:_LISTED])
        more = f"; and {len(different) - _LISTED} more" if len(different) > _LISTED else ""
        raise InvalidInputError(
            f"{folder} holds a run with other settings: {listed}{more}. Give the same ones to "
            "continue it, or another output"
        )


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested mappings with its dotted name."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, list(value) if isinstance(value, tuple) else value


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"(sha256 )?[0-9a-f]{64}", value) is not None


def _difference(name: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    if _is_hash(before.get(name)) and _is_hash(after.get(name)):
        return _HASHED.get(name, f"{name} is not the same")
    return f"{name} was {_short(before, name)} and is {_short(after, name)}"


def _short(values: dict[str, Any], name: str) -> str:
    if name not in values:
        return "not there"
    text = json.dumps(values[name], ensure_ascii=False)
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."
