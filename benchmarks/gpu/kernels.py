"""Kernels at real sizes: each against the reference on a sample, and its time and bandwidth.

What a kernel is given comes from plain torch and the CPU's kernels, so that none depends on
another one of those that are looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch

import fastxai
from fastxai_kernels import reference, select

from .data import points
from .timing import Clock

Record = dict[str, Any]
_TILE = 1024
_FEW = 100_000  # up to so many the CPU's kernels make the inputs and the truth


class Inputs:
    """Real data of one size, and what the stages before a kernel make of them."""

    def __init__(self, clock: Clock, n: int, k: int, sample: int) -> None:
        self.clock, self.k = clock, min(k, n - 1)
        self.gpu, self.cpu = select("cuda"), select("cpu")
        self.name, host = points(n)
        self.X = self.to(host)
        self.n, self.d = self.X.shape
        drawn = np.random.default_rng(0).choice(self.n, min(sample, self.n), replace=False)
        self.rows = np.sort(drawn)

    def to(self, array: Any) -> torch.Tensor:
        """A tensor on the device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.clock.device)

    @cached_property
    def near(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Neighbours: of so few points by torch alone, of more by the search that is shipped."""
        if self.n > _FEW:
            from fastxai.devices import choose_device
            from fastxai.embed.cuda.graph import lists_there

            device = choose_device("cuda")
            return lists_there(fastxai.neighbors(self.X, self.k, device="cuda"), device)
        norms = self.X.double().square().sum(1).float()
        indices, distances = [], []
        for start in range(0, self.n, _TILE):
            some = self.X[start : start + _TILE]
            away = norms - 2 * some @ self.X.T
            own = torch.arange(len(some), device=away.device)
            away[own, own + start] = torch.inf
            found = away.topk(self.k, dim=1, largest=False).indices
            true = (self.X[found] - some[:, None]).square().sum(2)
            order = true.argsort(dim=1)
            indices.append(found.gather(1, order).int())
            distances.append(true.gather(1, order).sqrt())
        return torch.cat(indices), torch.cat(distances)

    @cached_property
    def near_host(self) -> tuple[Any, Any]:
        """The same on the host."""
        indices, distances = self.near
        return indices.cpu().numpy(), distances.cpu().numpy()

    @cached_property
    def fuzzy(self) -> tuple[Any, ...]:
        """UMAP's graph, on the host."""
        if self.n > _FEW:
            indices, distances = (part[:, :15].contiguous() for part in self.near)
            rho, sigma = self.gpu.smooth_distances(distances, 1.0, 1.0)
            strengths = self.gpu.memberships(distances, rho, sigma)
            return tuple(map(_host, self.gpu.fuzzy_union(indices, strengths, 1.0)))
        indices, distances = (np.ascontiguousarray(part[:, :15]) for part in self.near_host)
        rho, sigma = self.cpu.smooth_distances(distances, 1.0, 1.0)
        return tuple(
            self.cpu.fuzzy_union(indices, self.cpu.memberships(distances, rho, sigma), 1.0)
        )

    @cached_property
    def p(self) -> Any:
        """t-SNE's p_j|i, on the host."""
        perplexity = (max(1.0, self.k / 3),)
        if self.n > _FEW:
            return _host(self.gpu.conditional_affinities(self.near[1], perplexity))
        return self.cpu.conditional_affinities(self.near_host[1], perplexity)

    @cached_property
    def joint(self) -> tuple[Any, ...]:
        """t-SNE's graph, on the host."""
        if self.n > _FEW:
            return tuple(map(_host, self.gpu.joint_affinities(self.near[0], self.to(self.p))))
        return tuple(self.cpu.joint_affinities(self.near_host[0], self.p))

    @cached_property
    def Y(self) -> torch.Tensor:
        """A map to work on: two principal components, about as wide as a finished t-SNE."""
        moved = self.X - self.X.mean(0)
        axes = torch.linalg.eigh((moved.T @ moved).double())[1][:, -2:].float()
        places = moved @ axes
        return (places * (30.0 * (self.n / 70_000) ** 0.5 / places.std())).contiguous()


def squares_from(X: torch.Tensor, row: int) -> torch.Tensor:
    """Squared distances of all rows from one, infinite to itself: float64, block by block."""
    x = X[row].double()
    away = torch.cat([(block.double() - x).square().sum(1) for block in X.split(2**16)])
    away[row] = torch.inf
    return away


def _error(found: Any, true: Any) -> float:
    """Norm of the difference over the norm of what is true."""
    found, true = np.asarray(found, np.float64), np.asarray(true, np.float64)
    return float(np.linalg.norm(found - true) / max(np.linalg.norm(true), 1e-300))


def _host(tensor: Any) -> Any:
    return tensor.cpu().numpy() if isinstance(tensor, torch.Tensor) else tensor


def nearest(i: Inputs) -> Record:
    """All pairs: the share of true neighbours by float64 distances of sampled rows."""
    rows = torch.from_numpy(i.rows).to(i.X.device)
    skip = torch.arange(i.n, dtype=torch.int32, device=i.X.device)
    found = i.gpu.nearest(i.X[rows].contiguous(), i.X, i.k, skip[rows])[1].double()
    true = []
    for row in i.rows:
        away = squares_from(i.X, int(row))
        true.append(away.topk(i.k, largest=False).values.sqrt())
    error = float((found - torch.stack(true)).abs().max() / torch.stack(true).max())
    queries = i.X[: min(i.n, 16_384)].contiguous()
    flops = 2.0 * len(queries) * i.n * i.d
    work = lambda: i.gpu.nearest(queries, i.X, i.k, skip[: len(queries)])  # noqa: E731
    moved = 8.0 * len(queries) * i.n  # products written and read
    return {"error": error, "allowed": 1e-5, **i.clock.figures(work, moved, flops)}


def smooth_distances(i: Inputs) -> Record:
    """rho and sigma of sampled rows, but copies, whose sigma is by the mean of all rows."""
    distances = i.near[1][:, :15].contiguous()
    found = i.gpu.smooth_distances(distances, 1.0, 1.0)
    rows = i.rows[_host(distances)[i.rows, -1] > 0]
    true = reference.smooth_distances(_host(distances)[rows], 1.0, 1.0)
    error = max(_error(_host(a)[rows], b) for a, b in zip(found, true, strict=True))
    work = lambda: i.gpu.smooth_distances(distances, 1.0, 1.0)  # noqa: E731
    return {"error": error, "allowed": 1e-4, **i.clock.figures(work, 4.0 * i.n * 17, 0)}


def fuzzy_union(i: Inputs) -> Record:
    """The whole symmetric graph against the CPU's."""
    indices, distances = (part[:, :15].contiguous() for part in i.near)
    rho, sigma = i.gpu.smooth_distances(distances, 1.0, 1.0)
    strengths = i.gpu.memberships(distances, rho, sigma)
    found, true = i.gpu.fuzzy_union(indices, strengths, 1.0), i.fuzzy
    same = np.array_equal(_host(found[0]), true[0]) and np.array_equal(_host(found[1]), true[1])
    error = _error(_host(found[2]), true[2]) if same else 1.0
    work = lambda: i.gpu.fuzzy_union(indices, strengths, 1.0)  # noqa: E731
    return {"error": error, "allowed": 1e-4, **i.clock.figures(work, 8.0 * 15 * i.n * 8, 0)}


def affinities(i: Inputs) -> Record:
    """Perplexity search of sampled rows."""
    distances = i.near[1]
    perplexity = (max(1.0, i.k / 3),)
    found = i.gpu.conditional_affinities(distances, perplexity)
    rows = i.rows[:200]
    error = _error(
        _host(found)[rows], reference.conditional_affinities(i.near_host[1][rows], perplexity)
    )
    work = lambda: i.gpu.conditional_affinities(distances, perplexity)  # noqa: E731
    return {"error": error, "allowed": 1e-3, **i.clock.figures(work, 8.0 * i.n * i.k, 0)}


def joint_affinities(i: Inputs) -> Record:
    """t-SNE's whole graph against the CPU's, of the same p: what is 0 has no edge."""
    p = i.to(i.p)
    found, true = i.gpu.joint_affinities(i.near[0], p), i.joint
    same = np.array_equal(_host(found[0]), true[0]) and np.array_equal(_host(found[1]), true[1])
    error = _error(_host(found[2]), true[2]) if same else 1.0
    work = lambda: i.gpu.joint_affinities(i.near[0], p)  # noqa: E731
    return {"error": error, "allowed": 1e-3, **i.clock.figures(work, 64.0 * i.n * i.k, 0)}


def attraction(i: Inputs) -> Record:
    """All forces against the CPU's, which are tested against the reference."""
    graph = [i.to(part) for part in i.joint]
    found = i.gpu.attraction(i.Y, *graph, 1.0)
    error = _error(_host(found), i.cpu.attraction(_host(i.Y), *i.joint, 1.0))
    edges = len(i.joint[1])
    work = lambda: i.gpu.attraction(i.Y, *graph, 1.0)  # noqa: E731
    moved = 8.0 * edges + 24.0 * i.n
    return {"error": error, "allowed": 1e-4, **i.clock.figures(work, moved, 12.0 * edges)}


def _repulsion(
    i: Inputs, forces: Any, work: Callable[[], Any], allowed: float, flops: float
) -> Record:
    rows = i.rows[:200]
    Y = _host(i.Y)
    true = reference.exact_repulsion_at(Y[rows], Y, 1.0, rows)[0]
    found = _host(forces)[rows]
    return {
        "error": _error(found, true),
        "allowed": allowed,
        **i.clock.figures(work, 24.0 * i.n, flops),
    }


def exact_repulsion(i: Inputs) -> Record:
    """All pairs, of at most 100,000 points."""
    some = i.Y[:100_000].contiguous()
    rows = i.rows[i.rows < len(some)][:200]
    true = reference.exact_repulsion_at(_host(some)[rows], _host(some), 1.0, rows)[0]
    found = _host(i.gpu.exact_repulsion(some, 1.0)[0])[rows]
    work = lambda: i.gpu.exact_repulsion(some, 1.0)  # noqa: E731
    figures = i.clock.figures(work, 24.0 * len(some), 12.0 * len(some) ** 2)
    return {"error": _error(found, true), "allowed": 1e-4, **figures}


def barnes_hut(i: Inputs) -> Record:
    """The tree at the default angle."""
    work = lambda: i.gpu.barnes_hut(i.Y, 1.0, 0.5)  # noqa: E731
    return _repulsion(i, work()[0], work, 0.03, 0)


def particle_mesh(i: Inputs) -> Record:
    """The mesh at the spacing that the default error asks for."""
    spacing = i.gpu.mesh_spacing(i.Y, 1.0, 0.003)
    work = lambda: i.gpu.particle_mesh(i.Y, 1.0, spacing)  # noqa: E731
    found = _repulsion(i, work()[0], work, 0.006, 0)
    return {**found, "nodes": int(i.gpu.mesh_size(i.Y, spacing))}


def chebyshev(i: Inputs) -> Record:
    """Twenty products with four vectors, against the CPU's."""
    edges = i.fuzzy
    scaled, _ = i.cpu.normalise(*edges)
    block = np.random.default_rng(0).standard_normal((i.n, 4), dtype=np.float32)
    there = [i.to(part) for part in (edges[0], edges[1], scaled, block)]
    found = i.gpu.chebyshev_filter(*there, 20, 0.9)
    error = _error(_host(found), i.cpu.chebyshev_filter(edges[0], edges[1], scaled, block, 20, 0.9))
    work = lambda: i.gpu.chebyshev_filter(*there, 20, 0.9)  # noqa: E731
    moved = 20 * (8.0 * len(edges[1]) + 3 * 16.0 * i.n)
    return {
        "error": error,
        "allowed": 1e-3,
        **i.clock.figures(work, moved, 20 * 8.0 * len(edges[1])),
    }


def umap_layout(i: Inputs) -> Record:
    """One epoch: 300 vertices against the reference, all of them for the time."""
    few = min(300, i.n // 2)
    small = i.cpu.fuzzy_union(*_near_few(i, few), 1.0)
    packed = i.cpu.pack_edges(small[0], small[1], small[2] / small[2].max())
    start = _host(i.Y)[:few] / 10
    options = (1.577, 0.895, 1.0, 5.0, 1.0, 7)
    true = reference.umap_layout(start, *packed, 0, 1, 200, *options)
    found = i.gpu.umap_layout(i.to(start), *(i.to(p) for p in packed), 0, 1, 200, *options)
    edges = [i.to(part) for part in i.fuzzy]
    whole = i.gpu.pack_edges(edges[0], edges[1], edges[2] / edges[2].max())
    places = (i.Y / 10).contiguous()
    epochs = 10 if i.clock.real else 2
    work = lambda: i.gpu.umap_layout(places, *whole, 0, epochs, 200, *options)  # noqa: E731
    moved = epochs * (8.0 * len(whole[1]) + 16.0 * i.n)
    pairs = epochs * len(whole[1]) * 2.0
    figures = i.clock.figures(work, moved, 40.0 * pairs)
    return {"error": _error(_host(found), true), "allowed": 1e-3, "epochs": epochs, **figures}


def _near_few(i: Inputs, few: int) -> tuple[Any, Any]:
    """Neighbours and strengths among the first rows."""
    X = _host(i.X)[:few]
    k = min(15, few - 1)
    indices, distances = i.cpu.nearest(X, X, k, np.arange(few, dtype=np.int32))
    rho, sigma = i.cpu.smooth_distances(distances, 1.0, 1.0)
    return indices, i.cpu.memberships(distances, rho, sigma)


PARTS: dict[str, Callable[[Inputs], Record]] = {
    "nearest": nearest,
    "smooth_distances": smooth_distances,
    "fuzzy_union": fuzzy_union,
    "chebyshev_filter": chebyshev,
    "umap_layout": umap_layout,
    "conditional_affinities": affinities,
    "joint_affinities": joint_affinities,
    "attraction": attraction,
    "exact_repulsion": exact_repulsion,
    "barnes_hut": barnes_hut,
    "particle_mesh": particle_mesh,
}
