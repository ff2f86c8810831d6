"""What comes back: sentences about images, and where each word looked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from ..explain.kernels import room_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OK = "ok"
_MEANINGS = {
    "unfinished": "no end after max_words words: give more of them, or train longer",
    "unknown_words": "some words were not in the texts of training and are read as <unk>, which "
    "says little: compare their probabilities with care",
    "no_known_word": "no word of the text was in the texts of training: there is nothing to tell",
    "nonfinite": "the network gave NaN or infinity for these images: look at them",
}


@dataclass(frozen=True, eq=False, repr=False)
class TextExplanation:
    """One sentence about one image.

    Attributes
    ----------
    text : str
    words : tuple of T str
    probabilities : ndarray of shape (T,)
        Of each word, after the words before it.
    end_probability : float
        That nothing more follows; NaN where the sentence was cut off.
    log_probability : float
        Of the whole sentence with its end, in nats: the sum of all logarithms.
    attention : ndarray of shape (T, *grid)
        float32: how much of a word's look went to each place of the feature maps.
    size : tuple of int
        Of the image.
    status : str
        ``"ok"``; ``"unfinished"``: cut off at ``max_words``; ``"unknown_words"`` and
        ``"no_known_word"``: some words or all of a given text were never in training;
        ``"nonfinite"``: the features held NaN or infinity, and nothing was said.
    others : tuple of (str, float)
        What the beam found beside it, and how probable: further sentences, the best first.
    """

    text: str
    words: tuple[str, ...]
    probabilities: NDArray[np.float32]
    end_probability: float
    log_probability: float
    attention: NDArray[np.float32]
    size: tuple[int, ...]
    status: str = OK
    others: tuple[tuple[str, float], ...] = ()

    def __repr__(self) -> str:
        """The sentence and its probability."""
        what = "" if self.status == OK else f", {self.status}"
        return f"TextExplanation({self.text!r}, log p {self.log_probability:.2f}{what})"

    @property
    def looked(self) -> NDArray[np.float32]:
        """(T,) in 0..1: how much each word looked at the image at all."""
        found: NDArray[np.float32] = self.attention.sum(tuple(range(1, self.attention.ndim)))
        return found

    @property
    def maps(self) -> NDArray[np.float32]:
        """(T, *size) float32: `attention` as large as the image, by linear interpolation."""
        if not self.words:
            return np.zeros((0, *self.size), np.float32)
        room = room_for(torch.empty(0))
        found: NDArray[np.float32] = room.kernels.upsample(
            np.ascontiguousarray(self.attention), self.size, False
        )
        return found


def nothing_said(size: tuple[int, ...], grid: tuple[int, ...]) -> TextExplanation:
    """Of an image whose features hold NaN or infinity."""
    empty = np.zeros(0, np.float32)
    looks = np.zeros((0, *grid), np.float32)
    return TextExplanation("", (), empty, np.nan, np.nan, looks, size, "nonfinite")


@dataclass(frozen=True, eq=False, repr=False)
class TextExplanations(Sequence[TextExplanation]):
    """A sentence for each image: a sequence of `TextExplanation`.

    Attributes
    ----------
    items : tuple of TextExplanation
    images : Tensor
        The images, as they were given to the network.
    """

    items: tuple[TextExplanation, ...]
    images: Any

    def __repr__(self) -> str:
        """How many of each status."""
        counts = Counter(item.status for item in self.items)
        listed = ", ".join(f"{count} {status}" for status, count in counts.items())
        return f"TextExplanations({len(self)} images; {listed})"

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, at: int) -> TextExplanation: ...
    @overload
    def __getitem__(self, at: slice) -> TextExplanations: ...
    def __getitem__(self, at: int | slice) -> TextExplanation | TextExplanations:
        if isinstance(at, slice):
            return TextExplanations(self.items[at], self.images[at])
        return self.items[at]

    def __iter__(self) -> Iterator[TextExplanation]:
        return iter(self.items)

    @property
    def texts(self) -> list[str]:
        """The sentences."""
        return [item.text for item in self.items]

    @property
    def status(self) -> list[str]:
        """Of each sentence; see `TextExplanation`."""
        return [item.status for item in self.items]

    @property
    def log_probabilities(self) -> NDArray[np.float64]:
        """(N,): of each sentence, in nats."""
        return np.array([item.log_probability for item in self.items])

    def problems(self) -> list[str]:
        """A line for each status other than ok: how many sentences, and what it means."""
        counts = Counter(self.status)
        return [
            f"{counts[status]} of {len(self)} texts {status!r}: {meaning}"
            for status, meaning in _MEANINGS.items()
            if counts[status]
        ]

    def picture(self, path: Any = None, **options: Any) -> Figure:
        """Draw each image once a word, with where the word looked.

        Parameters
        ----------
        path : str or Path, optional
            Where to write it: .png, .pdf or .svg.
        **options
            See `fastxai.words.picture.draw`.
        """
        from .picture import draw

        return draw(self, path, **options)
