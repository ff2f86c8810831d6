"""Stages alone, both sides on the same input."""

from __future__ import annotations

import math
from statistics import mean, stdev
from typing import Any

from ..checks import Check, at_most, faster, not_below, quality_checks
from ..harness import Bench
from .data import fashion, judge, shared_graph, shared_knn, shared_start

_STARS = [50, 300, 1500]


def fuzzy_set(bench: Bench) -> dict[str, Any]:
    """Ten calls each; the best counts, the first (compiling or loading) is told."""
    _, theirs = shared_graph(bench)
    given = {"knn": shared_knn(bench), "out": bench.file("our-graph.npz"), "repeats": 10}
    ours = bench.ours("fuzzy_set", **given)
    checks = [faster("best call", min(ours["calls"]), min(theirs["calls"]), 5)]
    first = [run["calls"][0] for run in (ours, theirs)]
    notes = [
        f"First call in the process: ours {first[0]:.2f} s, umap-learn {first[1]:.2f} s. "
        f"Edges: {ours['edges']:,} and {theirs['edges']:,}."
    ]
    return {"checks": checks, "notes": notes, "runs": {"ours": [ours], "umap-learn": [theirs]}}


def spectral(bench: Bench) -> dict[str, Any]:
    """Time of the start, and what our layout makes of either start."""
    data, labels = fashion(bench)
    graph, _ = shared_graph(bench)
    their_start, theirs = shared_start(bench)
    raw, our_start = bench.file("our-start.npy"), bench.file("our-start-scaled.npy")
    ours = bench.ours("spectral", data=data, graph=graph, out=raw)
    bench.evaluator("scaled_start", start=raw, out=our_start)
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "umap-learn": []}
    for seed in range(5):
        for name, start in (("ours", our_start), ("umap-learn", their_start)):
            out = bench.file(f"spectral-{name}-{seed}.npy")
            given = {"graph": graph, "start": start, "out": out, "seed": seed, "epochs": 200}
            runs[name].append({**bench.ours("layout", threads=2, **given), "out": out})
    both = runs["ours"] + runs["umap-learn"]
    judge(bench, both, data, labels)
    mine, others = ([r["quality"]["label_accuracy"] for r in some] for some in runs.values())
    # Seeds alone move the mean by so much.
    noise = math.sqrt((stdev(mine) ** 2 + stdev(others) ** 2) / len(mine))
    checks = [
        faster("time", ours["calls"][0], theirs["calls"][0], 10),
        not_below("label accuracy after our layout", mean(mine), mean(others), round(2 * noise, 4)),
    ]
    notes = [
        "Label accuracy: our layout from either start, 5 seeds each; the allowance is two "
        "standard errors of the difference between the means."
    ]
    return {
        "checks": checks,
        "notes": notes,
        "runs": {"ours": [ours], "umap-learn": [theirs]},
        "quality": {name: [r["quality"] for r in some] for name, some in runs.items()},
    }


def layout(bench: Bench) -> dict[str, Any]:
    """One thread against one (theirs seeded), two against two (theirs unseeded)."""
    data, labels = fashion(bench)
    graph, _ = shared_graph(bench)
    start, _ = shared_start(bench)
    seeds = {("ours", 1): 1, ("umap-learn", 1): 1, ("ours", 2): 5}
    seeds["umap-learn", 2] = 5 if bench.full else 1
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {key: [] for key in seeds}
    for seed in range(5):
        for (name, threads), count in seeds.items():
            if seed >= count:
                continue
            out = bench.file(f"layout-{name}-{threads}-{seed}.npy")
            given = {"graph": graph, "start": start, "out": out, "seed": seed, "epochs": 200}
            env = {"NUMBA_NUM_THREADS": str(threads)}
            if name == "ours":
                run = bench.ours("layout", env, threads=threads, **given)
            else:
                run = bench.theirs("layout", env, parallel=threads > 1, **given)
            runs[name, threads].append({**run, "out": out})
    every = [run for some in runs.values() for run in some]
    judge(bench, every, data, labels)
    seconds = {key: sorted(r["calls"][0] for r in some) for key, some in runs.items()}
    best = {key: some[len(some) // 2] for key, some in seconds.items()}
    checks = [
        faster("one thread against one", best["ours", 1], best["umap-learn", 1], 5),
        faster("two against two", best["ours", 2], best["umap-learn", 2], 8),
        *quality_checks(runs["ours", 2], runs["umap-learn", 2] + runs["umap-learn", 1]),
    ]
    star_checks, stars = _stars(bench)
    shown = {
        f"{name}, {threads} thread{'s'[: threads - 1]}": [
            {k: r[k] for k in ("calls", "peak", "quality", "stages")} for r in some
        ]
        for (name, threads), some in runs.items()
    }
    notes = ["Epochs alone: a small call before has compiled or loaded the code."]
    return {"checks": checks + star_checks, "notes": notes, "runs": shown, "stars": stars}


def _stars(bench: Bench) -> tuple[list[Check], dict[str, Any]]:
    """Hubs: the largest extent in any epoch, the worst of five random starts."""
    with bench.empty_folder() as folder:
        bench.evaluator("write_stars", degrees=_STARS, folder=folder, seeds=5)
        given = {"degrees": _STARS, "folder": folder, "epochs": 200, "seeds": 5}
        found = {"ours": bench.ours("stars", **given), "umap-learn": bench.theirs("stars", **given)}
    extents = {name: run["extents"] for name, run in found.items()}
    checks = []
    for degree in map(str, _STARS):
        mine, others = max(extents["ours"][degree]), max(extents["umap-learn"][degree])
        checks.append(
            {**at_most(f"extent, star of degree {degree}", mine, 2 * others, ""), "theirs": others}
            | {"target": "≤ 2×", "shown": f"{mine / others:.2f}×", "unit": ""}
        )
    return checks, extents
