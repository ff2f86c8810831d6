"""What a scan found, read when it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidInputError
from ..image_sets import need
from .layer_units import Excitation, LayerUnits, units_of_layer
from .portraits import Painter, Portrait, folder_of, load, save
from .store import ITEMS, PICTURES, Manifest, Progressed, read_manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .dead import DeadUnits
    from .strongest import Strongest

PAGE = 16  # units on a page
_COLUMNS = ("mean", "minimum", "maximum", "active", "active_images", "nonfinite")


class UnitScan:
    """What excites the units of some layers; see `scan_units` and `open_units`.

    Attributes
    ----------
    path : Path or None
        The folder.
    layers : tuple of str
    """

    def __init__(
        self,
        manifest: Manifest,
        progressed: Progressed,
        items: tuple[Sequence[str], Sequence[Any]],
        path: Path | None = None,
        painter: Painter | None = None,
    ) -> None:
        self.path, self.manifest = path, manifest
        self._progressed, self._items, self._painter = progressed, items, painter
        self._portraits: dict[tuple[str, int], Portrait] = {}

    def __len__(self) -> int:
        return self.manifest.n

    def __repr__(self) -> str:
        """How much was scanned, and of what."""
        much = "" if self.complete else f"{self.done:,} of "
        where = "" if self.path is None else f"{str(self.path)!r}: "
        return f"UnitScan({where}{much}{len(self):,} images, {', '.join(self.layers)})"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in order of execution."""
        return tuple(self.manifest.layers)

    @property
    def done(self) -> int:
        """How many images were scanned."""
        return min(self._progressed.batches * self.manifest.batch_size, len(self))

    @property
    def complete(self) -> bool:
        """Whether every image was."""
        return self._progressed.batches == self.manifest.batches

    @property
    def failed(self) -> dict[int, str]:
        """Images that could not be read, by their number, and why."""
        return dict(self._progressed.failed)

    def __getitem__(self, layer: str) -> LayerUnits:
        """The units of a layer."""
        name = self._layer(layer)
        return units_of_layer(self.manifest.layers[name], self._progressed.states[name])

    def _layer(self, layer: str) -> str:
        if layer not in self.manifest.layers:
            raise InvalidInputError(
                f"layer {layer!r} was not scanned: {', '.join(self.layers)} were"
            )
        return layer

    def _unit(self, layer: str, unit: Any) -> int:
        channels = self.manifest.layers[self._layer(layer)].channels
        whole = isinstance(unit, (int, np.integer)) and not isinstance(unit, bool)
        if not whole or not 0 <= unit < channels:
            raise InvalidInputError(f"unit={unit!r}: layer {layer!r} has units 0 to {channels - 1}")
        return int(unit)

    def strongest(self, layer: str, unit: int) -> list[Excitation]:
        """The images that excite a unit most, the strongest first."""
        unit = self._unit(layer, unit)
        units, field = self[layer], self.manifest.layers[layer].field
        paths, labels = self._items
        found = []
        for rank, image in enumerate(units.images[unit].tolist()):
            if image >= 0:
                position = tuple(units.positions[unit, rank].tolist())
                box = tuple((cut.start, cut.stop) for cut in field.box(position))
                label = labels[image]
                found.append(
                    Excitation(
                        image,
                        paths[image],
                        None if label is None else str(label),
                        float(units.values[unit, rank]),
                        position,
                        box,
                    )
                )
        return found

    @property
    def table(self) -> Any:
        """A pandas DataFrame: a row a unit, with its mean, extremes, and how often it is active."""
        need("pandas")
        import pandas as pd

        parts = []
        for name in self.layers:
            units = self[name]
            columns: dict[str, Any] = {"layer": name, "unit": np.arange(len(units.mean))}
            columns |= {column: getattr(units, column) for column in _COLUMNS}
            columns["strongest"] = units.images[:, 0]
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def state(self, layer: str) -> Strongest:
        """What the scan keeps of a layer, as it keeps it."""
        return self._progressed.states[self._layer(layer)]

    def dead_units(self) -> DeadUnits:
        """Units that are never active, always, or constant; see `fastxai.dead_units`."""
        from .dead import dead_of

        return dead_of(self)

    def problems(self) -> list[str]:
        """A line for images that failed, and for layers with activations that are not finite."""
        lines = []
        if failed := self._progressed.failed:
            first = next(iter(failed.values()))
            lines.append(f"{len(failed):,} of {self.done:,} images failed (the first: {first})")
        for name in self.layers:
            wrong = int((self._progressed.states[name].nonfinite > 0).sum())
            if wrong:
                lines.append(
                    f"{name}: activations of {wrong:,} units were NaN or infinite in some images; "
                    "they are left out"
                )
        return lines

    # --- pictures ------------------------------------------------------------------------

    def chosen(self, layer: str, count: int = PAGE) -> list[int]:
        """Units to look at first: so many of those that were active at all, spread evenly."""
        alive = np.flatnonzero(self._progressed.states[self._layer(layer)].active > 0)
        if not len(alive):
            alive = np.arange(self.manifest.layers[layer].channels)
        places = np.linspace(0, len(alive) - 1, min(count, len(alive)))
        return [int(unit) for unit in alive[np.round(places).astype(int)]]

    def pictured(self, layer: str) -> list[int]:
        """Units of which there are pictures in the folder."""
        files = self.folder(layer).glob("unit-*.png") if self.path is not None else ()
        return sorted(int(file.stem.removeprefix("unit-")) for file in files)

    def portrait(self, layer: str, unit: int) -> Portrait:
        """The patches (k, h, w, 3) that excite a unit, and their projections; uint8.

        Raises
        ------
        InvalidInputError
            If there are none in the folder.
        """
        key = layer, self._unit(layer, unit)
        if key in self._portraits:
            return self._portraits[key]
        found, file = self.manifest.layers[layer], self._file(*key)
        if file is not None and file.exists():
            there = load(file, found.field, self.manifest.k)
            if there.projections is not None or self._painter is None or not self._painter.project:
                return there
        if self._painter is None:
            raise InvalidInputError(
                f"there is no picture of unit {unit} of {layer!r}: scan_units(..., units=[{unit}]) "
                "with the same folder and settings adds it"
            )
        made = self._painter.paint(
            layer, key[1], self._progressed.states[layer], found.field, found.shape
        )
        if file is None:
            self._portraits[key] = made
        else:
            save(made, file)
        return made

    def folder(self, layer: str) -> Path:
        """Where pictures of units of a layer lie."""
        assert self.path is not None
        number = self.layers.index(self._layer(layer))
        return self.path / PICTURES / folder_of(layer, number)

    def _file(self, layer: str, unit: int) -> Path | None:
        return None if self.path is None else self.folder(layer) / f"unit-{unit:04d}.png"

    def figure(
        self,
        layer: str | None = None,
        units: Sequence[int] | None = None,
        *,
        page: int = 0,
        per_page: int = PAGE,
        title: str | None = None,
    ) -> Figure:
        """Draw units: of each the patches that excite it most, and their projections beside.

        Parameters
        ----------
        layer : str, optional
            By default the last.
        units : sequence of int, optional
            By default those with pictures in the folder, else `chosen`.
        page, per_page : int
            Of many units these are drawn: ``per_page`` of them, from ``page * per_page`` on.
        title : str, optional
            By default the layer's name, and how much of the image its units read.
        """
        from .drawing import units_figure

        name = self.layers[-1] if layer is None else self._layer(layer)
        wanted = [self._unit(name, unit) for unit in units] if units is not None else None
        wanted = self.pictured(name) or self.chosen(name) if wanted is None else wanted
        pages = max(1, -(-len(wanted) // per_page))
        if not 0 <= page < pages:
            raise InvalidInputError(f"page={page}: there are pages 0 to {pages - 1}")
        some = wanted[page * per_page : (page + 1) * per_page]
        return units_figure(self, name, some, title, (page, pages))


def open_units(path: str | Path) -> UnitScan:
    """Open what `scan_units` wrote.

    Parameters
    ----------
    path : str or Path
        The folder; also of a scan that is not complete.

    Returns
    -------
    UnitScan

    Raises
    ------
    InvalidInputError
        If there is no scan, or it is damaged.

    Examples
    --------
    >>> import numpy as np, torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> images = np.random.default_rng(0).random((20, 3, 16, 16), np.float32)
    >>> _ = fastxai.scan_units(net, images, "1", "units", k=4)
    >>> scan = fastxai.open_units("units")
    >>> scan["1"].images.shape, scan["1"].field
    ((4, 4), (3, 3))
    """
    need("pyarrow")
    from pyarrow import parquet

    folder = Path(path)
    manifest = read_manifest(folder)
    try:
        items = parquet.read_table(folder / ITEMS)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{folder / ITEMS} is damaged: {error}") from None
    columns = items["path"].to_pylist(), items["label"].to_pylist()
    return UnitScan(manifest, Progressed.read(folder, manifest), columns, folder)
