"""Guided Grad-CAM: sharp like guided backpropagation, by class like Grad-CAM."""

from __future__ import annotations

from collections.abc import Iterator

from .cam import cams
from .explainer import LayerExplainer
from .gradients import by_pixels
from .session import Maps, Session


class GuidedGradCAM(LayerExplainer):
    """Guided Grad-CAM: guided backpropagation where Grad-CAM sees the target.

        map = guided backpropagation * upsampled Grad-CAM

    (Selvaraju et al. 2017, section 3.2); one forward pass and two backward ones, Grad-CAM's
    weights from plain gradients.  Parameters as of `GradCAM`.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
    ... )
    >>> fastxai.GuidedGradCAM(net)(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 3, 16, 16])
    """

    name = "guided_gradcam"
    signed = True
    pixels = True
    rule = "guided"
    cut_by_relu = True

    def by_target(self, session: Session) -> Iterator[dict[str, Maps]]:
        """The product, channel by channel."""
        found = cams(session, session.layers_of(self), "gradcam", True)
        for k, by_layer in enumerate(found):
            gradient = session.input_gradient(k, "guided")
            guided, still = by_pixels(gradient, session.inputs.images)
            yield {
                layer: Maps(guided * cam.values[:, :, None], cam.low, cam.high, cam.zero | still)
                for layer, cam in by_layer.items()
            }
