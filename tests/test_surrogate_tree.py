"""Trees: the lecture's, their sizes, and the way of one row through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier
from surrogate_tables import IRIS, NAMES, X, Y, buys, forest, numbers, shop

import fastxai
from fastxai import surrogate
from fastxai.surrogates.columns import Column, Columns
from fastxai.surrogates.words import number, question


def test_the_tree_of_the_lecture() -> None:
    grown = DecisionTreeClassifier(random_state=0).fit(X, Y)
    found = surrogate(
        grown,
        X,
        feature_names=IRIS.feature_names,
        class_names=NAMES,
        max_leaves=3,
        n_refits=0,
    )
    assert found.rules().splitlines()[1:] == [
        "petal width (cm) ≤ 0.8: setosa (50 rows, 100% of them)",
        "petal width (cm) > 0.8",
        "  petal width (cm) ≤ 1.75: versicolor (54 rows, 91% of them)",
        "  petal width (cm) > 1.75: virginica (46 rows, 98% of them)",
    ]


def test_a_model_that_is_such_a_tree_is_found_again() -> None:
    def tree(rows: Any) -> Any:
        return np.where(rows[:, 0] > 0.5, np.where(rows[:, 1] > -0.5, "a", "b"), "c")

    found = surrogate(tree, numbers(400), max_leaves=3, n_refits=0)
    assert found.fidelity.value > 0.97
    assert found.size == {"leaves": 3, "depth": 2}


@pytest.mark.parametrize("leaves", [2, 3, 5, 8])
@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_smaller_trees_are_those_that_scikit_learn_grows(leaves: int, target: str) -> None:
    rows = numbers(300)

    def model(r: Any) -> Any:
        values = r[:, 0] ** 3 - r[:, 1] * r[:, 2]
        return np.digitize(values, [-3, 0, 3]) if target == "classes" else values

    whole = surrogate(model, rows, max_leaves=8, n_refits=0)
    small = surrogate(model, rows, max_leaves=leaves, n_refits=0)
    same = [f for size, f in whole.by_size if size == small.size]
    assert same
    assert same[0] == pytest.approx(small.fidelity.value)


def test_no_split_has_two_sides_of_one_class() -> None:
    found = surrogate(forest(), X, max_leaves=16, min_leaf=1, n_refits=0)
    form = found.form
    tree = form.estimator.tree_
    for node in form.reached():
        sides = [int(tree.children_left[node]), int(tree.children_right[node])]
        if not form.ends[node] and form.ends[sides].all():
            assert len({int(form.values[side].argmax()) for side in sides}) == 2
    np.testing.assert_array_equal(found.predict(X), form.estimator.predict(X))
    assert found.size["leaves"] <= form.estimator.get_n_leaves()


def test_a_split_that_decides_nothing_is_taken_back() -> None:
    def unsure(rows: Any) -> Any:  # purer on one side of the split, of the same class on both
        return ((rows[:, 0] > 0) & ((rows * 1e6).sum(axis=1).astype(int) % 3 == 0)).astype(int)

    with pytest.warns(fastxai.FastxaiWarning, match="no better than a constant"):
        found = surrogate(unsure, numbers(300), max_leaves=2, n_refits=0)
    assert found.form.estimator.get_n_leaves() == 2
    assert found.size == {"leaves": 1, "depth": 0}
    assert found.explain(numbers(300)[0]).rules == ()


@pytest.mark.parametrize("row", [0, 50, 70, 149])
def test_the_rules_of_a_path_hold_for_the_row(row: int) -> None:
    found = surrogate(forest(), X, feature_names=IRIS.feature_names, n_refits=0)
    path = found.explain(X[row])
    assert path.rules
    for rule in path.rules:
        value = X[row, IRIS.feature_names.index(rule.feature)]
        assert rule.number == value
        assert (value > rule.threshold) == rule.condition.startswith(">")
    assert path.answer == f"class {found.predict(X[[row]])[0]}"


def test_a_path_ends_among_the_rows_of_its_leaf() -> None:
    found = surrogate(forest(), X, n_refits=0)
    for row in (0, 70, 149):
        path = found.explain(X[row])
        here = found.form.leaves(X) == found.form.leaves(X[[row]])
        agree = forest().predict(X[here]) == found.predict(X[[row]])
        assert path.rows == here.sum()
        assert path.leaf == pytest.approx(agree.mean())


def test_a_path_says_where_the_model_disagrees() -> None:
    found = surrogate(forest(), X, class_names=NAMES, n_refits=0)
    wrong = np.flatnonzero(found.predict(X) != forest().predict(X))
    assert len(wrong)
    path = found.explain(X[wrong[0]])
    assert path.agrees is False
    assert "what follows does not explain the model" in str(path)
    assert found.explain(X[0]).agrees is True


def test_categories_are_asked_about_by_their_names() -> None:
    frame = shop(400)
    found = surrogate(buys, frame, n_refits=0)
    assert found.fidelity.value > 0.98
    assert "smoker is True: buys" in found.rules()
    assert "colour is red" in found.rules()
    row = frame[(frame["colour"] == "red") & (frame["age"] > 45) & ~frame["smoker"]].iloc[0]
    assert [rule.condition for rule in found.explain(row).rules][:2] == ["is False", "is red"]


@pytest.mark.parametrize("form", ["frame", "row", "dict"])
def test_one_row_comes_in_any_form(form: str) -> None:
    frame = shop()
    found = surrogate(buys, frame, n_refits=0)
    given = {"frame": frame[5:6], "row": frame.iloc[5], "dict": dict(frame.iloc[5])}[form]
    path = found.explain(given)
    assert path.model_answer == buys(frame[5:6])[0]
    assert path == found.explain(frame[5:6])


def test_missing_values_go_where_scikit_learn_sends_them() -> None:
    rows = np.where(np.random.default_rng(1).random((300, 3)) < 0.1, np.nan, numbers(300))
    labels = np.nan_to_num(rows[:, 0], nan=1.0) > 0
    model = HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4).fit(rows, labels)
    found = surrogate(model, rows, n_refits=1)
    assert found.fidelity.value > 0.9
    for row in np.flatnonzero(np.isnan(rows[:, 0]))[:5]:
        assert found.form.way(rows[row])[-1] == found.form.leaves(rows[[row]])[0]
    assert any("missing" in str(found.explain(rows[k])) for k in range(100))


def test_probabilities_have_a_tree_of_means() -> None:
    found = surrogate(forest(), X, output="probability", target=1, n_refits=0)
    assert found.fidelity.measure == "R²"
    leaves = found.form.leaves(X)
    shares = forest().predict_proba(X)[:, 1]
    for leaf in np.unique(leaves):
        expected = shares[leaves == leaf].mean()
        np.testing.assert_allclose(found.predict(X)[leaves == leaf], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("value", "beside", "text"),
    [
        pytest.param(2.4499999, None, "2.45", id="four digits"),
        pytest.param(1.00001, 1.0, "1.00001", id="as many as tell it from the threshold"),
        pytest.param(-3.5, None, "−3.5", id="minus"),
        pytest.param(0.0, 0.0, "0", id="equal"),
    ],
)
def test_numbers_in_words(value: float, beside: float | None, text: str) -> None:
    assert number(value, beside) == text


@pytest.mark.parametrize(
    ("column", "place", "left", "right"),
    [
        pytest.param(Column("w"), 0, "≤ 0.5", "> 0.5", id="number"),
        pytest.param(Column("c", ("a", "b")), 0, "is a", "is b", id="two levels"),
        pytest.param(Column("c", ("a", "b", "d")), 2, "is not d", "is d", id="three levels"),
    ],
)
def test_questions(column: Column, place: int, left: str, right: str) -> None:
    assert question(Columns((column,)), place, 0.5)[1:] == (left, right)
