"""What a `FeatureVisualizer` made: images, and how much they excite their units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io import atomic_write, check_output

_PICTURES = (".png", ".pdf", ".svg")


@dataclass(frozen=True, eq=False)
class Visualization:
    """Images that excite units, and how much they do.

    Attributes
    ----------
    images : ndarray of shape (n, C, H, W)
        float32 in 0..1; copies of a unit follow each other.
    activations : ndarray of shape (n,)
        The mean activation over held-out views: shifts, scales and turns that no step has seen.
    history : ndarray of shape (n, steps)
        The activation in each step, of that step's view.
    status : ndarray of str of shape (n,)
        "ok", or "no_gradient" where nothing led to the unit and the image is noise.
    titles : tuple of str
        What each image excites.
    layer : str
        The layer's name; "" for classes.
    copies : int
        Images a unit.
    random_state : int
        The seed that was used.
    """

    images: NDArray[np.float32]
    activations: NDArray[np.float32]
    history: NDArray[np.float32]
    status: NDArray[np.str_]
    titles: tuple[str, ...]
    layer: str
    copies: int
    random_state: int

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.images.shape))
        where = f" of layer {self.layer!r}" if self.layer else ""
        return f"<Visualization: images {shape}{where}>"

    def to_picture(
        self,
        *,
        titles: Sequence[str] | None = None,
        title: str | None = None,
        columns: int | None = None,
        size: float = 1.2,
    ) -> Any:
        """Draw the images side by side, what each excites above and how much below.

        Parameters
        ----------
        titles : sequence of str, optional
            Written above the images.
        title : str, optional
            Above everything; by default the layer's name.
        columns : int, optional
            Images in a row; by default about as many as rows, and a unit's copies in one row.
        size : float, default 1.2
            Inches of an image.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from .picture import draw

        return draw(self, titles, title, columns, size)

    def save(self, path: str | Path, **look: Any) -> None:
        """Write a picture (.png, .pdf, .svg; ``look`` as of `to_picture`), or the arrays (.npz).

        Raises
        ------
        InvalidInputError
            If the ending is another, or the file can not be written.
        """
        path = check_output(path, (*_PICTURES, ".npz"))
        if path.suffix.lower() == ".npz":
            with atomic_write(path) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(
                    file,
                    images=self.images,
                    activations=self.activations,
                    history=self.history,
                    status=self.status,
                    titles=np.array(self.titles),
                )
            return
        figure = self.to_picture(**look)
        with atomic_write(path) as temporary:
            figure.savefig(temporary, bbox_inches="tight")
