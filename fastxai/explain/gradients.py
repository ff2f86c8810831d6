"""Gradients by the pixels with rules for ReLUs: guided backpropagation and DeconvNet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .explainer import Explainer
from .session import Maps, Session

if TYPE_CHECKING:
    from .projection import Projection


def by_pixels(gradient: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """As the maps of one target, (N, 1, C, *spatial), and which are zero (N, 1)."""
    found = torch.zeros_like(like) if gradient is None else gradient
    values = found.float().contiguous()[:, None]
    return values, (values.flatten(2) == 0).all(2)


class _Ruled(Explainer):
    """The gradient by the pixels, with another rule at every ReLU."""

    signed = True
    pixels = True

    def by_target(self, session: Session) -> Iterator[dict[str, Maps]]:
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


class DeconvNet(_Ruled):
    """DeconvNet: the way back through the network, cut to what is positive at every ReLU.

        R_in = R * (R > 0)  at every ReLU, max-pooling undone by its switches

    (Zeiler and Fergus 2014, section 2.1).  Called like the others it starts from the target's
    score; `project` follows the paper and starts from one activation of a layer.  Parameters as
    of `GuidedBackprop`.

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

    def project(
        self,
        images: Any,
        layer: Any = None,
        unit: int | None = None,
        *,
        call: int | None = None,
        reshape: Any = None,
    ) -> Projection:
        """Keep the strongest activation of a unit, zero the rest, go back to the pixels.

        Parameters
        ----------
        images : Tensor or ndarray, (N, C, *spatial)
            As when called.
        layer : str or Module, optional
            By default the last convolution's feature map.
        unit : int, optional
            The feature map; by default that with the strongest activation, image by image.
        call : int, optional
            Of a layer that runs several times the call to start from; by default the first, 0.
        reshape : callable, optional
            Brings the layer's activation to (N, channels, *spatial), where that is not plain.

        Returns
        -------
        Projection

        Raises
        ------
        InvalidInputError
            If there is no such layer, unit or call, if the layer gives no maps, or if the
            network has no activation that a ReLU rule is written for.
        """
        from .projection import project

        return project(self, images, layer, unit, call, reshape)
