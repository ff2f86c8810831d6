"""Tables of paths and labels in CSV and Parquet files."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from ..._readers import need_pyarrow
from ...errors import InvalidInputError
from ...io import existing_file
from .folder import endings
from .paths import to_text

ENDINGS = (".csv", ".tsv", ".parquet", ".pq")
PATH_NAMES = ("path", "file", "filename", "image")
Columns = dict[str, list[Any]]


def is_table(source: str) -> bool:
    """Whether a name ends as a table's does."""
    return source.lower().endswith(ENDINGS)


def read_columns(path: str) -> Columns:
    """Read all columns of a table.

    Raises
    ------
    InvalidInputError
        If the file is missing or damaged, or its rows are of different lengths.
    MissingDependencyError
        If the file is Parquet and pyarrow is not there.
    """
    file = existing_file(path)
    if file.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(file)
    return _read_csv(file)


def _read_parquet(path: Path) -> Columns:
    pyarrow = need_pyarrow("reading")
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
        return {name: table[name].to_pylist() for name in table.column_names}
    except (pyarrow.ArrowException, OSError) as error:
        raise InvalidInputError(f"{path} can not be read as Parquet: {error}") from None


def _read_csv(path: Path) -> Columns:
    """With a line of names; one column of paths may go without."""
    try:
        # Names of files that are no UTF-8 stay what they are.
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            first = file.readline()
            file.seek(0)
            between = next((c for c in (",", "\t", ";") if c in first), ",")
            lines = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else between)
            rows = [(lines.line_num, row) for row in lines if row]
    except (csv.Error, OSError) as error:
        raise InvalidInputError(f"{path} can not be read as CSV: {error}") from None
    if not rows:
        raise InvalidInputError(f"{path} is empty")
    names = [name.strip() for name in rows[0][1]]
    if len(names) == 1 and os.path.splitext(names[0])[1].lower() in endings():
        names = ["path"]
    else:
        rows = rows[1:]
    if len(set(names)) < len(names):
        raise InvalidInputError(f"{path} has several columns of one name: {', '.join(names)}")
    for line, row in rows:
        if len(row) != len(names):
            raise InvalidInputError(
                f"{path}: line {line} has {len(row)} fields and the first {len(names)}; values "
                'with a comma stand in quotes, "a,b.jpg"'
            )
    return {name: [row[k] for _, row in rows] for k, name in enumerate(names)}


def path_column(columns: Columns, where: str, others: tuple[str, ...] = ()) -> str:
    """Name of the column of paths.

    Raises
    ------
    InvalidInputError
        If it is not plain which it is.
    """
    by_name = {name.lower(): name for name in columns}
    for name in PATH_NAMES:
        if name in by_name:
            return by_name[name]
    texts = [name for name in columns if name not in others and _is_text(columns[name])]
    likely = [name for name in texts if _is_photo(columns[name])]
    for found in (texts, likely):
        if len(found) == 1:
            return found[0]
    raise InvalidInputError(
        f"{where} has no column of paths: name one {' or '.join(PATH_NAMES)}; its columns are "
        f"{', '.join(columns) or 'none'}"
    )


def _is_text(values: list[Any]) -> bool:
    known = [value for value in values if value not in (None, "")]
    return (
        bool(known) and all(isinstance(v, str) for v in known) and not all(map(_is_number, known))
    )


def _is_photo(values: list[Any]) -> bool:
    """Whether a column begins with the name of a photo."""
    first = next(value for value in values if value not in (None, ""))
    return os.path.splitext(first)[1].lower() in endings()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def paths_of(values: list[Any], where: str, name: str) -> list[str]:
    """Paths as `to_text` writes them; relative ones are to the table's folder.

    Raises
    ------
    InvalidInputError
        If a value is no text.
    """
    folder = os.path.dirname(os.path.abspath(where))
    paths = []
    for row, value in enumerate(values):
        if value is None or value == "":
            paths.append("")
        elif not isinstance(value, str):
            raise InvalidInputError(
                f"{where}: column {name} holds a {type(value).__name__} in row {row}, and no path"
            )
        else:
            is_uri = value.startswith("file://")
            paths.append(value if is_uri else to_text(os.path.join(folder, value)))
    return paths
