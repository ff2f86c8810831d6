"""The command ``fastxai sweep``: one file under several settings, in one picture."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

_BUILT_IN = ("digits", "fashion-mnist")
_NAMES = {"tsne": "t-SNE", "umap": "UMAP"}
_OPTIONS = {
    "tsne": {
        *("perplexity", "early_exaggeration", "exaggeration", "learning_rate", "max_iter"),
        *("tol", "dof"),
    },
    "umap": {"n_neighbors", "min_dist", "spread", "n_epochs"},
}


def _list(context: Any, parameter: Any, text: str | None) -> list[Any] | None:
    """Numbers with commas between them; those joined by + are one setting."""
    if text is None:
        return None
    values: list[Any] = []
    for part in text.split(","):
        try:
            numbers = [_number(one) for one in part.split("+")]
        except ValueError:
            raise click.BadParameter(f"{text!r}: numbers with commas are expected") from None
        values.append(numbers[0] if len(numbers) == 1 else tuple(numbers))
    return values


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


@click.command()
@click.argument("input")
@click.option("--method", type=click.Choice(["tsne", "umap"]), default="tsne", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Picture: .png, .pdf, .svg")
@click.option("--json", "table", type=click.Path(path_type=Path), help="Figures: .json")
@click.option("--embeddings", type=click.Path(path_type=Path), help="Coordinates: .npz")
@click.option("--perplexity", callback=_list, help="t-SNE: [5,30,100]; 30+300 is one panel")
@click.option("--n-neighbors", callback=_list, help="UMAP: [5,15,50]")
@click.option("--min-dist", callback=_list, help="UMAP: [0.1]")
@click.option("--seeds", callback=_list, help="One panel for each, of each setting")
@click.option("--labels", help="File with one label a point, or the name of a column of INPUT.")
@click.option("--key", help="Name of the matrix in a .npz file with several.")
@click.option("--rows", type=click.IntRange(min=2), help="Take so many rows at random.")
@click.option("--no-null", is_flag=True, help="No panel of noise.")
@click.option("--each-null", is_flag=True, help="Noise for every panel.")
@click.option("--pca-components", type=click.IntRange(min=1), help="PCA to so many first")
@click.option("--metric", help="How distances are measured [euclidean]")
@click.option("--init", help="Start: spectral, pca, random [t-SNE: pca; UMAP: spectral]")
@click.option("--early-exaggeration", type=float, help="t-SNE: factor in the early phase [12]")
@click.option("--exaggeration", type=float, help="t-SNE: factor in the main phase [1]")
@click.option("--learning-rate", type=float, help="t-SNE: step [by the number of points]")
@click.option("--max-iter", type=click.IntRange(min=1), help="t-SNE: iterations [1000]")
@click.option("--tol", type=float, help="t-SNE: end when the KL divergence falls by less")
@click.option("--dof", type=float, help="t-SNE: the kernel's degrees of freedom [1]")
@click.option("--spread", type=float, help="UMAP: scale of the picture [1.0]")
@click.option("--n-epochs", type=click.IntRange(min=0), help="UMAP: rounds of the layout")
@click.option("--columns", type=click.IntRange(min=1), help="Panels in a row")
@click.option("--dpi", type=click.IntRange(20, 1200), default=200, show_default=True)
@click.option("--title", help="Above the picture [the name of INPUT and the method]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads [all that may be used]")
@click.option("--quiet", is_flag=True, help="No progress, no table.")
def sweep(
    input: str,
    method: str,
    out: Path | None,
    table: Path | None,
    embeddings: Path | None,
    labels: str | None,
    key: str | None,
    rows: int | None,
    columns: int | None,
    dpi: int,
    title: str | None,
    no_null: bool,
    each_null: bool,
    seed: int,
    threads: int | None,
    quiet: bool,
    **settings: Any,
) -> None:
    """Lay maps of INPUT under several settings side by side, and one of noise.

    INPUT is a file, as for embed, or one of the built-in data sets digits and fashion-mnist.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    _refuse_options_of_other(method, given)
    if no_null and each_null:
        raise click.UsageError("--no-null and --each-null: give one of them")
    _check_files(input, labels, {out: None, table: (".json",), embeddings: (".npz",)})
    begun = time.perf_counter()
    X, classes, names = _read_points(input, key, labels)
    X, classes = _some_rows(X, classes, rows, seed)
    colours = _colours(classes, names)

    from .embed.sweep import sweep as run

    about: dict[str, Any] = {"random_state": seed, "n_jobs": threads, "verbose": not quiet}
    about |= {"labels": colours.get("labels"), "null": "each" if each_null else not no_null}
    found = run(X, method, **about, **given)
    if out is not None:
        title = f"{Path(input).stem} · {_NAMES[method]}" if title is None else title
        _draw(found, out, dpi, {"title": title or None, "columns": columns, **colours})
    _write(found, table, embeddings)
    if not quiet:
        click.echo(_as_text(found.table()))
        n, d = X.shape
        files = " and ".join(str(file) for file in (out, table, embeddings) if file is not None)
        count = len(found.panels) + len(found.nulls)
        seconds = time.perf_counter() - begun
        click.echo(f"{n:,} x {d}: {count} panels in {seconds:.1f} s: {files}", err=True)


def _refuse_options_of_other(method: str, given: dict[str, Any]) -> None:
    other = "umap" if method == "tsne" else "tsne"
    if strange := [name for name in given if name in _OPTIONS[other]]:
        names = ", ".join("--" + name.replace("_", "-") for name in strange)
        raise click.UsageError(f"{names}: for --method {other} only")


def _check_files(input: str, labels: str | None, outputs: dict[Path | None, Any]) -> None:
    """Find out before the work whether the outputs can be written."""
    from .cli import _PICTURES, _not_an_input
    from .io import check_output

    files = {file: endings for file, endings in outputs.items() if file is not None}
    if not files:
        raise click.UsageError("nothing to write: give --out, --json or --embeddings")
    for file, endings in files.items():
        check_output(file, endings or _PICTURES)
        _not_an_input(file, input, labels)


def _read_points(input: str, key: str | None, labels: str | None) -> tuple[Any, Any, Any]:
    """The matrix, labels or None, and names of the classes or None."""
    from . import datasets
    from .cli import _read
    from .io import load_labels

    if input in _BUILT_IN and not Path(input).exists():
        data = datasets.digits() if input == "digits" else datasets.fashion_mnist()
        if labels is None:
            return data.data, data.target, data.names
        return data.data, load_labels(labels, len(data.data)), None
    table, classes = _read(Path(input), key, labels)
    return table.values, classes, None


def _some_rows(X: Any, classes: Any, rows: int | None, seed: int) -> tuple[Any, Any]:
    """Rows drawn at random, in their order."""
    import numpy as np

    if rows is None or rows >= X.shape[0]:
        return X, classes
    kept = np.sort(np.random.default_rng([seed, 3]).choice(X.shape[0], rows, replace=False))
    return X[kept], None if classes is None else np.asarray(classes)[kept]


def _colours(classes: Any, names: Any) -> dict[str, Any]:
    """What the picture colours the points by: classes, or many numbers."""
    import numpy as np

    from .cli import _MANY

    if classes is None:
        return {}
    classes = np.asarray(classes)
    if classes.dtype.kind in "iuf" and len(np.unique(classes)) > _MANY:
        return {"values": classes}
    return {"labels": classes, "names": names}


def _draw(found: Any, path: Path, dpi: int, options: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from .io import atomic_write

    figure = found.plot(**options)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=dpi, bbox_inches="tight")


def _write(found: Any, table: Path | None, embeddings: Path | None) -> None:
    from .io import atomic_write

    if table is not None:
        with atomic_write(table) as temporary:
            Path(temporary).write_text(json.dumps(found.table(), indent=2) + "\n", "utf-8")
    if embeddings is not None:
        import numpy as np

        with atomic_write(embeddings) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **found.arrays())


def _as_text(table: list[dict[str, Any]]) -> str:
    """Rows with columns one below the other."""
    heads = list(dict.fromkeys(name for row in table for name in row))
    cells = [heads, *([_cell(row.get(name)) for name in heads] for row in table)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(heads))]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
        for row in cells
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return "+".join(map(_cell, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
