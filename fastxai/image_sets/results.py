"""An explained set as it lies on the disk, read when it is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from . import need
from .manifest import read_manifest
from .thumbnails import THUMBNAILS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

_SIDES = ("left", "top", "right", "bottom")
_NOT_OK = ("empty_after_relu", "zero_gradient", "nonfinite")


class Results:
    """What `explain_dataset` wrote; see `open_results`.

    Attributes
    ----------
    path : Path
        The folder.
    names : tuple of str or None
        Of the classes.
    methods : tuple of str
        Names of the arrays of maps: "gradcam", or "gradcam@layer4" where a method looked at
        several layers.
    manifest : Manifest
        Settings, layout, seed.
    """

    def __init__(self, path: str | Path) -> None:
        need("zarr", "pyarrow", "pandas")
        self.path = Path(path)
        self.manifest = read_manifest(self.path)
        self.names = self.manifest.names
        self.methods = self.manifest.layout.maps
        self._table: Any = None
        self._whole = False

    def __len__(self) -> int:
        return self.manifest.layout.n

    def __repr__(self) -> str:
        """The folder, how much is there, and of what."""
        much = "" if self.complete else f"{self.done:,} of "
        return f"Results({str(self.path)!r}: {much}{len(self):,} images, {', '.join(self.methods)})"

    @property
    def complete(self) -> bool:
        """Whether every image has its row."""
        from .table import TABLE

        return (self.path / TABLE).exists()

    @property
    def done(self) -> int:
        """How many images have their row."""
        return len(self.table)

    @property
    def single(self) -> bool:
        """Whether each image has one target, so that maps have no axis of targets."""
        return self.manifest.layout.single

    @property
    def settings(self) -> dict[str, Any]:
        """What the run was asked for."""
        return self.manifest.settings

    # --- the table -----------------------------------------------------------------------

    @property
    def table(self) -> Any:
        """A pandas DataFrame: a row an image that is done, by the number of the image."""
        if self._table is None or not self._whole:
            self._whole = self.complete  # asked before: more may be there by then
            self._table = self._read_table()
        return self._table

    def _read_table(self) -> Any:
        import pandas as pd
        import pyarrow as pa

        kinds = {pa.int32(): pd.Int32Dtype(), pa.int8(): pd.Int8Dtype()}
        kinds[pa.bool_()] = pd.BooleanDtype()
        frame = self._arrow().to_pandas(types_mapper=kinds.get)
        return frame.set_index("index")

    def to_polars(self) -> Any:
        """The table as a polars DataFrame, with the images' numbers in ``index``."""
        need("polars")
        import polars

        return polars.from_arrow(self._arrow())

    def _arrow(self, columns: Sequence[str] | None = None) -> Any:
        from .table import read_table

        return read_table(self.path, self.manifest.layout, columns)

    # --- the maps ------------------------------------------------------------------------

    @cached_property
    def _group(self) -> Any:
        import zarr

        from .store import MAPS

        return zarr.open_group(str(self.path / MAPS), mode="r")

    @cached_property
    def maps(self) -> Mapping[str, Any]:
        """The Zarr arrays of maps by name, ``(n, [K,] [C,] *spatial)``; NaN where there is no map.

        float16 ones are to be multiplied by the table's ``NAME_scale``, as `take` does.
        """
        return {name: self._group[name] for name in self.methods}

    @cached_property
    def thumbnails(self) -> Any:
        """The Zarr array of small pictures (n, h, w, 3), uint8; None if there are none."""
        there = THUMBNAILS in self.manifest.layout.arrays
        return self._group[THUMBNAILS] if there else None

    def signed(self, name: str) -> bool:
        """Whether values below zero are evidence against the target."""
        return bool(self.manifest.layout.arrays[self.method(name)]["attributes"]["signed"])

    def take(self, rows: Sequence[int] | NDArray[Any], name: str | None = None) -> NDArray[Any]:
        """The maps of some images, float32, ``(len(rows), [K,] [C,] *spatial)``.

        Parameters
        ----------
        rows : sequence of int
            Numbers of images.
        name : str, optional
            Of `methods`; by default the first.
        """
        name = self.method(name)
        wanted = self.rows(rows)
        found = rows_of(self.maps[name], wanted, np.float32)
        if f"{name}_scale" in self.table.columns:
            scales = self.table[f"{name}_scale"].reindex(wanted)
            for map, scale in zip(found, scales, strict=True):
                each = np.asarray(scale, np.float32)
                map *= each.reshape(*each.shape, *[1] * (map.ndim - each.ndim))
        return found

    def pictures(self, rows: Sequence[int] | NDArray[Any]) -> NDArray[np.uint8]:
        """The thumbnails of some images, (len(rows), h, w, 3)."""
        if self.thumbnails is None:
            raise InvalidInputError(f"{self.path} was explained without thumbnails")
        return rows_of(self.thumbnails, self.rows(rows), np.uint8)

    def map(self, row: int, name: str | None = None, k: int = 0) -> NDArray[np.float32]:
        """The map of one image, of its k-th target."""
        found: NDArray[np.float32] = self.take([row], name)[0]
        return found if self.single else found[k]

    def rows(self, rows: Any) -> NDArray[np.int64]:
        """Numbers of images from numbers, or from a truth value an image."""
        if hasattr(rows, "fillna") and str(rows.dtype) == "boolean":  # a column of the table
            rows = rows.fillna(False).reindex(range(len(self)), fill_value=False).astype(bool)
        wanted = np.asarray(rows).ravel()
        if wanted.dtype == bool:
            if len(wanted) != len(self):
                raise InvalidInputError(
                    f"{len(wanted)} truth values for {len(self)} images: give numbers of images"
                )
            return np.flatnonzero(wanted)
        if wanted.size and wanted.dtype.kind not in "iu":
            raise InvalidInputError(f"rows are numbers of images, and {wanted[0]!r} is none")
        wanted = wanted.astype(np.int64)
        wrong = wanted[(wanted < 0) | (wanted >= len(self))]
        if wrong.size:
            raise InvalidInputError(
                f"there are {len(self)} images, 0 to {len(self) - 1}; {wrong[0]} is none"
            )
        return wanted

    def method(self, name: str | None) -> str:
        """The name of an array of maps; by default the first."""
        if name is None:
            return self.methods[0]
        if name not in self.methods:
            raise InvalidInputError(f"{name!r}: there are maps of {', '.join(self.methods)}")
        return name

    def dataset(self) -> Any:
        """The maps as an xarray Dataset, read when they are computed with; float16 as `maps`."""
        need("xarray")
        import xarray

        from .store import MAPS

        return xarray.open_zarr(str(self.path / MAPS), consolidated=False, chunks=None)

    # --- the images ----------------------------------------------------------------------

    def photo(self, row: int) -> Image.Image:
        """The photo of a row from its file, upright, in its full size.

        Raises
        ------
        InvalidInputError
            If it was no file, or can no longer be read.
        """
        from ..explain.networks.photos import read_photo
        from .sources import from_text

        path = self._path(int(self.rows([row])[0]))
        if not path:
            raise InvalidInputError(f"image {row} did not come from a file")
        return read_photo(from_text(path))

    def shown(self, row: int) -> NDArray[np.uint8]:
        """What the model saw of an image, (H, W, 3): from its file, else its thumbnail."""
        from ..explain.networks.photos import open_photo
        from .sources import from_text

        try:
            photo = open_photo(from_text(self._path(row)))
        except InvalidInputError:
            return self._picture(row)
        place = self.table.loc[row]
        left, top, right, bottom = (float(place[side]) for side in _SIDES)
        if not np.isfinite([left, top, right, bottom]).all():
            return self._picture(row)
        high, wide = self.manifest.layout.image_shape[-2:]
        return np.asarray(photo.cut((left, top, right, bottom), (wide, high)))

    def _picture(self, row: int) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = self.pictures([row])[0]
        return found

    def _path(self, row: int) -> str:
        path = self.table["path"].get(row)
        return path if isinstance(path, str) else ""

    def contact_sheet(
        self,
        rows: Sequence[int] | NDArray[Any],
        path: str | Path | None = None,
        *,
        methods: Sequence[str] | None = None,
        **options: Any,
    ) -> Figure:
        """Draw some images beside their maps.

        Parameters
        ----------
        rows : sequence of int
            Numbers of images; at most 60 rows and classes fit on a sheet.
        path : str or Path, optional
            Where to write it: .png, .pdf or .svg.
        methods : sequence of str, optional
            Of `methods`; by default all.
        **options
            Further ones of `fastxai.plot.contact_sheet`.
        """
        from .sheets import sheet

        return sheet(self, self.rows(rows), methods or self.methods, path, options)

    def class_name(self, k: int) -> str:
        """A class by its name, or by its number where it has none."""
        there = self.names is not None and 0 <= k < len(self.names)
        return self.names[k] if there and self.names is not None else f"class {k}"

    def title(self, row: int) -> str:
        """The file name of an image, or its number."""
        path = self._path(row)
        return Path(path).name or f"image {row}"

    # --- what is wrong -------------------------------------------------------------------

    def problems(self) -> list[str]:
        """A line for what failed, and one for each method some of whose maps are not ok."""
        # Some columns: a run whose memory is bounded asks this at its end.
        wanted = ["status", "reason", *(f"{name}_status" for name in self.methods)]
        table, lines = self._arrow(wanted).to_pandas(), []
        failed = int((table["status"] == "failed").sum())
        if failed:
            reason = table.loc[table["status"] == "failed", "reason"].iloc[0]
            lines.append(f"{failed:,} of {len(table):,} images failed (the first: {reason})")
        for name in self.methods:
            found = table[f"{name}_status"].dropna()
            first = found if self.single else found.map(lambda statuses: statuses[0])
            counts = Counter(first)
            words = [f"{counts[status]:,} {status}" for status in _NOT_OK if counts[status]]
            if words:
                which = "maps" if self.single else "maps of first targets"
                lines.append(f"{name}: of {len(first):,} {which} {', '.join(words)}")
        return lines


def rows_of(array: Any, rows: NDArray[np.int64], dtype: Any) -> NDArray[Any]:
    """Some rows of a Zarr array; each chunk is read once."""
    found = np.empty((len(rows), *array.shape[1:]), dtype)
    size = array.chunks[0]
    chunk = rows // size
    for k in np.unique(chunk):
        places = np.flatnonzero(chunk == k)
        found[places] = array[k * size : (k + 1) * size][rows[places] - k * size]
    return found


def open_results(path: str | Path) -> Results:
    """Open what `explain_dataset` wrote, also while it is still being written.

    Parameters
    ----------
    path : str or Path
        The folder.

    Returns
    -------
    Results
        ``table``, a pandas DataFrame with a row an image; ``maps["gradcam"]``, a Zarr array;
        ``thumbnails``; ``take(rows, "gradcam")``; ``dataset()``, an xarray Dataset;
        ``contact_sheet(rows, "sheet.png")``.

    Raises
    ------
    InvalidInputError
        If there is no run, or it is of a newer version.

    Examples
    --------
    >>> import numpy as np, torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 5))
    >>> images = np.random.default_rng(0).random((10, 3, 16, 16), np.float32)
    >>> _ = fastxai.explain_dataset(net, images, "saliency", "run", batch_size=4)
    >>> results = fastxai.open_results("run")
    >>> results.take([0, 7]).shape
    (2, 16, 16)
    """
    return Results(path)
