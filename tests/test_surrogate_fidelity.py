"""How true a surrogate is to its model: held out, beside a constant, never to the true labels."""

from __future__ import annotations

import json
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from surrogate_tables import NAMES, X, Y, forest, numbers
from threadpoolctl import threadpool_limits

import fastxai
from fastxai import surrogate

KINDS = ["tree", "additive", "linear"]
TREE = {"max_leaf_nodes": 8, "max_depth": 4, "min_samples_leaf": 5, "random_state": 0}


def slope(rows: Any) -> Any:
    return rows[:, 0] ** 2 - rows[:, 1]


def by_chance(rows: Any) -> Any:
    """Labels that have nothing to do with the features, though always the same for a row."""
    return (np.abs(rows.sum(axis=1)) * 1e6).astype(int) % 2


def test_agreement_is_that_of_each_fold_with_a_fit_to_the_others() -> None:
    answers = forest().predict(X)
    same = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, answers):
        tree = DecisionTreeClassifier(**TREE).fit(X[train], answers[train])
        same.append(tree.predict(X[test]) == answers[test])
    assert surrogate(forest(), X, n_refits=0).fidelity.value == np.concatenate(same).mean()


def test_r2_is_that_of_each_fold_with_a_fit_to_the_others() -> None:
    rows = numbers()
    found, known = [], []
    for train, test in KFold(4, shuffle=True, random_state=0).split(rows):
        tree = DecisionTreeRegressor(**TREE).fit(rows[train], slope(rows[train]))
        found.append(tree.predict(rows[test]))
        known.append(slope(rows[test]))
    by_hand = r2_score(np.concatenate(known), np.concatenate(found))
    given = surrogate(slope, rows, held_out=4, n_refits=0)
    assert given.fidelity.value == pytest.approx(by_hand)
    assert given.fidelity.constant == 0


@pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")
def test_what_was_learnt_by_heart_does_not_count() -> None:
    rows = numbers(400, 2)
    found = surrogate(by_chance, rows, max_leaves=200, max_depth=50, min_leaf=1, n_refits=0)
    assert np.mean(found.predict(rows) == by_chance(rows)) > 0.9
    assert found.fidelity.value < 0.6


@pytest.mark.parametrize(
    ("n", "held_out", "rows", "how"),
    [
        pytest.param(60, "auto", 60, "5-fold cross-validated", id="few rows"),
        pytest.param(2000, "auto", 500, "held out of the 2,000 by the seed", id="many rows"),
        pytest.param(60, 3, 60, "3-fold cross-validated", id="folds"),
        pytest.param(60, 0.3, 18, "held out of the 60 by the seed", id="share"),
    ],
)
def test_which_rows_it_is_measured_on(n: int, held_out: Any, rows: int, how: str) -> None:
    found = surrogate(slope, numbers(n), "linear", held_out=held_out, n_refits=0)
    assert (found.fidelity.rows, found.fidelity.how) == (rows, how)


def test_with_one_split_the_surrogate_is_the_one_that_was_judged() -> None:
    rows = numbers(80)
    found = surrogate(slope, rows, held_out=0.25, n_refits=0)
    held = np.random.default_rng([0, 0]).permutation(80)[:20]
    assert found.fidelity.value == pytest.approx(
        r2_score(slope(rows[held]), found.predict(rows[held]))
    )


def test_the_constant_is_the_commonest_class() -> None:
    rows = numbers()
    found = surrogate(lambda r: (r[:, 0] > -1).astype(int), rows, n_refits=0)
    assert found.fidelity.constant == pytest.approx(np.mean(rows[:, 0] > -1), abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_fitted_to_the_model_and_never_to_the_truth(kind: Any) -> None:
    nonsense = np.random.default_rng(0).permutation(Y)
    found = surrogate(forest(), X, kind, y=nonsense, held_out=0.3, n_refits=0)
    without = surrogate(forest(), X, kind, held_out=0.3, n_refits=0)
    assert found.rules() == without.rules()
    assert found.fidelity == without.fidelity
    assert without.truth is None


def test_what_is_true_is_told_apart_from_fidelity() -> None:
    wrong = np.roll(Y, 50)
    found = surrogate(forest(), X, y=wrong, n_refits=0)
    assert found.fidelity.value > 0.9
    assert found.truth is not None
    assert found.truth.model < 0.05
    assert found.truth.surrogate < 0.1


def test_truth_of_numbers_is_r2() -> None:
    rows = numbers()
    y = slope(rows) + np.random.default_rng(1).normal(size=len(rows))
    found = surrogate(slope, rows, y=y, n_refits=0)
    assert found.truth is not None
    assert found.truth.model == pytest.approx(
        r2_score(y[np.argsort(y)], slope(rows)[np.argsort(y)])
    )
    assert found.truth.measure == "R²"


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_begin_with_a_constant_and_end_with_the_surrogate(kind: Any) -> None:
    found = surrogate(forest(), X, kind, held_out=0.3, n_refits=0)
    assert found.by_size[0][1] == pytest.approx(found.fidelity.constant)
    assert found.by_size[-1] == (found.size, pytest.approx(found.fidelity.value))


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_words_are_the_fidelity_and_the_constants(kind: Any) -> None:
    found = surrogate(forest(), X, kind, y=Y, n_refits=2)
    first, *rest = str(found).splitlines()
    assert first.startswith("Agrees with the model on 9")
    assert "held-out rows (a constant: 33%)" in first
    assert any(line.startswith("Accuracy on y: the model") for line in rest)
    assert repr(found).startswith("Surrogate(agreement 9")


@pytest.mark.parametrize("kind", ["additive", "linear"])
def test_a_surrogate_that_explains_nothing_says_so(kind: Any) -> None:
    with pytest.warns(fastxai.FastxaiWarning, match="no better than a constant"):
        found = surrogate(lambda r: r[:, 0] * r[:, 1], numbers(400), kind, n_refits=0)
    assert "explains nothing" in str(found)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_call_gives_the_same_bits_on_any_number_of_threads(kind: Any) -> None:
    texts = []
    for count in (1, 2):
        with threadpool_limits(count):
            found = surrogate(forest(), X, kind, held_out=0.3, n_refits=2)
        texts.append(json.dumps(found.to_dict()))
    assert texts[0] == texts[1]


def test_stability_counts_fits_to_rows_drawn_again() -> None:
    found = surrogate(forest(), X, class_names=NAMES, n_refits=5)
    assert len(found.stability) == 5
    assert (found.stability.likeness > 0.8).all()
    assert sum(found.stability.first.values()) == pytest.approx(1)
    assert "Stability: 5 fits" in str(found)
    assert "Stability" not in str(surrogate(forest(), X, n_refits=0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_answers_the_same_and_leaves_the_model_behind(kind: Any) -> None:
    found = surrogate(lambda rows: forest().predict(rows), X, kind, held_out=0.3, n_refits=2)
    kept = pickle.loads(pickle.dumps(found))
    assert str(kept) == str(found)
    np.testing.assert_array_equal(kept.predict(X), found.predict(X))
    assert found.explain(X[0]).model_answer == "class 0"
    assert kept.explain(X[0]).model_answer is None


def test_nothing_is_warned_of_in_an_ordinary_call() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in KINDS:
            surrogate(forest(), X, kind, held_out=0.3, n_refits=1)  # type: ignore[arg-type]
