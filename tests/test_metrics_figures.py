"""Figures with intervals, distance correlation, outliers, divergence, and all at once."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import sparse, stats
from scipy.spatial.distance import cdist, pdist

import fastxai
from fastxai.errors import InvalidInputError
from fastxai.metrics import embedding as measure
from fastxai.metrics._estimate import mean_of_sample
from fastxai.metrics.embedding import (
    Estimate,
    Evaluator,
    distance_correlation,
    evaluate,
    kl_divergence,
    outlier_fraction,
    random_triplet_accuracy,
)

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 3, 300)
X = (RNG.normal(size=(300, 5)) + CLASSES[:, None]).astype(np.float32)
PLACES = (X[:, :2] + 0.5 * RNG.normal(size=(300, 2))).astype(np.float32)


def test_an_estimate_is_a_float_with_an_interval() -> None:
    share = Estimate(0.5, 0.4, 0.6)
    assert (share + 1, f"{share:.2f}", json.dumps(share)) == (1.5, "0.50", "0.5")
    assert (share.low, share.value, share.high, share.exact) == (0.4, 0.5, 0.6, False)
    again = pickle.loads(pickle.dumps(share))
    assert (again, again.low, again.high) == (0.5, 0.4, 0.6)
    assert Estimate(2).exact


@pytest.mark.parametrize("p", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("kind", ["yes or no", "shares"])
def test_intervals_hold_the_mean_of_all(p: float, kind: str) -> None:
    rng = np.random.default_rng(1)
    population = (rng.random(3000) < p) if kind == "yes or no" else rng.beta(9 * p, 9 - 9 * p, 3000)
    inside = 0
    for _ in range(200):
        found = mean_of_sample(rng.choice(population, 400, replace=False), 3000)
        inside += found.low <= population.mean() <= found.high
    assert 180 <= inside <= 199  # 190 expected


def test_a_sample_of_only_ones_is_not_certain() -> None:
    found = mean_of_sample(np.ones(50), 1000)
    assert 0.9 < found.low < found == found.high == 1
    assert mean_of_sample(np.ones(50), 50).low == 1


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_distance_correlation_of_all_pairs(method: str) -> None:
    there, here = pdist(X), pdist(PLACES)
    both = stats.spearmanr if method == "spearman" else stats.pearsonr
    found = distance_correlation(X, PLACES, method=method)
    assert found.exact
    assert found == pytest.approx(both(there, here).statistic, abs=1e-5)


def test_distance_correlation_of_drawn_pairs_holds_the_whole() -> None:
    whole = distance_correlation(X, PLACES)
    draws = [distance_correlation(X, PLACES, n_pairs=3000, random_state=s) for s in range(40)]
    assert sum(found.low <= whole <= found.high for found in draws) >= 34
    assert draws[0] != draws[1]


@pytest.mark.parametrize("metric", ["cosine", "correlation"])
def test_distance_correlation_knows_metrics_and_sparse_data(metric: str) -> None:
    holes = X * (X > 0.5)
    holes[:, 0] = X[:, 0]  # a direction for every row
    expected = stats.pearsonr(pdist(holes, metric), pdist(PLACES)).statistic
    for data in (holes, sparse.csr_array(holes)):
        found = distance_correlation(data, PLACES, method="pearson", metric=metric)
        assert found == pytest.approx(expected, abs=1e-5)


def test_equal_distances_correlate_with_nothing() -> None:
    assert distance_correlation(X, np.zeros((300, 2))) == 0


def test_few_triplets_are_all_taken() -> None:
    few = random_triplet_accuracy(X[:30], PLACES[:30])
    assert few.exact
    assert few == random_triplet_accuracy(X[:30], PLACES[:30], random_state=1)
    assert not random_triplet_accuracy(X, PLACES).exact


def test_outliers_are_counted_and_do_not_move_the_middle() -> None:
    assert outlier_fraction(PLACES) == 0
    far = PLACES.copy()
    far[:3] = [[1e4, 0], [1e4, 1e4], [-100, 3]]
    assert outlier_fraction(far) == pytest.approx(3 / 300)
    assert outlier_fraction(far, fence=0) == pytest.approx(0.25, abs=0.01)


def test_outliers_do_not_depend_on_how_the_map_is_turned() -> None:
    heavy = RNG.standard_t(2, (500, 2))
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    assert outlier_fraction(heavy) == outlier_fraction(50 * heavy @ turn + 7) > 0


@pytest.mark.parametrize("places", [np.ones((9, 2)), np.arange(9.0)[:, None]], ids=["one", "line"])
def test_maps_without_outliers(places: np.ndarray) -> None:
    assert outlier_fraction(places) == 0


def _slow_divergence(places: np.ndarray, perplexities: Sequence[float], dof: float) -> float:
    data = X[: len(places)]
    n, k = len(data), int(3 * max(perplexities))
    squares = cdist(data, data, "sqeuclidean")
    np.fill_diagonal(squares, np.inf)
    P = np.zeros((n, n))
    for i in range(n):
        near = np.argsort(squares[i])[:k]
        for perplexity in perplexities:
            low, high = 0.0, 1e4
            for _ in range(60):
                beta = (low + high) / 2
                p = np.exp(-beta * (squares[i, near] - squares[i, near[0]]))
                p /= p.sum()
                wide = stats.entropy(p) > np.log(perplexity)
                low, high = (beta, high) if wide else (low, beta)
            P[i, near] += p / len(perplexities)
    P = (P + P.T) / (2 * n)
    W = (1 + cdist(places, places, "sqeuclidean") / dof) ** -dof
    np.fill_diagonal(W, 0)
    return float(stats.entropy(P.ravel(), W.ravel()))


@pytest.mark.parametrize(
    ("perplexity", "dof", "columns"),
    [(20, None, 2), (5, 0.5, 2), ([5, 20], 2.0, 2), (10, None, 1), (10, None, 3)],
)
def test_divergence(perplexity: Any, dof: float | None, columns: int) -> None:
    places = 4 * X[:90, :columns]
    several = np.atleast_1d(perplexity).tolist()
    expected = _slow_divergence(places, several, dof or max(columns, 2) / 2)
    found = kl_divergence(places, X[:90], perplexity, dof)
    assert found.exact
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e6])
def test_divergence_at_any_scale(scale: float) -> None:
    places = (PLACES[:90] * scale).astype(np.float32)
    expected = _slow_divergence(places, [10], 1.0)
    assert kl_divergence(places, X[:90], 10) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_divergence_of_given_neighbours_and_of_a_sample() -> None:
    graph = fastxai.neighbors(X, 90)
    whole = kl_divergence(PLACES, X)
    assert kl_divergence(PLACES, graph) == whole
    sampled = kl_divergence(PLACES, graph, n_samples=100)
    assert sampled.low < whole < sampled.high
    assert sampled.low < sampled < sampled.high < sampled.low + 0.2


def test_all_at_once_is_each_alone() -> None:
    found = evaluate(X, PLACES, CLASSES, perplexity=10)
    assert list(found) == [
        "label_accuracy",
        "neighbor_preservation",
        "trustworthiness",
        "continuity",
        "random_triplet_accuracy",
        "distance_correlation",
        "outlier_fraction",
        "kl_divergence",
    ]
    arguments = {
        "label_accuracy": (PLACES, CLASSES),
        "outlier_fraction": (PLACES,),
        "kl_divergence": (PLACES, X, 10),
    }
    for name, value in found.items():
        assert value == getattr(measure, name)(*arguments.get(name, (X, PLACES)))


def test_one_evaluator_for_many_maps() -> None:
    judge = Evaluator(X, metric="cosine", n_samples=200, n_draws=5000)
    gone = PLACES.copy()
    gone[::5] = np.nan
    first = judge(PLACES)
    assert "label_accuracy" not in first
    for places in (PLACES[::-1], gone):
        alone = evaluate(X, places, metric="cosine", n_samples=200, n_draws=5000)
        assert judge(places) == alone != first
    assert judge(PLACES) == first


def test_only_what_is_asked_for_is_measured() -> None:
    asked = ("continuity", "outlier_fraction")
    found = evaluate(X, PLACES, CLASSES, measures=asked)
    assert found == {name: evaluate(X, PLACES)[name] for name in asked}


def test_few_points_are_evaluated_too() -> None:
    found = evaluate(X[:12], PLACES[:12], CLASSES[:12])
    assert 0 <= found["trustworthiness"] <= 1


def _nan() -> np.ndarray:
    broken = PLACES.copy()
    broken[3] = np.nan
    return broken


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            lambda: evaluate(X, PLACES, measures=["beauty"]), "names beauty", id="measure"
        ),
        pytest.param(lambda: evaluate(X[:2], PLACES[:2]), "three are needed", id="two points"),
        pytest.param(lambda: kl_divergence(_nan(), X), "without coordinates", id="no place"),
        pytest.param(lambda: kl_divergence(PLACES, X[:-1]), "299 rows", id="lengths"),
        pytest.param(lambda: kl_divergence(PLACES, X, 300), "below the 300", id="perplexity n"),
        pytest.param(lambda: kl_divergence(PLACES, X, 1), "above 1", id="perplexity 1"),
        pytest.param(lambda: kl_divergence(PLACES, X, []), "above 1", id="no perplexity"),
        pytest.param(lambda: kl_divergence(PLACES, X, dof=0), "dof=0", id="dof"),
        pytest.param(
            lambda: kl_divergence(PLACES, fastxai.neighbors(X, 30)), "n_neighbors=90", id="graph"
        ),
        pytest.param(lambda: outlier_fraction(PLACES, fence=-1), "fence=-1", id="fence"),
        pytest.param(lambda: outlier_fraction(np.full((3, 2), np.nan)), "no point", id="nowhere"),
        pytest.param(
            lambda: distance_correlation(X, PLACES, method="kendall"), "pearson", id="method"
        ),
        pytest.param(lambda: distance_correlation(X, PLACES, n_pairs=2), "n_pairs=2", id="pairs"),
    ],
)
def test_bad_input(call: Callable[[], float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()


@pytest.mark.parametrize("name", ["kl_divergence", "trustworthiness", "distance_correlation"])
def test_swapped_arguments_are_told(name: str) -> None:
    swapped = (X, PLACES) if name == "kl_divergence" else (PLACES, X)
    with pytest.warns(fastxai.FastxaiWarning, match="the embedding has 5 columns and X 2"):
        getattr(measure, name)(*swapped)
