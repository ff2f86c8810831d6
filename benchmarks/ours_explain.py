"""Our explanations as a user calls them; what is called returns float32 NumPy maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

TOGETHER = ("saliency", "guided_backprop", "deconvnet", "gradcam", "guided_gradcam")


def gradcam(
    model: Any, layer: str | list[str] | None, images: Any, target: Any
) -> Callable[[], Any]:
    """Grad-CAM; by layer where there are several."""
    import fastxai

    def call() -> Any:
        found = fastxai.GradCAM(model, layer=layer)(images, target=target)
        if isinstance(found, dict):
            return {name: _array(maps) for name, maps in found.items()}
        return _array(found)

    return call


def guided_backprop(model: Any, images: Any, target: Any) -> Callable[[], np.ndarray]:
    import fastxai

    return lambda: _array(fastxai.GuidedBackprop(model)(images, target=target))


def together(model: Any, layer: str, images: Any, target: Any) -> Callable[[], Any]:
    """Five methods that share their passes, by name."""
    import fastxai

    def call() -> dict[str, np.ndarray]:
        found = fastxai.explain(model, images, list(TOGETHER), target=target, layer=layer)
        return {name: _array(found[name].maps) for name in TOGETHER}

    return call


def occlusion(
    model: Any, images: Any, target: Any, window: int, stride: int, **options: Any
) -> Callable[[], np.ndarray]:
    """The drop of the logit, zeros in place of the image."""
    import fastxai

    def call() -> np.ndarray:
        method = fastxai.Occlusion(model, window=window, stride=stride, **options)
        return _array(method(images, target=target))

    return call


def _array(found: Any) -> np.ndarray:
    return np.asarray(found.detach() if hasattr(found, "detach") else found, np.float32)
