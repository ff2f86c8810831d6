"""The command ``fastxai surrogate``: a tree or a sum of few terms in the place of a model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import click

from ._cli_shared import PICTURES, not_an_input, save_picture
from .errors import InvalidInputError, MissingDependencyError, ModelError

_BUILT_IN = ("iris", "wine", "breast-cancer", "diabetes", "digits")
_PICKLES = (".joblib", ".pkl", ".pickle")
_TREES = 300
_MANY = 50  # more different whole numbers than this are values, not classes


class Rows(NamedTuple):
    """A table: features, the column that is set apart, names of features and classes."""

    X: Any
    y: Any = None
    features: list[str] | None = None
    classes: list[str] | None = None


@click.command()
@click.argument("table")
@click.option("--target", help="Column with what is true; never a feature.")
@click.option("--model", "spec", help="model.joblib or module:function [a random forest]")
@click.option(
    "--kind",
    type=click.Choice(["tree", "additive", "linear"]),
    default="tree",
    show_default=True,
)
@click.option("--out", type=click.Path(path_type=Path), help="Picture: .png, .pdf, .svg")
@click.option("--json", "figures", type=click.Path(path_type=Path), help="Figures: .json")
@click.option("--explain", "row", type=click.IntRange(min=0), help="Explain this row (from 0).")
@click.option(
    "--output",
    type=click.Choice(["auto", "class", "probability", "value"]),
    default="auto",
    show_default=True,
    help="What of the model's answers to imitate.",
)
@click.option("--class", "target_class", help="One class, against all others.")
@click.option("--max-leaves", type=click.IntRange(min=2), help="Tree: size [8]")
@click.option("--max-depth", type=click.IntRange(min=1), help="Tree: questions in a row [4]")
@click.option("--min-leaf", type=click.IntRange(min=1), help="Tree: rows in a leaf [5]")
@click.option("--max-terms", type=click.IntRange(min=1), help="Additive, linear: features [8]")
@click.option("--shape", type=click.Choice(["spline", "bins"]), help="Additive: [spline]")
@click.option("--force", is_flag=True, help="Draw also what is too large to be read.")
@click.option("--key", help="Name of the matrix in a .npz file with several.")
@click.option("--title", help="Above the picture [the name of TABLE]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--quiet", is_flag=True, help="No progress, no text.")
def surrogate(
    table: str,
    target: str | None,
    spec: str | None,
    kind: str,
    out: Path | None,
    figures: Path | None,
    row: int | None,
    output: str,
    target_class: str | None,
    force: bool,
    key: str | None,
    title: str | None,
    seed: int,
    quiet: bool,
    **sizes: Any,
) -> None:
    """Imitate what a model answers about the rows of TABLE by a model that one can read.

    TABLE is a .csv, .tsv, .parquet, .npy or .npz file, or one of the built-in data sets iris,
    wine, breast-cancer, diabetes and digits. Without --model a random forest is fitted to the
    column --target, and stands in for one. A --model file is unpickled and a module imported:
    that runs their code.
    """
    if quiet and out is None and figures is None:
        raise click.UsageError("nothing to write: give --out or --json, or leave out --quiet")
    _check_files(table, out, figures)
    rows = _read(table, key, target)
    if row is not None and row >= len(rows.X):
        raise click.UsageError(f"--explain {row}: {table} has the rows 0 to {len(rows.X) - 1}")
    if spec is None:
        model, told = _stand_in(rows, target, seed)
        # Fitted to these very rows it knows them by heart: told is what it is worth.
        y = None
    else:
        model, told = _load_model(spec), None
        rows = _features_of(model, rows, quiet)
        y = None if output == "probability" else rows.y
    from .surrogates.surrogate import surrogate as fit

    options = {name: value for name, value in sizes.items() if value is not None}
    named = None if hasattr(rows.X, "columns") else rows.features
    found = fit(
        model,
        rows.X,
        kind,  # type: ignore[arg-type]
        y=y,
        output=output,  # type: ignore[arg-type]
        target=target_class,
        feature_names=named,
        class_names=rows.classes if output != "value" else None,
        random_state=seed,
        verbose=not quiet,
        **options,
    )
    explained = None if row is None else found.explain(rows.X[row : row + 1])
    heading = title or (Path(table).stem + (f", row {row}" if row is not None else ""))
    if out is not None:
        if explained is None:
            save_picture(out, lambda: found.plot(force=force, title=heading))
        else:
            save_picture(out, lambda: explained.plot(title=heading))
    if not quiet:
        click.echo(found)
        if told is not None:
            click.echo(told)
        click.echo("\n" + (found.rules() if explained is None else f"Row {row}: {explained}"))
    if figures is not None:
        from .io import atomic_write

        with atomic_write(figures) as temporary:
            Path(temporary).write_text(json.dumps(found.to_dict(), indent=2) + "\n", "utf-8")


def _check_files(table: str, out: Path | None, figures: Path | None) -> None:
    from .io import check_output

    for file, endings in ((out, PICTURES), (figures, (".json",))):
        if file is not None:
            check_output(file, endings)
            not_an_input(file, table)


# --- the table ---------------------------------------------------------------------------


def _read(table: str, key: str | None, target: str | None) -> Rows:
    if table in _BUILT_IN and not Path(table).exists():
        if target is not None:
            raise click.UsageError(f"{table} knows its own target: leave out --target")
        return _built_in(table)
    from .io import load_matrix

    try:
        read = load_matrix(table, key=key, labels=target)
    except InvalidInputError as error:
        frame = _read_frame(Path(table), error)
        if target is None:
            return Rows(frame, None, list(frame.columns))
        if target not in frame.columns:
            raise
        X = frame.drop(columns=[target])
        return Rows(X, frame[target].to_numpy(), list(X.columns))
    features = None if read.columns is None else list(read.columns)
    X = read.values.toarray() if hasattr(read.values, "toarray") else read.values
    pandas = _pandas()
    if features is not None and pandas is not None:
        X = pandas.DataFrame(X, columns=features)
    return Rows(X, read.labels, features)


def _built_in(name: str) -> Rows:
    from sklearn import datasets

    loader = getattr(datasets, f"load_{name.replace('-', '_')}")
    found = loader(**({"scaled": False} if name == "diabetes" else {}))
    classes = [str(n) for n in found.target_names] if "target_names" in found else None
    return Rows(found.data, found.target, [str(n) for n in found.feature_names], classes)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        return None
    return pandas


def _read_frame(path: Path, error: InvalidInputError) -> Any:
    """A table with columns of text, or with cells that are empty, by pandas where it is there."""
    name = path.name.lower()
    text = name.removesuffix(".gz").endswith((".csv", ".tsv"))
    if not path.is_file() or not (text or name.endswith((".parquet", ".pq"))):
        raise error
    pandas = _pandas()
    if pandas is None:
        raise MissingDependencyError(f"{error} (columns of text need pandas: pip install pandas)")
    try:
        if text:
            frame = pandas.read_csv(path, sep=None, engine="python")
        else:
            frame = pandas.read_parquet(path)
    except Exception:
        raise error from None
    first = str(frame.columns[0]) if len(frame.columns) else ""
    if first.startswith("Unnamed:") and len(frame.columns) > 1:  # the index that pandas writes
        frame = frame.iloc[:, 1:]
    return frame


# --- the model ---------------------------------------------------------------------------


def _stand_in(rows: Rows, target: str | None, seed: int) -> tuple[Any, str]:
    """A random forest fitted to the target, and what it is worth."""
    import numpy as np

    if rows.y is None:
        raise click.UsageError(
            "whose answers? Give --model, or --target COLUMN for a random forest fitted to it"
        )
    y = np.asarray(rows.y)
    if not len(y):
        raise InvalidInputError("the table has no rows: there is nothing to learn")
    missing = [k for k, v in enumerate(y.tolist()) if v is None or v != v]
    if missing:
        raise InvalidInputError(f"--target: row {missing[0]} has no value; drop such rows")
    numbers = y.dtype.kind in "iuf"
    values = np.unique(y) if numbers else np.array(sorted({str(v) for v in y.tolist()}))
    if len(values) < 2:
        raise InvalidInputError(f"--target holds {values[0]!r} only: there is nothing to learn")
    classes = not numbers or (len(values) <= _MANY and bool((values == np.floor(values)).all()))
    model, forest = _forest(rows.X, classes, seed)
    model.fit(rows.X, y if numbers else np.array([str(v) for v in y.tolist()]))
    worth = (
        f"names {forest.oob_score_:.1%} rightly" if classes else f"has R² {forest.oob_score_:.2f}"
    )
    column = "its target" if target is None else repr(target)
    return model, (
        f"The model: no --model was given, and a random forest of {_TREES} trees stands in, "
        f"fitted to {column} of these {len(y):,} rows; of rows that a tree has not seen it {worth}"
    )


def _forest(X: Any, classes: bool, seed: int) -> tuple[Any, Any]:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestClassifier if classes else RandomForestRegressor
    forest = kind(_TREES, oob_score=True, random_state=seed)
    if not hasattr(X, "columns"):
        return forest, forest
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    words = make_column_selector(dtype_exclude="number")
    if not words(X):
        return forest, forest
    encoder = make_column_transformer((OneHotEncoder(), words), remainder="passthrough")
    return make_pipeline(encoder, forest), forest


def _load_model(spec: str) -> Any:
    """What a pickle holds, or a name in a module: an estimator, a network, a function."""
    if Path(spec).suffix.lower() in _PICKLES:
        import joblib

        from .io import existing_file

        file = existing_file(spec)
        try:
            return joblib.load(file)
        except Exception as error:
            raise InvalidInputError(
                f"{spec} can not be loaded: {type(error).__name__}: {error}"
            ) from error
    module, colon, name = spec.partition(":")
    if not colon or not module or not name:
        raise InvalidInputError(
            f"--model {spec}: give a file ({', '.join(_PICKLES)}) or module:function"
        )
    return _from_module(module, name)


def _from_module(module: str, name: str) -> Any:
    import importlib

    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module + ".").startswith(error.name + "."):
            raise InvalidInputError(f"--model: there is no module {error.name}") from None
        raise ModelError(f"importing {module} failed: {error}") from error
    except Exception as error:
        raise ModelError(f"importing {module} failed: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise InvalidInputError(f"--model: {module} has nothing named {part}")
        found = getattr(found, part)
    return found


def _features_of(model: Any, rows: Rows, quiet: bool) -> Rows:
    """The columns that the model was fitted with, where it tells and more are there."""
    wanted = getattr(model, "feature_names_in_", None)
    if wanted is None or rows.features is None:
        return rows
    names = [str(name) for name in wanted]
    if not set(names) <= set(rows.features) or names == rows.features:
        return rows
    left = [name for name in rows.features if name not in names]
    if left and not quiet:
        click.echo(f"left out, since the model does not know them: {', '.join(left)}", err=True)
    if hasattr(rows.X, "columns"):
        return rows._replace(X=rows.X[names], features=names)
    places = [rows.features.index(name) for name in names]
    return rows._replace(X=rows.X[:, places], features=names)
