"""The maps of a class side by side: images that are named alike for different reasons lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._checks import check_whole
from ..embed.pca import PCA
from ..embed.umap import UMAP
from ..errors import InvalidInputError
from .pooled import pooled
from .results import Results, open_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID = 8
_FEWEST, _FEW = 3, 12  # maps for a picture at all; for neighbourhoods that mean something


@dataclass(frozen=True, eq=False, repr=False)
class MapEmbedding:
    """Maps of one class of an image set, embedded in the plane.

    Attributes
    ----------
    embedding : ndarray of shape (n, 2), float32
    rows : ndarray of shape (n,), int64
        Numbers of the images.
    groups : list of n str or None
    correct : list of n bool or None
        Whether the prediction was right; None where no label is known.
    features : ndarray of shape (n, d), float32
        The pooled and normalised maps that were embedded.
    method : str
        Whose maps they are.
    target : int
        The class they explain.
    kind : {"UMAP", "PCA"}
    left_out : dict of str to int
        How many maps of the class are not there, and why.
    places : ndarray of shape (n,), int64
        Which of the image's targets the class is.
    results : Results
    """

    embedding: NDArray[np.float32]
    rows: NDArray[np.int64]
    groups: list[str | None]
    correct: list[bool | None]
    features: NDArray[np.float32]
    method: str
    target: int
    kind: str
    left_out: dict[str, int]
    places: NDArray[np.int64]
    results: Results

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        """What was embedded."""
        out = "".join(f", {count} {why}" for why, count in self.left_out.items())
        return f"MapEmbedding({self.kind} of {len(self)} {self.method} maps of {self.title}{out})"

    @property
    def title(self) -> str:
        """The name of the class."""
        return self.results.class_name(self.target)

    def plot(
        self, path: str | Path | None = None, *, regions: int = 6, title: str | None = None
    ) -> Figure:
        """Draw the embedding, and beside it what its regions look like.

        Dots are right predictions, crosses wrong ones, rings are images without a label; colours
        are groups.  Each region shows the image in its middle, that image's map, and the mean of
        the region's maps, each first divided by the sum of its magnitudes.

        Parameters
        ----------
        path : str or Path, optional
            Where to save it: .png, .pdf or .svg.
        regions : int, default 6
            How many at most; regions are found by k-means.
        title : str, optional

        Returns
        -------
        matplotlib.figure.Figure
        """
        from .embed_picture import draw

        return draw(self, path, regions, title)

    def html(self, path: str | Path, *, pictures: int = 2000) -> Path:
        """Write a page on which every point shows its image and its map when it is pointed at.

        The page is one file and needs no network.

        Parameters
        ----------
        path : str or Path
            A .html file.
        pictures : int, default 2000
            How many points have a picture at most, drawn at random: one takes about 10 kB.

        Returns
        -------
        Path
        """
        from .embed_page import write

        return write(self, path, pictures)


def embed_maps(
    results: Results | str | Path,
    method: str | None = None,
    *,
    target: int | str | None = None,
    rows: Sequence[int] | NDArray[Any] | None = None,
    grid: int = GRID,
    n_neighbors: int = 15,
    random_state: Any = 0,
    **options: Any,
) -> MapEmbedding:
    """Embed the maps of one class, so that different reasons for it lie apart.

    Each map is averaged on a grid of ``grid`` by ``grid`` cells, its evidence for the class and
    against it apart, and divided by the sum of its magnitudes: what is left is how the evidence
    is spread.  Such shares are compared by the Hellinger distance (the Euclidean distance of
    their square roots) and embedded by `UMAP`.

    Parameters
    ----------
    results : Results, str or Path
        Of `explain_dataset`, or its folder.
    method : str, optional
        Of ``results.methods``; by default the first.
    target : int or str, optional
        The class, or its name; by default the one that most maps explain.
    rows : sequence of int, or of bool an image, optional
        Only these images.
    grid : int, default 8
        Cells along each side; smaller maps keep their size.
    n_neighbors : int, default 15
        As of `UMAP`; fewer where there are not so many maps.
    random_state : int, Generator, RandomState or None, default 0
    **options
        Further ones of `UMAP`.

    Returns
    -------
    MapEmbedding
        ``.plot("maps.png")``, ``.html("maps.html")``, ``.embedding``, ``.rows``.  Images that
        failed, and maps without evidence (the same everywhere, or not finite), are left out and
        counted.  Fewer than 12 maps have no neighbourhoods: they are laid out by `PCA`.

    Raises
    ------
    InvalidInputError
        If the class is unknown, or fewer than 3 maps of it are there.

    Examples
    --------
    >>> import numpy as np, torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
    ... )
    >>> images = np.random.default_rng(0).random((20, 3, 16, 16), np.float32)
    >>> results = fastxai.explain_dataset(net, images, "saliency", "run", target=2)
    >>> fastxai.embed_maps(results).embedding.shape
    (20, 2)
    """
    check_whole("grid", grid, 2)
    check_whole("n_neighbors", n_neighbors, 2)
    if "n_components" in options:
        raise InvalidInputError("n_components: maps are embedded in the plane; leave it out")
    umap = UMAP(random_state=random_state, **options)
    if not isinstance(results, Results):
        results = open_results(results)
    name = results.method(method)
    found = _targets(results, rows)
    chosen = _class(results, found, target)
    wanted = np.array([row for row, classes in found.items() if chosen in classes], np.int64)
    places = np.array([found[row].index(chosen) for row in wanted], np.int64)
    features = pooled(results, name, wanted, places, grid)
    there = np.isfinite(features).all(axis=1)
    left_out = {} if there.all() else {"without evidence": int((~there).sum())}
    wanted, places, features = wanted[there], places[there], features[there]
    if len(wanted) < _FEWEST:
        raise InvalidInputError(
            f"{len(wanted)} {name} maps of {results.class_name(chosen)} hold evidence, and "
            f"{_FEWEST} at least are needed: choose another class or method"
        )
    kind, embedding = _arranged(features, umap, n_neighbors)
    table = results.table.loc[wanted]
    return MapEmbedding(
        embedding=embedding,
        rows=wanted,
        groups=[group if isinstance(group, str) else None for group in table["group"]],
        correct=[bool(one) if one in (True, False) else None for one in _plain(table["correct"])],
        features=features,
        method=name,
        target=chosen,
        kind=kind,
        left_out=left_out,
        places=places,
        results=results,
    )


def _targets(results: Results, rows: Any) -> dict[int, list[int]]:
    """The classes that are explained, of each image that did not fail."""
    table = results.table
    table = table[table["status"] == "ok"]
    if rows is not None:
        table = table[table.index.isin(results.rows(rows))]
    return {
        int(row): [int(one) for one in np.atleast_1d(classes)]
        for row, classes in zip(table.index, _plain(table["target"]), strict=True)
        if classes is not None
    }


def _plain(column: Any) -> list[Any]:
    """The values of a column, None for those that are missing."""
    import pandas as pd

    return [None if pd.api.types.is_scalar(v) and pd.isna(v) else v for v in column]


def _class(results: Results, found: dict[int, list[int]], target: int | str | None) -> int:
    """The number of the class that was asked for."""
    counts: dict[int, int] = {}
    for classes in found.values():
        for one in classes:
            counts[one] = counts.get(one, 0) + 1
    if not counts:
        raise InvalidInputError(f"none of these images of {results.path} is explained")
    most = sorted(counts, key=lambda one: (-counts[one], one))
    if target is None:
        return most[0]
    if isinstance(target, str):
        names = [str(name).casefold() for name in results.names or ()]
        number = names.index(target.casefold()) if target.casefold() in names else -1
    else:
        check_whole("target", target, 0)
        number = int(target)
    if number not in counts:
        listed = ", ".join(f"{results.class_name(one)} ({counts[one]})" for one in most[:8])
        raise InvalidInputError(
            f"target={target!r}: no map of {results.path} explains it; there are maps of {listed}"
        )
    return number


def _arranged(
    features: NDArray[np.float32], umap: UMAP, n_neighbors: int
) -> tuple[str, NDArray[np.float32]]:
    """How the maps were laid out in the plane, and where they lie."""
    if len(features) < _FEW:
        return "PCA", np.asarray(PCA(2).fit_transform(features), np.float32)
    umap.n_neighbors = min(n_neighbors, len(features) - 1)
    return "UMAP", np.asarray(umap.fit_transform(features), np.float32)
