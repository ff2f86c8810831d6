"""The command ``fastxai explain``: photos, a network, and what it looked at."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ._cli_shared import (
    PICTURES,
    model_option,
    names_option,
    not_an_input,
    save_picture,
    task_option,
    weights_option,
)
from .errors import InvalidInputError

_DEFAULT = "gradcam,guided_backprop,guided_gradcam,saliency"


def _listed(context: Any, parameter: Any, text: str | None) -> list[str] | None:
    """Names with commas between them."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_option
@weights_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Sheet: .png, .pdf, .svg; or a folder, for a whole set",
)
@click.option("--maps", type=click.Path(path_type=Path), help="Sheets: raw maps, .npz")
@click.option(
    "--method", "methods", callback=_listed, default=_DEFAULT, show_default=True, help="Methods"
)
@click.option(
    "--target",
    help="Class: its number or name, several with commas, top5, or of sets label, the true one "
    "[the predicted]",
)
@click.option("--layer", "layers", callback=_listed, help="Layers [the last convolution]")
@task_option
@names_option
@click.option(
    "--truth",
    help="Sets: the true classes, a .csv or .parquet file with paths and labels, a column of "
    "PHOTOS, or folder: the name of each photo's folder",
)
@click.option("--groups", help="Sets: groups of photos, given in the same ways")
@click.option(
    "--preprocess",
    help="size=224,crop=0.875,mean=0.485/0.456/0.406,std=0.229/0.224/0.225,"
    "interpolation=bicubic (one number for mean: grey images); what is left out is the "
    "network's own, or this",
)
@click.option(
    "--scale",
    type=click.Choice(["image", "set"]),
    default="image",
    show_default=True,
    help="Sheets: colours of each map by itself, or of all maps of a method alike",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Sets: photos that run together",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Sets: precision of the maps on the disk",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Sets: threads that read photos [one a core]"
)
@click.option(
    "--sheets/--no-sheets",
    "with_sheets",
    default=True,
    help="Sets: draw sheets of some photos into RUN/sheets [yes]",
)
@click.option("--scheduler", help="Sets: address of a dask scheduler, to explain on its workers")
@click.option(
    "--describe",
    is_flag=True,
    help="Sheets: say in sentences what the maps show and what became of the score when it was "
    "hidden, on the standard output",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads [all that may be used]")
@click.option("--quiet", is_flag=True, help="No progress, no list of classes.")
@click.pass_context
def explain(
    context: click.Context,
    /,
    photos: tuple[Path, ...],
    out: Path | None,
    maps: Path | None,
    layers: list[str] | None,
    scale: str,
    describe: bool,
    **options: Any,
) -> None:
    """Show what a network looks at in PHOTOS.

    Some photos make a sheet: image, classes and scores, one panel a method.  A folder, or a .csv
    or .parquet file with paths, is a whole set: it is written into the folder --out, maps, a
    table and sheets of some photos, and continued where it was when the command is given again.
    """
    from ._cli_explain_set import OF_SETS, explain_set, is_set, refuse_others

    whole = is_set(photos, out, maps)
    refuse_others(context, whole)
    if whole:
        explain_set(photos, out, layer=_one_or_all(layers), **options)
        return
    common = {name: value for name, value in options.items() if name not in OF_SETS}
    _explain_sheet(
        photos, out=out, maps=maps, layers=layers, scale=scale, describe=describe, **common
    )


def _one_or_all(layers: list[str] | None) -> Any:
    """One layer gives maps under the method's name, several under their own."""
    return layers[0] if layers is not None and len(layers) == 1 else layers or None


def _explain_sheet(
    photos: tuple[Path, ...],
    spec: str,
    weights: str | None,
    out: Path | None,
    maps: Path | None,
    methods: list[str],
    target: str | None,
    layers: list[str] | None,
    task: str,
    labels: Path | None,
    preprocess: str | None,
    scale: str,
    describe: bool,
    seed: int,
    threads: int | None,
    quiet: bool,
) -> None:
    """Some photos on a sheet."""
    if out is None and maps is None and not describe:
        raise click.UsageError("nothing to write: give --out, --maps or both, or --describe")
    from .io import check_output

    for file, endings in ((out, PICTURES), (maps, (".npz",))):
        if file is not None:
            check_output(file, endings)
            not_an_input(file, *photos, labels, weights)
    begun = time.perf_counter()

    from .explain import explain as run
    from .explain.methods import method_class
    from .explain.networks.loading import load_network
    from .explain.networks.photos import parse_preprocess, read_photo
    from .progress import open_progress

    for method in methods:
        method_class(method)  # unknown ones are refused before the work
    if not methods:
        raise click.UsageError("--method names none")
    with open_progress(verbose=not quiet) as progress, torch_set(threads, seed):
        with progress.stage("photos"):
            pictures = [read_photo(photo) for photo in photos]
        with progress.stage("network"):
            network = load_network(spec, weights)
        names = network.names if labels is None else read_names(labels)
        chosen = read_target(target, names, len(photos))
        if out is not None:
            _check_sheet(len(photos), chosen, _panels(methods, layers), names)
        prepare = parse_preprocess(preprocess or "", network.preprocess)
        images, shown = prepare(pictures)
        options = {method: method_options(method, seed) for method in methods}
        common = {
            "target": chosen,
            "layer": _one_or_all(layers),
            "task": task,
            "verbose": not quiet,
        }
        found = run(network.model, images, options, **common)
        _check_names(names, found.classes, labels)
        texts = None
        if describe:
            with progress.stage("describe"):
                texts = found.describe(
                    network.model,
                    target=chosen,
                    names=names,
                    task=task,
                    method_options=options,
                    random_state=seed,
                )
    titles = [photo.name for photo in photos]
    if out is not None:
        look = {"names": names, "image_names": titles, "scale": scale, "title": spec}
        save_picture(out, lambda: found.contact_sheet(display=shown, **look))
    if maps is not None:
        _write_maps(maps, found, titles)
    if texts is not None:
        _tell(texts, titles)
    if not quiet:
        _report(found, titles, names)
        files = " and ".join(str(file) for file in (out, maps) if file is not None)
        files = files or "in words alone"
        many = f"{len(photos)} photo{'s' * (len(photos) > 1)}"
        click.echo(f"{many} explained in {time.perf_counter() - begun:.1f} s: {files}", err=True)


@contextmanager
def torch_set(threads: int | None, seed: int) -> Iterator[None]:
    """Threads and random numbers of torch and of the kernels, as asked for, and then as before."""
    import torch

    from fastxai_kernels.cpu._threads import threads as using

    before = torch.get_num_threads()
    devices: list[int] = []
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        with using(threads), torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def method_options(method: Any, seed: int) -> dict[str, Any]:
    """The seed, for the methods that draw at random."""
    from .explain.explanation import canonical
    from .explain.methods import seeded

    return seeded({canonical(method): {}}, seed)[canonical(method)]


def read_target(text: str | None, names: Sequence[str] | None, n: int) -> Any:
    """A target of the command line: None, "topK", a class, or some classes for each of n images.

    Raises
    ------
    InvalidInputError
        If a class has no such name, or several have it.
    """
    if text is None or text.strip().lower() in ("", "none", "predicted"):
        return None
    text = text.strip()
    if re.fullmatch(r"top\d+", text.lower()):
        return text.lower()
    if names is not None and text.casefold() in (name.casefold() for name in names):
        return _class(text, names)
    found = [_class(part.strip(), names) for part in text.split(",")]
    if len(found) == 1:
        return found[0]
    if any(isinstance(one, str) for one in found):
        raise InvalidInputError(f"target {text!r}: a signed target stands alone")
    return [found] * n


def _class(text: str, names: Sequence[str] | None) -> int | str:
    if re.fullmatch(r"\d+", text):
        return int(text)
    if re.fullmatch(r"[+-]\d+", text):
        return text
    if names is None:
        raise InvalidInputError(
            f"target {text!r}: the names of the classes are not known; give its number, or "
            "names by --labels FILE"
        )
    found = [k for k, name in enumerate(names) if name.casefold() == text.casefold()]
    if not found:
        from .explain.networks.loading import near

        raise InvalidInputError(f"target {text!r}: no class has this name{near(text, names)}")
    if len(found) > 1:
        numbers = ", ".join(map(str, found))
        raise InvalidInputError(f"target {text!r}: classes {numbers} have this name; give a number")
    return found[0]


def read_names(path: Path) -> tuple[str, ...]:
    """Names of classes from a text file, one a line, the first that of class 0.

    Raises
    ------
    InvalidInputError
        If the file is missing, empty or no text.
    """
    from .io import existing_file

    try:
        text = existing_file(path).read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path} is no text in UTF-8") from None
    names = tuple(line.strip() for line in text.rstrip().splitlines())
    if not names:
        raise InvalidInputError(f"{path} is empty: a class name a line is expected")
    return names


def _check_names(names: Sequence[str] | None, classes: Any, path: Path | None) -> None:
    if path is not None and names is not None and classes.max() >= len(names):
        raise InvalidInputError(
            f"{path} names {len(names)} classes, and the network has a class {classes.max()}"
        )


def _panels(methods: Sequence[str], layers: Sequence[str] | None) -> int:
    """How many maps a class has: one a method, and of methods that look at layers one a layer."""
    from .explain.explainer import LayerExplainer
    from .explain.methods import method_class

    many = len(layers or ()) or 1
    return sum(many if issubclass(method_class(one), LayerExplainer) else 1 for one in methods)


def _check_sheet(n: int, target: Any, panels: int, names: Sequence[str] | None) -> None:
    """Refuse before the work what would be no sheet."""
    from .plot.contact import MOST_COLUMNS, MOST_ROWS

    several = re.fullmatch(r"top(\d+)", target) if isinstance(target, str) else None
    k = int(several[1]) if several else len(target[0]) if isinstance(target, list) else 1
    if several and names is not None:
        k = min(k, len(names))  # as of any network
    by_class = panels == 1 and k > 1
    sizes = ((n if by_class else n * k), MOST_ROWS), (1 + (k if by_class else panels), MOST_COLUMNS)
    for (count, most), what in zip(sizes, ("rows", "columns"), strict=True):
        if count > most:
            raise InvalidInputError(
                f"the sheet would have {count} {what}, {most} at most are possible: give fewer "
                "photos, classes, methods or layers at once"
            )


def _write_maps(path: Path, found: Any, titles: list[str]) -> None:
    """Maps and statuses of each method and layer, classes, scores and names of the photos."""
    import numpy as np

    from .io import atomic_write

    arrays = {"classes": found.classes, "scores": found.scores, "photos": np.array(titles)}
    for name, result in found.items():
        for layer in result.maps if isinstance(result.maps, dict) else ("",):
            key = f"{name}:{layer}" if layer else name
            maps, status = result.maps, result.status
            arrays[key] = np.asarray(maps[layer] if layer else maps)
            arrays[f"{key}:status"] = np.asarray(status[layer] if layer else status).astype(str)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)  # allow_pickle= would be one more array in NumPy 2.0


def _report(found: Any, titles: list[str], names: Sequence[str] | None) -> None:
    """One line a photo on stderr: what was explained, and its score."""
    rows = zip(titles, found.classes, found.scores, strict=True)
    for number, (title, classes, scores) in enumerate(rows):
        texts = []
        for k, score in zip(classes, scores, strict=True):
            name = f"class {k}" if names is None or not 0 <= k < len(names) else names[k]
            texts.append(f"{name} {score:.3g}")
        click.echo(f"{title}: {', '.join(texts)}", err=True)
        for result in found.values():
            if result.details:
                click.echo(f"  {result.details[number].summary()}", err=True)


def _tell(texts: Any, titles: list[str]) -> None:
    """The sentences on stdout, photo by photo, a paragraph a map."""
    for number, title in enumerate(titles):
        own = [str(one) for one in texts if one.image == number]
        click.echo("\n\n".join([title, *own]) + "\n")
