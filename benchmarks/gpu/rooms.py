"""Kernels that need little: the GPU's and the CPU's on the same arguments, both timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from .kernels import Inputs, Record, squares_from

_ROWS = 20_000


def _compare(i: Inputs, name: str, arguments: Sequence[Any], allowed: float) -> Record:
    """Error, the largest over the outputs, beside the CPU's, and milliseconds of both."""
    there = [i.to(a) if isinstance(a, np.ndarray) else a for a in arguments]
    run = lambda: getattr(i.gpu, name)(*there)  # noqa: E731
    found = _parts(run())
    begun = time.perf_counter()
    true = _parts(getattr(i.cpu, name)(*arguments))
    cpu_ms = (time.perf_counter() - begun) * 1e3
    error = max(_difference(a, b) for a, b in zip(found, true, strict=True))
    ms = i.clock.median_ms(run)
    return {"error": error, "allowed": allowed, "ms": round(ms, 4), "cpu_ms": round(cpu_ms, 3)}


def _parts(result: Any) -> list[Any]:
    parts = result if isinstance(result, tuple) else (result,)
    return [p.cpu().numpy() if isinstance(p, torch.Tensor) else np.asarray(p) for p in parts]


def _difference(found: Any, true: Any) -> float:
    """Of numbers the norm of the difference over the norm; of integers the share that differs."""
    if found.shape != true.shape:
        return float("inf")
    if np.issubdtype(true.dtype, np.integer):  # torch has no unsigned ones
        return float((found.astype(np.int64) != true.astype(np.int64)).mean()) if true.size else 0.0
    both = np.isfinite(found) & np.isfinite(true)
    if not np.array_equal(np.isfinite(found), np.isfinite(true)):
        return float("inf")
    away = np.linalg.norm(found[both].astype(np.float64) - true[both])
    return float(away / max(np.linalg.norm(true[both]), 1e-30))


def hash_rows(i: Inputs) -> Record:
    """Hashes tell apart what the CPU's, which are others, tell apart."""
    X = i.X[:_ROWS]
    found, true = _parts(i.gpu.hash_rows(X))[0], i.cpu.hash_rows(X.cpu().numpy())
    groups = (np.unique(hashes, return_inverse=True)[1] for hashes in (found, true))
    pairs = len(np.unique(np.stack(list(groups)), axis=1).T)
    off = max(pairs - len(np.unique(true)), pairs - len(np.unique(found)))
    ms = i.clock.median_ms(lambda: i.gpu.hash_rows(i.X))
    return {"error": float(off), "allowed": 0.0, "ms": round(ms, 4)}


def project(i: Inputs) -> Record:
    """Up to sixteen components of the points, and what is left of each."""
    X = i.X[:_ROWS].cpu().numpy()
    random = np.random.default_rng(0).standard_normal((i.d, min(16, i.d))).astype(np.float32)
    directions = np.ascontiguousarray(np.linalg.qr(random)[0], np.float32)
    return _compare(i, "project", (X, X.mean(axis=0), directions), 1e-4)


def memberships(i: Inputs) -> Record:
    """UMAP's strengths of neighbours."""
    distances = np.ascontiguousarray(i.near_host[1][:, :15])
    rho, sigma = i.cpu.smooth_distances(distances, 1.0, 1.0)
    return _compare(i, "memberships", (distances, rho, sigma), 1e-4)


def normalise(i: Inputs) -> Record:
    """The graph as the spectral start reads it."""
    return _compare(i, "normalise", i.fuzzy, 1e-5)


def attraction_at(i: Inputs) -> Record:
    """Pull on new points by their neighbours, at places of the map."""
    rows = min(_ROWS, i.n)
    Y = i.Y.cpu().numpy()
    indices = np.ascontiguousarray(i.near_host[0][:rows, :15])
    weights = np.full(indices.shape, 1.0 / indices.shape[1], np.float32)
    return _compare(i, "attraction_at", (Y[:rows] + 0.1, Y, indices, weights, 1.0), 1e-4)


def evaluate_tree(i: Inputs) -> Record:
    """The field of the map at other places, by the tree; against the GPU's plain sums."""
    others = (i.Y[: min(512, i.n)] + 0.05).contiguous()
    tree = i.gpu.fixed_tree(i.Y, 1.0)
    run = lambda: i.gpu.evaluate_tree(tree, others, 0.3)  # noqa: E731
    true = i.gpu.exact_repulsion_at(others, i.Y, 1.0)[0]
    error = _difference(_parts(run()[0])[0], _parts(true)[0])
    return {"error": error, "allowed": 0.03, "ms": round(i.clock.median_ms(run), 4)}


def evaluate_mesh(i: Inputs) -> Record:
    """The same by the mesh."""
    others = (i.Y[: min(512, i.n)] + 0.05).contiguous()
    spacing = i.gpu.mesh_spacing(i.Y, 1.0, 0.003)
    potential = i.gpu.mesh_potential(i.Y, 1.0, spacing)
    run = lambda: i.gpu.evaluate_mesh(potential, others)  # noqa: E731
    true = i.gpu.exact_repulsion_at(others, i.Y, 1.0)[0]
    error = _difference(_parts(run()[0])[0], _parts(true)[0])
    return {"error": error, "allowed": 0.01, "ms": round(i.clock.median_ms(run), 4)}


def search(i: Inputs) -> Record:
    """The search by cells: recall of sampled rows, by all pairs of float64."""
    from fastxai.devices import choose_device
    from fastxai.embed.cuda import search as searching
    from fastxai.embed.cuda.points import space_of

    kernels, k = choose_device("cuda").kernels, min(15, i.n - 1)
    X = i.X if i.clock.real else i.X[:40, :6].contiguous()
    space, rows = space_of(X, "euclidean"), i.rows[i.rows < len(X)]
    run = lambda: searching._approximate(kernels, X, k, 0.95, 0, lambda rows: None)  # noqa: E731
    (_, squares), promised = run()
    hits = 0
    for row in rows:
        limit = squares_from(X, int(row)).topk(k, largest=False).values[-1]
        hits += int((squares[row].double() <= limit * (1 + 1e-5)).sum())
    recall = hits / max(k * len(rows), 1)
    seconds = i.clock.once(run)[0]
    found = {"recall": round(recall, 4), "told": round(promised, 4), "s": round(seconds, 3)}
    # Of so few rows the share varies.
    return {"error": 0.95 - recall, "allowed": 0.02, "metric": space.metric, **found}


def cam_maps(i: Inputs) -> Record:
    """Maps of a batch of ResNet-50's last activations."""
    count, channels, side = (64, 2048, 7) if i.clock.real else (2, 5, 3)
    random = np.random.default_rng(0)
    shape = (2, count, channels, side, side)
    activations, gradients = random.standard_normal(shape).astype(np.float32)
    return _compare(i, "cam_maps", (activations, gradients, "gradcam"), 1e-4)


def upsample(i: Inputs) -> Record:
    """As many maps at the size of the images."""
    count, side = (64, 7) if i.clock.real else (2, 3)
    maps = np.random.default_rng(0).standard_normal((count, side, side)).astype(np.float32)
    return _compare(i, "upsample", (maps, (32 * side, 32 * side), False), 1e-5)


PARTS: dict[str, Callable[[Inputs], Record]] = {
    "search by cells": search,
    "hash_rows": hash_rows,
    "project": project,
    "memberships": memberships,
    "normalise": normalise,
    "attraction_at": attraction_at,
    "evaluate_tree": evaluate_tree,
    "evaluate_mesh": evaluate_mesh,
    "cam_maps": cam_maps,
    "upsample": upsample,
}
