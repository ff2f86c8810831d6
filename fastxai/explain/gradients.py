"""Gradients by the pixels: saliency, guided backpropagation, DeconvNet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from .._checks import check_number, check_whole
from ..errors import InvalidInputError
from .baselines import check_baseline, read_baseline
from .explainer import Explainer
from .session import Maps, Session

_KINDS = ("gradient", "smoothgrad", "integrated_gradients")


def by_pixels(gradient: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """As the maps of one target, (N, 1, C, *spatial), and which are zero (N, 1)."""
    found = torch.zeros_like(like) if gradient is None else gradient
    values = found.float().contiguous()[:, None]
    return values, (values.flatten(2) == 0).all(2)


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
    n_samples : int, default 32
        Noisy copies, or steps on the way (midpoints).
    noise : float, default 0.15
        Standard deviation of the noise, in parts of an image's range of values.
    baseline : float, sequence, Tensor, "mean" or "blur", default 0.0
        Where the way begins, in the input's units: a value, one a channel, an image
        (C, *spatial), the image's own mean by channel, or the image blurred.
    random_state : int, default 0
        Seed of the noise; each image has random numbers of its own.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.

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
        n_samples: int = 32,
        noise: float = 0.15,
        baseline: Any = 0.0,
        random_state: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        if kind not in _KINDS:
            raise InvalidInputError(f"kind={kind!r} is unknown; choose one of {', '.join(_KINDS)}")
        check_whole("n_samples", n_samples, 1)
        check_whole("random_state", random_state, 0)
        check_number("noise", noise, 0)
        check_baseline(baseline)
        self.name = "saliency" if kind == "gradient" else kind
        self.absolute, self.kind, self.n_samples = absolute, kind, n_samples
        self.noise, self.baseline, self.random_state = noise, baseline, random_state

    @property
    def pixels(self) -> bool:  # type: ignore[override]
        """The mean of gradients at other places needs none at this one."""
        return self.kind == "gradient"

    @property
    def signed(self) -> bool:  # type: ignore[override]
        """Magnitudes have no sign."""
        return not self.absolute

    def each(self, session: Session) -> Iterator[dict[str, Maps]]:
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
            seed = (self.random_state * 1_000_003 + session.offset + row) * 65_536 + sample
            generator = torch.Generator("cpu").manual_seed(seed % 2**63)
            spread = self.noise * (copy.max() - copy.min())
            copy += torch.randn(copy.shape, generator=generator, device="cpu").to(copy) * spread
        return copies


def _mean_gradient(session: Session, k: int, places: Any, n_samples: int) -> Tensor | None:
    """The mean over samples of the gradient at other places, several in one batch."""
    images = session.inputs.images
    n, device = len(session), images.device
    total = torch.zeros(images.shape, dtype=torch.float64, device=device)
    rows = torch.arange(n, device=device).repeat_interleave(n_samples)
    samples = torch.arange(n_samples, device=device).repeat(n)
    batch = session.plan.batch_size
    reached = False
    with session.plan.progress.stage("samples", len(rows)) as advance:
        for start in range(0, len(rows), batch):
            part = slice(start, start + batch)
            points = places(session, rows[part], samples[part])
            gradient = session.gradient_at(rows[part], points, k)
            if gradient is not None:
                reached = True
                total.index_add_(0, rows[part], gradient.double())
            advance(len(points))
    return (total / n_samples).to(images.dtype) if reached else None


class _Ruled(Explainer):
    """The gradient by the pixels, with another rule at every ReLU."""

    signed = True
    pixels = True
    rules = True
    rule: ClassVar[str] = ""

    def each(self, session: Session) -> Iterator[dict[str, Maps]]:
        """One backward pass a target, all on the same forward."""
        for k in range(session.n_targets):
            gradient = session.input_gradient(k, self.rule)
            yield {"": Maps.of(*by_pixels(gradient, session.inputs.images))}


class GuidedBackprop(_Ruled):
    """Guided backpropagation: the gradient along units that are on and are asked for more.

        R_in = R * (R > 0) * (x > 0)  at every ReLU

    (Springenberg et al. 2015, section 3.4), by operation and not by module: functional,
    reused and in-place ReLUs count.  Sharp pictures of what a network *can* see; they hardly
    depend on the target.

    Parameters
    ----------
    model : Module
        Any network with ReLUs or their kin; it is left as it came.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(5)
    ... )
    >>> _ = net(torch.rand(1, 3, 8, 8))
    >>> fastxai.GuidedBackprop(net)(torch.rand(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """

    name = "guided_backprop"
    rule = "guided"


class Projection(NamedTuple):
    """What `DeconvNet.project` returns, one an image.

    ``maps`` (N, C, H, W): the activation, brought back to the pixels; ``unit`` (N,) and
    ``position`` (N, axes): which feature map, and where in it; ``activation`` (N,): how strong.
    """

    maps: Any
    unit: Any
    position: Any
    activation: Any


class DeconvNet(_Ruled):
    """DeconvNet: the way back through the network, cut to what is positive at every ReLU.

        R_in = R * (R > 0)  at every ReLU, max-pooling undone by its switches

    (Zeiler and Fergus 2014, section 2.1).  Called like the others it starts from the target's
    score; `project` follows the paper and starts from one activation of a layer.

    Parameters
    ----------
    model : Module
        Any network with ReLUs or their kin; it is left as it came.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    ...     torch.nn.Flatten(), torch.nn.LazyLinear(5),
    ... )
    >>> _ = net(torch.rand(1, 3, 8, 8))
    >>> deconv = fastxai.DeconvNet(net)
    >>> deconv(torch.rand(2, 3, 8, 8), target=1).shape
    torch.Size([2, 3, 8, 8])
    >>> deconv.project(torch.rand(2, 3, 8, 8), layer="1", unit=5).unit
    tensor([5, 5])
    """

    name = "deconvnet"
    rule = "deconvnet"

    def project(self, images: Any, layer: Any = None, unit: int | None = None) -> Projection:
        """Keep the strongest activation of a unit, zero the rest, go back to the pixels.

        Parameters
        ----------
        images : Tensor or ndarray, (N, C, *spatial)
            As when called.
        layer : str or Module, optional
            By default the last convolution's feature map.
        unit : int, optional
            The feature map; by default that with the strongest activation, image by image.

        Returns
        -------
        Projection
        """
        from .projection import project

        return project(self, images, layer, unit)
