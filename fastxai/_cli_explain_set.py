"""``fastxai explain FOLDER --out run/``: a whole image set, its summary and its sheets."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from . import _interrupt
from ._cli_shared import PICTURES, save_picture
from .errors import InvalidInputError

_TABLES = (".csv", ".tsv", ".parquet", ".pq", ".npy")
_ROWS = 10  # images of a sheet
_LISTED = 3  # reasons, and files of each, in the summary
SHEETS = "sheets"
OF_SETS = ("truth", "groups", "batch_size", "dtype", "workers", "scheduler", "with_sheets")


def is_set(photos: Sequence[Path], out: Path | None, maps: Path | None) -> bool:
    """Whether a whole set is meant: a folder, a table, or a folder to write to."""
    if any(photo.is_dir() for photo in photos):
        return True
    if len(photos) == 1 and photos[0].suffix.lower() in _TABLES:
        return True
    return out is not None and maps is None and (out.is_dir() or not out.suffix)


def explain_set(
    photos: Sequence[Path],
    out: Path | None,
    spec: str,
    *,
    target: str | None,
    truth: str | None,
    groups: str | None,
    labels: Path | None,
    seed: int,
    threads: int | None,
    scheduler: str | None,
    with_sheets: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Explain a set, or the rest of it, and say what came of it."""
    from ._cli_explain import read_names, torch_set
    from .image_sets.run import explain_dataset

    if out is None:
        raise click.UsageError("a set is written into a folder: name it with --out")
    if out.suffix.lower() in PICTURES:
        raise click.UsageError(
            f"--out {out} is a picture, and a set is written into a folder; give the photos "
            "themselves for a sheet"
        )
    begun = time.perf_counter()
    _interrupt.hint = f": the same command continues {out}"
    with torch_set(threads, seed):
        with _in_options():
            results = explain_dataset(
                spec,
                _source(photos),
                out=out,
                target=read_set_target(target),
                labels=truth,
                groups=groups,
                names=None if labels is None else read_names(labels),
                random_state=seed,
                client=scheduler,
                verbose=not quiet,
                **options,
            )
        sheets = []
        try:
            sheets = draw_sheets(results, quiet) if with_sheets else []
        except InvalidInputError as error:  # too many classes for a sheet, no pictures to show
            click.echo(f"no sheets: {error}", err=True)
    if not quiet:
        for line in summary(results):
            click.echo(line, err=True)
        seconds = time.perf_counter() - begun
        files = [str(out), *(str(sheet) for sheet in sheets)]
        click.echo(f"{seconds:.1f} s: {', '.join(files)}", err=True)
        click.echo(f"next: fastxai report {out}", err=True)


@contextmanager
def _in_options() -> Iterator[None]:
    """Errors that name the function's arguments name the command's options."""
    try:
        yield
    except InvalidInputError as error:
        text = str(error)
        for argument, option in (("labels", "truth"), ("groups", "groups"), ("names", "labels")):
            text = re.sub(rf"\b{argument}=", f"--{option} ", text)
        raise InvalidInputError(text) from error


def _source(photos: Sequence[Path]) -> Any:
    if len(photos) == 1:
        return photos[0]
    folders = [photo for photo in photos if photo.is_dir()]
    if folders:
        raise click.UsageError(
            f"{folders[0]} is a folder, and {len(photos) - 1} more are named beside it: give one "
            "folder, or files"
        )
    return list(photos)


def read_set_target(text: str | None) -> Any:
    """What is explained: None, "label", "topK", a class, or some classes of every image."""
    if text is None or text.strip().lower() in ("", "none", "predicted"):
        return None
    text = text.strip()
    if text.lower() == "label" or re.fullmatch(r"top\d+|[+-]\d+", text.lower()):
        return text.lower()
    if not re.fullmatch(r"[0-9]+(\s*,\s*[0-9]+)*", text):
        return text  # names, which are known when the network is
    found = [int(part) for part in text.split(",")]
    return found[0] if len(found) == 1 else [found]


def draw_sheets(results: Any, quiet: bool) -> list[Path]:
    """Draw contact sheets into the output: the first, surest, least sure and wrong images."""
    from .progress import open_progress

    table = results.table
    good = table[table["status"] == "ok"]
    if not len(good):
        return []
    ordered = good.sort_values("score", ascending=False, kind="stable")
    chosen = {
        "first": good.index,
        "most-confident": ordered.index,
        "least-confident": ordered.index[::-1],
        "wrong": ordered.index[(ordered["correct"] == False).fillna(False)],  # noqa: E712
    }
    rows = max(1, min(_ROWS, 60 // results.manifest.layout.targets))
    if len(good) <= rows:  # all are on the first
        chosen = {name: chosen[name] for name in ("first", "wrong")}
    folder = results.path / SHEETS
    folder.mkdir(exist_ok=True)
    drawn = []
    with open_progress(verbose=not quiet) as progress, progress.stage("sheets"):
        for name, index in chosen.items():
            file = folder / f"{name}.png"
            if not len(index):
                file.unlink(missing_ok=True)
                continue
            some, title = index[:rows].tolist(), name.replace("-", " ")
            save_picture(file, partial(_sheet, results, some, title))
            drawn.append(file)
    return drawn


def _sheet(results: Any, rows: list[int], title: str) -> Any:
    from .plot.contact import MOST_COLUMNS

    methods = results.methods[: MOST_COLUMNS - 1]
    return results.contact_sheet(rows, methods=methods, title=f"The {title} images")


def summary(results: Any) -> list[str]:
    """What was explained, what failed and why, and how often the network was right."""
    table = results.table
    failed = table[table["status"] == "failed"]
    lines = [f"{len(table) - len(failed):,} of {len(table):,} images explained"]
    if len(failed):
        lines[0] += f", {len(failed):,} failed:"
        counts = Counter(failed["reason"])
        for reason, count in counts.most_common(_LISTED):
            rows = failed.index[failed["reason"] == reason]
            listed = ", ".join(results.title(int(row)) for row in rows[:_LISTED])
            more = ", ..." if len(rows) > _LISTED else ""
            lines.append(f"  {count:,}: {reason} ({listed}{more})")
        if len(counts) > _LISTED:
            lines.append(f"  and {len(counts) - _LISTED} other reasons, in the table")
    known = table["correct"].dropna()
    if len(known):
        lines.append(f"{known.mean():.1%} of {len(known):,} with a true class are right")
    lines += [line for line in results.problems() if "images failed" not in line]
    return lines


def refuse_others(context: click.Context, whole: bool) -> None:
    """Options of sheets for a set, and of sets for a sheet, are refused."""
    for name in ("maps", "scale", "describe") if whole else OF_SETS:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = "--" + name.removeprefix("with_").replace("_", "-")
            raise click.UsageError(
                f"{option} is for sheets of some photos, and this is a whole set"
                if whole
                else f"{option} is for whole sets: give a folder, or a folder as --out"
            )
