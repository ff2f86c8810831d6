"""The command ``fastxai sweep``: one file under several settings, in one picture."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from ._cli_shared import (
    PICTURES,
    colours,
    method_options,
    not_an_input,
    read_points,
    refuse_options_of_others,
    save_picture,
    setting,
    some_rows,
)

# Options of the sweep itself, whatever the method.
_OWN = frozenset({"seeds", "pca_components"})
_NAMES = {"tsne": "t-SNE", "umap": "UMAP"}


def _list(context: Any, parameter: Any, text: str | None) -> list[Any] | None:
    """Numbers with commas between them; those joined by + are one setting."""
    if text is None:
        return None
    values: list[Any] = []
    for part in text.split(","):
        try:
            values.append(setting(part))
        except ValueError:
            raise click.BadParameter(f"{text!r}: numbers with commas are expected") from None
    return values


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
@method_options
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
    refuse_options_of_others(method, given, _OWN)
    if no_null and each_null:
        raise click.UsageError("--no-null and --each-null: give one of them")
    _check_files(input, labels, {out: None, table: (".json",), embeddings: (".npz",)})
    begun = time.perf_counter()
    X, classes, names = read_points(input, key, labels)
    X, classes = some_rows(X, classes, rows, seed)
    coloured = colours(classes, names)

    from .embed.sweep import sweep as run

    about: dict[str, Any] = {"random_state": seed, "n_jobs": threads, "verbose": not quiet}
    about |= {"labels": coloured.get("labels"), "null": "each" if each_null else not no_null}
    found = run(X, method, **about, **given)
    if out is not None:
        title = f"{Path(input).stem} · {_NAMES[method]}" if title is None else title
        options = {"title": title or None, "columns": columns, **coloured}
        save_picture(out, lambda: found.plot(**options), dpi)
    _write(found, table, embeddings)
    if not quiet:
        click.echo(_as_text(found.table()))
        n, d = X.shape
        files = " and ".join(str(file) for file in (out, table, embeddings) if file is not None)
        count = len(found.panels) + len(found.nulls)
        seconds = time.perf_counter() - begun
        click.echo(f"{n:,} x {d}: {count} panels in {seconds:.1f} s: {files}", err=True)


def _check_files(input: str, labels: str | None, outputs: dict[Path | None, Any]) -> None:
    """Find out before the work whether the outputs can be written."""
    from .io import check_output

    files = {file: endings for file, endings in outputs.items() if file is not None}
    if not files:
        raise click.UsageError("nothing to write: give --out, --json or --embeddings")
    for file, endings in files.items():
        check_output(file, endings or PICTURES)
        not_an_input(file, input, labels)


def _write(found: Any, table: Path | None, embeddings: Path | None) -> None:
    from .io import atomic_write

    if table is not None:
        with atomic_write(table) as temporary:
            Path(temporary).write_text(json.dumps(found.table(), indent=2) + "\n", "utf-8")
    if embeddings is not None:
        import numpy as np

        with atomic_write(embeddings) as temporary, open(temporary, "wb") as file:
            np.savez(file, **found.arrays())


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
