"""Asking a model: estimators, networks and functions, each in its own way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError, ModelError

_BATCH = 4096  # rows that a network is given at once


@dataclass(frozen=True)
class Raw:
    """What came out of a model.

    Attributes
    ----------
    kind : {"labels", "probabilities", "scores", "numbers"}
    values : ndarray
        Labels of shape (n,); probabilities and scores (n, K), K of 2 or more; numbers (n, M).
    labels : tuple or None
        Of the K columns, where the model names its classes.
    """

    kind: str
    values: NDArray[Any]
    labels: tuple[Any, ...] | None = None


def name_of(model: Any) -> str:
    """What the model is called in a sentence."""
    owner = getattr(model, "__self__", None)
    if owner is not None and hasattr(model, "__name__"):
        return f"{type(owner).__name__}.{model.__name__}"
    steps = getattr(model, "steps", None)
    if isinstance(steps, list) and steps:
        return f"{type(model).__name__} ending in {type(steps[-1][1]).__name__}"
    return str(getattr(model, "__name__", type(model).__name__))


def caller(model: Any) -> Callable[[Any], Raw]:
    """The model as a function of rows.

    Raises
    ------
    InvalidInputError
        If it is not fitted, or nothing that answers.
    """
    if isinstance(model, type):
        raise InvalidInputError(
            f"{model.__name__} is a class and no model: give {model.__name__}()"
        )
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        from .networks import ask_network

        return lambda X: ask_network(model, X, _BATCH)
    if hasattr(model, "predict"):
        _check_fitted(model)
        return lambda X: _ask_estimator(model, X)
    if callable(model):
        return lambda X: _ask_function(model, X)
    raise InvalidInputError(
        f"the model is a {type(model).__name__}: give a fitted estimator with predict, a torch "
        "module, or a function that takes rows and returns an answer about each"
    )


def _check_fitted(model: Any) -> None:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if not isinstance(model, BaseEstimator):
        return
    try:
        check_is_fitted(model)
    except NotFittedError:
        name = type(model).__name__
        raise InvalidInputError(
            f"the {name} is not fitted, and has no answers yet: call its fit(X, y) first"
        ) from None


def _ask_estimator(model: Any, X: Any) -> Raw:
    _check_features(model, X)
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list):
        raise InvalidInputError(
            f"{name_of(model)} answers several questions at once: give a function that returns "
            "the answer to one of them"
        )
    labels = None if classes is None else tuple(np.asarray(classes).tolist())
    if hasattr(model, "predict_proba"):
        return Raw("probabilities", np.asarray(model.predict_proba(X)), labels)
    if labels is not None and hasattr(model, "decision_function"):
        scores = np.asarray(model.decision_function(X))
        if scores.ndim == 2 and scores.shape[1] == len(labels):
            return Raw("scores", scores, labels)
        if scores.ndim == 1 and len(labels) == 2:
            return Raw("scores", np.stack([-scores, scores], axis=1) / 2, labels)
    answers = np.asarray(model.predict(X))
    if labels is not None or (answers.dtype.kind != "f" and not is_regressor(model)):
        return _as_labels(answers, labels)
    return Raw("numbers", answers.reshape(len(answers), -1))


def is_regressor(model: Any) -> bool:
    """Whether a model says that its answers are numbers."""
    from sklearn.base import is_regressor

    try:
        return bool(is_regressor(model))
    except (AttributeError, TypeError):
        return False


def _check_features(model: Any, X: Any) -> None:
    """Names and number of features, before scikit-learn says it in its own words."""
    wanted = getattr(model, "feature_names_in_", None)
    if wanted is not None and hasattr(X, "columns"):
        names = [str(name) for name in X.columns]
        missing = [str(name) for name in wanted if str(name) not in names]
        if missing:
            raise InvalidInputError(
                f"{name_of(model)} was fitted with features that X lacks: "
                f"{', '.join(missing[:6])}; X has {', '.join(names[:6])}"
            )
    count = getattr(model, "n_features_in_", None)
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if count is not None and len(shape) == 2 and shape[1] != count:
        raise InvalidInputError(
            f"{name_of(model)} was fitted with {count} features, and X has {shape[1]}"
        )


def _ask_function(function: Callable[[Any], Any], X: Any) -> Raw:
    answers = np.asarray(function(X))
    classes = getattr(getattr(function, "__self__", None), "classes_", None)
    if isinstance(classes, np.ndarray) and classes.ndim == 1:
        return read_array(answers, tuple(classes.tolist()))
    return read_array(answers)


def read_array(answers: NDArray[Any], labels: tuple[Any, ...] | None = None) -> Raw:
    """Tell labels, probabilities, scores and numbers apart by dtype and shape."""
    answers = _one_column(answers)
    if answers.ndim == 1 and answers.dtype.kind in "biuOUST":
        return _as_labels(answers, labels)
    if answers.ndim == 1:
        return Raw("numbers", answers[:, None])
    if labels is not None and (answers.ndim != 2 or len(labels) != answers.shape[1]):
        labels = None
    if answers.ndim == 2 and answers.dtype.kind in "biuf":
        sums = answers.sum(axis=1)
        shares = bool((answers >= 0).all()) and bool(np.allclose(sums, 1, atol=1e-3))
        return Raw("probabilities" if shares else "scores", answers, labels)
    return Raw("scores", answers, labels)  # of a shape that is refused


def _as_labels(answers: NDArray[Any], labels: tuple[Any, ...] | None) -> Raw:
    answers = _one_column(answers)
    if answers.dtype.kind == "O":
        answers = np.array([str(answer) for answer in answers.tolist()])
        labels = None if labels is None else tuple(map(str, labels))
    return Raw("labels", answers, labels)


def _one_column(answers: NDArray[Any]) -> NDArray[Any]:
    """(n, 1) as (n,)."""
    return answers.reshape(-1) if answers.ndim == 2 and answers.shape[1] == 1 else answers


def check_raw(raw: Raw, n: int, name: str) -> None:
    """Refuse what is no answer about each row."""
    values = raw.values
    axes = 1 if raw.kind == "labels" else 2
    if values.ndim != axes or len(values) != n or values.size == 0:
        raise ModelError(
            f"{name} returned an array of shape {values.shape} for {n} rows: one label or number "
            f"a row, ({n},), or one a row and class, ({n}, K), is expected"
        )
    if raw.kind == "labels":
        return
    if values.dtype.kind not in "biuf":
        raise ModelError(f"{name} returned {values.dtype}: numbers or labels are expected")
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise ModelError(f"{name} returned {values[row]} for row {row}: no number to imitate")
