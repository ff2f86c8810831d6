"""Whole runs: maps of many points, and explanations of many images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import fastxai

from .data import points
from .timing import Clock

Record = dict[str, Any]


def _fit(clock: Clock, make: Callable[[], Any], n: int) -> Record:
    """Cold and warm seconds of a fit of host data, peak memory, and the map's quality."""
    name, X = points(n)
    if clock.real:
        torch.cuda.reset_peak_memory_stats(clock.device)
    cold, model = clock.once(lambda: make().fit(X))
    warm, again = clock.once(lambda: make().fit(X)) if clock.real else (cold, model)
    embedding = np.asarray(again.embedding_)
    if not np.isfinite(embedding).all():
        raise ArithmeticError("the embedding is not finite")
    few = np.random.default_rng(0).choice(len(X), min(len(X), 10_000), replace=False)
    kept = fastxai.metrics.embedding.neighbor_preservation(
        X[few], embedding[few], n_neighbors=min(15, len(few) - 1)
    )
    peak = torch.cuda.max_memory_allocated(clock.device) / 2**30 if clock.real else None
    return {
        "data": name,
        "shape": list(X.shape),
        "device": model.device_,
        "cold_s": round(cold, 3),
        "warm_s": round(warm, 3),
        "same_bits": bool(np.array_equal(np.asarray(model.embedding_), embedding)),
        "neighbours_kept_of_a_sample": round(float(getattr(kept, "value", kept)), 4),
        "peak_gib": None if peak is None else round(peak, 2),
    }


def umap(clock: Clock, n: int, rounds: int | None) -> Record:
    """UMAP with its defaults."""
    epochs = {} if rounds is None else {"n_epochs": rounds}
    return _fit(clock, lambda: fastxai.UMAP(device="cuda", **epochs), n)


def tsne(clock: Clock, n: int, rounds: int | None) -> Record:
    """t-SNE, 250 + 500 iterations."""
    later = 500 if rounds is None else rounds
    early = 250 if rounds is None else rounds
    options = {"max_iter": early + later, "early_exaggeration_iter": early}
    if rounds is not None:
        options["perplexity"] = 5.0
    return _fit(clock, lambda: fastxai.TSNE(device="cuda", **options), n)


def pca(clock: Clock, n: int, rounds: int | None) -> Record:
    """PCA to 50 components."""
    name, X = points(n)
    few = min(50, *X.shape)
    cold, _ = clock.once(lambda: fastxai.PCA(few, device="cuda").fit_transform(X))
    warm, _ = clock.once(lambda: fastxai.PCA(few, device="cuda").fit_transform(X))
    return {
        "data": name,
        "shape": list(X.shape),
        "cold_s": round(cold, 3),
        "warm_s": round(warm, 3),
    }


def _network(clock: Clock, small: bool) -> tuple[str, Any, Any]:
    """ResNet-50 with random weights and images; a tiny network for a dry run."""
    torch.manual_seed(0)
    if not small:
        from torchvision.models import resnet50

        name, network, side, count = "ResNet-50", resnet50(weights=None), 224, 64
    else:
        from torch import nn

        network = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(4, 3),
        )  # fmt: skip
        name, side, count = "a tiny network", 12, 2
    images = torch.rand(count, 3, side, side, device=clock.device)
    return name, network.eval().to(clock.device), images


def gradcam(clock: Clock, n: int, rounds: int | None) -> Record:
    """Grad-CAM of a batch beside a plain forward pass of it."""
    name, network, images = _network(clock, rounds is not None)
    explainer = fastxai.GradCAM(network, batch_size=len(images))
    with torch.no_grad():
        forward = clock.median_ms(lambda: network(images))
    ms = clock.median_ms(lambda: explainer(images))
    return _throughput(name, images, ms, forward)


def occlusion(clock: Clock, n: int, rounds: int | None) -> Record:
    """Occlusion, beside plain forward passes of as many occluded images."""
    name, network, images = _network(clock, rounds is not None)
    images = images[:4]
    window, stride = (32, 16) if rounds is None else (6, 6)
    explainer = fastxai.Occlusion(network, window=window, stride=stride, batch_size=64)
    windows = len(range(0, images.shape[-1] - window + stride, stride)) ** 2
    with torch.no_grad():
        batch = images[:1].expand(64, *images.shape[1:]).contiguous()
        forward = clock.median_ms(lambda: network(batch)) * windows * len(images) / 64
    ms = clock.median_ms(lambda: explainer(images))
    return {**_throughput(name, images, ms, forward), "windows": windows}


def _throughput(name: str, images: Any, ms: float, forward: float) -> Record:
    return {
        "network": name,
        "images": len(images),
        "ms": round(ms, 3),
        "images_per_s": round(len(images) / ms * 1e3, 2),
        "plain_forward_ms": round(forward, 3),
        "times_plain_forward": round(ms / forward, 3),
    }


RUNS: dict[str, Callable[[Clock, int, int | None], Record]] = {
    "pca": pca,
    "umap": umap,
    "tsne": tsne,
}
EXPLAINERS: dict[str, Callable[[Clock, int, int | None], Record]] = {
    "gradcam": gradcam,
    "occlusion": occlusion,
}
