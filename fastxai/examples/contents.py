"""What lies in the folder of a finished bank, read when it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from .bank import FeatureBank
    from .folder import BankManifest

_SIDES = ("left", "top", "right", "bottom")
_ROWS = 4096


def read_table(folder: Path, manifest: BankManifest) -> Any:
    """The table of all images, also those that failed, by their number in the set.

    Raises
    ------
    InvalidInputError
        If it is not there yet, or damaged.
    """
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    from ..image_sets.table import PARTS, TABLE

    if not (folder / TABLE).is_file():
        done = len(list((folder / PARTS).glob("part-*.parquet")))
        raise InvalidInputError(
            f"{folder} is not finished: {done:,} of {manifest.layout.chunks:,} batches are there; "
            "build it again with the same arguments, which continues it"
        )
    kinds = {pa.int32(): pd.Int32Dtype(), pa.int8(): pd.Int8Dtype()}
    kinds[pa.bool_()] = pd.BooleanDtype()
    try:
        found = parquet.read_table(folder / TABLE)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInputError(f"{folder / TABLE} is damaged: {error}") from None
    return found.to_pandas(types_mapper=kinds.get).set_index("index")


def read_rows(file: Path, of: dict[str, Any], n: int) -> NDArray[Any]:
    """The n rows of a .npy file, mapped.

    Raises
    ------
    InvalidInputError
        If it is missing, or holds something else.
    """
    from .._readers import read_npy

    if not file.is_file():
        raise InvalidInputError(f"{file} is missing: build the bank again")
    found: NDArray[Any] = read_npy(file)
    if found.shape != (n, *of["shape"]) or found.dtype != of["dtype"]:
        raise InvalidInputError(
            f"{file} holds {found.dtype} of shape {found.shape}, and the table tells of {n:,} "
            "images: build the bank again"
        )
    return found


def shown(bank: FeatureBank, row: int) -> NDArray[np.uint8] | None:
    """See `FeatureBank.shown`."""
    from ..explain.networks.photos import open_photo
    from ..image_sets.sources import from_text

    small = None if bank.thumbnails is None else np.asarray(bank.thumbnails[row])
    place = bank.table.iloc[row]
    path, box = place["path"], [float(place[side]) for side in _SIDES]
    if not isinstance(path, str) or not path or not np.isfinite(box).all():
        return small
    try:
        photo = open_photo(from_text(path))
    except InvalidInputError:  # it is gone since
        return small
    left, top, right, bottom = box
    high, wide = bank.manifest.layout.image_shape[-2:]
    return np.asarray(photo.cut((left, top, right, bottom), (wide, high)))


class Images(Sequence[Any]):
    """The pictures of a bank, read one by one."""

    def __init__(self, bank: FeatureBank) -> None:
        self._bank = bank

    def __len__(self) -> int:
        return len(self._bank)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [shown(self._bank, one) for one in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        return shown(self._bank, int(row))


def is_constant(features: NDArray[np.float32]) -> bool:
    """Whether all rows are the same."""
    starts = range(0, len(features), _ROWS)
    return all(bool((features[start : start + _ROWS] == features[0]).all()) for start in starts)
