"""Our side of t-SNE: gradients, affinities and snapshots, one measured process each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastxai.bench.child import Stages

STARTED = "BENCHMARK_STARTED"  # as in fastxai.bench.child


def _kernels() -> Any:
    from fastxai_kernels import select

    return select("cpu")


def _graph(file: str) -> tuple[np.ndarray, ...]:
    found = np.load(file)
    return found["indptr"], found["columns"], found["weights"]


def neighbors(stages: Stages, data: str, out: str, k: int) -> None:
    """The exact neighbours of all points, by comparing all pairs."""
    import fastxai

    X = np.load(data)
    graph = fastxai.neighbors(X, min(k, len(X) - 1), recall=1.0)
    np.savez(out, indices=graph.indices, distances=graph.distances)


def affinities(stages: Stages, knn: str, out: str, perplexity: float) -> None:
    """Their joint affinities, for the gradients of both sides."""
    found = np.load(knn)
    kernels = _kernels()
    p = kernels.conditional_affinities(found["distances"], (perplexity,))
    indptr, columns, weights = kernels.joint_affinities(found["indices"], p)
    np.savez(out, indptr=indptr, columns=columns, weights=weights)


def perplexity(
    stages: Stages, knn: str, out: str, perplexity: float, repeats: int
) -> dict[str, Any]:
    """The search for the bandwidths alone."""
    distances = np.load(knn)["distances"]
    kernels = _kernels()
    kernels.conditional_affinities(distances[:100], (perplexity,))
    call = lambda: kernels.conditional_affinities(distances, (perplexity,))  # noqa: E731
    p, calls = stages.repeat(call, repeats)
    np.save(out, p)
    return {"calls": calls}


def snapshots(
    stages: Stages,
    data: str,
    knn: str,
    outs: list[str],
    components: int,
    perplexity: float,
    iterations: tuple[int, int],
) -> None:
    """The layout after exaggeration and at the end."""
    import fastxai

    found = np.load(knn)
    early, main = iterations

    def keep(iteration: int, divergence: float, places: np.ndarray) -> None:
        if iteration == early:
            np.save(outs[0], places)

    model = fastxai.TSNE(
        components,
        perplexity=perplexity,
        max_iter=early + main,
        early_exaggeration_iter=early,
        neighbors=(found["indices"], found["distances"]),
        callbacks=keep,
        callbacks_every_iters=early,
    )
    np.save(outs[1], model.fit_transform(np.load(data)))


def gradient(
    stages: Stages,
    points: str,
    graph: str,
    out: str,
    method: str,
    dof: float,
    setting: float,
    repeats: int,
) -> dict[str, Any]:
    """A whole gradient, and its repulsion alone; points in the order that the optimiser has.

    ``setting`` is the angle of the tree, or the error that the mesh promises.
    """
    from fastxai.embed.umap_layout import along_a_curve

    kernels = _kernels()
    Y = np.ascontiguousarray(np.load(points), np.float32)
    order = along_a_curve(Y)
    edges = kernels.reorder_graph(order, *_graph(graph))
    Y = np.ascontiguousarray(Y[order])
    spacing = None
    repel: Callable[[], tuple[np.ndarray, float]]
    if method == "particle_mesh":
        spacing = kernels.mesh_spacing(Y, dof, setting)
        repel = lambda: kernels.particle_mesh(Y, dof, spacing)  # noqa: E731
    else:
        repel = lambda: kernels.barnes_hut(Y, dof, setting)  # noqa: E731

    def whole() -> np.ndarray:
        forces, z = repel()
        return 4 * (kernels.attraction(Y, *edges, dof) - forces / np.float32(z))

    whole()
    _, calls = stages.repeat(whole, repeats)
    (forces, z), alone = stages.repeat(repel, repeats)
    places = np.empty(forces.shape)
    places[order] = forces.astype(np.float64) / z
    np.save(out, places)
    return {"calls": calls, "repulsion": alone, "spacing": spacing}


def exact_forces(
    stages: Stages, points: str, out: str, dof: float, as_sklearn: bool = False
) -> None:
    """The repulsion f / Z of all pairs.

    scikit-learn in three dimensions moves points by the sum of w(r)^2 (y_i - y_j), with
    w(r) = (1 + r^2 / 2)^-1.5, over that of w(r): its forces are held against that.
    """
    kernels = _kernels()
    Y = np.ascontiguousarray(np.load(points), np.float32)
    if as_sklearn and Y.shape[1] == 3:
        forces, _ = kernels.exact_repulsion(Y, 2.0)
        scaled = (Y * np.float32(np.sqrt(1.5 / 2))).astype(np.float32)
        _, z = kernels.exact_repulsion(scaled, 1.5)
    else:
        forces, z = kernels.exact_repulsion(Y, dof)
    np.save(out, forces.astype(np.float64) / z)


def until(
    stages: Stages, data: str, folder: str, seed: int, max_iter: int, every: int
) -> dict[str, Any]:
    """A whole run that writes down where it is, and how long after the process began."""
    import fastxai

    begun = float(os.environ[STARTED])
    taken: list[dict[str, Any]] = []

    def keep(iteration: int, divergence: float, places: np.ndarray) -> None:
        if iteration > 250:
            file = f"{folder}/{iteration}.npy"
            np.save(file, places)
            seconds = time.time() - begun
            taken.append({"iteration": iteration, "seconds": seconds, "file": file})

    model = fastxai.TSNE(
        random_state=seed, max_iter=max_iter, callbacks=keep, callbacks_every_iters=every
    )
    model.fit_transform(np.load(data))
    return {"snapshots": taken}


TASKS = {
    "neighbors": neighbors,
    "affinities": affinities,
    "perplexity": perplexity,
    "snapshots": snapshots,
    "gradient": gradient,
    "exact_forces": exact_forces,
    "until": until,
}
