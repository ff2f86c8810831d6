"""The same seed gives the same bits: whatever the threads, the process, and who compiled.

Run as a program this file embeds some points and prints a hash of every step:

    python tests/test_determinism.py N_JOBS [fork]
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from fastxai import PCA, TSNE, UMAP, neighbors
from fastxai.embed import project, queries, search
from fastxai.embed.spectral import spectral_start
from fastxai_kernels import select
from fastxai_kernels.cpu import _jit, _warm
from fastxai_kernels.cpu._threads import threads


def clusters(n: int, d: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, d)) * 2
    return (centres[np.arange(n) % 20] + rng.standard_normal((n, d))).astype(np.float32)


def digest(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def hashes(n_jobs: int | None, X: Any, y: Any = None, **options: Any) -> dict[str, str]:
    """Of each step from the points to their map, and of new points in it."""
    model = UMAP(n_epochs=10, n_jobs=n_jobs, **options).fit(X, y)
    return {
        "indices": digest(model.neighbors_.indices),
        "distances": digest(model.neighbors_.distances),
        "graph": digest(model.graph_.data),
        "embedding": digest(model.embedding_),
        "transform": digest(model.transform(X[:200] + np.float32(0.1))),
    }


def tsne_hashes(n_jobs: int | None, X: Any, **options: Any) -> dict[str, str]:
    """Of t-SNE's map by each kind of repulsion, and of new points in it."""
    found = {}
    for method in ("exact", "barnes_hut", "particle_mesh"):
        if method == "particle_mesh" and options.get("n_components", 2) > 2:
            continue
        # Neighbours as of the tree also for all pairs: a graph of all pairs is slow to find.
        graph = neighbors(X, 15, n_jobs=n_jobs)
        short: dict[str, Any] = {"max_iter": 15, "early_exaggeration_iter": 10, "perplexity": 5}
        model = TSNE(n_jobs=n_jobs, method=method, neighbors=graph, **short, **options).fit(X)
        found[method] = digest(model.embedding_)
        found[f"{method} new"] = digest(model.transform(X[:50] + np.float32(0.1)))
    return found


# --- across processes ------------------------------------------------------------------------

WIDE = partial(clusters, 2600, 320)  # wide enough for LAPACK to use all its threads


def both(n_jobs: int) -> dict[str, str]:
    """UMAP's and t-SNE's."""
    return hashes(n_jobs, WIDE()) | tsne_hashes(n_jobs, WIDE())


def main(n_jobs: int, fork: bool) -> None:
    """Print the hashes, and how many kernels were compiled here and how many loaded."""
    search._QUICK = 0.0  # the approximate search, however few the points
    _warm._compiled = True  # no children: compile here what the cache does not hold
    found: dict[str, Any] = {"hashes": both(n_jobs)}
    if fork:
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, json.dumps(both(n_jobs)).encode())
            os._exit(0)
        os.wait()
        found["child"] = json.loads(os.read(reader, 65536))
    ready = [kernel for kernel in _jit.kernels if kernel._ready]
    found["loaded"] = sum(kernel.from_cache for kernel in ready)
    found["compiled"] = len(ready) - found["loaded"]
    print(json.dumps(found))


def run(n_jobs: int, *arguments: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, str(n_jobs), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_same_bits_from_those_who_compile_and_those_who_load(tmp_path: Path) -> None:
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    first = run(2, **cache, NUMBA_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")
    assert (first["loaded"], first["compiled"] > 10) == (0, True)
    for n_jobs, blas in ((1, "1"), (2, "1"), (8, "2")):
        limits = {"NUMBA_NUM_THREADS": str(n_jobs), "OPENBLAS_NUM_THREADS": blas}
        later = run(n_jobs, **cache, **limits)
        assert (later["loaded"], later["compiled"]) == (first["compiled"], 0)
        assert later["hashes"] == first["hashes"], (n_jobs, blas)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_finds_the_same_bits() -> None:
    found = run(2, "fork")
    assert found["child"] == found["hashes"]


def test_workers_of_joblib_find_the_same_bits() -> None:
    X = clusters(300, 10)
    models = [UMAP(n_epochs=10, random_state=seed, n_jobs=2) for seed in range(3)]
    maps = Parallel(n_jobs=2, backend="loky")(delayed(m.fit_transform)(X) for m in models)
    for model, places in zip(models, maps, strict=True):
        assert digest(model.fit_transform(X)) == digest(places)


# --- within one process ----------------------------------------------------------------------

MANY = partial(clusters, 3000, 20)
CASES: dict[str, dict[str, Any]] = {
    "as usual": {},
    "PCA start": {"init": "pca"},
    "random start": {"init": "random"},
    "three components": {"n_components": 3},
    "cosine": {"metric": "cosine"},
    "distinct rows": {"unique": True},
    "classes": {"y": np.arange(3000) % 3},
    "numbers": {"y": np.arange(3000) % 90 / 7, "target_metric": "euclidean"},
}


@pytest.fixture
def approximate(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pairs are only taken as the last resort, however few the points."""
    monkeypatch.setattr(search, "_QUICK", 0.0)


@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_the_number_of_threads_changes_no_bit(approximate: None, options: dict[str, Any]) -> None:
    X = MANY()
    X[-50:] = X[:50]
    one = hashes(1, X, **options)
    assert hashes(2, X, **options) == one
    assert hashes(8, X, **options) == one


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("n", [300, 6000])
def test_the_number_of_threads_changes_no_bit_of_tsne(n: int, n_components: int) -> None:
    X = clusters(n, 20)
    X[-50:] = X[:50]
    one = tsne_hashes(1, X, n_components=n_components)
    assert tsne_hashes(2, X, n_components=n_components) == one
    assert tsne_hashes(8, X, n_components=n_components) == one


def test_run_after_run() -> None:
    X = clusters(400, 8)
    model = UMAP(n_epochs=20)
    first = model.fit_transform(X)
    assert digest(model.fit_transform(X)) == digest(first)
    assert digest(UMAP(n_epochs=20, random_state=1).fit_transform(X)) != digest(first)


def test_two_threads_of_python_do_not_disturb_each_other(approximate: None) -> None:
    data = [clusters(3000, 16, seed) for seed in range(2)]
    alone = [hashes(2, X) for X in data]
    with ThreadPoolExecutor(4) as callers:
        together = list(callers.map(partial(hashes, 2), data * 2))
    assert together == alone * 2


# --- single steps, however many threads BLAS has ---------------------------------------------


def by_blas(step: Any) -> list[str]:
    found = []
    for count in (1, 2):
        with threadpool_limits(count, user_api="blas"), threads(count):
            found.append(digest(step()))
    return found


def _queries(X: Any) -> Any:
    with patch.multiple(queries, _FEW_NUMBERS=0, _FEW_POINTS=0):
        index = queries.QueryIndex(X, recall=0.5)
    assert index._plan(10) is not None
    return np.concatenate(index.query(X[:300] + np.float32(0.5), 10), axis=1)


def _start(X: Any) -> Any:
    graph = UMAP(n_epochs=0, init="random").fit(X).graph_
    return spectral_start(graph, 2, seed=0)


STEPS = {
    "components of the search": lambda: project._directions(
        select("cpu"), clusters(2000, 800), 0.9
    )[1],
    "components of many features": lambda: project._directions(
        select("cpu"), clusters(1200, 2100), 0.9
    )[1],
    "queries": lambda: _queries(clusters(6000, 64)),
    "spectral start, small": lambda: _start(clusters(390, 8)),
    "spectral start, large": lambda: _start(clusters(2500, 8)),
    "PCA": lambda: PCA(n_components=2).fit_transform(clusters(1000, 600)),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_threads_of_blas_change_no_bit(step: Any) -> None:
    one, two = by_blas(step)
    assert one == two


if __name__ == "__main__":
    main(int(sys.argv[1]), "fork" in sys.argv)
