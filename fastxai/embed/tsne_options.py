"""t-SNE's parameters: what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._checks import check_number, check_whole
from .._warn import warn
from ..errors import InvalidInputError
from .fitting import check_pca_components, is_precomputed

METHODS = ("auto", "exact", "barnes_hut", "particle_mesh")
STARTS = ("pca", "spectral", "random")
# Beyond, 1 + r^2 / dof is 1 in single precision where it matters.
_STEEPEST = 100.0
_FARTHEST = 1e6  # of given positions
MOST_COMPONENTS = {"barnes_hut": 3, "particle_mesh": 2}


def check_options(model: Any) -> None:
    """Refuse values that make no sense, by name, before any work.

    Raises
    ------
    InvalidInputError
        With the name, the value and what may stand there.
    """
    check_whole("n_components", model.n_components, 1)
    for name in ("max_iter", "early_exaggeration_iter", "n_iter_without_progress"):
        check_whole(name, getattr(model, name), 0 if name == "early_exaggeration_iter" else 1)
    check_whole("callbacks_every_iters", model.callbacks_every_iters, 1)
    check_number("early_exaggeration", model.early_exaggeration, 1)
    check_number("exaggeration", model.exaggeration, 0, above=True)
    if not (isinstance(model.learning_rate, str) and model.learning_rate == "auto"):
        check_number("learning_rate", model.learning_rate, 0, above=True)
    check_number("min_grad_norm", model.min_grad_norm, 0)
    if model.tol is not None:
        check_number("tol", model.tol, 0)
    check_number("initial_momentum", model.initial_momentum, 0, high=0.999)
    if model.final_momentum is not None:
        check_number("final_momentum", model.final_momentum, 0, high=0.999)
    if model.max_step_norm is not None:
        check_number("max_step_norm", model.max_step_norm, 0, above=True)
    if model.dof is not None:
        check_number("dof", model.dof, 0, above=True, high=_STEEPEST)
    check_number("angle", model.angle, 0, high=1)
    check_number("force_error", model.force_error, 1e-5, high=0.5)
    check_number("recall", model.recall, 0, above=True, high=1)
    check_pca_components(model.pca_components, model.metric, model.neighbors)
    _check_method(model)
    _check_together(model)


def _check_method(model: Any) -> None:
    if model.method not in METHODS:
        raise InvalidInputError(
            f"method={model.method!r} is unknown; choose one of {', '.join(METHODS)}"
        )
    if model.n_components > (limit := MOST_COMPONENTS.get(model.method, np.inf)):
        raise InvalidInputError(
            f"'n_components' should be at most {limit} for method={model.method!r}, not "
            f"{model.n_components}: choose method='exact' or 'auto'"
        )


def _check_together(model: Any) -> None:
    if isinstance(model.init, str) and model.init not in STARTS:
        raise InvalidInputError(
            f"unknown init {model.init!r}; choose one of {', '.join(STARTS)}, or give an array "
            "of shape (n, n_components)"
        )
    distances = is_precomputed(model.metric)
    if distances and isinstance(model.init, str) and model.init == "pca":
        raise InvalidInputError(
            "init='pca' cannot be used with metric='precomputed', which gives distances and no "
            "vectors: choose init='spectral' or 'random'"
        )
    callbacks = model.callbacks
    if callbacks is not None and not callable(callbacks):
        several = isinstance(callbacks, (list, tuple))
        if not several or not all(callable(callback) for callback in callbacks):
            raise InvalidInputError("callbacks must be a function, or a list of functions")
    if not isinstance(model.metric_params, (Mapping, type(None))):
        raise InvalidInputError(
            f"metric_params={model.metric_params!r}: give the metric's arguments by name, as a dict"
        )


def perplexities(perplexity: Any) -> tuple[float, ...]:
    """One or several perplexities as a tuple, each more than 1.

    Raises
    ------
    InvalidInputError
        If there is none, or one is 1 or less.

    Examples
    --------
    >>> perplexities(30), perplexities([5, 50.0])
    ((30.0,), (5.0, 50.0))
    """
    several = isinstance(perplexity, (list, tuple)) or np.ndim(perplexity) > 0
    values = list(perplexity) if several else [perplexity]
    if not values:
        raise InvalidInputError("perplexity is an empty list: give one number or more")
    values = [value.item() if isinstance(value, np.ndarray) else value for value in values]
    for value in values:
        check_number("perplexity", value, 1, above=True)
    return tuple(float(value) for value in values)


def check_init(init: Any, n: int, n_components: int) -> None:
    """Refuse given positions that are not one finite place a point."""
    if isinstance(init, str):
        return
    try:
        places = np.asarray(init, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"init is no array of numbers: {error}") from None
    if places.shape != (n, n_components):
        raise InvalidInputError(
            f"init has the shape {places.shape}; one place for each of {n} points in "
            f"{n_components} dimensions was expected: ({n}, {n_components})"
        )
    if not np.isfinite(places).all():
        row = int(np.flatnonzero(~np.isfinite(places).all(axis=1))[0])
        raise InvalidInputError(f"init holds NaN or infinity in row {row}")
    if (largest := float(np.abs(places).max())) > _FARTHEST:
        raise InvalidInputError(
            f"init holds coordinates up to {largest:g}: no map is as large; scale it to a few "
            "units (or 1e-4, as init='pca' does)"
        )
    if n > 1 and np.ptp(places, axis=0).max() == 0:
        warn("init has all points at one place, where no force will part them")
