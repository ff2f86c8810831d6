"""What the model answers about each row: the only truth that a surrogate knows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError, ModelError
from .asking import Raw, caller, check_raw, is_regressor, name_of

OUTPUTS = ("auto", "class", "probability", "value")
_MANY = 50  # more different whole numbers than this are values, not classes


@dataclass(frozen=True)
class Answers:
    """What a surrogate is fitted to.

    Attributes
    ----------
    output : {"class", "probability", "value"}
    names : tuple of str
        Of the classes, or of the numbers.
    labels : tuple
        The classes as the model gives them; empty for numbers.
    codes : ndarray of shape (n,), intp, or None
        The number of each row's class.
    values : ndarray of shape (n, M), float64, or None
        Probabilities or values.
    """

    output: str
    names: tuple[str, ...]
    labels: tuple[Any, ...] = ()
    codes: NDArray[np.intp] | None = None
    values: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.codes if self.codes is not None else self._numbers)

    @property
    def _numbers(self) -> NDArray[np.float64]:
        assert self.values is not None
        return self.values

    def some(self, rows: NDArray[np.intp]) -> Answers:
        """Those about some of the rows."""
        codes = None if self.codes is None else self.codes[rows]
        values = None if self.values is None else self.values[rows]
        return Answers(self.output, self.names, self.labels, codes, values)

    def text(self, row: int) -> str:
        """The answer about one row, in words."""
        if self.codes is not None:
            return str(self.names[int(self.codes[row])])
        return ", ".join(f"{value:.4g}" for value in self._numbers[row])


class BlackBox:
    """The model behind one question: rows in, `Answers` out.

    Parameters
    ----------
    model
        A fitted estimator, a torch module, or any function of rows.
    output, target, class_names
        See `fastxai.surrogate`.
    """

    def __init__(
        self, model: Any, output: str, target: Any, class_names: Sequence[str] | None
    ) -> None:
        if output not in OUTPUTS:
            raise InvalidInputError(f"output={output!r}: choose one of {', '.join(OUTPUTS)}")
        self.model, self.output, self.target = model, output, target
        self.class_names = None if class_names is None else tuple(map(str, class_names))
        self.name = name_of(model)
        self._call = caller(model)
        # What the first answers showed holds for all later ones, a single row's, too.
        self._kind: str | None = None
        self._labels: tuple[Any, ...] | None = None
        self._shares = False
        self.one: Any = None  # the label of the class that is told from all others

    def __call__(self, X: Any) -> Answers:
        """Ask about some rows.

        Raises
        ------
        ModelError
            If the model raises, or returns what is no answer about each row.
        """
        n = len(X)
        try:
            raw = self._call(X)
        except (InvalidInputError, ModelError):
            raise
        except Exception as error:
            said = (str(error).strip().splitlines() or [""])[0]
            raise ModelError(f"{self.name} raised {type(error).__name__}: {said}") from error
        check_raw(raw, n, self.name)
        found = self._read(raw)
        return found if self.target is None else self._one_target(found)

    def _read(self, raw: Raw) -> Answers:
        if self._kind is None:
            self._look(raw)
        output = self.output
        if output == "auto":
            output = "value" if self._kind == "numbers" else "class"
        if output == "class":
            if is_regressor(self.model):
                raise InvalidInputError(
                    f"output='class': {self.name} is a regressor, whose answers are numbers and "
                    "no classes; choose output='value'"
                )
            return self._classes(raw)
        words = raw.kind == "labels" and raw.values.dtype.kind not in "biuf"
        if words or (raw.kind == "labels" and output == "probability"):
            raise InvalidInputError(
                f"output={output!r}: {self.name} answers classes and no numbers; choose "
                "output='class', or give a function that returns numbers"
            )
        values = raw.values.reshape(len(raw.values), -1).astype(np.float64)
        if output == "probability":
            values = self._probabilities(values)
        names = self._names(values.shape[1], raw, "answer" if output == "value" else "class")
        if output == "probability" and values.shape[1] == 2 and self.target is None:
            values, names = values[:, 1:], names[1:]  # the other is what is left to 1
        return Answers(output, names, values=values)

    def _look(self, raw: Raw) -> None:
        """Note of the first answers what later ones, of one row perhaps, do not show."""
        self._kind, self._labels = raw.kind, raw.labels
        if raw.kind == "labels":
            if raw.labels is None:
                self._labels = tuple(np.unique(raw.values).tolist())
                if raw.values.dtype.kind in "iu" and len(self._labels or ()) > _MANY:
                    self._kind = "numbers"
            return
        self._shares = bool((raw.values >= 0).all() and (raw.values <= 1).all())

    def _classes(self, raw: Raw) -> Answers:
        labels = self._labels
        if raw.kind == "labels":
            assert labels is not None
            place = {label: k for k, label in enumerate(labels)}
            codes = np.array([place.get(label, -1) for label in raw.values.tolist()], np.intp)
            if (codes < 0).any():
                strange = raw.values[int(codes.argmin())]
                raise ModelError(f"{self.name} answered {strange}, which is none of its classes")
        elif raw.values.shape[1] == 1 and raw.kind == "numbers":
            half = 0.5 if self._shares else 0.0
            codes, labels = (raw.values[:, 0] > half).astype(np.intp), (0, 1)
        else:
            codes = raw.values.argmax(axis=1).astype(np.intp)
            labels = labels or tuple(range(raw.values.shape[1]))
        names = self._names(len(labels), Raw(raw.kind, raw.values, labels), "class")
        return Answers("class", names, labels, codes)

    def _probabilities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares as they are; of a network's logits, its softmax or logistic function."""
        if self._kind == "probabilities" or (self._kind == "numbers" and self._shares):
            return values
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(self.model, torch.nn.Module):
            from scipy.special import expit, softmax

            one = values.shape[1] == 1
            return np.asarray(expit(values) if one else softmax(values, axis=1))
        raise InvalidInputError(
            f"output='probability': {self.name} returns no probabilities; choose output='class' "
            "or 'value', or fit it so that it has predict_proba"
        )

    def _names(self, count: int, raw: Raw, word: str) -> tuple[str, ...]:
        if self.class_names is not None:
            if len(self.class_names) != count:
                raise InvalidInputError(
                    f"{len(self.class_names)} class_names, and {self.name} answers {count}"
                )
            return self.class_names
        if raw.labels is not None and len(raw.labels) == count:
            numbers = all(isinstance(label, (int, float)) for label in raw.labels)
            return tuple(f"class {label}" if numbers else str(label) for label in raw.labels)
        return (word,) if count == 1 else tuple(f"{word} {k}" for k in range(count))

    def _one_target(self, found: Answers) -> Answers:
        """One class against the others, or one number of several."""
        target = self.target
        named = [k for k, name in enumerate(found.names) if name == target]
        # The command and people write numbers as text.
        named = named or [k for k, label in enumerate(found.labels) if str(label) == str(target)]
        if not named and isinstance(target, (int, np.integer)) and 0 <= target < len(found.names):
            named = [int(target)]
        if not named and len(found.names) == 1:
            raise InvalidInputError(
                f"target={target!r}: {self.name} answers one number a row, and there is nothing "
                "to choose from: leave target= out"
            )
        if not named:
            raise InvalidInputError(
                f"target={target!r} is none of what the model answers: {', '.join(found.names)}"
            )
        k = named[0]
        if found.codes is None:
            assert found.values is not None
            return Answers(found.output, (found.names[k],), values=found.values[:, [k]])
        self.one, name = found.labels[k], found.names[k]
        codes = (found.codes == k).astype(np.intp)
        return Answers("class", (f"not {name}", name), (False, True), codes)
