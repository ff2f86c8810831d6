"""The photos in a folder and in all folders in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from PIL import Image

from ..._warn import warn
from ...errors import InvalidInputError
from ...explain.networks.reading import NO_PHOTOS

_RUN = "maps.zarr"  # in the folder of an explained set
_LISTED = 5


def endings() -> frozenset[str]:
    """What the names of files end in that Pillow reads, small letters."""
    Image.init()
    known = Image.registered_extensions()
    return frozenset(e for e, f in known.items() if f in Image.OPEN and f not in NO_PHOTOS)


def find_photos(folder: str) -> list[str]:
    """Paths of the photos in a folder, in the order of their paths below it.

    Names that begin with a dot are left out.  Links to folders are followed, those to a folder
    that they lie in are not.

    Parameters
    ----------
    folder : str

    Returns
    -------
    list of str
        Absolute, as `open` takes them.

    Raises
    ------
    InvalidInputError
        If the folder can not be read, or holds no photo.
    """
    root = os.path.abspath(folder)
    known = endings()
    found: list[str] = []
    others: set[str] = set()
    closed: list[str] = []
    for path in _files(root, (), closed):
        ending = os.path.splitext(path)[1].lower()
        if ending in known:
            found.append(path)
        else:
            others.add(ending)
    if root in closed:
        raise InvalidInputError(f"{folder} can not be read: permission denied")
    if closed:
        warn(
            f"{len(closed)} folders can not be read, and their photos are left out: "
            + ", ".join(closed[:_LISTED])
            + (", ..." if len(closed) > _LISTED else "")
        )
    if not found:
        there = ", ".join(sorted(filter(None, others))[:_LISTED])
        raise InvalidInputError(
            f"{folder} holds no photo, nor do the folders in it"
            + (f": there are files ending in {there}" if there else "")
            + "; photos end in .jpg, .png, .webp or what else Pillow knows"
        )
    # Folder by folder, as lists of their parts would be sorted, in less time than listing took.
    return sorted(found, key=lambda path: path.replace(os.sep, "\0"))


def _files(folder: str, above: tuple[tuple[int, int], ...], closed: list[str]) -> Iterator[str]:
    """Files below a folder; folders that can not be read go to ``closed``."""
    try:
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in above:  # a link to a folder that it lies in
            return
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError:
        closed.append(folder)
        return
    if above and any(entry.name == _RUN for entry in entries):
        return  # what an earlier run wrote, whose sheets are no photos
    for entry in entries:
        if _is_folder(entry):
            yield from _files(entry.path, (*above, here), closed)
        else:
            yield entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
