"""Whether the classes of the points can be told from their places."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _inputs as inputs
from ._estimate import Estimate, mean_of_sample
from ._neighbours import Space

_BLOCK = 2**22  # ballots held at once


def label_accuracy(
    embedding: ArrayLike,
    labels: ArrayLike,
    *,
    n_neighbors: int = 10,
    n_samples: int | None = 5000,
    random_state: int | None = 0,
) -> Estimate:
    """Share of points whose nearest embedded neighbours name their class by majority.

    Parameters
    ----------
    embedding : array-like of shape (n, c), any number of columns
        Places of the points; rows with NaN are left out.
    labels : array-like of shape (n,)
        Numbers, strings or booleans.  Points labelled None or NaN are left out; -1 is a
        class like any other.
    n_neighbors : int, default 10
        True neighbours that vote; the point itself is not among them.  Of classes with as
        many votes the lowest wins, as with scikit-learn's ``KNeighborsClassifier``.
    n_samples : int or None, default 5000
        Points drawn without replacement; None judges all.
    random_state : int or None, default 0
        Seed of the sample.

    Returns
    -------
    Estimate
        Between 0 and 1, with the 95% confidence interval of the sample; a leave-one-out
        accuracy of the k-nearest-neighbour classifier.

    Raises
    ------
    InvalidInputError
        If lengths do not match or there are too few points.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import label_accuracy
    >>> places = np.random.default_rng(0).normal(size=(200, 2))
    >>> places[100:] += 20
    >>> label_accuracy(places, ["left"] * 100 + ["right"] * 100)
    1.0
    """
    places, classes = inputs.points(embedding, "embedding"), inputs.classes(labels)
    inputs.same_length("embedding", len(places), "labels", len(classes))
    known = np.isfinite(places).all(axis=1) & (classes >= 0)
    places, classes = places[known], classes[known]
    rows = inputs.sample(len(places), n_neighbors, n_samples, random_state)
    return votes(Space(places, rows), classes, n_neighbors)


def votes(places: Space, classes: NDArray[np.int64], k: int) -> Estimate:
    """How often the ``k`` nearest name the class by majority."""
    voters = classes[places.nearest(k)]
    n_classes = int(classes.max()) + 1
    # One row of ballots a point, a slice at a time: there may be thousands of classes.
    right = np.empty(len(voters), bool)
    step = max(1, _BLOCK // n_classes)
    for start in range(0, len(voters), step):
        some = voters[start : start + step]
        ballots = np.arange(len(some))[:, None] * n_classes + some
        cast = np.bincount(ballots.ravel(), minlength=len(some) * n_classes)
        winners = cast.reshape(len(some), n_classes).argmax(axis=1)
        right[start : start + step] = winners == classes[places.rows[start : start + step]]
    return mean_of_sample(right, len(places.points))
