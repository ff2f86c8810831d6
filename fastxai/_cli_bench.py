"""The command ``fastxai bench``: fastxai beside others on the user's own data."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import click

from ._cli_shared import colours, read_points, save_picture, some_rows
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
    from .bench.contestants import find

    contestants, absent = find(method, against, peers_python)
    _can_be_written(out)
    X, classes, names = read_points(data, key, labels)
    X, classes = some_rows(X, classes, rows, 0)

    from .bench.compare import Comparison

    say = _silent if quiet else _Clock()
    for line in absent:
        click.echo(f"fastxai: {line}", err=True)
    coloured = colours(classes, names)
    name = Path(data).name
    command = f"fastxai bench {shlex.quote(name)} --method {','.join(method)}"
    command += f" --against {','.join(against)} --seeds {seeds}"
    command += "" if rows is None else f" --rows {rows}"
    options: dict[str, Any] = {"seeds": seeds, "timeout": timeout, "folder": out, "say": say}
    options["keep"] = lambda comparison: _write(comparison.result(name, command), out)
    comparison = Comparison(X, coloured.get("labels"), contestants, **options)
    try:
        comparison.run()
    except KeyboardInterrupt:
        _show(comparison.result(name, command))
        raise
    result = comparison.result(name, command)
    _write(result, out, _draw(result, comparison, coloured, out))
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
    result: dict[str, Any], comparison: Any, coloured: dict[str, Any], out: Path
) -> str | None:
    """The name of the picture, if there is anything to show."""
    from .bench.picture import draw

    if not any("first" in run for run in result["runs"]):
        return None
    save_picture(out / "bench.png", lambda: draw(result, comparison.map_file, coloured), 150)
    return "bench.png"
