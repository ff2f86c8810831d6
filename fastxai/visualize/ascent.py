"""The way up: a batch of images, each to excite its own unit more and more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import DivergedError, FastxaiError, ModelError, NoGradientError
from ..explain.forward import out_of_memory
from ..progress import Advance
from .frame import Frame
from .objectives import Objectives
from .options import Options
from .penalties import penalty
from .redirect import Redirected
from .spectrum import Spectrum, start
from .upto import Found
from .views import Views

_START, _VIEWS, _HELD_OUT = range(3)  # what random numbers are for
Seeds = Sequence[tuple[int, ...]]


class Climbed(NamedTuple):
    """What became of a batch, on the CPU.

    images (n, C, H, W) in 0..1; activations (n,) over held-out views; history (n, steps) of the
    activation; moved (n,), whether any gradient ever came.
    """

    images: Tensor
    activations: Tensor
    history: Tensor
    moved: Tensor


class Ascent:
    """Images on their way.

    Parameters
    ----------
    network : callable
        Images, normalised, to `Found`.
    objectives : Objectives
        What each image is to excite.
    seeds : sequence of tuples of int
        One an image.
    options : Options
    frame : Frame
    """

    def __init__(
        self,
        network: Callable[..., Any],
        objectives: Objectives,
        seeds: Seeds,
        options: Options,
        frame: Frame,
    ) -> None:
        self._network, self._objectives = network, objectives
        self._options, self._frame, self._seeds = options, frame, seeds
        colours = options.decorrelate
        self._spectrum = Spectrum(
            start([(*seed, _START) for seed in seeds], frame.channels, frame.size).to(frame.device),
            frame.size,
            options.decay,
            frame.channels == 3 if colours is None else colours,
        )
        self._views = self._drawn(_VIEWS, options.steps)
        self._moved = torch.zeros(len(seeds), dtype=torch.bool, device=frame.device)

    def _drawn(self, purpose: int, count: int) -> Views:
        seeds = [(*seed, purpose) for seed in self._seeds]
        return Views(seeds, count, self._options, self._frame.size, self._frame.device)

    def climb(self, advance: Advance) -> Climbed:
        """All steps.

        Raises
        ------
        NoGradientError
            No gradient leads from the layer to the images.
        DivergedError
            Activations are no numbers any more.
        """
        wanted = self._spectrum.coefficients
        rate = self._options.learning_rate
        optimizer = torch.optim.Adam([wanted], rate, maximize=True, fused=True)
        history = torch.empty(self._options.steps, len(self._seeds))
        for step in range(self._options.steps):
            history[step], wanted.grad = self._uphill(step)
            optimizer.step()
            advance(1)
        wanted.requires_grad_(False)
        with torch.no_grad():
            images = self._spectrum.images()
            return Climbed(images.cpu(), self._judged(images), history.T, self._moved.cpu())

    def _uphill(self, step: int) -> tuple[Tensor, Tensor]:
        """The activations (n,), and the gradient of what is to rise by the coefficients."""
        scores, gradient = self._gradient(step, None)
        if not torch.isfinite(scores).all():
            row = int((~torch.isfinite(scores)).nonzero()[0, 0])
            raise DivergedError(
                f"{self._objectives.titles[row]}: the activation is {float(scores[row])} in step "
                f"{step}; is the normalisation the network's own, and does it answer photographs?"
            )
        moved = gradient.flatten(1).any(1)
        self._moved |= moved
        if not moved.all():
            stuck = (~moved).nonzero()[:, 0]
            gradient[stuck] = self._past_relus(step, stuck)
        return scores, gradient

    def _past_relus(self, step: int, rows: Tensor) -> Tensor:
        """Gradients of images that get none: of units that are off wherever one looks."""
        with Redirected():
            _, gradient = self._gradient(step, rows)
        self._moved[rows] |= gradient.flatten(1).any(1)
        return gradient

    def _gradient(self, step: int, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Activations and gradients of all images or of some."""
        objectives = self._objectives if rows is None else self._objectives.part(rows)
        images = self._spectrum.images(rows)
        found: Found = self._frame.run(self._network, self._views.of(images, step, rows))
        scores = objectives.scores(found.activation).float()
        if not scores.requires_grad:
            raise NoGradientError(_CUT)
        rising, features = scores, found.activation if found.features is None else found.features
        if rows is None and (paid := penalty(self._options, images, features)) is not None:
            # In shares of the activation, so that a weight means the same in every layer.
            rising = scores - scores.detach().abs() * paid
        gradient = _differentiated(rising.sum(), self._spectrum.coefficients)
        if gradient is None:
            raise NoGradientError(_CUT)
        return scores.detach(), gradient if rows is None else gradient[rows]

    def _judged(self, images: Tensor) -> Tensor:
        """The mean activation over views that no step has seen."""
        views = self._drawn(_HELD_OUT, self._options.views)
        total = torch.zeros(len(images), dtype=torch.float64)
        for number in range(self._options.views):
            found = self._frame.run(self._network, views.of(images, number))
            total += self._objectives.scores(found.activation).double().cpu()
        return (total / self._options.views).float()


_CUT = (
    "no gradient leads from the layer back to the images: the model cuts the graph before it, by "
    "torch.no_grad, detach, argmax or a detour over NumPy; choose a layer before that place"
)


def _differentiated(rising: Tensor, wanted: Tensor) -> Tensor | None:
    try:
        (found,) = torch.autograd.grad(rising, wanted, allow_unused=True)
    except FastxaiError:
        raise
    except Exception as error:  # of functions of the user's own, too
        if out_of_memory(error):
            raise
        what = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
        raise ModelError(f"the model can not be differentiated: {what}{error}") from error
    return found
