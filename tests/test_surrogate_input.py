"""What can not be worked with is refused, and says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from surrogate_tables import NAMES, X, Y, buys, forest, numbers, shop

from fastxai import InvalidInputError, ModelError, surrogate


def first(rows: Any) -> Any:
    return rows[:, 0]


def with_value(value: float) -> Any:
    rows = numbers()
    rows[3, 1] = value
    return rows


FRAME = shop()
TABLES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no rows": (np.zeros((0, 3)), {}, "no rows"),
    "no columns": (np.zeros((20, 0)), {}, "no columns"),
    "one dimension": (np.zeros(20), {}, r"shape \(20,\)"),
    "three dimensions": (np.zeros((20, 2, 2)), {}, r"shape \(20, 2, 2\)"),
    "ragged": ([[1, 2], [3]], {}, "can not be read as a table"),
    "few rows": (numbers(9), {}, "9 rows.*fewer than 10"),
    "constant features": (np.ones((20, 3)), {}, "all features are the same"),
    "NaN in a sum": (with_value(np.nan), {"kind": "linear"}, "NaN at row 3, column 'feature 1'"),
    "infinity": (with_value(np.inf), {}, "inf at row 3, column 'feature 1'"),
    "beyond float32": (with_value(1e300), {}, r"1e\+300 at row 3"),
    "a column without a value": (np.full((20, 1), np.nan), {}, "no value at all"),
    "sparse": (sparse.eye_array(20).tocsr(), {}, "toarray"),
    "text": (np.array([["1", "a"]] * 20), {}, "pass a DataFrame"),
    "dates": (
        pd.DataFrame({"day": pd.date_range("2020-01-01", periods=20)}),
        {},
        "column 'day' holds datetime64",
    ),
    "identifiers": (
        pd.DataFrame({"name": [f"person {k}" for k in range(30)]}),
        {},
        "'name' holds 30 different words",
    ),
    "a name twice": (
        pd.DataFrame(np.ones((20, 2)), columns=["a", "a"]),
        {},
        "several columns named 'a'",
    ),
    "too few names": (numbers(), {"feature_names": ["a", "b"]}, "2 feature_names for 3"),
    "names twice": (numbers(), {"feature_names": ["a", "b", "a"]}, "a name twice"),
    "names in another order": (
        FRAME,
        {"feature_names": ["colour", "age", "smoker"]},
        "in another order",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str) -> None:
    rows, options, message = TABLES[name]
    with pytest.raises(InvalidInputError, match=message):
        surrogate(lambda r: np.arange(len(r)) % 2, rows, **{"kind": "tree", **options})


OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "kind": ({"kind": "forest"}, "choose one of tree, additive, linear"),
    "output": ({"output": "logit"}, "choose one of auto"),
    "leaves of a sum": ({"kind": "linear", "max_leaves": 3}, "is for kind='tree'"),
    "terms of a tree": ({"max_terms": 3}, "is for kind='additive' and 'linear'"),
    "one leaf": ({"max_leaves": 1}, "2 or more"),
    "no depth": ({"max_depth": 0}, "1 or more"),
    "half a term": ({"kind": "linear", "max_terms": 2.5}, "whole number"),
    "shape": ({"kind": "additive", "shape": "wavy"}, "choose one of spline, bins"),
    "refits": ({"n_refits": -1}, "0 or more"),
    "seed": ({"random_state": "lucky"}, "random_state"),
    "more folds than rows": ({"held_out": 500}, "500 folds of 150 rows"),
    "one fold": ({"held_out": 1}, "2 or more"),
    "all held out": ({"held_out": 0.999}, "150 of 150"),
    "no number": ({"held_out": "some"}, "'auto'"),
    "class names": ({"class_names": ["a", "b"]}, "2 class_names.*answers 3"),
    "target": ({"target": "tulip"}, "none of what the model answers: class 0"),
    "y of other rows": ({"y": Y[:20]}, r"shape \(20,\) and X 150 rows"),
    "y with gaps": ({"y": np.where(Y == 0, np.nan, Y)}, "no value for row 0"),
    "y with NA": ({"y": pd.Series(Y, dtype="Int64").replace(0, pd.NA)}, "no value for row 0"),
    "y of other classes": ({"y": np.array(NAMES)[Y]}, "none of which the model answers"),
    "y and probabilities": ({"y": Y, "output": "probability"}, "output='class'"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str) -> None:
    options, message = OPTIONS[name]
    with pytest.raises(InvalidInputError, match=message):
        surrogate(forest(), X, **options)


def test_y_may_hold_the_names_of_the_classes() -> None:
    names = np.array(["one", "two", "three"])
    for target in (None, "two"):
        options = {"class_names": names, "target": target, "n_refits": 0}
        found = surrogate(forest(), X, y=names[Y], **options)
        assert found.truth == surrogate(forest(), X, y=Y, **options).truth


def test_y_without_the_class_that_is_asked_about_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="none of which is class 1"):
        surrogate(forest(), X, y=np.array(["a", "b", "c"])[Y], target=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "class"}, "is a regressor, whose answers are numbers"),
        ({"target": 1}, "one number a row, and there is nothing to choose from"),
    ],
    ids=["classes", "target"],
)
def test_a_regressor_has_no_classes(options: Any, message: str) -> None:
    model = RandomForestRegressor(5, random_state=0).fit(X, X[:, 0])
    with pytest.raises(InvalidInputError, match=message):
        surrogate(model, X, **options)


def test_a_number_is_no_row_to_explain() -> None:
    with pytest.raises(InvalidInputError, match=r"such as X\[3\], and got 3"):
        surrogate(forest(), X, n_refits=0).explain(3)


def raises(rows: Any) -> Any:
    raise KeyError("weights")


class Several:
    """A model of two questions."""

    classes_ = [np.arange(2), np.arange(3)]

    def predict(self, rows: Any) -> Any:
        return np.zeros((len(rows), 2))


MODELS: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "raises": (raises, {}, ModelError, "raises raised KeyError: 'weights'"),
    "too few answers": (lambda r: r[:5, 0], {}, ModelError, r"shape \(5, 1\) for 150 rows"),
    "one answer": (lambda r: 1.0, {}, ModelError, "for 150 rows"),
    "a cube": (lambda r: r[:, :, None], {}, ModelError, r"\(150, 4, 1\)"),
    "no columns": (lambda r: r[:, :0], {}, ModelError, r"\(150, 0\)"),
    "NaN": (lambda r: r[:, 0] * np.nan, {}, ModelError, "row 0: no number to imitate"),
    "nothing": (lambda r: None, {}, ModelError, "for 150 rows"),
    "always the same class": (lambda r: ["a"] * len(r), {}, InvalidInputError, "the same, a"),
    "always the same": (lambda r: r[:, 0] * 0 + 2, {}, InvalidInputError, "the same, 2, for all"),
    "one class only": (
        RandomForestClassifier(2).fit(X, Y * 0),
        {},
        InvalidInputError,
        "answers the same, class 0",
    ),
    "not fitted": (RandomForestClassifier(), {}, InvalidInputError, "not fitted.*call its fit"),
    "a class": (RandomForestClassifier, {}, InvalidInputError, "is a class and no model"),
    "no model": ("forest", {}, InvalidInputError, "the model is a str"),
    "several questions": (Several(), {}, InvalidInputError, "several questions"),
    "no probabilities": (
        lambda r: np.where(r[:, 0] > 5, "a", "b"),
        {"output": "probability"},
        InvalidInputError,
        "answers classes and no numbers",
    ),
    "no shares": (first, {"output": "probability"}, InvalidInputError, "no probabilities"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    model, options, error, message = MODELS[name]
    with pytest.raises(error, match=message):
        surrogate(model, X, **options)


def test_a_model_of_other_features() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    model = RandomForestClassifier(2, random_state=0).fit(frame, Y)
    with pytest.raises(InvalidInputError, match="features that X lacks: d"):
        surrogate(model, frame.rename(columns={"d": "e"}))
    with pytest.raises(InvalidInputError, match="fitted with 4 features, and X has 3"):
        surrogate(model, X[:, :3])


def test_a_network_takes_numbers() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(InvalidInputError, match="encode the categories"):
        surrogate(torch.nn.Linear(3, 2), shop())


ROWS: dict[str, tuple[Any, str]] = {
    "two rows": (FRAME[:2], "one row, and X has 2"),
    "a feature less": (FRAME[:1].drop(columns="age"), "lacks the features 'age'"),
    "a level that is new": ({"age": 30, "colour": "pink", "smoker": True}, "'pink'.*never"),
    "words for numbers": ({"age": "old", "colour": "red", "smoker": True}, "numbers were expected"),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str) -> None:
    row, message = ROWS[name]
    found = surrogate(buys, FRAME, n_refits=0)
    with pytest.raises(InvalidInputError, match=message):
        found.explain(row)


def test_a_row_of_another_length() -> None:
    found = surrogate(forest(), X, "linear", n_refits=0)
    with pytest.raises(InvalidInputError, match="3 features, the surrogate 4"):
        found.explain(X[0, :3])
    with pytest.raises(InvalidInputError, match="choose one of class 0"):
        found.explain(X[0], target="tulip")
    with pytest.raises(InvalidInputError, match="for sums"):
        surrogate(forest(), X, n_refits=0).explain(X[0], target=1)
