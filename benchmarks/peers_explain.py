"""The peers' explanations, as their documentation shows them; with modules, not copies, given.

Each function returns something to call; what is called returns float32 NumPy maps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[], np.ndarray]
WINDOW, STRIDE = 32, 16  # 169 windows of an image of 224 x 224


def grad_cam(model: Any, layer: Any, images: Any, labels: Any) -> Call:
    """grad-cam: maps at image size, scaled to [0, 1] each."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets = [ClassifierOutputTarget(label) for label in labels.tolist()]

    def call() -> np.ndarray:
        with GradCAM(model=model, target_layers=[layer]) as cam:
            return np.asarray(cam(input_tensor=images, targets=targets))

    return call


def captum_gradcam(model: Any, layer: Any, images: Any, labels: Any) -> Call:
    """captum: LayerGradCam, then its own interpolation to image size."""
    from captum.attr import LayerAttribution, LayerGradCam

    size = tuple(images.shape[2:])

    def call() -> np.ndarray:
        found = LayerGradCam(model, layer).attribute(images, target=labels, relu_attributions=True)
        return _array(LayerAttribution.interpolate(found, size, "bilinear"))[:, 0]

    return call


def torchcam(model: Any, layer: Any, images: Any, labels: Any) -> Call:
    """torchcam: maps at the layer's size, not scaled; brought to image size like ours."""
    import torch.nn.functional as F
    from torchcam.methods import GradCAM

    size, classes = tuple(images.shape[2:]), labels.tolist()

    def call() -> np.ndarray:
        with GradCAM(model, layer) as extractor:
            scores = model(images)
            (coarse,) = extractor(classes, scores, normalized=False)
        return _array(F.interpolate(coarse[:, None], size=size, mode="bilinear"))[:, 0]

    return call


def captum_by_pixels(model: Any, method: str, images: Any, labels: Any) -> Call:
    """captum's methods that answer at the pixels."""
    from captum import attr

    kinds = {
        "saliency": lambda: attr.Saliency(model).attribute(images, labels),
        "guided_backprop": lambda: attr.GuidedBackprop(model).attribute(images, labels),
        "deconvnet": lambda: attr.Deconvolution(model).attribute(images, labels),
    }
    return lambda: _array(kinds[method]())


def captum_guided_gradcam(model: Any, layer: Any, images: Any, labels: Any) -> Call:
    """captum's product of both, the map made smooth as the paper has it."""
    from captum.attr import GuidedGradCam

    def call() -> np.ndarray:
        method = GuidedGradCam(model, layer)
        return _array(method.attribute(images, labels, interpolate_mode="bilinear"))

    return call


def captum_together(model: Any, layer: Any, images: Any, labels: Any) -> Callable[[], Any]:
    """Five methods one by one, by name: captum has no way to share a forward."""
    calls = {
        **{
            method: captum_by_pixels(model, method, images, labels)
            for method in ("saliency", "guided_backprop", "deconvnet")
        },
        "gradcam": captum_gradcam(model, layer, images, labels),
        "guided_gradcam": captum_guided_gradcam(model, layer, images, labels),
    }
    return lambda: {name: call() for name, call in calls.items()}


def captum_occlusion(model: Any, image: Any, label: int, at_once: int, stride: int) -> Call:
    """captum's occlusion of one image, so many windows a forward."""
    import torch
    from captum.attr import Occlusion

    window, step = (image.shape[1], WINDOW, WINDOW), (image.shape[1], stride, stride)

    def call() -> np.ndarray:
        with torch.no_grad():
            found = Occlusion(model).attribute(
                image, window, step, target=label, perturbations_per_eval=at_once
            )
        return _array(found)[:, 0]

    return call


def dense_occlusion(
    model: Any, image: Any, label: int, batch: int, corners: list[tuple[int, int]]
) -> Call:
    """What any user would write: batches of occluded copies, one plain forward each."""
    import torch

    channels_last = image.is_contiguous(memory_format=torch.channels_last)

    def call() -> np.ndarray:
        scores = []
        with torch.no_grad():
            whole = model(image)[0, label]
            for start in range(0, len(corners), batch):
                part = corners[start : start + batch]
                copies = image.repeat(len(part), 1, 1, 1)
                if channels_last:
                    copies = copies.contiguous(memory_format=torch.channels_last)
                for copy, (top, left) in zip(copies, part, strict=True):
                    copy[:, top : top + WINDOW, left : left + WINDOW] = 0.0
                scores.append(model(copies)[:, label])
            return _array(whole - torch.cat(scores))

    return call


def zennit(model: Any, method: str, images: Any, labels: Any) -> Call:
    """zennit's rules for ReLU modules."""
    import torch
    from zennit import composites
    from zennit.attribution import Gradient

    kinds = {
        "guided_backprop": composites.GuidedBackprop,
        "deconvnet": composites.DeconvNet,
    }
    classes = 1000

    def call() -> np.ndarray:
        with Gradient(model=model, composite=kinds[method]()) as attributor:
            _, found = attributor(images, torch.eye(classes)[labels])
        return _array(found)

    return call


def _array(found: Any) -> np.ndarray:
    return np.asarray(found.detach(), np.float32)
