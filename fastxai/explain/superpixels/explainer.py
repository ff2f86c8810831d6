"""What LIME and KernelSHAP share: masks of segments, one run of the model, a stand-in an image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastxai_kernels.cpu._blas import single_threaded_blas

from ..._checks import check_flag, check_whole
from ...errors import InvalidInputError
from ..black_box.occlusion import runner
from ..black_box.perturbed import Perturbed, check_score, format_of
from ..explainer import Explainer
from ..inputs import Inputs
from ..layers.layers import Layer
from ..session import Maps, Session
from .hiding import Hidden, check_hidden, hidden_images
from .sampling import Masks
from .segments import Segments, check_segments, read_segments, segments_of
from .solve import Array, Fit, r_squared
from .stability import stability
from .surrogate import LocalSurrogate


class SegmentExplainer(Explainer):
    """A linear stand-in over the segments of an image; see `LIME` and `KernelSHAP`."""

    signed = True
    black_box = True

    def __init__(
        self,
        model: Any,
        *,
        segments: Any = None,
        n_segments: int = 50,
        n_samples: int = 1000,
        baseline: Any = 0.0,
        score: str = "probability",
        random_state: int = 0,
        fast: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        check_score(score)
        check_hidden(baseline)
        check_whole("n_segments", n_segments, 1)
        check_whole("n_samples", n_samples, 1)
        check_whole("random_state", random_state, 0)
        check_flag("fast", fast)
        self.segments = read_segments(segments)
        self.n_segments, self.n_samples = int(n_segments), int(n_samples)
        self.baseline, self.score, self.fast = baseline, score, fast
        self.random_state = int(random_state)

    def masks(self, segments: int, seed: int) -> Masks:
        """The masks of an image of so many segments; refuse what too few can not tell apart."""
        raise NotImplementedError

    def solve(self, shown: NDArray[Any], scores: Array, weights: Array) -> Fit:
        """Fit the stand-in; NaN where the masks do not tell all segments apart."""
        raise NotImplementedError

    def resolve(self, inputs: Inputs) -> list[Layer]:
        """No layers; segments that do not go with the images are refused here."""
        check_segments(self.segments, tuple(inputs.images.shape))
        return []

    def compute(self, session: Session) -> dict[str, Maps]:
        """Every image of the batch under its own masks."""
        images = session.inputs.images
        seeds = [session.seed_of(self.random_state, row) for row in range(len(images))]
        segments = [
            segments_of(self.segments, image, session.offset + row, self.n_segments)
            for row, image in enumerate(images)
        ]
        masks = [self.masks(len(p), seed) for p, seed in zip(segments, seeds, strict=True)]
        scores = self._scores(session, segments, masks)
        found = []
        with single_threaded_blas():
            for given in zip(segments, masks, scores, seeds, strict=True):
                found.append(self._surrogate(*given))
        session.details[self.name] = [_as_asked(one, session.targets.single) for one in found]
        maps = [one.coefficients.astype(np.float32)[:, one.segments] for one in found]
        return {"": Maps.of(torch.from_numpy(np.stack(maps)).to(images.device))}

    def _scores(
        self, session: Session, segments: list[Segments], masks: list[Masks]
    ) -> list[Array]:
        """(masks, K) of each image."""
        images = session.inputs.images
        model, forward = runner(self.model, session, self.fast)
        baseline = hidden_images(self.baseline, images, segments)
        hidden = Hidden(images, baseline, segments, masks, format_of(model, images))
        run = Perturbed(
            forward,
            session.inputs,
            session.targets,
            score=self.score,
            batch_size=self.batch_size,
            memory_format=hidden.form,
        )
        scores: Tensor = run.scores(hidden.total, hidden, session.plan.progress, "masks")
        return [part.numpy() for part in scores.split([len(part) for part in masks])]

    def _surrogate(
        self, segments: Segments, masks: Masks, scores: Array, seed: int
    ) -> LocalSurrogate:
        """The stand-in of one image; NaN for targets of which some score is not finite."""
        finite = np.isfinite(scores).all(0)
        known = np.where(finite, scores, 0.0)
        fit = self.solve(masks.shown, known, masks.weights)
        if np.isnan(fit.coefficients).any():
            raise InvalidInputError(
                f"n_samples={self.n_samples} masks do not tell all {len(segments)} segments "
                f"apart: give n_samples={20 * len(segments)}"
            )
        spread = stability(masks, known, self.solve, seed)
        r2 = r_squared(fit, masks.shown, known, masks.weights)

        def told(values: Array) -> Array:
            return np.where(finite.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)

        return LocalSurrogate(
            self.name,
            segments.numbers,
            segments.ids,
            told(fit.coefficients),
            told(fit.intercept),
            scores[0],
            told(r2),
            told(spread.held_out),
            told(spread.std),
            told(spread.agreement),
            len(masks),
            masks.exact,
        )


def _as_asked(found: LocalSurrogate, single: bool) -> LocalSurrogate:
    """Without an axis of targets where each image has one."""
    if not single:
        return found
    by_target = ("coefficients", "intercept", "score", "r2", "r2_held_out", "std", "stability")
    values = {name: getattr(found, name)[0] for name in by_target}
    own: Any = {name: v if v.ndim else float(v) for name, v in values.items()}
    return replace(found, **own)
