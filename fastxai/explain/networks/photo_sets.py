"""Photos that install with packages, as a set: some with their true class."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ...errors import MissingDependencyError

_LABELLED = re.compile(r"imagenet_\d+_(\d+)\.jpg")
_NO_PHOTOS = ("multipage", "palette", "no_time")


class PhotoSet(NamedTuple):
    """Photos, their ImageNet classes where they are known, and the packages they come with."""

    paths: list[str]
    labels: list[int | None]
    groups: list[str]


def installed_photos() -> PhotoSet:
    """The photos of the packages foolbox (20, with their class) and scikit-image (without).

    They are used where they lie.

    Raises
    ------
    MissingDependencyError
        If neither package is installed.

    Examples
    --------
    >>> from fastxai.explain.networks import installed_photos
    >>> photos = installed_photos()
    >>> set(photos.groups) <= {"foolbox", "scikit-image"}
    True
    """
    found = PhotoSet([], [], [])
    for package, module, endings in (
        ("foolbox", "foolbox", (".jpg",)),
        ("scikit-image", "skimage", (".jpg", ".jpeg", ".png")),
    ):
        for file in _files(module):
            label = _LABELLED.fullmatch(file.name)
            wanted = label if package == "foolbox" else not file.stem.startswith(_NO_PHOTOS)
            if wanted and file.suffix in endings:
                found.paths.append(str(file))
                found.labels.append(int(label[1]) if label else None)
                found.groups.append(package)
    if not found.paths:
        raise MissingDependencyError(
            "the photos come with foolbox and scikit-image, which are not installed: "
            "pip install --no-deps foolbox scikit-image"
        )
    return found


def _files(module: str) -> list[Path]:
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return []
    return sorted((Path(next(iter(spec.submodule_search_locations))) / "data").glob("*"))
