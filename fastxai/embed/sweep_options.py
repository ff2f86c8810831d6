"""What a sweep varies: lists of settings, checked by name before any work."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidInputError
from . import tsne_options, umap_options
from .initialise import check_init as check_umap_init
from .tsne_options import perplexities
from .validation import InvalidTypeError, check_seed

METHODS = ("tsne", "umap")
MOST_PANELS = 64
_DEFAULTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "tsne": {"perplexity": (5, 30, 100)},
    "umap": {"n_neighbors": (5, 15, 50), "min_dist": (0.1,)},
}
_USUAL = {"perplexity": 30, "n_neighbors": 15, "min_dist": 0.1}
_REFUSED = {
    "precomputed_knn": "give neighbors=",
    "unique": "give neighbors=fastxai.neighbors(X, k, unique=True)",
    "y": "a sweep is unsupervised",
    "callbacks": "fit one map with fastxai.TSNE(callbacks=...)",
    "metric_params": "give metric_kwds=",
}

Settings = dict[str, Any]


class Plan(NamedTuple):
    """The estimator and what all panels share, what each varies, and which is the reference."""

    estimator: Any
    options: dict[str, Any]
    settings: list[Settings]
    reference: int
    columns: int | None


def make_plan(
    method: str,
    n: int,
    lists: Mapping[str, Any],
    seeds: Any,
    random_state: int,
    reference: int | None,
    search: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Plan:
    """Check everything that can be checked without the neighbours.

    Parameters
    ----------
    method : {"tsne", "umap"}
    n : int
        Points.
    lists : mapping
        ``perplexity``, ``n_neighbors`` and ``min_dist`` as the user gave them.
    seeds, random_state, reference
        As given to `sweep`.
    search : mapping
        ``metric``, ``metric_kwds`` and ``recall``.
    options : mapping
        Further parameters of the estimator, as the user gave them.

    Raises
    ------
    InvalidInputError
        With the name, the value and what may stand there.
    """
    own = _DEFAULTS[check_method(method)]
    for name, given in lists.items():
        if given is not None and name not in own:
            raise InvalidInputError(
                f"{name}= is not a parameter of method={method!r}; it varies {' and '.join(own)}"
            )
    estimator = _estimator(method)
    _check_names(estimator, method, options)
    shared = {**options, **search}
    if method == "tsne":
        shared["metric_params"] = shared.pop("metric_kwds")
    varied: dict[str, list[Any]] = {}
    for name, usual in own.items():
        given = lists[name]
        if given is None:
            given = _possible_defaults(name, usual if seeds is None else (_USUAL[name],), n)
        varied[name] = _values(name, given, n)
    varied["seed"] = _seeds(seeds, random_state)
    # The first list varies fastest: it makes the columns of the picture.
    settings = [
        dict(zip(varied, reversed(values), strict=True))
        for values in product(*reversed(varied.values()))
    ]
    if len(settings) > MOST_PANELS:
        counts = " x ".join(f"{len(v)} {name}" for name, v in varied.items() if len(v) > 1)
        raise InvalidInputError(
            f"{counts} make {len(settings)} panels; at most {MOST_PANELS} can be looked at"
        )
    for some in settings:
        _check_model(make_model(estimator, some, shared), n)
    middle = _middle(settings, varied)
    if reference is not None and reference not in range(len(settings)):
        raise InvalidInputError(f"reference={reference!r}: the panels are 0 to {len(settings) - 1}")
    chosen = middle if reference is None else reference
    return Plan(estimator, shared, settings, chosen, _columns(varied))


def check_method(method: Any) -> str:
    """The method, if it is one of the two."""
    if method not in METHODS:
        raise InvalidInputError(f"method={method!r}: choose 'tsne' or 'umap'")
    return str(method)


def make_model(estimator: Any, settings: Settings, options: Mapping[str, Any], **more: Any) -> Any:
    """An estimator with the settings of a panel."""
    own = {name: value for name, value in settings.items() if name != "seed"}
    return estimator(**{**options, **own, "random_state": settings["seed"], **more})


def neighbors_needed(settings: Settings, n: int) -> int:
    """True neighbours a point that the estimator takes with these settings."""
    if "n_neighbors" in settings:
        return int(min(settings["n_neighbors"] - 1, n - 1))
    from .tsne_graph import neighbors_needed as needed_of_tsne

    return needed_of_tsne(perplexities(settings["perplexity"]), n)


def titles_of(panels: Sequence[Settings], every: Sequence[Settings]) -> list[str]:
    """What panels vary among ``every``, in words; perplexity and neighbours always."""
    shown = {name for name in every[0] if any(s[name] != every[0][name] for s in every)}
    shown |= {"perplexity", "n_neighbors"}
    return [
        " · ".join(f"{name} {_written(value)}" for name, value in s.items() if name in shown)
        for s in panels
    ]


def _written(value: Any) -> str:
    return " + ".join(map(_written, value)) if isinstance(value, tuple) else f"{value:g}"


def _estimator(method: str) -> Any:
    if method == "umap":
        from .umap import UMAP

        return UMAP
    from .tsne import TSNE

    return TSNE


def _check_names(estimator: Any, method: str, options: Mapping[str, Any]) -> None:
    known = set(inspect.signature(estimator).parameters)
    for name, value in options.items():
        if name == "n_components":
            if value != 2:
                raise InvalidInputError(f"n_components={value!r}: panels have 2 dimensions")
        elif name in _REFUSED:
            raise InvalidInputError(f"{name}= can not be given to a sweep: {_REFUSED[name]}")
        elif name not in known:
            near = difflib.get_close_matches(name, known | {"perplexity", "seeds"}, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidTypeError(f"sweep with method={method!r} has no parameter {name!r}{hint}")


def _listed(name: str, given: Any) -> list[Any]:
    """One value, or several, as a list without repetitions."""
    if isinstance(given, (str, bytes, Mapping, set)):
        raise InvalidInputError(f"{name}={given!r}: give a number or a list of numbers")
    try:
        values = list(given)
    except TypeError:
        values = [given]
    if not values:
        raise InvalidInputError(f"{name} is an empty list: give at least one value")
    for number, value in enumerate(values):
        if value in values[:number]:
            raise InvalidInputError(f"{name} has {value!r} twice")
    return values


def _values(name: str, given: Any, n: int) -> list[Any]:
    if name == "perplexity":
        return [_perplexity(value, n) for value in _listed(name, given)]
    values = _listed(name, given)
    for value in values:
        # The estimator says what else may be wrong with it.
        if name == "n_neighbors" and _is_number(value) and value > max(2, n - 1):
            raise InvalidInputError(
                f"n_neighbors={value}: there are {n:,} points; choose at most {max(2, n - 1)}"
            )
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _perplexity(value: Any, n: int) -> Any:
    """A number, or a tuple of them for one panel with several scales."""
    if isinstance(value, (list, tuple, np.ndarray)):
        if len(value) == 0:
            raise InvalidInputError("perplexity holds an empty list: give at least one value")
        return tuple(_perplexity(one, n) for one in value)
    if not _is_number(value) or not 1 < value < n:
        raise InvalidInputError(
            f"perplexity={value!r}: choose numbers of more than 1 and less than the number of "
            f"points, {n:,}"
        )
    return value.item() if isinstance(value, np.generic) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _possible_defaults(name: str, usual: tuple[Any, ...], n: int) -> list[Any]:
    """The default values that so few points allow, or the largest possible one."""
    if name == "min_dist":
        return list(usual)
    most = (n - 1) / 3 if name == "perplexity" else max(2, n - 1)
    kept = [value for value in usual if value <= most]
    return kept or [max(1.5, most) if name == "perplexity" else most]


def _seeds(seeds: Any, random_state: int) -> list[int]:
    return [random_state] if seeds is None else [check_seed(s) for s in _listed("seeds", seeds)]


def _check_model(model: Any, n: int) -> None:
    checks = umap_options if hasattr(model, "min_dist") else tsne_options
    checks.check_options(model)
    check_init = tsne_options.check_init if checks is tsne_options else check_umap_init
    check_init(model.init, n, 2)


def _middle(settings: list[Settings], varied: Mapping[str, list[Any]]) -> int:
    """The panel with the middle value of each list, and the first seed."""
    wanted = {name: values[len(values) // 2] for name, values in varied.items()}
    wanted["seed"] = varied["seed"][0]
    return settings.index(wanted)


def _columns(varied: Mapping[str, list[Any]]) -> int | None:
    """Columns in which a grid of two or more varied settings is one."""
    counts = [len(values) for values in varied.values() if len(values) > 1]
    return counts[0] if len(counts) > 1 and counts[0] <= 6 else None
