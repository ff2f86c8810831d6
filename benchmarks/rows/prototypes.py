"""Prototypes and criticisms against a greedy in NumPy that holds the whole matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checks import Check, faster, holds, recorded
from ..harness import Bench
from .data import fashion, warm

_FEW, _ALL = 10_000, 70_000
_FEATURES = 64  # as many as a search by cells takes, and about those of a small network
_CALLS = 5
_TARGET = 3.0


def _same(ours: str, theirs: str) -> bool:
    with np.load(ours) as a, np.load(theirs) as b:
        return all(np.array_equal(a[name], b[name]) for name in ("prototypes", "criticisms"))


def _compare(bench: Bench, name: str, data: str, n: int) -> tuple[list[Check], dict[str, Any]]:
    """Calls in a process that has begun, the quickest of each side; are the choices the same?"""
    out = bench.file(f"prototypes-{name}.npz")
    given = {"data": data, "n": n}
    ours = bench.ours("choose", tasks="ours_prototypes", out=out, calls=_CALLS, **given)
    checks, runs = [], {"fastxai": ours}
    for dtype in () if bench.ours_only else ("float64", "float32"):
        found = bench.file(f"prototypes-{name}-{dtype}.npz")
        theirs = bench.theirs(
            "choose", tasks="peers_prototypes", out=found, dtype=dtype, calls=_CALLS,
            gamma=ours["gamma"], **given,
        )  # fmt: skip
        runs[dtype] = theirs
        what = f"{name}, NumPy in {dtype}"
        checks += [
            faster(what, min(ours["calls"]), min(theirs["calls"]), _TARGET),
            holds(f"{what}: the same choices", _same(out, found)),
            recorded(f"{what}: peak memory", ours["peak"], theirs["peak"], "B"),
        ]
    return checks, runs


def prototypes(bench: Bench) -> dict[str, Any]:
    """10,000 points in 784 and 64 features against NumPy; all of Fashion-MNIST alone."""
    data, _ = fashion(bench)
    warm(bench)
    few, many = (min(n, bench.rows or n) for n in (_FEW, _ALL))
    reduced = bench.file("fashion-reduced.npy")
    bench.ours("reduce", tasks="ours_prototypes", data=data, out=reduced, n=few, features=_FEATURES)
    checks, wide = _compare(bench, f"{few:,}×784", data, few)
    more, narrow = _compare(bench, f"{few:,}×{_FEATURES}", reduced, few)
    out = bench.file("prototypes-all.npz")
    whole = bench.ours("choose", tasks="ours_prototypes", data=data, out=out, n=many, calls=1)
    checks += more
    checks += [
        recorded(f"{many:,}×784, whole process", whole["wall"], None, "s"),
        recorded(
            f"{many:,}×784: peak memory, beside the float32 matrix alone",
            whole["peak"],
            4.0 * many**2,
            "B",
        ),
    ]
    notes = [
        "NumPy multiplies the centred points with themselves (BLAS computes half of that, on all "
        "threads), makes the kernel in place, and keeps its sums up to date. Ten prototypes and "
        "ten criticisms; of 10,000 points the width of the kernel is given to both.",
        "Both sides are bound by the same products at 784 features: n²d flops, of which NumPy "
        "and fastxai compute half of all pairs. What fastxai saves is the matrix.",
    ]
    return {"checks": checks, "notes": notes, "runs": [wide, narrow, whole]}
