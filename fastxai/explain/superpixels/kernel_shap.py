"""KernelSHAP: Shapley values of an image's segments by weighted least squares."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ...errors import InvalidInputError
from .explainer import SegmentExplainer
from .sampling import Masks, shapley_masks
from .solve import Array, Fit, constrained


class KernelSHAP(SegmentExplainer):
    """KernelSHAP: the score of the image less that of the baseline, shared out among segments.

        minimise over c   sum over masks z of  k(z) (y(x_z) - y(baseline) - z c)^2
        so that           sum of c = y(x) - y(baseline)
        k(z) = (m - 1) / (C(m, s) s (m - s)),   s of m segments left by z

    (Lundberg and Lee 2017, "A unified approach to interpreting model predictions", theorem 2).
    With all masks c are the Shapley values: the mean, over all orders in which segments could be
    uncovered, of how much the score rises with each.  All of them are used where ``n_samples``
    suffices (2 to the number of segments); else they are drawn by k, each with its opposite
    (Covert and Lee 2021), sizes with few masks written out.  The sum is exact either way.  Needs
    only answers: any callable, scripted and traced models too.

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
        Masks of each image at most, the whole image and the whole baseline among them.
    baseline : float, sequence, Tensor, "mean", "blur" or "segment", default 0.0
        What hides, as in `Occlusion`, and what the values add up from; "segment" is each
        segment's own mean colour.
    score : {"probability", "logit"}, default "probability"
        What is shared out.
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
    >>> images = torch.rand(1, 3, 16, 16)
    >>> found = fastxai.KernelSHAP(net, segments="grid", n_segments=9, score="logit")(images)
    >>> found.shape
    torch.Size([1, 16, 16])
    """

    name = "kernel_shap"

    def masks(self, segments: int, seed: int) -> Masks:
        """All, nothing, and masks between them."""
        least = min(2 * segments + 2, 2**segments)
        if self.n_samples < least:
            raise InvalidInputError(
                f"n_samples={self.n_samples} masks for {segments} segments: give "
                f"n_samples={max(least, 20 * segments)}, {least} at least, or fewer segments"
            )
        return shapley_masks(self.n_samples, segments, seed)

    def solve(self, shown: NDArray[Any], scores: Array, weights: Array) -> Fit:
        """Least squares whose sum is given."""
        return constrained(shown, scores, weights)
