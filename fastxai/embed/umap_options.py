"""UMAP's parameters: checked before any work, and umap-learn's that are not here."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from .._checks import check_number, check_whole
from ..devices import Device
from ..errors import FastxaiWarning, InvalidInputError

# umap-learn's parameters that are not here: their default asks for nothing.
_MISSING = {
    "output_metric": ("euclidean", "embeddings into other than Euclidean spaces"),
    "output_metric_kwds": (None, "embeddings into other than Euclidean spaces"),
    "densmap": (False, "densMAP"),
    "dens_lambda": (2.0, "densMAP"),
    "dens_frac": (0.3, "densMAP"),
    "dens_var_shift": (0.1, "densMAP"),
    "output_dens": (False, "densMAP"),
    "transform_mode": ("embedding", "transform into a graph"),
}
# ... and those that tune what works in another way here: no result depends on them.
_NO_EFFECT = {
    "low_memory": True,
    "angular_rp_forest": False,
    "force_approximation_algorithm": False,
    "transform_queue_size": 4.0,
    "tqdm_kwds": None,
}
_SMALLEST = 1e-30  # of numbers that float32 can still square or divide by


def check_foreign(given: Mapping[str, Any]) -> None:
    """Refuse parameters that are not here, unless they ask for nothing.

    Raises
    ------
    InvalidInputError
        For a feature of umap-learn that is not here yet.
    TypeError
        For a name that umap-learn does not know either.
    """
    for name, value in given.items():
        if name in _MISSING:
            default, feature = _MISSING[name]
            if value is not default and value != default:
                raise InvalidInputError(
                    f"{name}={value!r}: {feature} is not in fastxai.UMAP yet; leave {name} out, "
                    "or use umap-learn for it"
                )
        elif name in _NO_EFFECT:
            if value != _NO_EFFECT[name]:
                warnings.warn(
                    f"{name}={value!r} has no effect in fastxai.UMAP, whose search and memory "
                    "work in another way; leave it out",
                    FastxaiWarning,
                    stacklevel=3,
                )
        else:
            raise TypeError(f"UMAP has no parameter {name!r}")


_COMPONENTS_THERE = 32


def check_components(n_components: int, device: Device) -> None:
    """Refuse more components than a GPU's kernels lay out.

    Raises
    ------
    InvalidInputError
    """
    if device.is_gpu and n_components > _COMPONENTS_THERE:
        raise InvalidInputError(
            f"n_components={n_components}: on {device.name} a layout has at most "
            f"{_COMPONENTS_THERE}; use device='cpu'"
        )


def check_options(model: Any) -> None:
    """Refuse values that make no sense, by name, before any work.

    Raises
    ------
    InvalidInputError
        With the name, the value and what may stand there.
    """
    check_whole("n_neighbors", model.n_neighbors, 2)
    check_whole("n_components", model.n_components, 1)
    if model.n_epochs is not None:
        check_whole("n_epochs", model.n_epochs, 0)
    if model.target_n_neighbors != -1:
        check_whole("target_n_neighbors", model.target_n_neighbors, 2)
    check_number("learning_rate", model.learning_rate, 0, above=True)
    check_number("spread", model.spread, 0, above=True)
    check_number("min_dist", model.min_dist, 0)
    if model.min_dist > model.spread:
        raise InvalidInputError(
            f"min_dist={model.min_dist!r} must be at most spread={model.spread!r}"
        )
    check_number("set_op_mix_ratio", model.set_op_mix_ratio, 0, high=1)
    check_number("local_connectivity", model.local_connectivity, 0)
    check_number("repulsion_strength", model.repulsion_strength, 0)
    check_number("negative_sample_rate", model.negative_sample_rate, 0)
    check_number("target_weight", model.target_weight, 0, high=1)
    check_number("recall", model.recall, 0, above=True, high=1)
    if (model.a is None) != (model.b is None):
        raise InvalidInputError("a and b belong together: give both, or neither")
    if model.a is not None:
        check_number("a", model.a, 0, above=True)
        check_number("b", model.b, 0, above=True)
    if model.disconnection_distance is not None:
        distance = model.disconnection_distance
        if distance != np.inf:
            check_number("disconnection_distance", distance, 0, above=True)
    check_whole("transform_seed", model.transform_seed, 0)
    distances = isinstance(model.metric, str) and model.metric == "precomputed"
    if (
        distances
        and isinstance(model.init, str)
        and model.init == "pca"
        and model.neighbors is None
    ):
        raise InvalidInputError(
            "init='pca' needs the vectors, and metric='precomputed' gives distances only: use "
            "'spectral'"
        )
    if model.target_metric_kwds:
        raise InvalidInputError(
            f"target_metric_kwds={model.target_metric_kwds!r}: targets' metrics take no arguments"
        )
    if model.neighbors is not None and given_knn(model.precomputed_knn) is not None:
        raise InvalidInputError(
            "neighbors= and precomputed_knn= are two names of one thing: give one of them"
        )


def given_knn(precomputed_knn: Any) -> Any:
    """umap-learn's ``precomputed_knn``, or None where it is empty: (None, None, None)."""
    empty = isinstance(precomputed_knn, (tuple, list)) and all(p is None for p in precomputed_knn)
    return None if empty else precomputed_knn


def missing_method(name: str) -> Any:
    """A method of umap-learn that is not here: asking for it says so."""

    def refuse(model: Any) -> None:
        raise AttributeError(f"{name} is not in fastxai.UMAP yet; use umap-learn for it")

    return property(refuse, doc="Not here yet.")


@lru_cache(maxsize=64)
def fit_curve(spread: float, min_dist: float) -> tuple[float, float]:
    """a and b of 1 / (1 + a d^2b), least squares to 1 up to min_dist and a decay beyond.

    The decay is exp(-(d - min_dist) / spread) on 300 points up to 3 spread (McInnes, Healy and
    Melville 2018, section 4.2).  Fitted in units of the spread: in others the search for
    a and b gets lost.

    Examples
    --------
    >>> a, b = fit_curve(1.0, 0.1)
    >>> round(a, 2), round(b, 2)
    (1.58, 0.9)
    """
    from scipy.optimize import curve_fit

    def curve(d: Any, a: float, b: float) -> Any:
        return 1.0 / (1.0 + a * d ** (2 * b))

    distances, least = np.linspace(0, 3, 300), min_dist / spread
    wanted = np.where(distances < least, 1.0, np.exp(-(distances - least)))
    (a, b), _ = curve_fit(curve, distances, wanted)
    with np.errstate(over="ignore", divide="ignore"):
        a /= np.float64(spread) ** (2 * b)
    if not _SMALLEST < a < 1 / _SMALLEST:
        raise InvalidInputError(
            f"spread={spread}: no curve of that scale can be computed; choose a number near 1"
        )
    return float(a), float(b)
