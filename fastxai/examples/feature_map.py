"""How a network sees a set: its features in the plane, drawn with small pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .bank import FeatureBank

METHODS = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
_MIN_DIST = 0.5  # of UMAP: classes of a trained network are tight, and pictures need room
_FEWEST, _FEW = 3, 12  # images for a map at all; for neighbourhoods that mean something


@dataclass(frozen=True, eq=False, repr=False)
class FeatureMap:
    """The features of a bank in the plane.

    Attributes
    ----------
    embedding : ndarray of shape (n, 2), float32
        Row i is row i of the bank.
    bank : FeatureBank
    kind : {"UMAP", "t-SNE", "PCA"}
    estimator
        The fitted `UMAP`, `TSNE` or `PCA`.
    """

    embedding: NDArray[np.float32]
    bank: FeatureBank
    kind: str
    estimator: Any

    def __len__(self) -> int:
        return len(self.embedding)

    def __repr__(self) -> str:
        """What was embedded."""
        return f"FeatureMap({self.kind} of {len(self):,} images at {self.bank.layer})"

    @property
    def colours(self) -> tuple[str, list[str | None]]:
        """What the points are coloured by: labels, else what the network takes them for."""
        labels = self.bank.labels
        if any(label is not None for label in labels):
            return "label", labels
        return "prediction", self.bank.predictions

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Which images have a label that the network does not predict."""
        found: NDArray[np.bool_] = (
            self.bank.table["correct"].eq(False).fillna(False).to_numpy(np.bool_)
        )
        return found

    def plot(
        self,
        path: str | Path | None = None,
        *,
        pictures: int = 120,
        title: str | None = None,
        random_state: int = 0,
        **options: Any,
    ) -> Figure:
        """Draw the map: a dot an image, and of some images small pictures where they lie.

        Dots are coloured by label (by prediction where there are no labels), pictures have a
        frame of that colour, and crosses are images whose label the network does not predict.

        Parameters
        ----------
        path : str or Path, optional
            Where to save it: .png, .pdf or .svg.
        pictures : int, default 120
            How many small pictures at most; none covers another.
        title : str, optional
        random_state : int, default 0
            Which images have a picture, where not all have room.
        **options
            Further ones of `fastxai.plot.scatter`.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from .map_picture import draw

        return draw(self, path, pictures, title, random_state, options)

    def html(self, path: str | Path, *, pictures: int = 2000, points: int = 10_000) -> Path:
        """Write a page on which every point shows its image when it is pointed at.

        The page is one file and needs no network.

        Parameters
        ----------
        path : str or Path
            A .html file.
        pictures : int, default 2000
            How many points have a picture at most, drawn at random: one takes some kB.
        points : int, default 10000
            How many points are drawn at most; browsers are slow with more.

        Returns
        -------
        Path
        """
        from .map_page import write

        return write(self, path, pictures, points)


def embed_bank(bank: FeatureBank, method: str, options: dict[str, Any]) -> FeatureMap:
    """Embed the features; see `FeatureBank.embed`."""
    from ..embed.pca import PCA
    from ..embed.tsne import TSNE
    from ..embed.umap import UMAP

    name = str(method).lower().replace("-", "")
    if name not in METHODS:
        raise InvalidInputError(f"method={method!r}: choose 'umap', 'tsne' or 'pca'")
    n = len(bank)
    if n < _FEWEST:
        raise InvalidInputError(
            f"{bank.path} holds {n} image{'s' * (n != 1)}, and a map needs {_FEWEST} at least"
        )
    if "n_components" in options:
        raise InvalidInputError("n_components: a set is embedded in the plane; leave it out")
    if n < _FEW:
        name, options = "pca", {}
    if name == "pca" and bank.features.shape[1] < 2:
        raise InvalidInputError(f"{bank.layer} gives one feature an image: a plane needs two")
    if name == "umap":
        options = {"min_dist": _MIN_DIST, **options}
    try:
        estimator: Any = {"umap": UMAP, "tsne": TSNE, "pca": PCA}[name](**options)
    except TypeError as error:
        raise InvalidInputError(f"{METHODS[name]}: {error}") from None
    if name == "pca":
        estimator.n_components = 2
    embedding = np.asarray(estimator.fit_transform(bank.features), np.float32)
    return FeatureMap(embedding, bank, METHODS[name], estimator)
