"""Noise to hold a map against: points with the mean and covariance of the data, and no clusters."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import FastxaiWarning, InvalidInputError
from ..system import require_memory
from .graph import Metric
from .pca import PCA
from .spaces import ANGULAR, EUCLIDEAN, is_sparse

_WHOLE = 1000  # up to so many features (or rows) the whole covariance is taken
_LEADING = 50  # of more, so many components
_FURTHER = 400  # directions that hold the rest of the variance, at most


class Noise(NamedTuple):
    """Points (n, c), float32, and the metric to compare them by."""

    points: NDArray[np.float32]
    metric: str


def check_null_metric(metric: Metric) -> None:
    """Refuse metrics under which a rotated cloud is another one.

    Raises
    ------
    InvalidInputError
        With what to do instead.
    """
    if not isinstance(metric, str) or metric not in (*EUCLIDEAN, *ANGULAR):
        raise InvalidInputError(
            f"the null panel is drawn for metric='euclidean', 'cosine' or 'correlation', and the "
            f"metric is {metric!r}: leave it out by null=False"
        )


def gaussian_like(X: Any, metric: str, seed: int) -> Noise:
    """Draw as many points as X has from the normal distribution with its mean and covariance.

    The points come in the coordinates of the principal components: distances, and angles
    with the mean included, are those of the normal distribution in the space of X, and
    nothing of the size of a covariance of 50,000 features is ever made.  Where X has more
    than 1,000 features and rows, the 50 leading components have the variance they have in
    X; the rest of the variance is spread evenly over further directions, as few as hold it
    with no more variance each than the last component, at most 400.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n, d)
        Checked points.
    metric : {"euclidean", "l2", "cosine", "correlation"}
    seed : int

    Returns
    -------
    Noise
        For "correlation" the noise is like the rows with their means taken off, and the
        metric "cosine", which is the same thing.
    """
    if metric == "correlation":
        X = _rows_centred(X)
    n, d = X.shape
    few = min(n, d) <= _WHOLE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastxaiWarning)  # of rows that are all equal
        pca = PCA(n_components=None if few else _LEADING, random_state=seed).fit(X)
    variance = np.maximum(pca.explained_variance_, 0.0)
    if not few:
        rest = pca.noise_variance_ * (min(n, d) - _LEADING)
        most = min(_FURTHER, min(n, d) - _LEADING)
        count = int(np.clip(np.ceil(rest / max(float(variance[-1]), 1e-300)), 1, most))
        variance = np.append(variance, np.full(count, rest / count))
    angular = metric in ANGULAR
    require_memory(
        8.0 * n * (len(variance) + angular),
        f"the noise of the null panel, {n:,} x {len(variance)},",
        "leave it out by null=False",
    )
    random = np.random.default_rng([seed, 7])
    points = random.standard_normal((n, len(variance) + angular), np.float32)
    if angular:  # the mean: what of it lies along the components, and a coordinate for the rest
        mean = pca.mean_.astype(np.float64)
        along = np.einsum("ij,j->i", pca.components_.astype(np.float64), mean)
        points[:, -1] = np.sqrt(max(float(mean @ mean) - float(along @ along), 0.0))
    points[:, : len(variance)] *= np.sqrt(variance).astype(np.float32)
    if angular:
        points[:, : len(along)] += along.astype(np.float32)
    return Noise(points, "cosine" if angular else "euclidean")


def _rows_centred(X: Any) -> NDArray[np.float32]:
    if is_sparse(X):
        require_memory(
            8.0 * X.shape[0] * X.shape[1],
            f"the null panel of {X.shape[0]:,} x {X.shape[1]:,} sparse rows under correlation",
            "leave it out by null=False, or take metric='cosine'",
        )
        X = X.toarray()
    centred: NDArray[np.float32] = X - X.mean(axis=1, keepdims=True, dtype=np.float64)
    return centred.astype(np.float32, copy=False)
