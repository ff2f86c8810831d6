"""Feature visualisation by both sides in one process, in turn, and judged by the same eyes.

Run by `fastxai.bench.child` with the repository on the path, in the peers' environment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import networks_explain as networks
from benchmarks.both_explain import _threads, in_turn
from benchmarks.peers_visualize import lucent

if TYPE_CHECKING:
    from fastxai.bench.child import Stages

_TRIED = (8, 16, 32, 64)  # batches that lucent may choose from
_JITTER = 8  # pixels that an image is shifted at most to be judged
_VIEWS = 16
_MEAN, _STD = 127 / 255, 128 / 255


def _ours(
    model: Any, layer: str, channels: list[int], size: int, steps: int, seed: int
) -> Callable[[], np.ndarray]:
    from fastxai.visualize import FeatureVisualizer

    given = {"size": size, "mean": _MEAN, "std": _STD, "steps": steps, "random_state": seed}
    return lambda: FeatureVisualizer(model, **given).channels(layer, channels).images


def channels(
    stages: Stages, layer: str, count: int, size: int, steps: int, rounds: int, tuning: int
) -> dict[str, Any]:
    """Seconds and quality of images of ``count`` channels."""
    with stages("load"):
        threads = _threads()
        model = networks.network("efficientnet-lite0").model
        frozen = networks.frozen(model)
    wanted = list(range(count))
    _ours(model, layer, wanted[:2], size, 2, 0)()  # all code loaded
    with stages("tune"):
        tried: dict[str, float] = {}
        for name, subject in (("trainable", model), ("frozen", frozen)):
            for batch in sorted({min(batch, count) for batch in _TRIED}):
                call = lucent(subject, layer, wanted[:batch], size, tuning, batch, 0)
                call()
                begun = time.perf_counter()
                call()
                tried[f"{name}, {batch}"] = (time.perf_counter() - begun) / batch / tuning
    best = {
        kind: int(min((n for n in tried if n.startswith(kind)), key=tried.__getitem__).split()[-1])
        for kind in ("trainable", "frozen")
    }
    images: dict[str, np.ndarray] = {}

    def keep(name: str, call: Callable[[], np.ndarray]) -> Callable[[], None]:
        return lambda: images.update({name: call()})

    calls = {"fastxai": keep("fastxai", _ours(model, layer, wanted, size, steps, 0))}
    for kind, subject in (("trainable", model), ("frozen", frozen)):
        call = lucent(subject, layer, wanted, size, steps, best[kind], 0)
        calls[f"lucent, {kind}"] = keep(f"lucent, {kind}", call)
    with stages("measure"):
        seconds = in_turn(calls, rounds)
    with stages("judge"):
        judged = {name: _judged(frozen, layer, found) for name, found in images.items()}
    return {"rounds": seconds, "judged": judged, "tuning": tried, "best": best, "threads": threads}


def _judged(model: Any, layer: str, images: np.ndarray) -> dict[str, list[float]]:
    """Of each image the mean activation of its channel, shifted at random, by what comes in.

    Where it leaves its place stands grey, as with lucent's own shifts, or its mirror image.
    """
    import torch
    import torch.nn.functional as F

    rows = torch.arange(len(images))
    given = torch.from_numpy(np.array(images, np.float32))
    high, wide = given.shape[2:]
    found = {}
    for border in ("grey", "mirrored"):
        padding = {"mode": "constant", "value": 0.5} if border == "grey" else {"mode": "reflect"}
        padded = F.pad(given, [_JITTER] * 4, **padding)
        rng, total = np.random.default_rng(12345), torch.zeros(len(images))
        for _ in range(_VIEWS):
            top, left = rng.integers(0, 2 * _JITTER + 1, 2)
            seen = (padded[:, :, top : top + high, left : left + wide] - _MEAN) / _STD
            with torch.no_grad():
                activation = _activation(model, layer, seen)
            total += activation[rows, rows].flatten(1).mean(1)
        found[border] = (total / _VIEWS).tolist()
    return found


def _activation(model: Any, layer: str, images: Any) -> Any:
    kept = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *a: kept.append(a[2]))
    try:
        model(images)
    finally:
        handle.remove()
    return kept[0]


TASKS = {"channels": channels}
