"""Labels and groups that are given beside the images, and which image each belongs to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..._warn import warn
from ...errors import InvalidInputError
from ..labels import Label, plain
from .paths import from_text, to_text
from .tables import Columns, is_table, path_column, paths_of, read_columns

_LISTED = 3


class Rows(NamedTuple):
    """What is known of the images before any is read.

    ``root`` is the folder that relative names count from, ``columns`` those of the table.
    """

    paths: list[str]
    root: str | None = None
    columns: Columns | None = None


def read_beside(what: str, given: Any, rows: Rows) -> list[Label]:
    """Labels or groups, one an image.

    Parameters
    ----------
    what : {"labels", "groups"}
    given
        None (the table's own column, if there is one), False (none at all), "folder" (the name
        of the photo's folder), a column of the table, a .csv or .parquet file with paths, a
        mapping of paths, or a sequence.
    rows : Rows

    Raises
    ------
    InvalidInputError
        If the number does not match, or nothing of it belongs to any image.
    """
    name = what.removesuffix("s")
    if given is None and rows.columns is not None:
        own = next((column for column in rows.columns if column.lower() == name), None)
        given = rows.columns[own] if own is not None else None
    if given is None or given is False:
        return [None] * len(rows.paths)
    if isinstance(given, str | os.PathLike):
        return _named(what, os.fspath(given), rows)
    if isinstance(given, Mapping):
        table = dict(zip(given, plain(list(given.values()), what), strict=True))
        return _matched(what, {str(os.fspath(k)): v for k, v in table.items()}, rows)
    try:
        n = len(given)
    except TypeError:
        raise InvalidInputError(
            f"{what} is a {type(given).__name__}: give one for each image, a column of the table, "
            "a .csv file with paths, a mapping of paths, or 'folder'"
        ) from None
    if n != len(rows.paths):
        raise InvalidInputError(f"there are {n:,} {what} for {len(rows.paths):,} images")
    return plain(given, what)


def _named(what: str, given: str, rows: Rows) -> list[Label]:
    """What a text stands for: a column of the table, the photos' folders, or a file."""
    if rows.columns is not None and given in rows.columns:
        return plain(rows.columns[given], what)
    if given == "folder":
        if not any(rows.paths):
            raise InvalidInputError(f"{what}='folder': these images have no paths")
        return [_folder_of(path) for path in rows.paths]
    if is_table(given):
        return _matched(what, _from_file(what, given), rows)
    columns = "" if rows.columns is None else f", whose columns are {', '.join(rows.columns)}"
    raise InvalidInputError(
        f"{what}={given!r} is no column of the table{columns}"
        if rows.columns is not None
        else f"{what}={given!r}: give 'folder', a .csv or .parquet file with paths, a mapping of "
        "paths, or one for each image"
    )


def _folder_of(path: str) -> str | None:
    folder = os.path.basename(os.path.dirname(from_text(path)))
    return folder.encode("utf-8", "backslashreplace").decode() or None


def _from_file(what: str, file: str) -> dict[str, Label]:
    """Paths, absolute and as written, and what a table says of each."""
    columns = read_columns(file)
    name = what.removesuffix("s")
    by_name = {column.lower(): column for column in columns}
    own = by_name.get(name, by_name.get(what))
    paths = path_column(columns, file, (own,) if own else ())
    if own is None:
        others = [column for column in columns if column != paths]
        if len(others) != 1:
            raise InvalidInputError(
                f"{file} has no column named {name}; its columns are {', '.join(columns)}"
            )
        own = others[0]
    found: dict[str, Label] = {}
    values = plain(columns[own], what)
    absolute = paths_of(columns[paths], file, paths)
    for full, written, value in zip(absolute, columns[paths], values, strict=True):
        if full:
            found[full] = found[str(written)] = value
    return found


def _matched(what: str, table: dict[str, Label], rows: Rows) -> list[Label]:
    """Each image's entry, by its path, its path below the folder, or its mere name."""
    if not any(rows.paths):
        raise InvalidInputError(f"{what} are given by path, and these images have no paths")
    keys = {to_text(key) if os.path.isabs(key) else key: value for key, value in table.items()}
    once = Counter(os.path.basename(path) for path in rows.paths)
    found: list[Label] = []
    missing = []
    for path in rows.paths:
        names = [path]
        if path and rows.root is not None:
            below = os.path.relpath(from_text(path), rows.root)
            names += [below, below.replace(os.sep, "/")]
        if once[os.path.basename(path)] == 1:
            names.append(os.path.basename(path))
        key = next((key for key in names if key in keys), None)
        found.append(None if key is None else keys[key])
        if key is None:
            missing.append(path)
    if len(missing) == len(rows.paths):
        raise InvalidInputError(
            f"{what}: none of the {len(rows.paths):,} images is among the {len(table):,} entries: "
            f"the first image is {rows.paths[0]}, the first entry {next(iter(table), 'none')!r}"
        )
    if missing:
        warn(
            f"{len(missing):,} of {len(rows.paths):,} images have no entry in {what}: "
            + ", ".join(missing[:_LISTED])
            + (", ..." if len(missing) > _LISTED else "")
        )
    return found
