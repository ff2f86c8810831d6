"""Data written once for both sides, and the truth about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..harness import Bench, ChildError


def fashion(bench: Bench) -> tuple[str, str]:
    """Files of the images and of their classes."""
    files = bench.file("fashion.npy"), bench.file("fashion-labels.npy")
    bench.once(
        "fashion",
        lambda: bench.ours("write_fashion", out=files[0], labels=files[1], rows=bench.rows),
    )
    return files


def truth(bench: Bench, name: str, data: str, cosine: bool = False) -> str:
    """Exact neighbours of a sample."""
    file = bench.file(f"{name}-truth.npz")
    bench.once(
        f"{name}-truth", lambda: bench.evaluator("truth", data=data, out=file, cosine=cosine)
    )
    return file


def exact(bench: Bench) -> dict[str, Any]:
    """faiss's exact search of Fashion-MNIST: a figure, and the neighbours that stages share."""
    data, _ = fashion(bench)
    found = bench.file("exact.npy")

    def run() -> dict[str, Any]:
        given = {"library": "faiss", "k": 15, "setting": {}, "calls": 1}
        return {**bench.theirs("neighbors", data=data, out=found, **given), "found": found}

    return dict(bench.once("exact", run))


def shared_knn(bench: Bench) -> str:
    """The 14 neighbours that both sides' fuzzy sets begin with (15 with the point itself)."""
    data, _ = fashion(bench)
    file = bench.file("knn.npz")
    found = exact(bench)["found"]
    bench.once("knn", lambda: bench.evaluator("join_knn", data=data, found=found, out=file, k=14))
    return file


def shared_graph(bench: Bench) -> tuple[str, dict[str, Any]]:
    """umap-learn's fuzzy set of these neighbours, and how long it took."""
    knn, file = shared_knn(bench), bench.file("graph.npz")
    run = bench.once("graph", lambda: bench.theirs("fuzzy_set", knn=knn, out=file, repeats=10))
    return file, run


def shared_start(bench: Bench) -> tuple[str, dict[str, Any]]:
    """umap-learn's spectral start of that graph, as its layout gets it, and how long it took."""
    data, _ = fashion(bench)
    graph, _ = shared_graph(bench)
    raw, file = bench.file("their-start.npy"), bench.file("their-start-scaled.npy")

    def run() -> dict[str, Any]:
        measured = bench.theirs("spectral", data=data, graph=graph, out=raw)
        bench.evaluator("scaled_start", start=raw, out=file)
        return measured

    return file, bench.once("start", run)


def _try(bench: Bench, calls: Sequence[Callable[[], Any]]) -> None:
    for call in calls[:1] if bench.ours_only else calls:
        try:
            call()
        except ChildError as error:  # a row that needs it will say so itself
            bench.log(f"  not warm: {error}")


def warm(bench: Bench) -> None:
    """Both sides' caches filled, fit and transform: small runs, measured by nobody."""

    def run() -> bool:
        bench.log("  filling both caches")
        names = ("all", "labels", "train", "new", "train-labels", "new-labels")
        data, labels, *parts = (bench.file(f"warm-{name}.npy") for name in names)
        bench.ours("write_fashion", out=data, labels=labels, rows=5500)
        bench.evaluator("split", data=data, labels=labels, held_out=500, outs=parts)
        out = bench.file("warm.npz")
        given = {"data": parts[0], "new": parts[1], "out": out, "seed": 0, "params": {}}
        sides = (bench.ours, bench.theirs)
        _try(bench, [partial(side, "transform", **given) for side in sides])
        return True

    bench.once("warm", run)


def warm_cosine(bench: Bench) -> None:
    """The same for the cosine distance, which has compiled code of its own."""

    def run() -> bool:
        bench.log("  filling both caches, cosine")
        data, out = bench.file("warm-words.npy"), bench.file("warm-map.npy")
        bench.theirs("write_words", out=data, rows=5000)
        given = {"data": data, "out": out, "seed": 0, "params": {"metric": "cosine"}}
        _try(bench, [partial(bench.fit, who, "umap", **given) for who in ("fastxai", "umap-learn")])
        return True

    bench.once("warm cosine", run)


def judge(
    bench: Bench,
    runs: list[dict[str, Any]],
    data: str,
    labels: str | None,
    cosine: bool = False,
    **more: Any,
) -> None:
    """Give each run the qualities of the embedding it wrote."""
    if not runs:
        return
    files = [run["out"] for run in runs]
    given = {"embeddings": files, "labels": labels, "cosine": cosine, **more}
    found = bench.evaluator("quality", data=data, **given)
    for run, quality in zip(runs, found["quality"], strict=True):
        run["quality"] = quality
