"""Files: matrices and labels in, embeddings out, whole or not at all.

.npy files are memory-mapped, .npz, .csv, .parquet and IDX (.gz) files are read; what is
written goes to a temporary file in the same folder first and takes its name when complete.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _readers
from .errors import InvalidInputError

Labels = NDArray[Any]
_unfinished: set[Path] = set()


@dataclass(frozen=True)
class Table:
    """What a file holds.

    Attributes
    ----------
    values : array or sparse matrix of shape (n, d)
        Memory-mapped where the file allows.
    columns : tuple of str or None
        Names of the columns, where the file has them.
    labels : array of shape (n,) or None
        The column that was asked for as labels.
    """

    values: Any
    columns: tuple[str, ...] | None = None
    labels: Labels | None = None


def load_matrix(path: str | Path, *, key: str | None = None, labels: str | None = None) -> Table:
    """Read a matrix, one row a point.

    Parameters
    ----------
    path : str or Path
        .npy (memory-mapped), .npz (also SciPy's sparse matrices), .csv, .tsv, .parquet, or
        an IDX file, possibly with .gz; the ending decides.
    key : str, optional
        The array's name in a .npz file with several.
    labels : str, optional
        Name of the column of a .csv or .parquet file, or of the array of a .npz file, that
        holds labels; it is left out of the matrix.

    Returns
    -------
    Table

    Raises
    ------
    InvalidInputError
        If the file is missing, damaged, truncated, or holds no matrix of numbers.
    MissingDependencyError
        If the file is Parquet and pyarrow is not there.

    Examples
    --------
    >>> import numpy as np
    >>> np.save("points.npy", np.zeros((10, 3), np.float32))
    >>> load_matrix("points.npy").values.shape
    (10, 3)
    """
    path = existing_file(path)
    kind = _kind(path)
    if kind == "npy":
        table = Table(_readers.read_npy(path))
    elif kind == "npz":
        table = Table(*_readers.read_npz(path, key, labels))
    elif kind == "csv":
        table = Table(*_readers.read_csv(path, labels))
    elif kind == "parquet":
        table = Table(*_readers.read_parquet(path, labels))
    else:
        values = _readers.read_idx(path)
        table = Table(values.reshape(len(values), -1))
    if labels is not None and table.labels is None:
        raise InvalidInputError(f"{path}: files of this kind have no column {labels!r}")
    if table.values.ndim != 2:
        shape = " x ".join(map(str, table.values.shape))
        raise InvalidInputError(
            f"{path} holds an array of {table.values.ndim} dimensions ({shape}), and a matrix "
            "with one row a point was expected; reshape it to two dimensions"
        )
    return table


def load_labels(path: str | Path, n_points: int) -> Labels:
    """Read one label a point, from a file with one column (any kind `load_matrix` reads, or text).

    Raises
    ------
    InvalidInputError
        If the file can not be read or the number of labels is not ``n_points``.
    """
    path = existing_file(path)
    kind = _kind(path, default="text")
    if kind == "npy":
        labels = _readers.read_npy(path)
    elif kind == "npz":
        labels = _readers.read_npz(path, None, None)[0]
    elif kind == "parquet":
        labels = _readers.read_parquet_column(path)
    elif kind == "idx":
        labels = _readers.read_idx(path)
    else:
        labels = _readers.read_text_column(path, header_if_longer_than=n_points)
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InvalidInputError(f"{path}: labels must be one column, found shape {labels.shape}")
    if len(labels) != n_points:
        raise InvalidInputError(f"{path} holds {len(labels):,} labels for {n_points:,} points")
    return labels


def existing_file(path: str | Path) -> Path:
    """Return the path of a file that is there and can be read."""
    path = Path(path)
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder, a file was expected")
    if not path.exists():
        raise InvalidInputError(f"{path}: no such file")
    if not os.access(path, os.R_OK):
        raise InvalidInputError(f"{path} can not be read: permission denied")
    return path


_KINDS = {
    ".npy": "npy",
    ".npz": "npz",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".idx": "idx",
}


def _kind(path: Path, default: str | None = None) -> str:
    name = path.name.lower().removesuffix(".gz")
    if name.endswith("-ubyte") or Path(name).suffix.startswith(".idx"):
        return "idx"
    kind = _KINDS.get(Path(name).suffix, default)
    compressed = path.name.lower().endswith(".gz")
    if kind is None or (compressed and kind not in ("idx", "csv", "text")):
        raise InvalidInputError(
            f"{path}: unknown kind of file; known endings are "
            ".npy, .npz, .csv, .tsv, .parquet, and .idx or -ubyte (IDX); text and IDX also with .gz"
        )
    return kind


# --- writing -----------------------------------------------------------------------------


def check_output(path: str | Path, endings: tuple[str, ...] | None = None) -> Path:
    """Find out, before any work is done, whether a file could be written.

    Parameters
    ----------
    path : str or Path
        The file to be written later.
    endings : tuple of str, optional
        Endings that it may have; by default those that `save_matrix` knows.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInputError
        If the ending is unknown, the folder is missing or can not be written to, or
        something that is not a plain file bears the name.
    """
    path = Path(path)
    endings = tuple(_WRITERS) if endings is None else endings
    if path.suffix.lower() not in endings:
        raise InvalidInputError(
            f"{path}: unknown ending {path.suffix!r}; choose one of {', '.join(endings)}"
        )
    if path.exists() and not path.is_file():
        raise InvalidInputError(f"{path} can not be written: something that is no file is there")
    if path.exists() and not os.access(path, os.W_OK):
        raise InvalidInputError(f"{path} can not be written: it is read-only")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise InvalidInputError(f"{path} can not be written: there is no folder {folder}")
    try:
        with atomic_write(path, keep=False):
            pass
    except OSError as error:
        raise InvalidInputError(f"{path} can not be written: {error.strerror}") from None
    if path.suffix.lower() == ".parquet":
        _readers.need_pyarrow("writing")
    return path


@contextmanager
def atomic_write(path: str | Path, *, keep: bool = True) -> Iterator[Path]:
    """Give a temporary file in the same folder, and the name to it when the block is through.

    Whatever happens in the block, ``path`` is afterwards as it was, or whole.
    """
    path = Path(path).resolve()  # through a symbolic link: its target is replaced, not the link
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.tmp{path.suffix}")
    _unfinished.add(temporary)
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        if keep:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def discard_unfinished() -> None:
    """Remove the temporary files of this process, before it is ended without clean-up."""
    for temporary in list(_unfinished):
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            pass


def save_matrix(
    path: str | Path, values: NDArray[Any], columns: tuple[str, ...] | None = None
) -> None:
    """Write a matrix, atomically, in the format that the ending names.

    Parameters
    ----------
    path : str or Path
        .npy, .npz (array ``embedding``), .csv or .parquet.
    values : array of shape (n, d)
    columns : tuple of str, optional
        Names of the columns, ``x0, x1, ...`` by default (.csv and .parquet only).

    Raises
    ------
    InvalidInputError
        If the ending is unknown.
    MissingDependencyError
        If the file is Parquet and pyarrow is not there.
    """
    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise InvalidInputError(
            f"{path}: unknown ending {path.suffix!r}; choose one of {', '.join(_WRITERS)}"
        )
    names = columns or tuple(f"x{j}" for j in range(values.shape[1]))
    with atomic_write(path) as temporary:
        writer(temporary, values, names)


def _write_npy(path: Path, values: NDArray[Any], names: tuple[str, ...]) -> None:
    np.save(path, values)


def _write_npz(path: Path, values: NDArray[Any], names: tuple[str, ...]) -> None:
    np.savez(path, embedding=values)


def _write_csv(path: Path, values: NDArray[Any], names: tuple[str, ...]) -> None:
    # 9 digits give a float32 back exactly, 17 a float64
    digits = 9 if values.dtype.itemsize <= 4 else 17
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(names) + "\n")
        np.savetxt(file, values, fmt=f"%.{digits}g", delimiter=",")


def _write_parquet(path: Path, values: NDArray[Any], names: tuple[str, ...]) -> None:
    pyarrow = _readers.need_pyarrow("writing")
    from pyarrow import parquet

    columns = [np.ascontiguousarray(column) for column in values.T]
    parquet.write_table(pyarrow.table(columns, names=list(names)), path)


_WRITERS: dict[str, Callable[[Path, NDArray[Any], tuple[str, ...]], None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
