"""The command ``fastxai bench``: fastxai beside others on the user's own data."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import click

from .errors import FastxaiError, InvalidInputError


def _names(context: Any, parameter: Any, text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@click.command()
@click.argument("data")
@click.option("--method", callback=_names, default="umap,tsne,pca", show_default=True)
@click.option(
    "--against", callback=_names, default="umap-learn,openTSNE,sklearn", show_default=True
)
@click.option("--labels", help="File with one label a point, or the name of a column of DATA.")
@click.option("--key", help="Name of the matrix in a .npz file with several.")
@click.option("--peers-python", help="Another interpreter that has the peers.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("fastxai-bench"),
    show_default=True,
    help="Folder for bench.json, bench.md, bench.png and the maps.",
)
@click.option("--rows", type=click.IntRange(min=10), help="Take so many rows at random.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=1800.0,
    show_default=True,
    help="Seconds after which a run is ended and its library left out.",
)
@click.option("--quiet", is_flag=True, help="No progress.")
def bench(
    data: str,
    method: tuple[str, ...],
    against: tuple[str, ...],
    labels: str | None,
    key: str | None,
    peers_python: str | None,
    seeds: int,
    out: Path,
    rows: int | None,
    timeout: float,
    quiet: bool,
) -> None:
    """Compare fastxai with other libraries on DATA: time, memory, quality, pictures.

    DATA is a file, as for embed, or one of the built-in data sets digits and fashion-mnist.
    Every run is a fresh process; a library that is not installed, fails or takes too long is
    named and stops nothing.  Tables go to stdout.
    """
    from ._cli_sweep import _colours, _read_points, _some_rows
    from .bench.contestants import find

    contestants, absent = find(method, against, peers_python)
    _can_be_written(out)
    X, classes, names = _read_points(data, key, labels)
    X, classes = _some_rows(X, classes, rows, 0)

    from .bench.compare import Comparison

    say = _silent if quiet else _Clock()
    for line in absent:
        click.echo(f"fastxai: {line}", err=True)
    colours = _colours(classes, names)
    name = Path(data).name
    command = f"fastxai bench {shlex.quote(name)} --method {','.join(method)}"
    command += f" --against {','.join(against)} --seeds {seeds}"
    command += "" if rows is None else f" --rows {rows}"
    options: dict[str, Any] = {"seeds": seeds, "timeout": timeout, "folder": out, "say": say}
    options["keep"] = lambda comparison: _write(comparison.result(name, command), out)
    comparison = Comparison(X, colours.get("labels"), contestants, **options)
    try:
        comparison.run()
    except KeyboardInterrupt:
        _show(comparison.result(name, command))
        raise
    result = comparison.result(name, command)
    _write(result, out, _draw(result, comparison, colours, out))
    _show(result)
    if not any(run["state"] == "done" for run in result["runs"]):
        raise FastxaiError(f"no run ended well: see {out / 'bench.json'}")
    say(f"written to {out}")


class _Clock:
    """Progress on stderr, with the time since the beginning."""

    def __init__(self) -> None:
        self.begun = time.monotonic()

    def __call__(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.begun), 60)
        click.echo(f"[{minutes:3d}:{seconds:02d}] {text}", err=True)


def _silent(text: str) -> None:
    pass


def _can_be_written(folder: Path) -> None:
    """Found out before anything is measured."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"--out {folder}: {error.strerror or error}") from None
    if not os.access(folder, os.W_OK):
        raise InvalidInputError(f"--out {folder} can not be written: permission denied")


def _write(result: dict[str, Any], out: Path, picture: str | None = None) -> None:
    """The JSON file and the page; whole or as they were."""
    from .bench.harness import write_whole
    from .bench.tables import markdown

    write_whole(out / "bench.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    write_whole(out / "bench.md", markdown(result, picture))


def _show(result: dict[str, Any]) -> None:
    from .bench.tables import show

    if result["runs"]:
        show(result)


def _draw(
    result: dict[str, Any], comparison: Any, colours: dict[str, Any], out: Path
) -> str | None:
    import matplotlib

    matplotlib.use("Agg")
    from .bench.picture import draw
    from .io import atomic_write

    figure = draw(result, comparison.map_file, colours)
    if figure is None:
        return None
    with atomic_write(out / "bench.png") as temporary:
        figure.savefig(temporary, dpi=150, bbox_inches="tight")
    return "bench.png"
