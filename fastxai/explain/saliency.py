"""Saliency: the gradient by the pixels, or the mean of it over noisy or darker copies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .._checks import check_flag, check_number, check_whole
from ..errors import InvalidInputError
from .black_box.baselines import check_baseline, read_baseline
from .explainer import Explainer
from .gradients import by_pixels
from .halving import Batches
from .session import Maps, Session

# The options that each kind has a use for.
_KINDS = {
    "gradient": (),
    "smoothgrad": ("n_samples", "noise", "random_state"),
    "integrated_gradients": ("n_samples", "baseline"),
}
_DEFAULTS = {"n_samples": 32, "noise": 0.15, "random_state": 0, "baseline": 0.0}


class Saliency(Explainer):
    """Saliency: the gradient of the target's score by the pixels.

        map_ij = max over channels of |dy / dx_cij|

    (Simonyan, Vedaldi and Zisserman 2014, section 3.1).

    Parameters
    ----------
    model : Module
        Any differentiable network; it is left as it came.
    absolute : bool, default True
        The largest magnitude over the channels, (N, H, W); with False the signed gradient,
        (N, C, H, W).
    kind : {"gradient", "smoothgrad", "integrated_gradients"}, default "gradient"
        ``"smoothgrad"`` averages the gradients at noisy copies (Smilkov et al. 2017);
        ``"integrated_gradients"`` multiplies (x - baseline) by the mean gradient on the
        straight way from the baseline, which adds up to the change of the score
        (Sundararajan, Taly and Yan 2017).
    n_samples : int, optional
        Noisy copies, or steps on the way (midpoints), 32 by default.  Of both these kinds.
    noise : float, optional
        Of ``"smoothgrad"``: standard deviation of the noise, in parts of an image's range of
        values, 0.15 by default.
    baseline : float, sequence, Tensor, "mean" or "blur", optional
        Of ``"integrated_gradients"``: where the way begins, in the input's units: a value, one
        a channel, an image (C, *spatial), the image's own mean by channel, or the image
        blurred.  By default 0.0.
    random_state : int, optional
        Of ``"smoothgrad"``: seed of the noise, 0 by default; each image has random numbers of
        its own.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.  Of the
        kinds with samples the batch size is also that of changed images.

    Raises
    ------
    InvalidInputError
        If an option is unknown, or the kind has no use for it.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> fastxai.Saliency(net)(torch.rand(2, 3, 4, 4)).shape
    torch.Size([2, 4, 4])
    """

    name = "saliency"

    def __init__(
        self,
        model: Any,
        *,
        absolute: bool = True,
        kind: str = "gradient",
        n_samples: int | None = None,
        noise: float | None = None,
        baseline: Any = None,
        random_state: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        if kind not in _KINDS:
            raise InvalidInputError(f"kind={kind!r} is unknown; choose one of {', '.join(_KINDS)}")
        check_flag("absolute", absolute)
        given = {"n_samples": n_samples, "noise": noise}
        given |= {"random_state": random_state, "baseline": baseline}
        used = _options(kind, given)
        check_whole("n_samples", used["n_samples"], 1)
        check_whole("random_state", used["random_state"], 0)
        check_number("noise", used["noise"], 0)
        check_baseline(used["baseline"])
        self.name = "saliency" if kind == "gradient" else kind
        self.absolute, self.kind = absolute, kind
        self.n_samples, self.noise = used["n_samples"], used["noise"]
        self.baseline, self.random_state = used["baseline"], used["random_state"]

    @property
    def pixels(self) -> bool:  # type: ignore[override]
        """The mean of gradients at other places needs none at this one."""
        return self.kind == "gradient"

    @property
    def signed(self) -> bool:  # type: ignore[override]
        """Magnitudes have no sign."""
        return not self.absolute

    def by_target(self, session: Session) -> Iterator[dict[str, Maps]]:
        """The gradient, or the mean of gradients at many places."""
        for k in range(session.n_targets):
            values, zero = by_pixels(self._gradient(session, k), session.inputs.images)
            yield {"": Maps.of(values.abs().amax(2) if self.absolute else values, zero)}

    def _gradient(self, session: Session, k: int) -> Tensor | None:
        if self.kind == "gradient":
            return session.input_gradient(k)
        images = session.inputs.images.detach()
        if self.kind == "smoothgrad":
            return _mean_gradient(session, k, self._noisy, self.n_samples)
        baseline = read_baseline(self.baseline, images)
        way = images - baseline

        def on_the_way(session: Session, rows: Tensor, samples: Tensor) -> Tensor:
            share = ((samples + 0.5) / self.n_samples).to(images)
            return baseline[rows] + way[rows] * share.reshape(-1, *[1] * (images.ndim - 1))

        mean = _mean_gradient(session, k, on_the_way, self.n_samples)
        return None if mean is None else way * mean

    def _noisy(self, session: Session, rows: Tensor, samples: Tensor) -> Tensor:
        images = session.inputs.images.detach()
        copies = images[rows].clone()
        for copy, row, sample in zip(copies, rows.tolist(), samples.tolist(), strict=True):
            # By image and sample: neither the batch nor the other images matter.
            seed = session.seed_of(self.random_state, row) * 65_536 + sample
            generator = torch.Generator("cpu").manual_seed(seed % 2**63)
            spread = self.noise * (copy.max() - copy.min())
            copy += torch.randn(copy.shape, generator=generator, device="cpu").to(copy) * spread
        return copies


def _options(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """What was given (not None) and the defaults; what the kind has no use for is refused."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in _KINDS[kind]:
            having = " and ".join(repr(other) for other, own in _KINDS.items() if name in own)
            raise InvalidInputError(
                f"{name}= is given, and kind={kind!r} has no use for it: it is an option of "
                f"{having}; leave it out, or choose that kind"
            )
    return {**_DEFAULTS, **given}


def _mean_gradient(session: Session, k: int, places: Any, n_samples: int) -> Tensor | None:
    """The mean over samples of the gradient at other places, several in one batch."""
    images = session.inputs.images
    n, device = len(session), images.device
    total = torch.zeros(images.shape, dtype=torch.float64, device=device)
    rows = torch.arange(n, device=device).repeat_interleave(n_samples)
    samples = torch.arange(n_samples, device=device).repeat(n)

    def add(first: int, last: int) -> bool:
        """Whether a gradient came."""
        which = rows[first:last]
        points = places(session, which, samples[first:last])
        gradient = session.gradient_at(which, points, k)
        if gradient is None:
            return False
        total.index_add_(0, which, gradient.double())
        return True

    plan = session.plan
    reached = Batches(len(rows), plan.batch_size).run(add, plan.progress, "samples")
    return (total / n_samples).to(images.dtype) if any(reached) else None
