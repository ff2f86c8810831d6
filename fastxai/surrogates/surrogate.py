"""`fastxai.surrogate`: a transparent stand-in for a model of tables, its fidelity first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from fastxai_kernels.cpu._blas import single_threaded_blas

from .._checks import check_whole
from .._warn import warn
from ..embed.validation import check_seed
from ..errors import InvalidInputError
from ..progress import open_progress
from .additive import fit_additive
from .answers import Answers, BlackBox
from .assemble import assemble
from .columns import check_finite, read_table
from .judge import judge, plan_of, refit
from .linear import fit_linear
from .result import Surrogate
from .tree import fit_tree
from .truth import read_truth

KINDS = ("tree", "additive", "linear")
_OWN: dict[str, dict[str, Any]] = {
    "tree": {"max_leaves": 8, "max_depth": 4, "min_leaf": 5},
    "additive": {"max_terms": 8, "shape": "spline"},
    "linear": {"max_terms": 8},
}
_SHAPES = ("spline", "bins")


def surrogate(
    model_or_predict: Any,
    X: Any,
    kind: Literal["tree", "additive", "linear"] = "tree",
    *,
    y: Any = None,
    output: Literal["auto", "class", "probability", "value"] = "auto",
    target: Any = None,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    max_leaves: int | None = None,
    max_depth: int | None = None,
    min_leaf: int | None = None,
    max_terms: int | None = None,
    shape: Literal["spline", "bins"] | None = None,
    held_out: float | int | Literal["auto"] = "auto",
    n_refits: int = 10,
    random_state: Any = 0,
    verbose: bool = False,
) -> Surrogate:
    """Fit a model that one can read to what another model answers.

    Parameters
    ----------
    model_or_predict : estimator, torch.nn.Module or callable
        Who is asked about the rows of X, once: ``predict_proba`` of a fitted classifier, else its
        ``decision_function``, else ``predict``; a network of tables, which leaves as it came; or
        any function that takes rows and returns labels (n,), numbers (n,), or a column a class
        (n, K).
    X : DataFrame or array-like of shape (n, d)
        Rows like those that the model is used for, 10 or more; they need no labels.  Columns of
        text or categories may be part of a DataFrame, and NaN where ``kind="tree"``, if the
        model takes them.
    kind : {"tree", "additive", "linear"}, default "tree"
        A decision tree; a sum of curves, one a feature; a sum of weights times features.
    y : array-like of shape (n,), optional
        What is true of the rows.  Nothing is fitted to it: it says how often the model and the
        surrogate are right, which is another question than how alike they are.
    output : {"auto", "class", "probability", "value"}, default "auto"
        What is imitated: the model's class, its probabilities, or its numbers.  "auto" is the
        class where it answers classes or a column a class.
    target : str or int, optional
        One class, by name, label or number: it against all others, or its probability.
    feature_names, class_names : sequence of str, optional
        Names to be shown; by default those of the DataFrame and of the model.
    max_leaves, max_depth, min_leaf : int, optional
        Of a tree [8, 4, 5]: its size, and the fewest rows of a leaf.
    max_terms : int, optional
        Of a sum [8].
    shape : {"spline", "bins"}, optional
        Of the terms of an additive model ["spline"]: cubic splines, or steps at quantiles.
    held_out : float, int or "auto", default "auto"
        Rows that the fidelity is measured on: a share, or a number of folds.  "auto" is 5 folds
        below 2,000 rows, else a quarter.
    n_refits : int, default 10
        Fits to rows drawn again (bootstrap), which say how stable the surrogate is.
    random_state : int, None, Generator or RandomState, default 0
        Splits, resampling and ties.
    verbose : bool, default False
        Show progress on stderr.

    Returns
    -------
    Surrogate

    Raises
    ------
    InvalidInputError
        If X, names or options can not be worked with, the model is not fitted, or it answers the
        same for all rows.
    ModelError
        If the model raises, or returns what is no answer about each row.

    Notes
    -----
    The fidelity is no measure of truth: a surrogate that agrees with a wrong model is wrong as
    often.  Where it disagrees with the model, what it says about the row does not explain the
    model.  See Craven and Shavlik 1995; Molnar, *Interpretable Machine Learning*, "Global
    surrogate"; Rudin 2019, "Stop explaining black box machine learning models".

    Examples
    --------
    >>> import fastxai
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> iris = load_iris(as_frame=True)
    >>> forest = RandomForestClassifier(random_state=0).fit(iris.data, iris.target)
    >>> tree = fastxai.surrogate(
    ...     forest, iris.data, "tree", class_names=iris.target_names, max_leaves=3
    ... )
    >>> tree.size
    {'leaves': 3, 'depth': 2}
    >>> bool(tree.fidelity.value > 0.9)
    True
    """
    if kind not in KINDS:
        raise InvalidInputError(f"kind={kind!r}: choose one of {', '.join(KINDS)}")
    options = _options(
        kind,
        max_leaves=max_leaves,
        max_depth=max_depth,
        min_leaf=min_leaf,
        max_terms=max_terms,
        shape=shape,
    )
    check_whole("n_refits", n_refits, 0)
    seed = check_seed(random_state)
    box = BlackBox(model_or_predict, output, target, class_names)
    columns, Z = read_table(X, feature_names)
    if kind != "tree":
        check_finite(Z, columns.encoded_names, missing=False)
    if not (np.nanmax(Z, axis=0) > np.nanmin(Z, axis=0)).any() and not np.isnan(Z).any():
        raise InvalidInputError(
            f"all features are the same for all {len(Z)} rows: nothing tells the rows apart"
        )
    with open_progress(verbose) as progress:
        with progress.stage("asking the model"):
            answers = box(_copy(X))
        _check_answers(answers, box.name)
        plan = plan_of(held_out, answers, seed)
        fit = partial(_FITS[kind], seed=seed, **options)
        if kind == "linear":
            fit = partial(fit, owners=[k for k, _ in columns.encoded])
        if kind == "additive":
            fit = partial(fit, columns=columns)
        known = None if y is None else read_truth(y, answers, box.one)
        with single_threaded_blas():  # the same bits whatever the number of threads
            with progress.stage("fitting", len(plan.splits) + 1) as advance:
                judged = judge(fit, Z, answers, plan, advance)
            with progress.stage("fitting again", max(n_refits, 1)) as advance:
                again = refit(fit, Z, answers, judged.forms[-1], n_refits, seed, advance)
    if judged.fidelity.empty:
        warn(
            f"the surrogate is no better than a constant ({judged.fidelity.headline}): it explains "
            f"nothing of {box.name}; try another kind, or a larger one"
        )
    return assemble(kind, columns, X, Z, answers, box, judged, again, known)


def _copy(X: Any) -> Any:
    """What the model is given, to do with as it likes."""
    if hasattr(X, "columns"):
        return X.copy() if hasattr(X, "copy") else X
    return np.array(X)


_FITS: dict[str, Any] = {"tree": fit_tree, "additive": fit_additive, "linear": fit_linear}


def _options(kind: str, **given: Any) -> dict[str, Any]:
    """The options of a kind; those of other kinds are refused."""
    own = dict(_OWN[kind])
    for name, value in given.items():
        if value is None:
            continue
        if name not in own:
            owners = " and ".join(repr(other) for other in KINDS if name in _OWN[other])
            raise InvalidInputError(f"{name}={value!r} is for kind={owners}, not {kind!r}")
        if name == "shape":
            if value not in _SHAPES:
                raise InvalidInputError(f"shape={value!r}: choose one of {', '.join(_SHAPES)}")
        else:
            check_whole(name, value, 2 if name == "max_leaves" else 1)
        own[name] = value
    return own


def _check_answers(answers: Answers, name: str) -> None:
    """Refuse answers that are the same for all rows."""
    if answers.codes is not None:
        same = len(np.unique(answers.codes)) == 1
    else:
        assert answers.values is not None
        reach = np.abs(answers.values).max(axis=0)
        same = bool((np.ptp(answers.values, axis=0) <= 1e-12 * reach).all())
    if same:
        raise InvalidInputError(
            f"{name} answers the same, {answers.text(0)}, for all {len(answers)} rows: there is "
            "nothing to imitate; give rows about which its answers differ, or output="
            "'probability', which may differ where the class does not"
        )
