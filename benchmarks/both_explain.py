"""Both sides in one process, in turn: a change of the machine's speed meets both.

Run by `fastxai.bench.child` with the repository on the path.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import networks_explain as networks
from benchmarks import ours_explain as ours
from benchmarks import peers_explain as peers

if TYPE_CHECKING:
    from fastxai.bench.child import Stages

_WINDOW, _STRIDE = peers.WINDOW, peers.STRIDE


Rounds = dict[str, list[float]]


def in_turn(calls: dict[str, Callable[[], Any]], rounds: int) -> Rounds:
    """Seconds of each call in each round; who begins changes from round to round."""
    names = list(calls)
    seconds: Rounds = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()  # grad-cam's graphs are cycles: whoever comes next shall not pay
            begun = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def _warm(calls: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """The answers of a first call of each."""
    return {name: call() for name, call in calls.items()}


def _threads() -> int:
    import torch

    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(count or 1)
    return count or 1


def _plain(model: Any, images: Any) -> Callable[[], Any]:
    import torch

    def call() -> Any:
        with torch.no_grad():
            return model(images)

    return call


def _load(stages: Stages, network: str, batch: int, size: int) -> tuple[networks.Subject, Any, Any]:
    """Subject, images, and the predicted classes, which both sides are asked about."""
    with stages("load"):
        subject = networks.network(network)
        _threads()
        images = networks.photos(batch, size)
        labels = _plain(subject.model, images)().argmax(1)
    return subject, images, labels


def gradcam(stages: Stages, network: str, batch: int, size: int, rounds: int) -> dict[str, Any]:
    """Grad-CAM by all, beside one plain forward; and ours for more classes and layers."""
    subject, images, labels = _load(stages, network, batch, size)
    model, layer = subject.model, networks.layer_of(subject)
    still = networks.frozen(model)
    earliest, layers = subject.layers[0], list(subject.layers)
    calls: dict[str, Callable[[], Any]] = {
        "plain forward": _plain(model, images),
        "fastxai": ours.gradcam(model, subject.layer, images, labels),
        "grad-cam": peers.grad_cam(model, layer, images, labels),
        "captum, trainable": peers.captum_gradcam(model, layer, images, labels),
        "captum, frozen": peers.captum_gradcam(
            still, still.get_submodule(subject.layer), images, labels
        ),
        "torchcam": peers.torchcam(model, layer, images, labels),
        "fastxai, top 5": ours.gradcam(model, subject.layer, images, "top5"),
        "fastxai, earliest layer": ours.gradcam(model, earliest, images, labels),
        "fastxai, four layers": ours.gradcam(model, layers, images, labels),
    }
    with stages("warm-up"):
        found = _warm(calls)
    mine = found["fastxai"]
    agreement = {
        "captum": difference(mine, found["captum, frozen"]),
        "torchcam": difference(mine, found["torchcam"]),
        "grad-cam": difference(_scaled(mine), found["grad-cam"]),
        "top 5": difference(found["fastxai, top 5"][:, 0], mine),
        "four layers": difference(
            found["fastxai, four layers"][earliest], found["fastxai, earliest layer"]
        ),
    }
    seconds = in_turn(calls, rounds)
    return {"rounds": seconds, "difference": agreement, "blank": _blank(mine)}


def together(stages: Stages, network: str, batch: int, size: int, rounds: int) -> dict[str, Any]:
    """Five methods at once, against captum's one by one."""
    subject, images, labels = _load(stages, network, batch, size)
    model, layer = subject.model, networks.layer_of(subject)
    still = networks.frozen(model)
    calls: dict[str, Callable[[], Any]] = {
        "plain forward": _plain(model, images),
        "fastxai": ours.together(model, subject.layer, images, labels),
        "captum, trainable": peers.captum_together(model, layer, images, labels),
        "captum, frozen": peers.captum_together(
            still, still.get_submodule(subject.layer), images, labels
        ),
    }
    with stages("warm-up"):
        found = _warm(calls)
    mine, theirs = found["fastxai"], found["captum, frozen"]
    theirs["saliency"] = theirs["saliency"].max(1)  # over the channels, as Simonyan et al. have it
    agreement = {f"captum, {name}": difference(mine[name], theirs[name]) for name in ours.TOGETHER}
    for name in ("guided_backprop", "deconvnet"):
        rule = peers.zennit(model, name, images, labels)
        agreement[f"zennit, {name}"] = difference(mine[name], rule())
    return {"rounds": in_turn(calls, rounds), "difference": agreement}


def occlusion(
    stages: Stages, network: str, size: int, rounds: int, options: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """One image, all windows: ours, dense batched forwards and captum, both as fast as they go.

    ``options`` names variants of ours and what they are given.
    """
    subject, images, labels = _load(stages, network, 1, size)
    model, label = subject.model, int(labels[0])
    corners = _corners(size)
    with stages("tuning"):
        dense, dense_tried = _tuned_dense(model, images, label, corners)
        captum, captum_tried = _tuned_captum(model, images, label)
    calls: dict[str, Callable[[], Any]] = {
        **{
            name: ours.occlusion(model, images, label, _WINDOW, _STRIDE, **given)
            for name, given in options.items()
        },
        "dense": dense,
        "captum": captum,
    }
    found: dict[str, np.ndarray] = {}

    def kept(name: str, call: Callable[[], Any]) -> Callable[[], None]:
        return lambda: found.__setitem__(name, call())

    # Without a whole warm-up, which takes a minute: tuning has run the network often enough.
    for given in options.values():
        quarter = images[:, :, : size // 2, : size // 2].contiguous()
        ours.occlusion(model, quarter, label, _WINDOW, _WINDOW, **given)()
    seconds = in_turn({name: kept(name, call) for name, call in calls.items()}, rounds)
    truth = _averaged(found["dense"], corners, size)
    return {
        "rounds": seconds,
        "windows": len(corners),
        "tuning": {"dense": dense_tried, "captum": captum_tried},
        "difference": {
            **{name: _worst(found[name][0], truth) for name in options},
            "captum": _worst(found["captum"][0], truth),
        },
    }


def _tuned_dense(
    model: Any, image: Any, label: int, corners: list[tuple[int, int]]
) -> tuple[Callable[[], Any], dict[str, float]]:
    """The fastest batch size and memory format, by the time of a few batches."""
    import copy

    import torch

    formats = {
        "contiguous": (model, image),
        "channels_last": (
            copy.deepcopy(model).to(memory_format=torch.channels_last),
            image.contiguous(memory_format=torch.channels_last),
        ),
    }
    tried: dict[str, float] = {}
    calls: dict[str, Callable[[], Any]] = {}
    for name, given in formats.items():
        for batch in (8, 16, 32):
            part = (corners * 2)[:32]
            key = f"{batch}, {name}"
            tried[key] = _best(peers.dense_occlusion(*given, label, batch, part), 2) / len(part)
            calls[key] = peers.dense_occlusion(*given, label, batch, corners)
    return calls[min(tried, key=tried.__getitem__)], tried


def _tuned_captum(model: Any, image: Any, label: int) -> tuple[Callable[[], Any], dict[str, float]]:
    """The fastest number of windows a forward, by the time of a coarser map."""
    windows = len(range(0, image.shape[2] - _WINDOW + 1, 2 * _STRIDE)) ** 2
    tried = {}
    for at_once in (1, 4, 16, 32):
        call = peers.captum_occlusion(model, image, label, at_once, 2 * _STRIDE)
        tried[str(at_once)] = _best(call, 1) / windows
    best = int(min(tried, key=tried.__getitem__))
    return peers.captum_occlusion(model, image, label, best, _STRIDE), tried


def _best(call: Callable[[], Any], times: int) -> float:
    seconds = in_turn({"": call}, times)[""]
    return min(seconds)


def _corners(size: int) -> list[tuple[int, int]]:
    starts = range(0, size - _WINDOW + 1, _STRIDE)
    return [(top, left) for top in starts for left in starts]


def _averaged(drops: np.ndarray, corners: list[tuple[int, int]], size: int) -> np.ndarray:
    """Each pixel: the mean drop of the windows that cover it."""
    total, count = np.zeros((size, size)), np.zeros((size, size))
    for drop, (top, left) in zip(drops, corners, strict=True):
        place = slice(top, top + _WINDOW), slice(left, left + _WINDOW)
        total[place] += drop
        count[place] += 1
    return total / np.maximum(count, 1)


def memory(stages: Stages, network: str, contestant: str, batch: int, size: int) -> dict[str, Any]:
    """Bytes above the loaded model that one call needs at most, all code loaded before."""
    import torch

    with stages("load"):
        _threads()
        subject = networks.network(network)
        images = networks.photos(batch, size)
        labels = torch.zeros(batch, dtype=torch.long)
    layer = networks.layer_of(subject)
    asked = {
        "plain forward": lambda x, y: _plain(subject.model, x),
        "fastxai": lambda x, y: ours.gradcam(subject.model, subject.layer, x, y),
        "grad-cam": lambda x, y: peers.grad_cam(subject.model, layer, x, y),
        "captum": lambda x, y: peers.captum_gradcam(subject.model, layer, x, y),
        "torchcam": lambda x, y: peers.torchcam(subject.model, layer, x, y),
    }[contestant]
    asked(networks.photos(1, 64), labels[:1])()
    call = asked(images, labels)
    gc.collect()
    for parameter in subject.model.parameters():
        parameter.grad = None
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the largest resident size is counted anew
    before = _status("VmRSS")
    call()
    return {"above": _status("VmHWM") - before, "loaded": before}


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))


def agreement(stages: Stages, network: str, count: int, size: int) -> dict[str, Any]:
    """Grad-CAM beside occlusion, photo by photo: rank correlation and seconds of each."""
    from scipy.stats import spearmanr

    subject, images, labels = _load(stages, network, count, size)
    model = subject.model
    ours.gradcam(model, subject.layer, images[:1], labels[:1])()
    cell = size // 14
    correlations, seconds = [], {"gradcam": [], "occlusion": []}
    for number in range(count):
        image, label = images[number : number + 1], labels[number : number + 1]
        calls = {
            "gradcam": ours.gradcam(model, subject.layer, image, label),
            "occlusion": ours.occlusion(model, image, label, _WINDOW, _STRIDE),
        }
        maps = []
        for name, call in calls.items():
            begun = time.perf_counter()
            maps.append(_coarse(call()[0], cell).ravel())
            seconds[name].append(time.perf_counter() - begun)
        correlations.append(float(spearmanr(*maps).statistic))
    names = list(networks.PHOTOS[:count])
    return {"correlations": dict(zip(names, correlations, strict=True)), "seconds": seconds}


def _coarse(found: np.ndarray, cell: int) -> np.ndarray:
    side = found.shape[0] // cell
    cut = found[: side * cell, : side * cell]
    return cut.reshape(side, cell, side, cell).mean((1, 3))


def difference(mine: np.ndarray, theirs: np.ndarray) -> float:
    """Relative in the L2 norm."""
    a, b = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def _worst(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, as a share of the largest value."""
    return float(np.abs(mine - theirs).max() / np.abs(theirs).max())


def _scaled(maps: np.ndarray) -> np.ndarray:
    """Each map to [0, 1], as grad-cam returns them."""
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return (maps - low) / (high - low + 1e-7)


def _blank(maps: np.ndarray) -> int:
    return int((maps.max((1, 2)) <= 0).sum())


TASKS = {
    "gradcam": gradcam,
    "together": together,
    "occlusion": occlusion,
    "memory": memory,
    "agreement": agreement,
}
