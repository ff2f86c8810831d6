"""One reader for each kind of file; `io` chooses among them."""

from __future__ import annotations

import csv
import gzip
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ._warn import warn
from .errors import InvalidInputError, MissingDependencyError

Parts = tuple[Any, tuple[str, ...] | None, NDArray[Any] | None]  # values, columns, labels

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_npy(path: Path) -> NDArray[Any]:
    """Map a .npy file into memory, after a look whether it is complete."""
    try:
        with open(path, "rb") as file:
            shape, dtype = _npy_header(file)
            promised = file.tell() + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    except (ValueError, EOFError) as error:
        raise InvalidInputError(f"{path} is not a .npy file ({error})") from None
    if dtype.hasobject:
        raise InvalidInputError(f"{path} holds Python objects, not numbers")
    found = path.stat().st_size
    if found < promised:
        raise InvalidInputError(
            f"{path} is truncated: its header promises {promised:,} bytes and it has {found:,}"
        )
    array: NDArray[Any] = np.load(path, mmap_mode="r" if 0 not in shape else None)
    return array


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return shape, dtype


def read_npz(path: Path, key: str | None, labels: str | None) -> Parts:
    """Read the matrix of a .npz file: a dense array, or SciPy's sparse format."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            if {"format", "shape", "data"} <= set(names):
                import scipy.sparse

                return scipy.sparse.csr_array(scipy.sparse.load_npz(path)), None, None
            for name in filter(None, (key, labels)):
                if name not in names:
                    raise InvalidInputError(f"{path} has no array {name!r}; it has {names}")
            key = key or _only_matrix(path, archive, labels)
            return archive[key], None, archive[labels] if labels else None
    except InvalidInputError:
        raise
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInputError(f"{path} can not be read as .npz: {error}") from None


def _only_matrix(path: Path, archive: Any, labels: str | None) -> str:
    """Name of the one array that can be meant; reads headers only."""
    names = [name for name in archive.files if name != labels]
    if len(names) > 1:
        matrices = []
        for name in names:
            with archive.zip.open(f"{name}.npy") as member:
                if len(_npy_header(member)[0]) == 2:
                    matrices.append(name)
        names = matrices
    if len(names) != 1:
        raise InvalidInputError(
            f"{path} holds {len(names)} matrices; say which with its key, one of {archive.files}"
        )
    return str(names[0])


def read_idx(path: Path) -> NDArray[Any]:
    """Read an IDX file (the format of MNIST), .gz or not; the latter is memory-mapped."""
    try:
        with _open(path) as file:
            zeros, kind, dimensions = struct.unpack(">HBB", file.read(4))
            if zeros or kind not in _IDX_TYPES or not dimensions:
                raise InvalidInputError(f"{path} is not an IDX file")
            shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
            dtype = np.dtype(_IDX_TYPES[kind])
            start, wanted = file.tell(), int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            if path.suffix.lower() != ".gz" and wanted and path.stat().st_size >= start + wanted:
                return np.memmap(path, dtype, "r", start, shape)
            data = file.read(wanted)
    except (struct.error, EOFError, OSError, zlib.error) as error:
        raise InvalidInputError(f"{path} can not be read as IDX: {error}") from None
    if len(data) < wanted:
        raise InvalidInputError(
            f"{path} is truncated: its header promises {wanted:,} bytes and it has {len(data):,}"
        )
    return np.frombuffer(data, dtype).reshape(shape)


def read_csv(path: Path, labels: str | None) -> Parts:
    """Read the numbers of a .csv or .tsv file, with or without a line of names."""
    try:
        with _open_text(path) as file:
            delimiter = _delimiter(path, file.readline())
            file.seek(0)
            rows = csv.reader(file, delimiter=delimiter)
            first = next(rows, [])
            second = next(rows, first)
    except (UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
        raise InvalidInputError(f"{path} can not be read as text: {error}") from None
    if not first:
        raise InvalidInputError(f"{path} is empty")
    has_names = labels in first or any(
        not _is_number(name) and _is_number(cell) for name, cell in zip(first, second, strict=False)
    )
    names = tuple(first) if has_names else None
    if labels is not None and (names is None or labels not in names):
        raise InvalidInputError(
            f"{path} has no column {labels!r}" + (f"; it has {list(names)}" if names else "")
        )
    label_column = names.index(labels) if names and labels is not None else None
    numeric = [j for j in range(len(first)) if j != label_column]
    for j in numeric:
        if not _is_number(second[j] if j < len(second) else ""):
            name = repr(first[j]) if has_names else str(j + 1)
            raise InvalidInputError(
                f"{path}: column {name} holds {second[j : j + 1]}, not numbers; leave the column "
                "out, or name it as the labels"
            )
    skip = int(has_names)
    values = _load_text(path, delimiter, skip, numeric, np.float32)
    if names and numeric and _counts_rows(names[numeric[0]], values):
        warn(f"{path}: the first column has no name and counts the rows: it is left out")
        values, numeric = np.ascontiguousarray(values[:, 1:]), numeric[1:]
    if label_column is None:
        return values, tuple(names[j] for j in numeric) if names else None, None
    cells = _load_text(path, delimiter, skip, [label_column], np.str_)[:, 0]
    assert names is not None
    return values, tuple(names[j] for j in numeric), as_numbers(cells.tolist())


def _counts_rows(name: str, values: NDArray[Any]) -> bool:
    """Whether the first column is the index that pandas writes."""
    if name or values.shape[1] < 2:
        return False
    return any(np.array_equal(values[:, 0], np.arange(s, s + len(values))) for s in (0, 1))


def _load_text(
    path: Path, delimiter: str, skip: int, columns: Sequence[int], dtype: Any
) -> NDArray[Any]:
    try:
        with _open_text(path) as file:
            return np.loadtxt(
                file,
                dtype=dtype,
                delimiter=delimiter,
                skiprows=skip,
                usecols=columns,
                ndmin=2,
                comments=None,
                quotechar='"',
            )
    except (ValueError, EOFError, OSError, zlib.error) as error:
        found = re.search(
            r"could not convert string '(.*)' to .* row (\d+), column (\d+)", str(error)
        )
        if found:
            cell, row, column = found.groups()
            raise InvalidInputError(
                f"{path}: line {int(row) + skip + 1}, column {column}: {cell!r} is no number"
            ) from None
        raise InvalidInputError(f"{path}: {str(error).split(';')[0]}") from None


def read_text_column(path: Path, header_if_longer_than: int) -> NDArray[Any]:
    """Read one label a line; a first line too many is the column's name."""
    try:
        with _open_text(path) as file:
            if path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
                rows = [row for row in csv.reader(file) if row]
                if any(len(row) != 1 for row in rows):
                    raise InvalidInputError(f"{path}: labels must be one column")
                lines = [row[0] for row in rows]
            else:
                lines = file.read().splitlines()
    except (UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
        raise InvalidInputError(f"{path} can not be read as text: {error}") from None
    return as_numbers(lines[1:] if len(lines) == header_if_longer_than + 1 else lines)


def as_numbers(cells: list[str]) -> NDArray[Any]:
    """Cells as integers if all are, else as floats if all are, else as strings."""
    for dtype in (np.int64, np.float64):
        try:
            return np.array(cells, dtype=dtype)
        except ValueError:
            pass
    return np.array(cells)


def need_pyarrow(doing: str) -> Any:
    """Import pyarrow, or say how to get it."""
    try:
        import pyarrow
    except ImportError:
        raise MissingDependencyError(
            f"{doing} Parquet needs pyarrow: pip install 'fastxai[io]'"
        ) from None
    return pyarrow


def _open_parquet(path: Path) -> Any:
    pyarrow = need_pyarrow("reading")
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        message = str(error).splitlines()[0]
        raise InvalidInputError(f"{path} can not be read as Parquet: {message}") from None


def read_parquet(path: Path, labels: str | None) -> Parts:
    """Read a Parquet file's columns of numbers, or its one column of vectors."""
    with _open_parquet(path) as file:
        from pyarrow import types

        schema = file.schema_arrow
        if labels is not None and labels not in schema.names:
            raise InvalidInputError(f"{path} has no column {labels!r}; it has {schema.names}")
        names = [n for n in schema.names if n != labels and not n.startswith("__index_level_")]
        lists = [n for n in names if hasattr(schema.field(n).type, "value_type")]
        for name in names:
            kind = schema.field(name).type
            number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
            if not number and not (name in lists and len(names) == 1):
                raise InvalidInputError(
                    f"{path}: column {name!r} is {kind}, not numbers; leave the column out, or "
                    "name it as the labels"
                )
        values = _vectors(path, file, names[0]) if lists else _columns(file, names)
        found = None
        if labels is not None:
            found = file.read([labels]).column(0).to_numpy()
        return values, None if lists else tuple(names), found


def _columns(file: Any, names: list[str]) -> NDArray[np.float32]:
    """Columns as a matrix, a batch of rows at a time: the file is never in memory twice."""
    values = np.empty((file.metadata.num_rows, len(names)), np.float32)
    row = 0
    for batch in file.iter_batches(columns=names):
        for j, name in enumerate(names):
            column = batch.column(batch.schema.get_field_index(name))
            values[row : row + len(batch), j] = column.to_numpy(zero_copy_only=False)
        row += len(batch)
    return values


def _vectors(path: Path, file: Any, name: str) -> NDArray[np.float32]:
    blocks = []
    for batch in file.iter_batches(columns=[name]):
        column = batch.column(0)
        flat = column.flatten().to_numpy(zero_copy_only=False)
        if len(batch) and (column.null_count or len(flat) % len(batch)):
            raise InvalidInputError(f"{path}: the vectors of column {name!r} differ in length")
        blocks.append(np.asarray(flat, np.float32).reshape(len(batch), -1))
    if len({block.shape[1] for block in blocks}) != 1:
        raise InvalidInputError(f"{path}: the vectors of column {name!r} differ in length")
    return np.concatenate(blocks)


def read_parquet_column(path: Path) -> NDArray[Any]:
    """Read a Parquet file with a single column."""
    with _open_parquet(path) as file:
        if len(file.schema_arrow.names) != 1:
            raise InvalidInputError(f"{path}: labels must be one column")
        column: NDArray[Any] = file.read().column(0).to_numpy()
        return column


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb")


def _open_text(path: Path) -> Any:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    return opener(path, "rt", encoding="utf-8-sig", newline="")


def _delimiter(path: Path, line: str) -> str:
    if path.name.lower().removesuffix(".gz").endswith(".tsv"):
        return "\t"
    return max(",;\t", key=line.count)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
