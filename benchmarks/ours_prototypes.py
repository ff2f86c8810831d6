"""Our side of prototypes and criticisms: the call, in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastxai.bench.child import Stages


def choose(stages: Stages, data: str, out: str, n: int, calls: int) -> dict[str, Any]:
    """Ten prototypes, ten criticisms of the first n rows."""
    with stages("import"):
        import fastxai
    gamma = None
    with stages("load"):
        X = np.load(data)[:n].copy()
    if calls > 1:  # kernels are read from the cache, and the width is what NumPy is given
        gamma = fastxai.prototypes(X, 1, 0).gamma
    found, seconds = stages.repeat(lambda: fastxai.prototypes(X, gamma=gamma), calls)
    np.savez(out, prototypes=found.indices, criticisms=found.criticisms, mmd2=found.mmd2)
    return {"calls": seconds, "gamma": found.gamma}


def reduce(stages: Stages, data: str, out: str, n: int, features: int) -> dict[str, Any]:
    """The first n rows in their leading principal components."""
    import fastxai

    X = fastxai.PCA(n_components=features).fit_transform(np.load(data)[:n])
    np.save(out, np.ascontiguousarray(X, np.float32))
    return {"shape": list(X.shape)}


TASKS = {"choose": choose, "reduce": reduce}
