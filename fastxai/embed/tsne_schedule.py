"""What a `TSNE`'s parameters ask of the descent: both phases, and when to stop."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tsne_descent import Phase, Rules

_LEAST_RATE = 50.0  # of learning_rate="auto", as in scikit-learn
# Momentum of the main phase: few points end in slightly worse minima with the second.
_MOMENTUM = (0.8, 0.9)
_MANY = 10_000


def phases(model: Any, n: int) -> tuple[Phase, Phase]:
    """The early and the main phase of n points."""
    first = min(int(model.early_exaggeration_iter), int(model.max_iter))
    early, main = float(model.early_exaggeration), float(model.exaggeration)
    rates = (_rate(model.learning_rate, n, factor) for factor in (early, main))
    final = _MOMENTUM[n > _MANY] if model.final_momentum is None else model.final_momentum
    return (
        Phase(first, early, next(rates), float(model.initial_momentum)),
        Phase(int(model.max_iter) - first, main, next(rates), float(final)),
    )


def _rate(asked: Any, n: int, exaggeration: float) -> float:
    if not isinstance(asked, str):
        return float(asked)
    return max(n / (4 * max(exaggeration, 1.0)), _LEAST_RATE)


def rules(model: Any) -> Rules:
    """When to stop, how far to step, whom to tell."""
    callbacks = model.callbacks or ()
    return Rules(
        int(model.n_iter_without_progress),
        float(model.min_grad_norm),
        None if model.tol is None else float(model.tol),
        np.inf if model.max_step_norm is None else float(model.max_step_norm),
        (callbacks,) if callable(callbacks) else tuple(callbacks),
        int(model.callbacks_every_iters),
    )
