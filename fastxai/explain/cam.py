"""Class activation maps: weighted sums of the feature maps of a layer.

CAM (Zhou et al. 2016) takes the weights from the classifier; Grad-CAM (Selvaraju et al. 2017)
and its kin from the gradient of the target's score by the feature maps A^k.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, nn

from .._checks import check_flag
from ..errors import InvalidInputError
from .explainer import LayerExplainer
from .kernels import room_for
from .layers.layers import Layer
from .session import Maps, Session


class _CAM(LayerExplainer):
    """What the family shares: coarse maps, a ReLU, upsampling to the size of the images."""

    def __init__(self, model: Any, layer: Any = None, *, relu: bool = True, **options: Any) -> None:
        super().__init__(model, layer, **options)
        check_flag("relu", relu)
        self.cut_by_relu = relu

    @property
    def signed(self) -> bool:  # type: ignore[override]
        """Without the ReLU negative values speak against the target."""
        return not self.cut_by_relu

    def by_target(self, session: Session) -> Iterator[dict[str, Maps]]:
        """One weighted sum a layer and target."""
        return cams(session, session.layers_of(self), self.name, self.cut_by_relu)


def cams(
    session: Session, layers: list[Layer], formula: str, relu: bool
) -> Iterator[dict[str, Maps]]:
    """Maps of the gradient family, target by target, for every layer."""
    activations = {layer: list(session.activations(layer)) for layer in layers}
    room = room_for(session.inputs.images)
    arrays = {layer: [room.array(a) for a in calls] for layer, calls in activations.items()}
    for k in range(session.n_targets):
        yield {
            layer.name: _by_gradient(
                session, found, session.layer_gradients(layer, k), formula, relu
            )
            for layer, found in arrays.items()
        }


def _by_gradient(
    session: Session,
    activations: list[Any],
    gradients: list[Tensor | None],
    formula: str,
    relu: bool,
) -> Maps:
    """Maps of one target, from each call of a layer."""
    images = session.inputs.images
    room, coarse = room_for(images), []
    zero = torch.ones(len(session), dtype=torch.bool, device=images.device)
    for activation, gradient in zip(activations, gradients, strict=True):
        if gradient is None:
            shape = (len(session), *activation.shape[2:])
            coarse.append(room.array(torch.zeros(shape, device=images.device)))
            continue
        zero &= (gradient.flatten(1) == 0).all(1).to(zero.device)
        coarse.append(room.kernels.cam_maps(activation, room.array(gradient), formula))
    return _upsampled(coarse, zero, session, relu)


def _upsampled(coarse: list[Any], zero: Tensor, session: Session, relu: bool) -> Maps:
    """The sum over the calls of a layer, cut and brought to the size of the images: one target.

    Calls at different scales are brought to one size first.
    """
    images, size = session.inputs.images, session.inputs.spatial
    room, device = room_for(images), images.device
    if len({tuple(c.shape) for c in coarse}) > 1:
        coarse = [room.kernels.upsample(c, size, False) for c in coarse]
    total = reduce(add, coarse)
    flat = room.tensor(total).flatten(1)
    values = room.tensor(room.kernels.upsample(total, size, relu))
    found = (values, flat.amin(1), flat.amax(1), zero)
    return Maps(*(tensor.to(device)[:, None] for tensor in found))


class GradCAM(_CAM):
    """Grad-CAM: where a layer's feature maps speak for the target.

        map = ReLU(sum_k w_k A^k),   w_k = mean over positions of dy / dA^k

    (Selvaraju et al. 2017, equations 1 and 2).  The graph begins at the layer, so that a call
    costs about one plain forward pass.

    Parameters
    ----------
    model : Module
        Any network; it is left as it came.
    layer : str, Module or sequence of them, optional
        By default the last convolution's feature map, after the normalisation and activation
        that follow it and before pooling; of a vision transformer the tokens that its last
        attention block reads.
    relu : bool, default True
        Cut what speaks against the target; with False the map keeps its sign.
    call : int, optional
        Of a layer that runs several times the call to look at, from 0; by default the maps of
        all calls are summed.
    reshape : callable, optional
        Brings the layer's activation to (N, channels, *spatial), where that is not plain.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
    ... )
    >>> fastxai.GradCAM(net)(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 16, 16])
    """

    name = "gradcam"


class GradCAMPlusPlus(_CAM):
    """Grad-CAM++: weights by pixel, so that several objects of a class all count.

        w_k = sum_ij alpha_ij ReLU(g_ij),   alpha = g^2 / (2 g^2 + sum_ab A_ab g^3)

    (Chattopadhay et al. 2018, equations 10 and 19, for the exponential of the score, whose
    derivatives are powers of the gradient g).  Parameters as of `GradCAM`.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
    ... )
    >>> fastxai.GradCAMPlusPlus(net, layer="1")(torch.rand(2, 3, 16, 16), target=3).shape
    torch.Size([2, 16, 16])
    """

    name = "gradcam++"


class HiResCAM(_CAM):
    """HiResCAM: each position by its own gradient, which never claims what was not used.

        map = ReLU(sum_k g^k * A^k)

    (Draelos and Carin 2020, section 4.2).  Parameters as of `GradCAM`.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
    ... )
    >>> fastxai.HiResCAM(net, relu=False)(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 16, 16])
    """

    name = "hirescam"


class LayerCAM(_CAM):
    """LayerCAM: positive gradients only, fit for early layers with fine maps.

        map = ReLU(sum_k ReLU(g^k) * A^k)

    (Jiang et al. 2021, equations 4 and 5).  Parameters as of `GradCAM`.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
    ... )
    >>> fastxai.LayerCAM(net, layer=["0", "1"])(torch.rand(2, 3, 16, 16))["0"].shape
    torch.Size([2, 16, 16])
    """

    name = "layercam"


class CAM(_CAM):
    """CAM: the classifier's own weights, for networks that end in average pooling and a linear map.

        map_c = sum_k W_ck A^k

    (Zhou et al. 2016, equation 2), signed, and equal to the Grad-CAM of the logits before its
    ReLU, times the number of positions.  Whether a network has that form is found by trying:
    the pooled feature maps times the weights must give the logits.

    Parameters as of `GradCAM`, ``relu`` with the default False.

    Raises
    ------
    InvalidInputError
        If the network has not that form; `GradCAM` works with any.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
    ... )
    >>> fastxai.CAM(net)(torch.rand(2, 3, 16, 16), target="top3").shape
    torch.Size([2, 3, 16, 16])
    """

    name = "cam"

    def __init__(
        self, model: Any, layer: Any = None, *, relu: bool = False, **options: Any
    ) -> None:
        super().__init__(model, layer, relu=relu, **options)

    def by_target(self, session: Session) -> Iterator[dict[str, Maps]]:
        """One weighted sum a layer and target."""
        output, found = session.output.detach(), {}
        room = room_for(session.inputs.images)
        for layer in session.layers_of(self):
            activation = session.activations(layer)[-1]
            weights = _classifier(self.model, activation, output, layer.name)
            found[layer.name] = (room.array(activation), weights)
        zero = torch.zeros(len(session), dtype=torch.bool, device=session.inputs.images.device)
        for k in range(session.n_targets):
            by_output = session.output_gradient(k)
            assert by_output is not None
            coarse = {
                name: room.kernels.weighted_sum(array, room.array(by_output.to(weights) @ weights))
                for name, (array, weights) in found.items()
            }
            yield {
                name: _upsampled([maps], zero, session, self.cut_by_relu)
                for name, maps in coarse.items()
            }


def _classifier(model: nn.Module, activation: Tensor, output: Tensor, layer: str) -> Tensor:
    """Weights (classes, channels) with which the pooled feature maps give the output."""
    channels = activation.shape[1]
    pooled = activation.flatten(2).mean(2).double()
    found = output.double()
    tolerance = 1e-3 if output.dtype in (torch.float32, torch.float64) else 3e-2
    for module in model.modules():
        weights = getattr(module, "weight", None)
        if not isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            continue
        if weights is None or weights.numel() != channels * output.shape[1]:
            continue
        matrix = weights.detach().flatten(1)
        if output.ndim != 2 or matrix.shape != (output.shape[1], channels):
            continue
        bias = 0.0 if module.bias is None else module.bias.detach().double()
        difference = pooled @ matrix.double().T + bias - found
        # What is not finite fits nothing, and tells nothing: its maps get a status.
        known = torch.isfinite(difference)
        if difference[known].norm() <= tolerance * found[known].norm():
            return matrix.float()
    raise InvalidInputError(
        f"CAM is for networks that end in global average pooling and one linear layer: no linear "
        f"layer gives the output {tuple(output.shape)} from the average of the feature maps of "
        f"layer {layer!r}, {tuple(activation.shape)}; GradCAM works with any network"
    )
