"""What `fastxai.surrogate` returns: a model that can be read, and how true it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .answers import Answers, BlackBox
from .columns import Columns
from .explained import Path, Sum, explain_by_path, explain_by_sum, one_row
from .fidelity import AGREEMENT, Fidelity, Truth, figure, share, to_codes
from .judge import Stability
from .tree import TreeForm
from .words import size_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LEAVES, MOST_DEPTH, MOST_TERMS = 16, 4, 16  # that a person reads


class Surrogate:
    """A transparent stand-in for a model; made by `fastxai.surrogate`.

    It can be pickled; the model itself is left out then, so that `explain` no longer tells what
    the model says about a row.

    Attributes
    ----------
    kind : {"tree", "additive", "linear"}
    fidelity : Fidelity
        How true it is to the model, on rows held out of the fit: ``value``, and that of a
        ``constant``.
    size : dict of str to int
        Leaves and depth, or terms.
    by_size : list of (dict, float)
        The sizes of smaller surrogates, fitted in the same way, and their fidelity.
    truth : Truth or None
        Accuracy or R² of the model and of the surrogate on y.
    stability : Stability
        What became of it when the rows were drawn again.
    output : {"class", "probability", "value"}
        What is imitated.
    names : tuple of str
        Of the classes, or of the numbers.
    feature_names : tuple of str
    model_name : str
    form : TreeForm or SumForm
        The fitted parts; ``form.estimator`` is scikit-learn's tree.
    """

    def __init__(self, **parts: Any) -> None:
        self.kind: str = parts["kind"]
        self.columns: Columns = parts["columns"]
        self.output: str = parts["output"]
        self.names: tuple[str, ...] = parts["names"]
        self.labels: tuple[Any, ...] = parts["labels"]
        self.model_name: str = parts["model_name"]
        self.form: Any = parts["form"]
        self.fidelity: Fidelity = parts["fidelity"]
        self.by_size: list[tuple[dict[str, int], float]] = parts["by_size"]
        self.stability: Stability = parts["stability"]
        self.truth: Truth | None = parts["truth"]
        self.quantiles: NDArray[np.float64] = parts["quantiles"]
        self._box: BlackBox | None = parts["box"]
        self._dtypes: Any = parts["dtypes"]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_box": None}

    @property
    def size(self) -> dict[str, int]:
        """Leaves and depth of a tree, terms of a sum."""
        found: dict[str, int] = self.form.size
        return found

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features."""
        return self.columns.names

    @property
    def headline(self) -> str:
        """Fidelity and size in one line: the title of every picture."""
        return f"{self.fidelity.headline} · {size_text(self.size)}"

    @property
    def readable(self) -> bool:
        """Whether a person can take it in: at most 16 leaves, depth 4, or 16 terms."""
        size = self.size
        return (
            size.get("leaves", 0) <= MOST_LEAVES
            and size.get("depth", 0) <= MOST_DEPTH
            and size.get("terms", 0) <= MOST_TERMS
        )

    def __repr__(self) -> str:
        value = self.fidelity.value
        kept = share(value) if self.fidelity.measure == AGREEMENT else figure(value)
        return (
            f"Surrogate({self.fidelity.measure} {kept}, {size_text(self.size)}: "
            f"{self.kind} for {self.model_name})"
        )

    def __str__(self) -> str:
        from .listed import describe

        return describe(self)

    # --- use ---------------------------------------------------------------------------

    def predict(self, X: Any) -> NDArray[Any]:
        """What the surrogate answers: labels as the model's, or numbers.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, d)
            With the features that it was fitted to.

        Returns
        -------
        ndarray of shape (n,) or, of several numbers, (n, M)
        """
        scores = self.form.scores(self.columns.encode(X, missing=self.kind == "tree"))
        if self.output == "class":
            return np.array(self.labels)[to_codes(scores)]
        return np.asarray(scores[:, 0] if scores.shape[1] == 1 else scores)

    def explain(self, x: Any, *, target: Any = None) -> Path | Sum:
        """Why the surrogate answers what it answers about one row.

        Parameters
        ----------
        x : array-like of shape (d,) or (1, d), dict, or row of a DataFrame
        target : str or int, optional
            Of a sum, whose score to take apart, by name or number; by default that of the class
            that the surrogate says.

        Returns
        -------
        Path or Sum
            ``str()`` and ``plot()`` show it.  It tells whether the model agrees: where it does
            not, this is no explanation of the model.
        """
        given = one_row(x, self.columns)
        row = self.columns.encode(given, missing=self.kind == "tree")
        scores = self.form.scores(row)
        said = self._answers(scores)
        model = self._box(self._as_model_takes(given)) if self._box is not None else None
        about: dict[str, Any] = {
            "answer": said.text(0),
            "model_answer": None if model is None else model.text(0),
            "agrees": None
            if model is None or model.codes is None
            else bool(model.codes[0] == to_codes(scores)[0]),
            "fidelity": self.headline,
        }
        if isinstance(self.form, TreeForm):
            if target is not None:
                raise InvalidInputError("target= is for sums: the way through a tree is one")
            about["classes"] = self.output == "class"
            spans = np.quantile(self.quantiles, [0.0, 1.0], axis=0).T
            return explain_by_path(self.form, self.columns, row[0], spans, about)
        k, sign, of = self._score_of(target, scores)
        unit = "value" if self.output == "value" else "probability"
        if self.output == "class":
            unit = "log-odds" if scores.shape[1] == 1 else "score"
        about |= {"of": of, "unit": unit}
        return explain_by_sum(self.form, self.columns, row[0], k, sign, about)

    def _answers(self, scores: NDArray[np.float64]) -> Answers:
        if self.output == "class":
            return Answers("class", self.names, self.labels, to_codes(scores))
        return Answers(self.output, self.names, values=scores)

    def _score_of(self, target: Any, scores: NDArray[np.float64]) -> tuple[int, float, str]:
        """Which score is taken apart, its sign, and whose it is."""
        if target is None:
            k = int(to_codes(scores)[0]) if self.output == "class" else 0
        elif target in self.names:
            k = self.names.index(target)
        elif isinstance(target, (int, np.integer)) and 0 <= target < len(self.names):
            k = int(target)
        else:
            raise InvalidInputError(f"target={target!r}: choose one of {', '.join(self.names)}")
        if self.output == "class" and scores.shape[1] == 1:
            return 0, 1.0 if k == 1 else -1.0, self.names[k]
        return k, 1.0, self.names[k]

    def _as_model_takes(self, given: Any) -> Any:
        """A row in the form of the table that the model was asked about."""
        if not isinstance(given, dict) and (self._dtypes is None or hasattr(given, "columns")):
            return given
        if self._dtypes is None:
            return np.column_stack([given[name] for name in self.columns.keys])
        if not isinstance(given, dict):
            given = dict(zip(self.columns.keys, np.asarray(given).T, strict=True))
        import pandas

        pairs = zip(self._dtypes, self.columns.keys, strict=True)
        return pandas.DataFrame({name: given[key] for name, key in pairs}).astype(self._dtypes)

    def rules(self) -> str:
        """The whole surrogate as text: a tree's questions, or a sum's terms by their weight."""
        from .listed import list_terms, list_tree

        listed = list_tree(self) if isinstance(self.form, TreeForm) else list_terms(self)
        return f"{self.headline}\n{listed}"

    def plot(self, *, force: bool = False, title: str | None = None) -> Figure:
        """Draw the tree, each term's curve, or the weights; the fidelity is the title.

        Parameters
        ----------
        force : bool, default False
            Draw also what nobody reads: more than 16 leaves, a depth of more than 4, or more
            than 16 terms.
        title : str, optional
            A line above the fidelity.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        InvalidInputError
            If it is too large to be read.
        """
        if not self.readable and not force:
            option = "max_leaves and max_depth" if self.kind == "tree" else "max_terms"
            raise InvalidInputError(
                f"{size_text(self.size)}: a picture of more than {MOST_LEAVES} leaves, a depth of "
                f"{MOST_DEPTH}, or {MOST_TERMS} terms is not read; make it smaller ({option}), or "
                "draw it all the same with force=True"
            )
        from .picture_curves import draw_curves
        from .picture_tree import draw_tree
        from .picture_weights import draw_weights

        draw = {"tree": draw_tree, "additive": draw_curves, "linear": draw_weights}[self.kind]
        return draw(self, title)

    def plot_sizes(self, *, title: str | None = None) -> Figure:
        """Draw the fidelity of smaller surrogates: how much each further leaf or term brings."""
        from .picture_weights import draw_sizes

        return draw_sizes(self, title)

    def to_dict(self) -> dict[str, Any]:
        """Figures, size and rules, ready for JSON."""
        from .listed import as_dict

        return as_dict(self)
