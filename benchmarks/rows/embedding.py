"""Whole runs of UMAP, each a process of its own."""

from __future__ import annotations

import os
from typing import Any

from ..checks import (
    at_most,
    at_most_share,
    average,
    faster,
    holds,
    middle,
    not_below,
    quality_checks,
    stage_medians,
)
from ..harness import Bench
from .data import fashion, judge, warm, warm_cosine

_GIB = 2.0**30


def _alternate(
    bench: Bench, data: str, name: str, ours: int, theirs: int, params: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Runs of both sides in turn, so that a change of the machine meets both."""
    mine: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for seed in range(max(ours, theirs)):
        for who, runs, count in (("fastxai", mine, ours), ("umap-learn", others, theirs)):
            if seed >= count:
                continue
            out = bench.file(f"{name}-{who}-{seed}.npy")
            run = bench.fit(who, "umap", data=data, out=out, seed=seed, params=params)
            runs.append({**run, "seed": seed, "out": out})
    return mine, others


def _shown(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in run.items() if k not in ("out", "said_compiling")} for run in runs]


def _both(mine: list[dict[str, Any]], others: list[dict[str, Any]]) -> dict[str, Any]:
    stages = {"ours": stage_medians(mine)}
    if others:
        stages["umap-learn"] = stage_medians(others)
    return {"stages": stages, "runs": {"ours": _shown(mine), "umap-learn": _shown(others)}}


def umap(bench: Bench) -> dict[str, Any]:
    """Defaults on both sides; umap-learn unseeded, as only that is parallel."""
    data, labels = fashion(bench)
    warm(bench)
    theirs = 0 if bench.ours_only else 5 if bench.full else 2
    mine, others = _alternate(bench, data, "umap", 5, theirs, {})
    judge(bench, mine + others, data, labels)
    wall, peak = middle(mine), middle(mine, "peak")
    assert wall is not None and peak is not None
    checks = [
        faster("time", wall, middle(others), 10),
        *quality_checks(mine, others),
        at_most_share("peak memory", peak, middle(others, "peak"), 0.6, "B"),
    ]
    maps = {"ours": mine[0]["out"], **({"umap-learn": others[0]["out"]} if others else {})}
    notes = [
        f"Medians of {len(mine)} processes of ours and {len(others)} of umap-learn's, in turn; "
        "qualities are means over them."
    ]
    return {"checks": checks, "notes": notes, "maps": {**maps, "labels": labels}} | _both(
        mine, others
    )


def first_process(bench: Bench) -> dict[str, Any]:
    """Nothing compiled: an empty NUMBA_CACHE_DIR on both sides."""
    data, _ = fashion(bench)
    runs = []
    for who in ("fastxai",) if bench.ours_only else ("fastxai", "umap-learn"):
        with bench.empty_folder() as folder:
            env = {"NUMBA_CACHE_DIR": folder}
            given = {"data": data, "out": bench.file("first.npy"), "seed": 0, "params": {}}
            runs.append(bench.fit(who, "umap", env, **given))
    mine, others = runs[:1], runs[1:]
    checks = [
        at_most_share("time", mine[0]["wall"], middle(others), 0.4),
        holds("says that it is compiling", mine[0]["said_compiling"]),
    ]
    return {"checks": checks, "notes": []} | _both(mine, others)


def transform(bench: Bench) -> dict[str, Any]:
    """A model fitted on all but the last 10,000 places these, twice."""
    data, labels = fashion(bench)
    warm(bench)
    held_out = 10_000 if bench.rows is None else max(1, bench.rows // 8)
    names = ("train", "new", "train-labels", "new-labels")
    parts = [bench.file(f"transform-{name}.npy") for name in names]
    bench.evaluator("split", data=data, labels=labels, held_out=held_out, outs=parts)
    runs = []
    for side in (bench.ours,) if bench.ours_only else (bench.ours, bench.theirs):
        out = bench.file(f"transform-{side.__name__}.npz")
        run = side("transform", data=parts[0], new=parts[1], out=out, seed=0, params={})
        runs.append({**run, "out": out})
    found = bench.evaluator(
        "placed", labels=parts[2], new_labels=parts[3], found=[run["out"] for run in runs]
    )
    for run, accuracy in zip(runs, found["label_accuracy"], strict=True):
        run["quality"] = {"label_accuracy": accuracy}
    mine, others = runs[:1], runs[1:]
    calls = [run["calls"] for run in runs]
    checks = [
        faster(f"{which} call", calls[0][i], calls[1][i] if others else None, 5)
        for i, which in enumerate(("first", "second"))
    ]
    accuracy = average(others, "label_accuracy")
    checks.append(
        not_below("label accuracy", mine[0]["quality"]["label_accuracy"], accuracy, 0.005)
    )
    notes = [
        f"{held_out:,} points, 100 epochs on both sides (the default of both for so many). "
        "Label accuracy: the majority among the 10 nearest embedded training points."
    ]
    return {
        "checks": checks,
        "notes": notes,
        "runs": {"ours": _shown(mine), "umap-learn": _shown(others)},
    }


def _words(bench: Bench, rows: int | None) -> dict[str, Any]:
    data = bench.file(f"words-{rows}.npy")
    bench.theirs("write_words", out=data, rows=rows if bench.rows is None else bench.rows)
    warm_cosine(bench)
    params = {"metric": "cosine"}
    mine, others = _alternate(bench, data, "words", 1, 0 if bench.ours_only else 1, params)
    judge(bench, mine + others, data, None, cosine=True)
    checks = [faster("time", mine[0]["wall"], middle(others), 8), *quality_checks(mine, others)]
    return {"checks": checks, "notes": [], "maps": {"ours": mine[0]["out"]}} | _both(mine, others)


def words(bench: Bench) -> dict[str, Any]:
    """All 400,000."""
    return _words(bench, None)


def few_words(bench: Bench) -> dict[str, Any]:
    """The most frequent ones, where time is short."""
    return _words(bench, 50_000)


def crops(bench: Bench) -> dict[str, Any]:
    """The labelled million."""
    data, labels = bench.file("crops.npy"), bench.file("crops-labels.npy")
    bench.ours("write_crops", out=data, labels=labels, rows=bench.rows)
    warm(bench)
    mine, others = _alternate(bench, data, "crops", 1, 0 if bench.ours_only else 1, {})
    judge(bench, mine + others, data, labels)
    limit = (os.path.getsize(data) + 4 * _GIB) / _GIB
    checks = [
        faster("time (the aim is 12×)", mine[0]["wall"], middle(others), 8),
        at_most("peak memory", mine[0]["peak"] / _GIB, limit, "GiB", "input + 4 GiB"),
        *quality_checks(mine, others),
    ]
    notes = []
    if not others:
        notes.append(
            "Ours alone: umap-learn took 1,678 s and 13.1 GB on another such machine "
            f"({1678 / mine[0]['wall']:.1f}× this figure)."
        )
    maps = {"ours": mine[0]["out"], "labels": labels}
    return {"checks": checks, "notes": notes, "maps": maps} | _both(mine, others)
