"""What is true of the rows, beside what the model says: another question than fidelity."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .answers import Answers
from .fidelity import Truth, r2, to_codes


class Known(NamedTuple):
    """The true class of each row (-1: none of the model's), or its true value."""

    codes: NDArray[np.intp] | None
    values: NDArray[np.float64] | None


def read_truth(y: Any, answers: Answers, one: Any = None) -> Known:
    """Read y, in the model's own labels or its class names; of ``one``, whether it is that.

    Raises
    ------
    InvalidInputError
        If there is not one a row, one is missing, or none of y is a label of the model.
    """
    given = np.asarray(y)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    n = len(answers)
    if len(given) != n or given.ndim != 1:
        if given.ndim != 1 and answers.values is not None and given.shape == answers.values.shape:
            return Known(None, _finite(given))
        raise InvalidInputError(f"y has the shape {given.shape} and X {n} rows: give one a row")
    if answers.output == "value":
        assert answers.values is not None
        if answers.values.shape[1] != 1:
            raise InvalidInputError(f"y has one column and the model {answers.values.shape[1]}")
        return Known(None, _finite(given[:, None]))
    if answers.codes is None:
        raise InvalidInputError(
            "y can not be compared with probabilities: leave it out, or take output='class'"
        )
    missing = [k for k, v in enumerate(given.tolist()) if _is_missing(v)]
    if missing:
        raise InvalidInputError(
            f"y has no value for row {missing[0]} ({len(missing):,} of {n:,} rows): a model is "
            "neither right nor wrong there; leave such rows out"
        )
    if one is not None:
        asked = {_plain(one), answers.names[1]}
        ones = np.array([_plain(v) in asked for v in given.tolist()], np.intp)
        if not ones.any():
            raise InvalidInputError(
                f"y holds {_some(given.tolist())}, none of which is {answers.names[1]}, the class "
                "of target="
            )
        return Known(ones, None)
    place = {name: k for k, name in enumerate(answers.names)}
    place |= {_plain(label): k for k, label in enumerate(answers.labels)}
    codes = np.array([place.get(_plain(v), -1) for v in given.tolist()], np.intp)
    if (codes < 0).all():
        raise InvalidInputError(
            f"y holds {_some(given.tolist())}, none of which the model answers: its classes are "
            f"{_some(list(answers.labels))}"
        )
    return Known(codes, None)


def compare(known: Known, answers: Answers, scores: Any, rows: NDArray[np.intp]) -> Truth:
    """How often the model and the surrogate are right about the rows."""
    if known.codes is not None:
        assert answers.codes is not None
        truth = known.codes[rows]
        model = float(np.mean(answers.codes[rows] == truth))
        return Truth(model, float(np.mean(to_codes(scores) == truth)), "accuracy")
    assert known.values is not None and answers.values is not None
    values = known.values[rows]
    return Truth(r2(values, answers.values[rows]), r2(values, scores), "R²")


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise InvalidInputError("y holds what is no finite number, and the model answers numbers")
    return values.astype(np.float64)


def _is_missing(value: Any) -> bool:
    """None, NaN, or pandas' NA, which is not even equal or unequal to itself."""
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def _plain(label: Any) -> Any:
    """1, 1.0, True and "1" are one label; a model may have read them in another form."""
    if isinstance(label, (bool, int, float)):
        return str(int(label)) if float(label).is_integer() else str(float(label))
    return str(label)


def _some(labels: list[Any]) -> str:
    names = sorted({str(label) for label in labels})
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
