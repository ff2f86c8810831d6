"""Trustworthiness and continuity: against scikit-learn, with ties, samples and bad input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from sklearn.manifold import trustworthiness as of_sklearn

from fastxai.errors import InvalidInputError
from fastxai.metrics._neighbours import ranks
from fastxai.metrics.embedding import Estimate, continuity, trustworthiness
from fastxai_kernels.cpu._threads import threads

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 7)).astype(np.float32)
PLACES = (X[:, :2] + 0.5 * RNG.normal(size=(400, 2))).astype(np.float32)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 5, 15, 199])
def test_trustworthiness_is_scikit_learns(k: int, metric: str) -> None:
    expected = of_sklearn(X, PLACES, n_neighbors=k, metric=metric)
    assert trustworthiness(X, PLACES, n_neighbors=k, metric=metric) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 15])
def test_continuity_is_trustworthiness_seen_from_the_map(k: int) -> None:
    expected = of_sklearn(PLACES, X, n_neighbors=k)
    assert continuity(X, PLACES, n_neighbors=k) == pytest.approx(expected)


@pytest.mark.parametrize("measure", [trustworthiness, continuity])
def test_a_mirrored_and_scaled_map_is_perfect(measure: Callable[..., Estimate]) -> None:
    assert measure(X, -7 * X + 1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("measure", [trustworthiness, continuity])
def test_a_sample_has_an_interval_and_all_points_have_none(
    measure: Callable[..., Estimate],
) -> None:
    whole = measure(X, PLACES, n_samples=None)
    inside = 0
    for seed in range(40):
        sampled = measure(X, PLACES, n_samples=100, random_state=seed)
        assert 0 <= sampled.low < sampled < sampled.high <= 1
        inside += sampled.low <= whole <= sampled.high
    assert whole.exact
    assert inside >= 34  # 38 expected


def test_points_without_place_are_left_out() -> None:
    places = PLACES.copy()
    places[::7] = np.nan
    kept = ~np.isnan(places[:, 0])
    assert trustworthiness(X, places) == trustworthiness(X[kept], PLACES[kept])


def _slow_ranks(points: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    squares = cdist(points.astype(float), points.astype(float), "sqeuclidean")
    np.fill_diagonal(squares, np.inf)
    there = squares[rows][:, None, :] < np.take_along_axis(squares[rows], others, 1)[:, :, None]
    return 1 + there.sum(axis=2)


@settings(max_examples=60, deadline=None)
@given(
    points=arrays(
        np.float32, st.tuples(st.integers(2, 40), st.integers(1, 4)), elements=st.integers(-3, 3)
    ),
    seed=st.integers(0, 9),
)
def test_ties_share_the_lowest_rank(points: np.ndarray, seed: int) -> None:
    n = len(points)
    rows = np.sort(np.random.default_rng(seed).choice(n, min(n, 5), replace=False))
    others = ((rows[:, None] + np.arange(1, min(n, 4))) % n).astype(np.int32)
    np.testing.assert_array_equal(ranks(points, rows, others), _slow_ranks(points, rows, others))


def test_ranks_far_from_the_origin() -> None:
    points = (X[:, :3] + 1000).astype(np.float32)
    rows, others = np.arange(400), ((np.arange(400)[:, None] + [1, 2, 3]) % 400).astype(np.int32)
    np.testing.assert_array_equal(ranks(points, rows, others), _slow_ranks(points, rows, others))


@pytest.mark.parametrize("count", [2, 8])
def test_the_number_of_threads_does_not_matter(count: int) -> None:
    points = RNG.normal(size=(9000, 3)).astype(np.float32)
    places = points[:, :2]
    found = []
    for several in (1, count):
        with threads(several):
            found.append(trustworthiness(points, places, n_samples=700))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            lambda: trustworthiness(X, PLACES, n_neighbors=200), "less than half", id="k of n/2"
        ),
        pytest.param(lambda: continuity(X[:-1], PLACES), "399 rows", id="lengths"),
        pytest.param(lambda: continuity(X, PLACES, metric="jaccard"), "cosine", id="metric"),
        pytest.param(lambda: trustworthiness(X, PLACES, n_neighbors=0), "n_neighbors=0", id="none"),
    ],
)
def test_bad_input(call: Callable[[], float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()
