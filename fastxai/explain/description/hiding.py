"""What the network answers: as the image is, and with boxes of it hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InvalidInputError
from ...metrics._map_reading import check_fit
from ..black_box.baselines import check_baseline, read_baseline
from ..black_box.perturbed import Perturbed, format_of, score_of
from ..engine import run
from ..explainer import Explainer
from ..inputs import Inputs
from ..layers.layers import Layer
from ..session import Maps, Session
from ..targets.request import read_target
from .places import Box

Numbers = NDArray[np.float64]
_ALL = "top999999999"  # all classes, the highest first


class Ranked(NamedTuple):
    """All classes of each image, the most probable first: both (N, classes)."""

    classes: NDArray[np.int64]
    probabilities: Numbers


class Answers(NamedTuple):
    """What the network says of the images.

    Attributes
    ----------
    classes : ndarray of int64
        (N, K): -1 where a function is explained.
    scores : ndarray of float64
        (N, K, 1 + boxes): of the image as it is, then with each box hidden.
    ranked : Ranked, optional
        None where the output is no probabilities of classes.
    """

    classes: NDArray[np.int64]
    scores: Numbers
    ranked: Ranked | None


class Hiding(Explainer):
    """Scores of images with one box of each hidden; its "maps" are (N, K, 1 + boxes).

    Parameters
    ----------
    boxes : sequence of sequences of sequences of Box
        Of each image (N) and target (K) the boxes, as many of each; none hides nothing.
    baseline : baseline
        What stands in a hidden box.
    spatial : tuple of int
        The size of the maps.
    """

    name = "hiding"
    signed = True
    black_box = True

    def __init__(
        self,
        model: Any,
        *,
        boxes: Sequence[Sequence[Sequence[Box | None]]],
        baseline: Any,
        spatial: tuple[int, ...],
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        check_baseline(baseline)
        self.boxes, self.baseline, self.spatial = boxes, baseline, spatial

    def resolve(self, inputs: Inputs) -> list[Layer]:
        """No layers; maps that are not of these images are refused before any work."""
        check_fit((len(self.boxes), *self.spatial), tuple(inputs.images.shape))
        return []

    def compute(self, session: Session) -> dict[str, Maps]:
        """The scores of one batch."""
        images = session.inputs.images
        n, k = len(images), session.n_targets
        boxes = self.boxes[session.offset : session.offset + n]
        if k != len(boxes[0]):
            raise InvalidInputError(
                f"the maps are of {len(boxes[0])} targets an image, and target= names {k}: give "
                "the target= that they were made for"
            )
        as_is = score_of(session.targets, session.output, "probability")[..., None]
        each = len(boxes[0][0])
        if each == 0:
            return {"": Maps.of(as_is)}
        fills = read_baseline(self.baseline, images)

        def hide(first: int, last: int, buffer: Tensor) -> Tensor:
            numbers = np.arange(first, last)
            for place, number in enumerate(numbers):
                pair, which = divmod(int(number), each)
                row, target = divmod(pair, k)
                buffer[place].copy_(images[row])
                if (box := boxes[row][target][which]) is not None:
                    some = (slice(None), *box.slices)
                    buffer[place][some] = fills[row][some].to(buffer)
            return torch.from_numpy(numbers // (k * each))

        changed = Perturbed(
            session.plan.forward,
            session.inputs,
            session.targets,
            score="probability",
            batch_size=self.batch_size,
            memory_format=format_of(self.model, images),
        )
        scores = changed.scores(n * k * each, hide, session.plan.progress, "hide")
        own = torch.diagonal(scores.reshape(n, k, each, k), dim1=1, dim2=3).movedim(-1, 1)
        return {"": Maps.of(torch.cat([as_is, own], 2))}


def ask(
    model: Any,
    images: Any,
    target: Any,
    boxes: Sequence[Sequence[Sequence[Box | None]]],
    baseline: Any,
    spatial: tuple[int, ...],
    **options: Any,
) -> Answers:
    """Ask the network about the images, and about each with its boxes hidden."""
    hiding = Hiding(model, boxes=boxes, baseline=baseline, spatial=spatial, **options)
    found = run([hiding], images, target, keep_output=True)
    out = found.explanations
    scores = out[hiding.name].maps
    scores = np.asarray(scores.cpu() if isinstance(scores, Tensor) else scores, np.float64)
    if out.single:
        scores = scores[:, None]
    assert found.output is not None
    size = tuple(out.images.shape[2:])
    return Answers(out.classes, scores, _ranked(found.output, hiding.task, size))


def _ranked(output: Tensor, task: str, size: tuple[int, ...]) -> Ranked | None:
    """All classes by their probability; values and outputs with pixels have none."""
    if task == "regression" or (output.ndim > 2 and output.shape[2:].numel() > 1):
        return None
    targets = read_target(_ALL, len(output)).resolve(output, task, size)
    found = targets.probabilities(output).double()
    return Ranked(targets.classes.cpu().numpy(), found.cpu().numpy())
