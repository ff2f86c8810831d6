"""Measures of embeddings: against slow ones, with isolated points, ties and bad input."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy import sparse, stats
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsClassifier

import fastxai
from fastxai.errors import InvalidInputError
from fastxai.metrics._global import _triplets
from fastxai.metrics.embedding import (
    label_accuracy,
    neighbor_preservation,
    random_triplet_accuracy,
)

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 3, 150)
X = (RNG.normal(size=(150, 6)) + CLASSES[:, None]).astype(np.float32)
PLACES = (X[:, :2] + 0.5 * RNG.normal(size=(150, 2))).astype(np.float32)


def test_metrics_are_there_when_asked_for() -> None:
    assert fastxai.metrics.embedding.label_accuracy is label_accuracy
    assert "embedding" in dir(fastxai.metrics)
    with pytest.raises(AttributeError, match="nothing"):
        _ = fastxai.metrics.nothing


@pytest.mark.parametrize("n_neighbors", [1, 4, 10])
def test_label_accuracy_is_that_of_leaving_one_out(n_neighbors: int) -> None:
    model = KNeighborsClassifier(n_neighbors, algorithm="brute").fit(PLACES, CLASSES)
    voters = model.kneighbors(None, return_distance=False)  # None: each without itself
    guesses = stats.mode(CLASSES[voters], axis=1).mode
    assert label_accuracy(PLACES, CLASSES, n_neighbors=n_neighbors) == (guesses == CLASSES).mean()


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(np.array(["cat", "dog", "emu"])[CLASSES], id="strings"),
        pytest.param(np.array(["cat", "dog", "emu"], object)[CLASSES], id="objects"),
        pytest.param(CLASSES.astype(float) - 1, id="fractions, one of them -1"),
        pytest.param((CLASSES + 7).tolist(), id="a list"),
    ],
)
def test_label_accuracy_does_not_mind_how_classes_are_named(labels: Any) -> None:
    assert label_accuracy(PLACES, labels) == label_accuracy(PLACES, CLASSES)


def test_of_classes_with_as_many_votes_the_lowest_wins() -> None:
    line = np.array([[0.0], [1.0], [2.1]])
    # Each point's two neighbours disagree or agree: (b, c) -> b, (a, c) -> a, (a, b) -> a.
    assert label_accuracy(line, ["a", "b", "c"], n_neighbors=2) == 0.0
    assert label_accuracy(line, ["a", "a", "c"], n_neighbors=2) == pytest.approx(2 / 3)


@pytest.mark.parametrize("missing", ["place", "label None", "label NaN"])
def test_points_without_place_or_label_neither_count_nor_vote(missing: str) -> None:
    places, labels = PLACES.copy(), CLASSES.astype(object)
    gone = np.arange(0, 150, 7)
    if missing == "place":
        places[gone, 1] = np.nan
        labels = (labels * 5) % 3
    else:
        labels[gone] = None if missing == "label None" else np.nan
    kept = np.setdiff1d(np.arange(150), gone)
    expected = label_accuracy(PLACES[kept], np.array(labels[kept], int))
    assert label_accuracy(places, labels) == expected


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation"])
@pytest.mark.parametrize("n_columns", [1, 2, 5])
def test_neighbor_preservation_counts_common_neighbours(metric: str, n_columns: int) -> None:
    places = X[:, :n_columns] + 0.1
    there, here = cdist(X, X, metric), cdist(places, places)
    for distances in (there, here):
        np.fill_diagonal(distances, np.inf)
    lists = [np.argsort(distances, axis=1)[:, :15] for distances in (there, here)]
    common = [len(np.intersect1d(a, b)) for a, b in zip(*lists, strict=True)]
    found = neighbor_preservation(X, places, metric=metric)
    assert found == pytest.approx(np.mean(common) / 15, abs=1e-3)


def test_isolated_points_are_nobodys_neighbours() -> None:
    places = PLACES.copy()
    places[::5] = np.nan
    kept = ~np.isnan(places[:, 0])
    expected = neighbor_preservation(X[kept], PLACES[kept])
    assert neighbor_preservation(X, places) == expected


@pytest.mark.parametrize(
    ("measure", "arguments"),
    [
        pytest.param(label_accuracy, (PLACES, CLASSES), id="label_accuracy"),
        pytest.param(neighbor_preservation, (X, PLACES), id="neighbor_preservation"),
    ],
)
def test_a_sample_is_seeded_and_near_the_whole(
    measure: Callable[..., float], arguments: tuple[Any, ...]
) -> None:
    sampled = [measure(*arguments, n_samples=100, random_state=seed) for seed in (0, 0, 1)]
    assert sampled[0] == sampled[1] != sampled[2]
    whole = measure(*arguments, n_samples=None)
    assert whole == measure(*arguments, n_samples=10**6)
    assert abs(sampled[0] - whole) < 0.1


def test_random_triplets_agree_with_all_triplets() -> None:
    few = slice(0, 40)
    near, far = cdist(X[few], X[few]), cdist(PLACES[few], PLACES[few])
    i, j, k = np.array([*permutations(range(40), 3)]).T
    whole = (np.sign(near[i, j] - near[i, k]) == np.sign(far[i, j] - far[i, k])).mean()
    assert random_triplet_accuracy(X[few], PLACES[few]) == pytest.approx(whole, abs=0.01)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation"])
def test_of_sparse_data_the_same_comes_out(metric: str) -> None:
    holes = X * (X > 0.5)
    dense = random_triplet_accuracy(holes, PLACES, metric=metric)
    assert random_triplet_accuracy(sparse.csc_matrix(holes), PLACES, metric=metric) == dense
    assert random_triplet_accuracy(sparse.csr_array(holes), PLACES, metric=metric) == dense


def test_a_mirrored_and_scaled_map_is_as_good() -> None:
    assert random_triplet_accuracy(X, -7 * X + 1) > 0.9999
    assert neighbor_preservation(X, -7 * X + 1) > 0.999


def test_a_tie_agrees_only_with_a_tie() -> None:
    assert random_triplet_accuracy(X, np.zeros((150, 2)), n_triplets=1000) == 0.0
    assert random_triplet_accuracy(np.ones((9, 3)), np.zeros((9, 2)), n_triplets=1000) == 1.0


def test_triplets_leave_isolated_points_out() -> None:
    places = PLACES.copy()
    places[7] = np.nan
    data = X.copy()
    data[7] = np.nan  # never looked at
    assert 0.5 < random_triplet_accuracy(data, places) < 1


def test_triplets_are_of_three_different_points_all_alike() -> None:
    drawn = _triplets(4, 24_000, np.random.default_rng(0))
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    assert [tuple(kind) for kind in kinds.tolist()] == [*permutations(range(4), 3)]
    assert counts.min() > 850
    assert counts.max() < 1150


def test_triplets_are_seeded() -> None:
    found = [random_triplet_accuracy(X, PLACES, random_state=seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def _nan(row: int) -> np.ndarray:
    broken = X.copy()
    broken[row, 3] = np.nan
    return broken


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            lambda: label_accuracy(PLACES, CLASSES[:-1]), "150 rows and labels has 149", id="labels"
        ),
        pytest.param(
            lambda: neighbor_preservation(X[:-1], PLACES), "149 rows and embedding has 150", id="X"
        ),
        pytest.param(
            lambda: random_triplet_accuracy(X, PLACES[:-1]), "150 rows", id="X of triplets"
        ),
        pytest.param(
            lambda: label_accuracy(PLACES[:10], CLASSES[:10]), "at least 11", id="few points"
        ),
        pytest.param(
            lambda: neighbor_preservation(X[:15], PLACES[:15]), "at least 16", id="few rows"
        ),
        pytest.param(
            lambda: random_triplet_accuracy(X[:2], PLACES[:2]), "needs three", id="two points"
        ),
        pytest.param(lambda: label_accuracy(PLACES[:, 0], CLASSES), "shape", id="1-D embedding"),
        pytest.param(lambda: label_accuracy(PLACES, X), "one column", id="2-D labels"),
        pytest.param(
            lambda: label_accuracy(PLACES[:2], np.array(["a", 1], object)),
            "strings",
            id="mixed labels",
        ),
        pytest.param(lambda: label_accuracy([["a", "b"]], [1]), "numbers", id="text for places"),
        pytest.param(lambda: neighbor_preservation(_nan(9), PLACES), "row 9", id="NaN in X"),
        pytest.param(
            lambda: random_triplet_accuracy(_nan(9), PLACES), "row 9", id="NaN met by a triplet"
        ),
        pytest.param(
            lambda: neighbor_preservation(sparse.csr_array(X), PLACES), "dense", id="sparse X"
        ),
        pytest.param(
            lambda: neighbor_preservation(X, PLACES, metric="jaccard"), "cosine", id="metric"
        ),
        pytest.param(
            lambda: random_triplet_accuracy(X, PLACES, metric="jaccard"), "cosine", id="metric 2"
        ),
        pytest.param(
            lambda: label_accuracy(PLACES, CLASSES, n_neighbors=0), "n_neighbors=0", id="no voters"
        ),
        pytest.param(
            lambda: label_accuracy(PLACES, CLASSES, n_samples=0), "n_samples=0", id="no sample"
        ),
        pytest.param(
            lambda: random_triplet_accuracy(X, PLACES, n_triplets=0), "n_triplets=0", id="none"
        ),
    ],
)
def test_bad_input(call: Callable[[], float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()
