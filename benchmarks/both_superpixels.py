"""LIME of one image by us, by lime, and the bare forwards of the same batches, in turn.

Run by `fastxai.bench.child` with the repository on the path.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import networks_explain as networks
from benchmarks.both_explain import in_turn

os.environ["TQDM_DISABLE"] = "1"  # read when torch, or lime, imports it

if TYPE_CHECKING:
    from fastxai.bench.child import Stages

_BATCH = 32  # lime's own is 10; ours finds its own


class _Drawn:
    """What lime takes for a source of random numbers: it hands out our masks."""

    def __init__(self, shown: np.ndarray) -> None:
        self._shown = shown.astype(int)

    def randint(self, low: int, high: int, size: int) -> np.ndarray:
        assert (low, high, size) == (0, 2, self._shown.size)
        return self._shown.ravel().copy()


def lime(
    stages: Stages, network: str, size: int, segments: int, masks: int, rounds: int
) -> dict[str, Any]:
    """The same segments, masks, baseline and class for both."""
    import torch

    import fastxai

    with stages("load"):
        model = networks.network(network).model
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        torch.set_num_threads(count or 1)
        image = networks.photos(2, size)[1:]  # chelsea, a cat
        with torch.no_grad():
            label = int(model(image).argmax(1)[0])
    method = fastxai.LIME(model, n_segments=segments, n_samples=masks)
    with stages("warm-up"):
        batches: list[Any] = []
        hook = model.register_forward_pre_hook(lambda _, given: batches.append(given[0].clone()))
        mine = method.explain(image, target=label).details[0]
        hook.remove()
        theirs = _lime(model, image, label, mine)
        solved = theirs()
    found: dict[str, Any] = {}
    calls: dict[str, Callable[[], Any]] = {
        "fastxai": lambda: found.update(mine=method.explain(image, target=label).details[0]),
        "bare forwards": lambda: _forwards(model, batches),
        "lime": theirs,
    }
    seconds = in_turn(calls, rounds)
    mine = found["mine"]
    largest = float(np.abs(solved["coefficients"]).max())
    return {
        "rounds": seconds,
        "segments": len(mine),
        "batches": [len(batch) for batch in batches],
        "difference": {
            "coefficients": float(np.abs(mine.coefficients - solved["coefficients"]).max())
            / largest,
            "intercept": abs(mine.intercept - solved["intercept"]) / largest,
            "R²": abs(mine.r2 - solved["r2"]),
        },
        "r2": mine.r2,
        "r2_held_out": mine.r2_held_out,
        "stability": mine.stability,
        "score": mine.score,
    }


def _forwards(model: Any, batches: list[Any]) -> None:
    import torch

    with torch.no_grad():
        for batch in batches:
            model(batch)


def _lime(model: Any, image: Any, label: int, ours: Any) -> Callable[[], dict[str, Any]]:
    """lime as its tutorial has it, on our segments and masks, zeros in place of what is hidden."""
    import torch
    from lime.lime_image import LimeImageExplainer

    from fastxai.explain.superpixels.sampling import lime_masks

    shown = lime_masks(ours.n_samples, len(ours), 0, 0.25).shown
    pixels = image[0].permute(1, 2, 0).numpy()

    def answers(pictures: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.from_numpy(pictures).permute(0, 3, 1, 2)).softmax(1).numpy()

    def call() -> dict[str, Any]:
        explainer = LimeImageExplainer(random_state=0)
        explainer.random_state = _Drawn(shown)
        found = explainer.explain_instance(
            pixels,
            answers,
            labels=(label,),
            top_labels=None,
            hide_color=0,
            num_samples=len(shown),
            batch_size=_BATCH,
            segmentation_fn=lambda _: ours.segments,
            random_seed=0,
        )
        coefficients = np.zeros(len(ours))
        for number, value in found.local_exp[label]:
            coefficients[number] = value
        return {
            "coefficients": coefficients,
            "intercept": found.intercept[label],
            "r2": found.score,
        }

    return call


TASKS = {"lime": lime}
