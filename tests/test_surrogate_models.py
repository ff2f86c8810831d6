"""Who can be asked: estimators, networks, functions; what they answer, and that they stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from surrogate_tables import NAMES, X, Y, buys, forest, numbers, shop

from fastxai import ModelError, surrogate
from fastxai.surrogates.answers import BlackBox

torch = pytest.importorskip("torch")
nn = torch.nn


def ask(model: Any, rows: Any, output: str = "auto", target: Any = None) -> Any:
    return BlackBox(model, output, target, None)(rows)


CLASSIFIERS = {
    "predict_proba": lambda: forest(),
    "decision_function": lambda: SVC().fit(X, Y),
    "two classes": lambda: LinearSVC().fit(X, Y == 1),
    "words": lambda: LogisticRegression(C=0.01).fit(X, np.array(NAMES)[Y]),
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
    "clusters": lambda: KMeans(3, n_init=1, random_state=0).fit(X),
    "outliers": lambda: IsolationForest(n_estimators=20, random_state=0).fit(X),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classes_are_those_that_the_model_predicts(name: str) -> None:
    model = CLASSIFIERS[name]()
    answers = ask(model, X)
    assert answers.output == "class"
    np.testing.assert_array_equal(np.array(answers.labels)[answers.codes], model.predict(X))


def test_a_surrogate_predicts_the_models_own_labels() -> None:
    words = np.array(NAMES)[Y]
    model = LogisticRegression(C=0.01).fit(X, words)
    found = surrogate(model, X, y=words, n_refits=0)
    assert set(found.predict(X)) == set(NAMES)
    assert found.truth is not None
    assert found.truth.model == pytest.approx(np.mean(model.predict(X) == words))


FUNCTIONS = {
    "numbers": (lambda r: r[:, 0], "value", 1),
    "a column of numbers": (lambda r: r[:, :1], "value", 1),
    "whole numbers": (lambda r: np.arange(len(r)) % 3, "class", 3),
    "many whole numbers": (lambda r: np.arange(len(r)), "value", 1),
    "truth values": (lambda r: r[:, 0] > 5.8, "class", 2),
    "words": (lambda r: np.where(r[:, 0] > 5.8, "long", "short"), "class", 2),
    "objects": (lambda r: np.array(["a", "b"], object)[(r[:, 0] > 5.8).astype(int)], "class", 2),
    "scores": (lambda r: r[:, :3], "class", 3),
    "a list": (lambda r: r[:, 0].tolist(), "value", 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_functions_answer_is_told_by_type_and_shape(name: str) -> None:
    function, output, count = FUNCTIONS[name]
    answers = ask(function, X)
    assert answers.output == output
    assert len(answers.names) == count


def test_a_method_brings_the_names_of_its_classes() -> None:
    model = RandomForestClassifier(5, random_state=0).fit(X, np.array(NAMES)[Y])
    assert ask(model.predict_proba, X).names == tuple(NAMES)
    assert "RandomForestClassifier.predict_proba" in repr(surrogate(model.predict_proba, X))


@pytest.mark.parametrize(
    ("output", "target", "expected"),
    [
        pytest.param("probability", None, lambda p: p, id="all"),
        pytest.param("probability", 1, lambda p: p[:, [1]], id="one by its number"),
        pytest.param("probability", "class 2", lambda p: p[:, [2]], id="one by its name"),
    ],
)
def test_probabilities(output: str, target: Any, expected: Any) -> None:
    answers = ask(forest(), X, output, target)
    np.testing.assert_allclose(answers.values, expected(forest().predict_proba(X)))


def test_of_two_probabilities_the_second_tells_all() -> None:
    model = RandomForestClassifier(5, random_state=0).fit(X, Y == 1)
    answers = ask(model, X, "probability")
    np.testing.assert_allclose(answers.values[:, 0], model.predict_proba(X)[:, 1])


def test_one_class_against_all_others() -> None:
    answers = ask(forest(), X, "class", 1)
    assert answers.names == ("not class 1", "class 1")
    np.testing.assert_array_equal(answers.codes, forest().predict(X) == 1)
    found = surrogate(forest(), X, target=1, y=Y, n_refits=0)
    assert found.truth is not None
    assert found.truth.model == np.mean((forest().predict(X) == 1) == (Y == 1))


def test_several_numbers_at_once() -> None:
    model = RandomForestRegressor(5, random_state=0).fit(X[:, :2], X[:, 2:])
    for kind in ("tree", "additive", "linear"):
        found = surrogate(model, X[:, :2], kind, y=X[:, 2:], n_refits=0)  # type: ignore[arg-type]
        assert found.predict(X[:, :2]).shape == (150, 2)
        assert found.fidelity.value > 0.7


# --- networks ----------------------------------------------------------------------------


def network(outputs: int = 3) -> Any:
    torch.manual_seed(0)
    layers = [nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, outputs)]
    return nn.Sequential(nn.BatchNorm1d(4), *layers)


def test_a_network_answers_as_in_eval_mode_and_stays_as_it_was() -> None:
    net = network().train()
    net[1].weight.requires_grad_(False)
    net[0].weight.grad = torch.ones(4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    values = ask(net, X, "value").values
    assert net.training and all(module.training for module in net)
    assert not net[1].weight.requires_grad and net[0].weight.requires_grad
    assert torch.equal(net[0].weight.grad, torch.ones(4))
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    expected = net.eval()(torch.tensor(X, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


def test_a_network_that_raises_stays_as_it_was_too() -> None:
    net = nn.Sequential(nn.Linear(5, 2)).train()
    with pytest.raises(ModelError, match="Sequential raised RuntimeError"):
        surrogate(net, X)
    assert net.training


@pytest.mark.parametrize("outputs", [1, 3])
def test_logits_become_probabilities(outputs: int) -> None:
    net = network(outputs).eval()
    logits = net(torch.tensor(X, dtype=torch.float32)).detach().double()
    shares = torch.sigmoid(logits) if outputs == 1 else torch.softmax(logits, 1)
    answers = ask(net, X, "probability")
    np.testing.assert_allclose(answers.values, shares, rtol=1e-5, atol=1e-6)


def test_rows_beyond_one_batch() -> None:
    rows = numbers(9000, 4)
    net = network().eval()
    expected = net(torch.tensor(rows, dtype=torch.float32)).argmax(1)
    np.testing.assert_array_equal(ask(net, rows).codes, expected)


def test_what_the_first_rows_showed_holds_for_a_single_one() -> None:
    """A logit between 0 and 1 is class 1, as it was among logits beyond 1."""
    rows = np.linspace(-5, 5, 101)[:, None]
    found = surrogate(lambda r: r[:, 0], rows, output="class", n_refits=0)
    assert found.explain(np.array([0.3])).model_answer == "class 1"
    assert found.explain(np.array([-0.3])).model_answer == "class 0"


# --- tables ------------------------------------------------------------------------------


def test_the_model_gets_the_table_as_it_came() -> None:
    frame = shop()
    seen: list[Any] = []

    def model(rows: Any) -> Any:
        seen.append(rows)
        return buys(rows)

    found = surrogate(model, frame, n_refits=3)
    assert len(seen) == 1  # it is asked once
    pd.testing.assert_frame_equal(seen[0], frame)
    found.explain(frame.iloc[0])
    found.explain(dict(frame.iloc[0]))
    for row in seen[1:]:
        pd.testing.assert_frame_equal(row, frame[:1])


def test_what_the_model_does_to_its_input_changes_nothing() -> None:
    def ruin(rows: Any) -> Any:
        answers = (rows[:, 0] > 0).astype(int)
        rows[:] = 0
        return answers

    rows = numbers()
    kept = rows.copy()
    found = surrogate(ruin, rows, n_refits=0)
    np.testing.assert_array_equal(rows, kept)
    assert found.fidelity.value > 0.95


def test_a_pipeline_of_a_frame_with_categories() -> None:
    frame = shop()
    encoder = make_column_transformer(
        (OneHotEncoder(), ["colour", "smoker"]), remainder="passthrough"
    )
    model = make_pipeline(encoder, RandomForestClassifier(20, random_state=0))
    model.fit(frame, buys(frame))
    found = surrogate(model, frame, n_refits=0)
    assert "Pipeline ending in RandomForestClassifier" in str(found)
    assert found.explain(frame.iloc[7]).model_answer == model.predict(frame[7:8])[0]


def test_frames_of_polars() -> None:
    frame = polars.from_pandas(shop().fillna("blue"))
    found = surrogate(lambda r: buys(r.to_pandas()), frame, n_refits=0)
    assert found.feature_names == ("age", "colour", "smoker")
    assert found.explain(frame[3]).agrees is True


def test_columns_in_another_order_are_found_by_name() -> None:
    frame = shop()
    found = surrogate(buys, frame, n_refits=0)
    turned = frame[["smoker", "age", "colour"]]
    np.testing.assert_array_equal(found.predict(turned), found.predict(frame))


def test_names_that_are_shown_need_not_be_those_of_the_table() -> None:
    frame = shop()
    found = surrogate(buys, frame, feature_names=["years", "hue", "smokes"], n_refits=0)
    assert "smokes is True" in found.rules()
    np.testing.assert_array_equal(found.predict(frame), found.predict(frame[::-1])[::-1])
    assert found.explain(frame.iloc[0]).model_answer == buys(frame[:1])[0]


def test_columns_may_be_named_by_numbers() -> None:
    frame = pd.DataFrame(X)
    model = RandomForestClassifier(5, random_state=0).fit(frame.to_numpy(), Y)
    found = surrogate(lambda r: model.predict(r[[0, 1, 2, 3]].to_numpy()), frame, n_refits=0)
    assert found.feature_names == ("0", "1", "2", "3")
    for row in (X[0], frame.iloc[0], frame[:1]):
        assert found.explain(row).model_answer == "class 0"


def test_nullable_columns_and_categories_of_pandas() -> None:
    frame = shop().fillna({"colour": "blue"})
    kept = frame.astype({"age": "Int64", "colour": "category", "smoker": "boolean"})
    found = surrogate(lambda r: buys(r.astype({"smoker": bool, "age": int})), kept, n_refits=0)
    assert found.rules() == surrogate(buys, frame, n_refits=0).rules()
    assert found.explain(kept.iloc[3]).agrees is True
