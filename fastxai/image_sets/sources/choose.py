"""Any kind of image set as a `Source`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import data

from ...errors import InvalidInputError
from ..decoding import Prepare, check_prepare
from ..labels import check_labels
from .arrays import ArraySource, check_array
from .base import Source
from .beside import Rows, read_beside
from .datasets import DatasetSource, check_dataset, of_loader, paths_and_labels
from .folder import find_photos
from .paths import to_text
from .photos import PhotoSource, check_readable
from .tables import is_table, path_column, paths_of, read_columns


def read_source(
    source: Any,
    *,
    labels: Any = None,
    groups: Any = None,
    names: Sequence[str] | None = None,
    preprocess: Prepare | None = None,
) -> Source:
    """Find out what an image set holds, without reading an image.

    Parameters
    ----------
    source
        One of

        - a folder: the photos in it and in its folders, in the order of their paths below it;
          names that begin with a dot are left out;
        - a sequence of paths;
        - a .csv or .parquet file with a column of paths (path, file, filename or image, else the
          only one of texts), and perhaps columns label and group; relative paths are to the
          table's folder;
        - a NumPy array, also a mapped one, a CPU tensor or a .npy file: floats (N, C, *spatial)
          are the model's input, uint8 (N, H, W) or (N, H, W, 3) are photos;
        - a map-style Dataset whose items are tensors or PIL images, alone, before a label, or
          in a dict with image and label;
        - a DataLoader: its Dataset, which it must read in its order.
    labels, groups
        None: those that the source brings itself; "folder": the name of each photo's folder; a
        column of the table; a sequence of N; a .csv or .parquet file with paths; a mapping of
        paths; False: none.  Labels are classes by number or name, groups are texts.
    names : sequence of str, optional
        Names of the model's classes, in the order of its outputs; labels are held against them.
    preprocess : Preprocess or callable, optional
        What makes the model's input of a PIL image, a tensor (C, *spatial); needed for photos.

    Returns
    -------
    Source

    Raises
    ------
    InvalidInputError
        If there is no image, none of the files can be read, or labels do not match.
    MissingDependencyError
        If a table is Parquet and pyarrow is not there.

    Examples
    --------
    >>> import numpy as np
    >>> source = read_source(np.zeros((2, 1, 8, 8), np.float32), labels=["cat", None])
    >>> source.kind, len(source), source.labels, source.read(1).image.shape
    ('array', 2, ['cat', None], (1, 8, 8))
    """
    found = _opened(source, labels, groups, preprocess)
    check_labels(found.labels, names)
    return found


def _opened(source: Any, labels: Any, groups: Any, prepare: Prepare | None) -> Source:
    check_prepare(prepare, needed=False)
    if isinstance(source, str | bytes | os.PathLike):
        return _from_path(os.fsdecode(source), labels, groups, prepare)
    if isinstance(source, data.DataLoader):
        source = of_loader(source)
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu()
        source = (source.float() if source.dtype == torch.bfloat16 else source).numpy()
    if isinstance(source, np.ndarray) and source.dtype.kind not in "OUS":
        return _from_array(source, labels, groups, prepare)
    if isinstance(source, data.Dataset):
        return _from_dataset(source, labels, groups, prepare)
    if hasattr(source, "columns"):
        raise InvalidInputError(
            "the source is a data frame: write it to a .csv or .parquet file, or give its column "
            "of paths as source and those of labels and groups as labels= and groups="
        )
    if isinstance(source, set | frozenset | dict):
        raise InvalidInputError(
            f"the source is a {type(source).__name__}, which has no order: give a list of paths"
        )
    if isinstance(source, Iterator) or (_is_paths(source) and not isinstance(source, list)):
        source = list(source)
    if _is_paths(source):
        return _from_paths(source, labels, groups, prepare)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return _from_dataset(source, labels, groups, prepare)
    raise InvalidInputError(
        f"the source is a {type(source).__name__}: a folder, a list of paths, a .csv or .parquet "
        "file, a NumPy array, a Dataset or a DataLoader is expected"
    )


def _is_paths(source: Any) -> bool:
    """Whether a collection begins with a path."""
    if not isinstance(source, Iterable) or isinstance(source, Iterator):
        return False
    return isinstance(next(iter(source), None), str | bytes | os.PathLike)


def _from_path(path: str, labels: Any, groups: Any, prepare: Prepare | None) -> Source:
    if os.path.isdir(path):
        root = os.path.abspath(path)
        paths = [to_text(photo) for photo in find_photos(path)]
        return _photos("folder", Rows(paths, root), path, labels, groups, prepare)
    if is_table(path):
        columns = read_columns(path)
        names = tuple(n for n in columns if n.lower() in ("label", "group") or n == labels)
        name = path_column(columns, path, names)
        paths = paths_of(columns[name], path, name)
        root = os.path.dirname(os.path.abspath(path))
        return _photos("table", Rows(paths, root, columns), path, labels, groups, prepare)
    if not os.path.exists(path):
        raise InvalidInputError(f"{path}: no such file or folder")
    if path.lower().endswith(".npy"):
        return _from_array(_mapped(path), labels, groups, prepare)
    return _from_paths([path], labels, groups, prepare)


def _mapped(path: str) -> Any:
    from ..._readers import read_npy
    from ...io import existing_file

    return read_npy(existing_file(path))


def _from_paths(given: list[Any], labels: Any, groups: Any, prepare: Prepare | None) -> Source:
    for i, path in enumerate(given):
        if not isinstance(path, str | bytes | os.PathLike):
            raise InvalidInputError(f"source[{i}] is a {type(path).__name__}, and no path")
    rows = Rows([to_text(path) for path in given], os.getcwd())
    return _photos("paths", rows, "the list", labels, groups, prepare)


def _photos(
    kind: str, rows: Rows, where: str, labels: Any, groups: Any, prepare: Prepare | None
) -> Source:
    if not rows.paths:
        raise InvalidInputError(f"{where} is empty: there is no image")
    check_prepare(prepare, needed=True)
    assert prepare is not None
    check_readable(rows.paths, where)
    return PhotoSource(kind, rows.paths, *_beside(rows, labels, groups), prepare)


def _from_array(values: Any, labels: Any, groups: Any, prepare: Prepare | None) -> Source:
    if values.ndim == 0 or not len(values):
        raise InvalidInputError(f"the array has the shape {values.shape}: there is no image")
    prepare = check_array(values, prepare)
    return ArraySource(values, *_beside(Rows([""] * len(values)), labels, groups), prepare)


def _from_dataset(dataset: Any, labels: Any, groups: Any, prepare: Prepare | None) -> Source:
    n = check_dataset(dataset)
    if not n:
        raise InvalidInputError(f"the {type(dataset).__name__} is empty: there is no image")
    paths, own = paths_and_labels(dataset, n)
    found, grouped = _beside(Rows(paths), own if labels is None else labels, groups)
    return DatasetSource(dataset, 0, paths, found, grouped, prepare, labels is None)


def _beside(rows: Rows, labels: Any, groups: Any) -> tuple[list[Any], list[str | None]]:
    found = read_beside("groups", groups, rows)
    return (
        read_beside("labels", labels, rows),
        [None if group is None else str(group) for group in found],
    )
