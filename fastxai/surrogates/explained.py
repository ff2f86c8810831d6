"""What a surrogate says about one row: its way through the tree, or its sum of terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .columns import Columns
from .fidelity import share
from .tree import TreeForm
from .words import counted, number, question, value_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .terms import SumForm

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """One split that a row passed.

    Attributes
    ----------
    feature : str
    condition : str
        What holds of the row: "> 0.8", "is red".
    value : str
        The row's own value.
    threshold : float or None
        Of numbers.
    number : float or None
        The row's value, if it is a number (NaN if missing).
    span : tuple of float or None
        The middle 98% of the rows that the surrogate was fitted to.
    """

    feature: str
    condition: str
    value: str
    threshold: float | None = None
    number: float | None = None
    span: tuple[float, float] | None = None

    def __str__(self) -> str:
        if self.threshold is None:
            return f"{self.feature} {self.condition}"
        return f"{self.feature} {self.condition} (it is {self.value})"


@dataclass(frozen=True)
class Path:
    """The way of one row through a tree; made by ``Surrogate.explain``.

    Attributes
    ----------
    answer : str
        What the surrogate says.
    model_answer : str or None
        What the model says; None where it is not at hand.
    agrees : bool or None
        Of classes, whether these are the same.  Where not, the rules do not explain the model.
    rules : tuple of Rule
    rows : int
        How many rows of those that the surrogate was fitted to end in the same leaf.
    leaf : float
        For how many of these the model gives the leaf's class, as a share; for numbers, the
        leaf's mean.
    classes : bool
        Whether the answers are classes.
    fidelity : str
        Of the surrogate as a whole.
    """

    answer: str
    model_answer: str | None
    agrees: bool | None
    rules: tuple[Rule, ...]
    rows: int
    leaf: float
    classes: bool
    fidelity: str

    def __str__(self) -> str:
        lines = [self.fidelity, _verdict(self.answer, self.model_answer, self.agrees), "because"]
        lines += [f"  {rule}" for rule in self.rules] or ["  (a tree without a split)"]
        lines.append(self.leaf_text)
        return "\n".join(lines)

    @property
    def leaf_text(self) -> str:
        """What is known of the leaf."""
        if not self.classes:
            return f"there {counted(self.rows, 'row')} end, with a mean answer of {self.answer}"
        return (
            f"there {counted(self.rows, 'row')} end, and the model says {self.answer} of "
            f"{share(self.leaf)}"
        )

    def plot(self, *, title: str | None = None) -> Figure:
        """Draw each rule as a scale with the threshold and the row's value."""
        from .picture_sample import draw_path

        return draw_path(self, title)


@dataclass(frozen=True)
class Sum:
    """What each term adds for one row; made by ``Surrogate.explain``.

    Attributes
    ----------
    answer, model_answer, agrees
        As in `Path`.
    of : str
        Whose score the terms add up to: the class's, or the number's name.
    unit : str
        "log-odds", "score", "probability" or "value".
    base : float
        The score of an average row.
    parts : tuple of (name, value, contribution)
        The largest first.
    fidelity : str
    """

    answer: str
    model_answer: str | None
    agrees: bool | None
    of: str
    unit: str
    base: float
    parts: tuple[tuple[str, str, float], ...]
    fidelity: str

    @property
    def total(self) -> float:
        """Base and all contributions."""
        return self.base + sum(part[2] for part in self.parts)

    @property
    def score(self) -> str:
        """What the terms add up to, in words."""
        return self.of if self.unit == "value" else f"{self.unit} of {self.of}"

    def __str__(self) -> str:
        lines = [self.fidelity, _verdict(self.answer, self.model_answer, self.agrees)]
        lines.append(f"{self.score}: {number(self.total)} =")
        width = max([len(f"{name} = {value}") for name, value, _ in self.parts] + [14])
        lines.append(f"  {'an average row':<{width}}  {_signed(self.base)}")
        for name, value, amount in self.parts:
            lines.append(f"  {f'{name} = {value}':<{width}}  {_signed(amount)}")
        return "\n".join(lines)

    def plot(self, *, title: str | None = None) -> Figure:
        """Draw the sum as a waterfall."""
        from .picture_sample import draw_sum

        return draw_sum(self, title)


def _signed(value: float) -> str:
    text = number(abs(value))
    return f"{'−' if value < 0 else '+'}{text}"


def _verdict(answer: str, model_answer: str | None, agrees: bool | None) -> str:
    if model_answer is None:
        return f"the surrogate says {answer}"
    if agrees is None:
        return f"the surrogate says {answer}, the model {model_answer}"
    if agrees:
        return f"the surrogate says {answer}, and so does the model"
    return (
        f"the surrogate says {answer}, the model {model_answer}: "
        "what follows does not explain the model"
    )


def explain_by_path(
    form: TreeForm, columns: Columns, row: Numbers, spans: Numbers, about: dict[str, Any]
) -> Path:
    """The rules that a row (d,) passes."""
    tree, way = form.estimator.tree_, form.way(row)
    rules = []
    for node in way[:-1]:
        place, threshold = int(tree.feature[node]), float(tree.threshold[node])
        asked = question(columns, place, threshold)
        condition = asked.left if form.goes_left(node, row) else asked.right
        column, level = columns.encoded[place]
        value = value_text(columns, column, row, None if level else threshold)
        if level:
            rules.append(Rule(asked.name, condition, value))
            continue
        if value == "missing":
            condition = f"{condition}, or missing"
        span = (float(spans[place, 0]), float(spans[place, 1]))
        rules.append(Rule(asked.name, condition, value, threshold, float(row[place]), span))
    end = way[-1]
    return Path(
        rules=tuple(rules),
        rows=int(tree.n_node_samples[end]),
        leaf=float(form.values[end].max()),
        **about,
    )


def explain_by_sum(
    form: SumForm, columns: Columns, row: Numbers, k: int, sign: float, about: dict[str, Any]
) -> Sum:
    """What each term adds to the k-th score of a row (d,)."""
    parts = []
    for term in form.terms:
        amount = sign * float(term.contributions(row[None])[0, k])
        place = getattr(term, "place", None)
        value = value_text(columns, term.column, row)
        level = "" if place is None else columns.encoded[place][1]
        if level and len(columns.columns[term.column].levels) > 2 and value != level:
            value = f"not {level}"  # the other levels have terms of their own
        parts.append((columns.names[term.column], value, amount))
    parts.sort(key=lambda part: -abs(part[2]))
    return Sum(base=sign * float(form.base[k]), parts=tuple(parts), **about)


def one_row(X: Any, columns: Columns) -> Any:
    """One row as a table of one row, in the form in which models take it."""
    if hasattr(X, "to_frame") and not hasattr(X, "columns"):  # a row of a DataFrame
        X = {str(name): [value] for name, value in X.items()}
    if isinstance(X, dict):
        return {str(name): np.atleast_1d(np.asarray(value)) for name, value in X.items()}
    if hasattr(X, "columns"):
        if len(X) != 1:
            raise InvalidInputError(f"explain takes one row, and X has {len(X)}")
        return X
    row = np.asarray(X)
    row = row[None] if row.ndim == 1 else row
    if row.ndim != 2 or len(row) != 1:
        raise InvalidInputError(
            f"explain takes one row of {len(columns.columns)} features, such as X[3], and got "
            f"{f'an array of shape {row.shape}' if row.ndim else repr(X)}"
        )
    return row
