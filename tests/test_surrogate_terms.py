"""Sums of terms: what they recover, what they can not, and the sum of one row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from surrogate_tables import NAMES, X, buys, forest, numbers, shop

import fastxai
from fastxai import surrogate

SUMS = ["additive", "linear"]


def test_curves_are_those_of_an_additive_model() -> None:
    rows = numbers(600)
    found = surrogate(lambda r: np.sin(2 * r[:, 0]) + r[:, 1] ** 2, rows, "additive", n_refits=0)
    assert found.fidelity.value > 0.98
    by_feature = {term.column: term for term in found.form.terms}
    for column, curve in ((0, lambda v: np.sin(2 * v)), (1, lambda v: v**2)):
        known = curve(rows[:, column])
        drawn = by_feature[column].contributions(rows)[:, 0]
        assert np.corrcoef(known, drawn)[0, 1] > 0.99
    assert found.form.terms[-1].column == 2  # which matters least


def test_the_terms_are_centred() -> None:
    found = surrogate(forest(), X, "additive", n_refits=0)
    for term in found.form.terms:
        np.testing.assert_allclose(term.contributions(X).mean(axis=0), 0, atol=1e-9)


def test_bins_are_steps() -> None:
    found = surrogate(lambda r: r[:, 0] ** 2, numbers(), "additive", shape="bins", n_refits=0)
    rows = np.zeros((500, 3))
    rows[:, 0] = np.linspace(-2, 2, 500)
    (term,) = (term for term in found.form.terms if term.column == 0)
    assert len(np.unique(term.contributions(rows).round(9))) == 8


def test_beyond_the_data_a_curve_is_flat() -> None:
    found = surrogate(lambda r: r[:, 0] ** 2, numbers(), "additive", n_refits=0)
    beyond = np.array([[10.0, 0, 0], [100.0, 0, 0]])
    low, high = found.predict(beyond)
    assert low == pytest.approx(high)


def test_weights_are_those_of_a_linear_model() -> None:
    rows = numbers()
    found = surrogate(lambda r: 3 * r[:, 0] - 2 * r[:, 2] + 7, rows, "linear", n_refits=0)
    weights = {term.column: float(term.weights[0]) for term in found.form.terms}
    assert weights[0] == pytest.approx(3, rel=1e-4)  # but for the ridge of 1e-4
    assert weights[2] == pytest.approx(-2, rel=1e-4)
    assert found.fidelity.value == pytest.approx(1)


@pytest.mark.parametrize("answers", ["numbers", "two classes", "three classes"])
@pytest.mark.parametrize("kind", SUMS)
def test_the_few_features_that_matter_are_chosen(kind: Any, answers: str) -> None:
    rows = numbers(400, 12)

    def model(r: Any) -> Any:
        values = 2 * r[:, 7] - r[:, 3]
        if answers == "numbers":
            return values
        return np.digitize(values, [0] if answers == "two classes" else [-1, 1])

    found = surrogate(model, rows, kind, max_terms=2, held_out=0.3, n_refits=0)
    assert {term.column for term in found.form.terms} == {3, 7}
    assert found.fidelity.value > 0.9


@pytest.mark.parametrize("kind", SUMS)
def test_of_two_features_that_say_the_same_one_is_enough(kind: Any) -> None:
    rows = numbers(300)
    rows = np.column_stack([rows, rows[:, 0] + 0.1 * numbers(300, 1, 1)[:, 0]])
    found = surrogate(
        lambda r: r[:, 0] + 0.4 * r[:, 1], rows, kind, max_terms=2, held_out=0.3, n_refits=0
    )
    assert found.fidelity.value > 0.98


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize("most", [1, 2, 3])
def test_there_are_at_most_so_many_terms(kind: Any, most: int) -> None:
    found = surrogate(forest(), X, kind, max_terms=most, held_out=0.3, n_refits=1)
    assert found.size == {"terms": most}
    assert all(form.size["terms"] <= most for form in found.stability.forms)
    assert [size["terms"] for size, _ in found.by_size] == list(range(most + 1))


def test_a_sum_has_no_product() -> None:
    rows = numbers(600, 2)
    with pytest.warns(fastxai.FastxaiWarning, match="no better"):
        surrogate(lambda r: r[:, 0] * r[:, 1], rows, "additive", n_refits=0)
    tree = surrogate(lambda r: np.sign(r[:, 0] * r[:, 1]), rows, min_leaf=1, n_refits=0)
    assert tree.fidelity.value > 0.5


CASES = {
    "numbers": ({"output": "value"}, lambda r: r[:, 0] - r[:, 1] ** 2),
    "two classes": ({}, lambda r: (r[:, 0] > 0.3).astype(int)),
    "several classes": ({}, lambda r: np.digitize(r[:, 0], [-0.6, 0.6])),
}


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize("case", CASES)
def test_a_rows_terms_add_up_to_its_score(kind: Any, case: str) -> None:
    options, model = CASES[case]
    rows = numbers()
    found = surrogate(model, rows, kind, held_out=0.3, n_refits=0, **options)
    for row in (0, 17):
        explained = found.explain(rows[row])
        scores = found.form.scores(rows[[row]])[0]
        if case == "two classes":  # log-odds of the class that it says
            assert explained.total == pytest.approx(abs(scores[0]))
        else:
            assert explained.total == pytest.approx(scores.max())
        sizes = [abs(part[2]) for part in explained.parts]
        assert sizes == sorted(sizes, reverse=True)


def test_a_sum_explains_any_class_that_is_asked_for() -> None:
    found = surrogate(forest(), X, "linear", class_names=NAMES, held_out=0.3, n_refits=0)
    scores = found.form.scores(X[[0]])[0]
    for k, name in enumerate(NAMES):
        assert found.explain(X[0], target=name).total == pytest.approx(scores[k])
        assert found.explain(X[0], target=k).of == name


def test_the_score_of_the_other_class_is_the_negative() -> None:
    rows = numbers()
    found = surrogate(lambda r: r[:, 0] > 0, rows, "linear", n_refits=0)
    for_it, against = (found.explain(rows[0], target=k).total for k in (0, 1))
    assert for_it == pytest.approx(-against)


@pytest.mark.parametrize("kind", SUMS)
def test_categories_are_terms(kind: Any) -> None:
    frame = shop(400)
    found = surrogate(buys, frame, kind, n_refits=2)
    assert found.fidelity.value > 0.85
    text = str(found.explain(frame[5:6]))
    assert f"smoker = {frame['smoker'][5]}" in text
    assert "colour = " in text


def test_probabilities_add_up() -> None:
    found = surrogate(forest(), X, "additive", output="probability", target=2, n_refits=0)
    explained = found.explain(X[149])
    assert explained.total == pytest.approx(float(found.predict(X[[149]])[0]))
    assert "probability of class 2" in str(explained)


def test_a_feature_that_never_varies_is_no_term() -> None:
    rows = np.column_stack([numbers(), np.ones(200)])
    for kind in SUMS:
        found = surrogate(lambda r: r[:, 0], rows, kind, n_refits=0)  # type: ignore[arg-type]
        assert 3 not in {term.column for term in found.form.terms}
