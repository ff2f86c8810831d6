"""LIME: a sparse linear stand-in near the image, fitted to random masks of its segments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._checks import check_number, check_whole
from ...errors import InvalidInputError
from .explainer import SegmentExplainer
from .sampling import Masks, lime_masks
from .solve import Array, Fit, ridge, select

_SELECTIONS = ("auto", "none")


class LIME(SegmentExplainer):
    """LIME: which segments of the image raise the score, by a weighted linear model near it.

        minimise over c, b   sum over masks z of  w(z) (y(x_z) - b - z c)^2  +  alpha |c|^2
        w(z) = exp(-d(z)^2 / (2 width^2)),   d(z) = 1 - sqrt(share of segments left)

    (Ribeiro, Singh and Guestrin 2016, "Why should I trust you?", section 3, as their package
    ``lime`` computes it for images).  The map shows c of each pixel's segment.  Needs only
    answers: any callable, scripted and traced models too.

    Parameters
    ----------
    model : Module or callable
        It is left as it came.
    segments : {"slic", "grid"}, array of int, callable, optional
        Which pixels belong together: whole numbers from 0, of the images' spatial shape or (N,
        *spatial), or a function that makes them of an image (*spatial, C), such as
        scikit-image's ``slic``.  By default compact pieces of like colour.
    n_segments : int, default 50
        How many at most, where they are not given.
    n_samples : int, default 1000
        Masks of each image, the whole image among them.
    kernel_width : float, default 0.25
        How near masks must be to the image to count: small values look at masks that leave
        nearly all of it.
    alpha : float, default 1.0
        Of the ridge.
    n_features : int, optional
        At most so many segments have a weight; by default all may.
    feature_selection : {"auto", "none"}, default "auto"
        How those are chosen: up to six one after another, more by their weights in a fit of
        all; "none" leaves all of them.
    baseline : float, sequence, Tensor, "mean", "blur" or "segment", default 0.0
        What hides, as in `Occlusion`; "segment" is each segment's own mean colour, lime's
        default.
    score : {"probability", "logit"}, default "probability"
        What is explained.
    random_state : int, default 0
        Seed; the masks are each image's own and do not depend on the batch.
    fast : bool, default False
        Run a copy of the model made for the purpose, batch norms folded into convolutions: the
        same within 1e-4.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.  The batch
        size is that of masked images; by default what fits and runs best.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 5))
    >>> method = fastxai.LIME(net, segments="grid", n_segments=9, n_samples=60)
    >>> found = method.explain(torch.rand(2, 3, 16, 16))
    >>> found.maps.shape, found.details[0].coefficients.shape
    (torch.Size([2, 16, 16]), (9,))
    """

    name = "lime"

    def __init__(
        self,
        model: Any,
        *,
        segments: Any = None,
        n_segments: int = 50,
        n_samples: int = 1000,
        kernel_width: float = 0.25,
        alpha: float = 1.0,
        n_features: int | None = None,
        feature_selection: str = "auto",
        baseline: Any = 0.0,
        score: str = "probability",
        random_state: int = 0,
        fast: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            model, segments=segments, n_segments=n_segments, n_samples=n_samples,
            baseline=baseline, score=score, random_state=random_state, fast=fast, **options,
        )  # fmt: skip
        check_number("kernel_width", kernel_width, 0, above=True)
        check_number("alpha", alpha, 0)
        if feature_selection not in _SELECTIONS:
            raise InvalidInputError(
                f"feature_selection={feature_selection!r} is unknown; choose 'auto' or 'none'"
            )
        if n_features is not None:
            check_whole("n_features", n_features, 1)
            if feature_selection == "none":
                raise InvalidInputError(
                    f"n_features={n_features} with feature_selection='none', which leaves all "
                    "segments: leave one of them out"
                )
        self.kernel_width, self.alpha = float(kernel_width), float(alpha)
        self.n_features, self.feature_selection = n_features, feature_selection

    def masks(self, segments: int, seed: int) -> Masks:
        """Each segment is left with probability 1/2; the first mask leaves all."""
        if self.n_samples < segments + 2:
            raise InvalidInputError(
                f"n_samples={self.n_samples} masks for {segments} segments: as many weights fit "
                f"anything; give n_samples={10 * segments}, {segments + 2} at least, or fewer "
                "segments"
            )
        return lime_masks(self.n_samples, segments, seed, self.kernel_width)

    def solve(self, shown: NDArray[Any], scores: Array, weights: Array) -> Fit:
        """Weighted ridge, of each target on the segments that were selected for it."""
        segments = shown.shape[1]
        if self.n_features is None or self.n_features >= segments:
            return ridge(shown, scores, weights, self.alpha)
        found = np.zeros((scores.shape[1], segments))
        intercept = np.zeros(scores.shape[1])
        for k, column in enumerate(scores.T):
            chosen = select(shown, column, weights, self.n_features)
            part = ridge(shown[:, chosen], column[:, None], weights, self.alpha)
            found[k, chosen], intercept[k] = part.coefficients[0], part.intercept[0]
        return Fit(found, intercept)
