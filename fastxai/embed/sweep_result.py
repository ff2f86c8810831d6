"""What a sweep returns: panels, their figures as a table, and the picture of them all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .graph import NeighborGraph
from .sweep_options import titles_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WORDS = {
    "kl": ("KL ", "{:.3f}"),
    "preservation": ("neighbours kept ", "{:.0%}"),
    "accuracy": ("classes ", "{:.0%}"),
}


@dataclass(frozen=True)
class Panel:
    """One embedding of a sweep.

    Attributes
    ----------
    settings : dict
        What the sweep varies: ``perplexity``, or ``n_neighbors`` and ``min_dist``; ``seed``.
    embedding : ndarray of shape (n, 2), float32
        Aligned to the reference panel; that of a null panel is as it came out.
    figures : dict of str to float
        ``kl`` (t-SNE), ``preservation``, and ``accuracy`` where there are labels.
    seconds : float
        Time that the embedding took, the neighbours not included.
    null : bool
        Whether the points are noise.
    """

    settings: dict[str, Any]
    embedding: NDArray[np.float32]
    figures: dict[str, float]
    seconds: float
    null: bool = False

    @property
    def caption(self) -> str:
        """The figures in words."""
        parts = []
        for name, value in self.figures.items():
            if name in _WORDS:
                word, form = _WORDS[name]
                parts.append(word + form.format(round(value, 4) + 0.0))  # no "-0.000"
        return " · ".join(parts)


@dataclass(frozen=True)
class Sweep:
    """Embeddings of the same points, side by side; made by `fastxai.sweep`.

    Attributes
    ----------
    method : {"tsne", "umap"}
    panels : tuple of Panel
        In the order of the settings.
    nulls : tuple of Panel
        The same method on noise; empty, one panel, or one for each panel.
    neighbors : NeighborGraph
        The neighbours of all panels.
    reference : int
        Number of the panel that the others are aligned to.
    labels : array-like or None
        As given.
    timings : dict of str to float
        Seconds of each stage.
    """

    method: str
    panels: tuple[Panel, ...]
    nulls: tuple[Panel, ...]
    neighbors: NeighborGraph
    reference: int
    labels: Any = None
    timings: dict[str, float] = field(default_factory=dict)
    _columns: int | None = None

    @property
    def null(self) -> Panel | None:
        """The null panel with the settings of the reference, or None."""
        settings = self.panels[self.reference].settings
        return next((panel for panel in self.nulls if panel.settings == settings), None)

    def __repr__(self) -> str:
        nulls = f" and {len(self.nulls)} of noise" if self.nulls else ""
        n = len(self.panels[0].embedding)
        return f"Sweep({self.method}, {n:,} points, {len(self.panels)} panels{nulls})"

    @property
    def titles(self) -> list[str]:
        """What each panel varies, those of the null panels last."""
        every = [panel.settings for panel in self.panels]
        noise = titles_of([panel.settings for panel in self.nulls], every)
        return [*titles_of(every, every), *(f"noise · {title}" for title in noise)]

    def table(self) -> list[dict[str, Any]]:
        """One row a panel: settings, figures, seconds; ready for ``pandas.DataFrame``.

        Returns
        -------
        list of dict
            The key ``points`` is "data" or "noise".
        """
        return [
            {
                "points": "noise" if panel.null else "data",
                **panel.settings,
                **panel.figures,
                "seconds": panel.seconds,
            }
            for panel in (*self.panels, *self.nulls)
        ]

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The embeddings by name: ``panel_0``, ``panel_1``, ... and ``null_0``, ..."""
        maps = {f"panel_{k}": panel.embedding for k, panel in enumerate(self.panels)}
        return maps | {f"null_{k}": panel.embedding for k, panel in enumerate(self.nulls)}

    def plot(
        self,
        *,
        labels: Any = None,
        values: Any = None,
        names: Sequence[str] | Mapping[Any, str] | None = None,
        title: str | None = None,
        columns: int | None = None,
        size: float = 2.5,
        limits: Literal["each", "shared"] = "each",
        **options: Any,
    ) -> Figure:
        """Draw the panels side by side, those of noise last and in grey.

        Parameters
        ----------
        labels, values : array-like of shape (n,), optional
            Colours; by default the labels that the sweep was given.
        names, title, columns, size, limits, **options
            See `fastxai.plot.panels`.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from ..plot import panels as draw

        cells, best = self._cells()
        if columns is not None:
            cells = [*range(len(self.panels) + len(self.nulls))]
        if labels is None and values is None:
            labels = self.labels
        every = [*self.panels, *self.nulls]
        titles = self.titles
        return draw(
            [None if k is None else every[k].embedding for k in cells],
            ["" if k is None else titles[k] for k in cells],
            labels=labels,
            values=values,
            names=names if labels is not None else None,
            captions=["" if k is None else every[k].caption for k in cells],
            plain=[place for place, k in enumerate(cells) if k is not None and every[k].null],
            title=title,
            columns=best if columns is None else columns,
            size=size,
            limits=limits,
            **options,
        )

    def _cells(self) -> tuple[list[int | None], int | None]:
        """The panels row by row (None: an empty place), those of noise last, and the columns."""
        count, columns = len(self.panels), self._columns
        cells: list[int | None] = [*range(count + len(self.nulls))]
        if len(self.nulls) == count > 1 and columns is None and count <= 6:
            return cells, count  # each noise below its data
        if len(self.nulls) != 1 or columns is None:
            return cells, columns
        # In a grid the noise stands beside the row of its settings.
        rows = [[*cells[start : start + columns], None] for start in range(0, count, columns)]
        rows[self.reference // columns][-1] = count
        return [cell for row in rows for cell in row], columns + 1

    def save(self, folder: str | Path, **options: Any) -> None:
        """Write ``panels.png``, ``figures.json`` and ``embeddings.npz`` into a folder.

        Parameters
        ----------
        folder : str or Path
            Made where it is missing; its parent must be there.
        **options
            See `plot`.

        Raises
        ------
        InvalidInputError
            If the folder can not be made.
        """
        from ..io import atomic_write

        folder = Path(folder)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InvalidInputError(f"{folder}: no folder can be made there: {error}") from None
        figure = self.plot(**options)
        with atomic_write(folder / "panels.png") as temporary:
            figure.savefig(temporary, format="png", bbox_inches="tight")
        with atomic_write(folder / "figures.json") as temporary:
            text = json.dumps(self.table(), indent=2) + "\n"
            Path(temporary).write_text(text, encoding="utf-8")
        arrays: dict[str, Any] = self.arrays()
        with atomic_write(folder / "embeddings.npz") as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
