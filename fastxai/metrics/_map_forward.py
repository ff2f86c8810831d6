"""Images whose pixels are changed in the order of a map, run through one buffer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..explain.black_box.baselines import check_baseline, read_baseline
from ..explain.black_box.occlusion import runner
from ..explain.black_box.perturbed import Perturbed, check_score, format_of, score_of
from ..explain.explainer import Explainer
from ..explain.inputs import Inputs
from ..explain.layers.layers import Layer
from ..explain.session import Maps, Session
from ._map_reading import check_fit, per_pixel, read_targets


class Ordered(Explainer):
    """Scores of images while pixels are changed, the map's highest first.

    Its "maps" are the scores (N, K, curves, steps + 1).

    Parameters
    ----------
    maps : array
        (N, [K,] [C,] *spatial): of all images of the call.
    baselines : dict of str to baseline
        ``"insertion"`` and ``"deletion"``, or one of them: what stands where the image does not.
    """

    name = "curves"
    signed = True
    black_box = True

    def __init__(
        self,
        model: Any,
        *,
        maps: Any,
        baselines: dict[str, Any],
        steps: int,
        score: str,
        channels: str,
        random_state: int,
        fast: bool,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        check_score(score)
        for baseline in baselines.values():
            check_baseline(baseline)
        self.maps, self.baselines, self.steps, self.score = maps, baselines, steps, score
        self.channels, self.random_state, self.fast = channels, random_state, fast

    def resolve(self, inputs: Inputs) -> list[Layer]:
        """No layers; maps that are not of these images are refused before any work."""
        check_fit(np.shape(self.maps), tuple(inputs.images.shape))
        return []

    def compute(self, session: Session) -> dict[str, Maps]:
        """Both curves of every image and target of the batch."""
        images = session.inputs.images
        model, forward = runner(self.model, session, self.fast)
        changed = _Changed(self, session)
        run = Perturbed(
            forward,
            session.inputs,
            session.targets,
            score=self.score,
            batch_size=self.batch_size,
            memory_format=format_of(model, images),
        )
        n, k, steps = len(images), session.n_targets, changed.steps
        scores = run.scores(changed.total, changed, session.plan.progress, "curves")
        scores = scores.reshape(n, k, len(self.baselines), steps, k)
        own = torch.diagonal(scores, dim1=1, dim2=4).movedim(-1, 1)  # (n, k, curves, steps)
        return {"": Maps.of(self._whole(own, session))}

    def _whole(self, own: Tensor, session: Session) -> Tensor:
        """The image as it is at the end of the insertion, and the beginning of the deletion."""
        as_is = score_of(session.targets, session.output, self.score)[:, :, None, None]
        curves = []
        for place, name in enumerate(self.baselines):
            changed = own[:, :, place : place + 1]
            ends = [changed, as_is] if name == "insertion" else [as_is, changed]
            curves.append(torch.cat(ends, 3))
        return torch.cat(curves, 2)


class _Changed:
    """Writes changed images, numbered by image, target, curve and step."""

    def __init__(self, ordered: Ordered, session: Session) -> None:
        images = session.inputs.images.detach()
        axes = images.ndim - 2
        own = ordered.maps[session.offset : session.offset + len(images)]
        own = read_targets(own, axes, session.n_targets, session.targets.single)
        values = per_pixel(own, axes, ordered.channels)
        wide = torch.float64 if images.dtype == torch.float64 else torch.float32
        self._images = images.to("cpu", wide)
        self._curves = list(ordered.baselines)
        self._fills = [
            read_baseline(baseline, images).to("cpu", wide)
            for baseline in ordered.baselines.values()
        ]
        pixels = int(np.prod(images.shape[2:]))
        counts = shares(ordered.steps, pixels)
        self.steps = len(counts) - 1
        # What is left of the image (deletion) or shown of it (insertion), in pixels.
        self._counts = {"insertion": counts[:-1], "deletion": counts[1:]}
        self._ranks = _Ranks(values, ordered.random_state, session.offset)
        self.total = values.shape[0] * values.shape[1] * len(self._curves) * self.steps

    def __call__(self, first: int, last: int, buffer: Tensor) -> Tensor:
        """Write numbers [first, last); whose rows' they are."""
        numbers = np.arange(first, last)
        runs, steps = np.divmod(numbers, self.steps)
        for which in np.unique(runs):
            some = np.flatnonzero(runs == which)
            self._write(int(which), steps[some], buffer[some[0] : some[-1] + 1])
        rows = runs // (len(self._curves) * self._ranks.k)
        return torch.from_numpy(rows)

    def _write(self, run: int, steps: Any, out: Tensor) -> None:
        """Some steps of one curve."""
        pair, curve = divmod(run, len(self._curves))
        row, name = pair // self._ranks.k, self._curves[curve]
        ranks = self._ranks.of(pair)
        counts = torch.from_numpy(self._counts[name][steps]).to(ranks.dtype)
        first = ranks < counts.reshape(-1, *[1] * ranks.ndim)
        image, fill = self._images[row], self._fills[curve][row]
        shown, hidden = (image, fill) if name == "insertion" else (fill, image)
        torch.where(first[:, None], shown, hidden, out=out)


def shares(steps: int, pixels: int) -> Any:
    """How many pixels are changed after each step, from none to all: at least one a step."""
    steps = min(steps, pixels)
    return np.round(np.linspace(0, pixels, steps + 1)).astype(np.int64)


class _Ranks:
    """The place of each pixel in the order of a map; that of the latest one is kept."""

    def __init__(self, values: Any, random_state: int, offset: int) -> None:
        self._values, self._seed, self._offset = values, random_state, offset
        self.k = int(values.shape[1])
        self._latest: tuple[int, Tensor] | None = None

    def of(self, pair: int) -> Tensor:
        """int32 (*spatial): 0 is changed first; equal pixels in an order drawn for the image."""
        if self._latest is None or self._latest[0] != pair:
            row, k = divmod(pair, self.k)
            values = self._values[row, k]
            flat = values.ravel()
            # NaN's curves are thrown away: any order will do.
            lot = np.random.default_rng([self._seed, self._offset + row]).permutation(flat.size)
            order = lot[np.argsort(-flat[lot], kind="stable")]
            ranks = np.empty(flat.size, np.int32)
            ranks[order] = np.arange(flat.size, dtype=np.int32)
            self._latest = pair, torch.from_numpy(ranks.reshape(values.shape))
        return self._latest[1]
