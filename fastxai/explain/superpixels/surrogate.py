"""What is told about one image: a linear stand-in for the model, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class LocalSurrogate:
    """A linear model of the score near one image: intercept + sum of the weights of what is left.

    Of several targets every number has a row, or a value, a target: (K, segments) and (K,).

    Attributes
    ----------
    method : str
        ``"lime"`` or ``"kernel_shap"``.
    segments : ndarray of int32, (*spatial)
        The pixels' segments, numbered from 0 without gaps.
    ids : ndarray of int64, (segments,)
        The numbers that they were given with.
    coefficients : ndarray of float64, (segments,)
        How much the score rises when a segment is left as it is.
    intercept : float
        The stand-in's score where all segments are hidden; of KernelSHAP the model's.
    score : float
        The model's score of the image itself.
    r2 : float
        The share of the scores' variance, weighted as the fit is, that the stand-in explains; NaN
        where the scores do not vary.
    r2_held_out : float
        The same of masks that were not used, each half of them foreseen from the other; NaN where
        every mask there is was used.
    std : ndarray of float64, (segments,)
        How much the coefficients vary from seed to seed, estimated from halves of the masks.
    stability : float
        Mean rank correlation of the coefficients of the same halves; two seeds with all masks
        agree a little better.
    n_samples : int
        Masks that the model was asked about.
    exact : bool
        Whether all masks there are were used, so that nothing was left to chance.
    """

    method: str
    segments: NDArray[np.int32]
    ids: NDArray[np.int64]
    coefficients: NDArray[np.float64]
    intercept: Any
    score: Any
    r2: Any
    r2_held_out: Any
    std: NDArray[np.float64]
    stability: Any
    n_samples: int
    exact: bool

    def __len__(self) -> int:
        """How many segments there are."""
        return len(self.ids)

    def __repr__(self) -> str:
        """The summary."""
        return f"LocalSurrogate({self.summary()})"

    def summary(self) -> str:
        """A line: fidelity and stability first, then of how many segments and masks."""
        if self.exact:
            known = "every mask there is"
        else:
            known = f"halves of the masks agree to {_told(self.stability)}"
        held = "" if self.exact else f" ({_told(self.r2_held_out)} held out)"
        return (
            f"{self.method}: R² {_told(self.r2)}{held}, {known}; "
            f"{len(self)} segments, {self.n_samples} masks"
        )

    @property
    def predicted(self) -> Any:
        """What the stand-in says of the image itself; its ``score`` is what the model says."""
        return self.intercept + self.coefficients.sum(-1)


def _told(value: Any) -> str:
    """Of several targets the first and how many there are."""
    values = np.atleast_1d(value)
    more = f" and {len(values) - 1} more" if len(values) > 1 else ""
    return f"{values[0]:.2f}{more}"
