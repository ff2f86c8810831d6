"""Neighbours: recall against time, in a fresh process and called again."""

from __future__ import annotations

from typing import Any

from ..checks import Check
from ..harness import Bench, ChildError
from .data import exact, fashion, truth, warm

# (quick, setting): the quick ones reach just over 0.95 and 0.99 on Fashion-MNIST.
_SETTINGS: dict[str, list[tuple[bool, dict[str, Any]]]] = {
    "fastxai": [
        (False, {"recall": 0.9}),
        (True, {"recall": 0.95}),
        (False, {"recall": 0.98}),
        (True, {"recall": 0.99}),
        (False, {"recall": 0.995}),
    ],
    "pynndescent": [
        (False, {"n_iters": 4}),
        (True, {}),
        (True, {"n_neighbors": 20}),
        (False, {"n_neighbors": 30}),
    ],
    "hnswlib": [
        (True, {"M": 10, "ef_construction": 50, "ef": 20}),
        (True, {"M": 12, "ef_construction": 100, "ef": 40}),
        (False, {"M": 16, "ef_construction": 120, "ef": 64}),
    ],
    "usearch": [
        (True, {"connectivity": 12, "expansion_add": 48, "expansion_search": 24}),
        (True, {"connectivity": 16, "expansion_add": 96, "expansion_search": 56}),
        (False, {"connectivity": 16, "expansion_add": 128, "expansion_search": 64}),
    ],
}


def _runs(bench: Bench, data: str) -> list[dict[str, Any]]:
    """Every setting of every library; libraries in turn, settings one after another."""
    wanted = [
        (library, setting)
        for library, settings in _SETTINGS.items()
        for quick, setting in settings
        if (quick or bench.full) and not (bench.ours_only and library != "fastxai")
    ]
    runs = []
    for number, (library, setting) in enumerate(wanted):
        side = bench.ours if library == "fastxai" else bench.theirs
        out = bench.file(f"knn-{number}.npy")
        given = {"library": library, "k": 15, "setting": setting, "calls": 2}
        try:
            run = side("neighbors", data=data, out=out, **given)
        except ChildError as error:  # one library must not stop the others
            bench.log(f"  {library} {setting} failed: {error}")
            continue
        runs.append(
            {**run, "library": library, "setting": setting, "out": out}
            # The second call is not part of the fresh process that made the first.
            | {"first": run["wall"] - run["calls"][1], "second": run["calls"][1]}
        )
    if not bench.ours_only:
        run = exact(bench)
        runs.append(
            {**run, "library": "faiss exact", "setting": {}, "out": run["found"]}
            | {"first": run["wall"], "second": run["calls"][0]}
        )
    return runs


def _fastest(runs: list[dict[str, Any]], at_least: float, call: str) -> Check:
    """Is ours the fastest of all that reach a recall?"""
    good = [run for run in runs if run["recall"] >= at_least]
    mine = [run for run in good if run["library"] == "fastxai"]
    others = [run for run in good if run["library"] != "fastxai"]
    best = min(others, key=lambda run: run[call], default=None)
    ours = min((run[call] for run in mine), default=None)
    figure = best[call] / ours if best and ours else None
    return {
        "what": f"recall ≥ {at_least}, {call} call"
        + (f" (next: {best['library']})" if best else ""),
        "unit": "s",
        "ours": ours,
        "theirs": best[call] if best else None,
        "figure": figure,
        "shown": "–" if figure is None else f"{figure:.1f}×",
        "target": "the fastest",
        "met": False if ours is None else None if figure is None else figure > 1,
        "by": "recall not reached" if ours is None else figure and f"{figure - 1:+.0%}",
    }


def knn(bench: Bench) -> dict[str, Any]:
    """Recall on a sample; a neighbour as far as the true 15th counts."""
    data, _ = fashion(bench)
    warm(bench)
    runs = _runs(bench, data)
    files = [run.pop("out") for run in runs]
    found = bench.evaluator("recall", data=data, truth=truth(bench, "fashion", data), found=files)
    for run, recall in zip(runs, found["recall"], strict=True):
        run["recall"] = recall
        for private in ("found", "said_compiling"):
            run.pop(private, None)
    checks = [_fastest(runs, r, call) for r in (0.95, 0.99) for call in ("first", "second")]
    notes = [
        "First: the whole fresh process, import and loading included, caches warm. Second: the "
        "same call again in that process. faiss's exact search has no second call of another kind."
    ]
    return {"checks": checks, "notes": notes, "curve": runs}
