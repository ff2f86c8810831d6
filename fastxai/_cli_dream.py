"""The command ``fastxai dream``: images of what a network's units want to see."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ._cli_explain import read_names, torch_set
from ._cli_shared import PICTURES, model_option, names_option, not_an_input, weights_option
from .errors import InvalidInputError

_WANTED = ("classes", "channels", "units")


@click.command()
@model_option
@weights_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Picture: .png, .pdf, .svg; or the images as arrays: .npz",
)
@click.option("--classes", help="Classes: numbers or names, with commas; 0:10 is 0 to 9")
@click.option("--channels", help="Channels of a layer: numbers with commas, 0:16, or all")
@click.option("--units", help="Units of a layer: its channels; 5@3x7 is that at row 3, column 7")
@click.option("--layer", help="Layer of --channels or --units [the last convolution]")
@click.option(
    "--call", type=click.IntRange(min=0), help="Which run of a layer that runs several times"
)
@click.option("--size", help="Pixels of a side, or HEIGHTxWIDTH [as the network was trained]")
@click.option("--steps", type=click.IntRange(min=1), default=256, show_default=True)
@click.option(
    "--copies", type=click.IntRange(min=1), default=1, show_default=True, help="Images a unit"
)
@click.option(
    "--diversity",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Weight that keeps the copies of a unit apart, about 1",
)
@click.option(
    "--total-variation",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Weight of roughness, about 1",
)
@click.option(
    "--l2",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Weight of the distance from grey, about 1",
)
@names_option
@click.option(
    "--preprocess",
    help="mean=0.485/0.456/0.406,std=0.229/0.224/0.225,size=224 (one number for mean: grey "
    "images); what is left out is the network's own",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads [all that may be used]")
@click.option("--quiet", is_flag=True, help="No progress.")
def dream(
    spec: str,
    weights: str | None,
    out: Path,
    layer: str | None,
    call: int | None,
    size: str | None,
    labels: Path | None,
    preprocess: str | None,
    seed: int,
    threads: int | None,
    quiet: bool,
    **given: Any,
) -> None:
    """Make images of what classes, channels or units of a network want to see.

    Each image starts as noise and is changed step by step so that it excites its unit more.
    """
    wanted = {name: text for name in _WANTED if (text := given.pop(name)) is not None}
    if len(wanted) != 1:
        raise click.UsageError("give one of --classes, --channels and --units")
    if "classes" in wanted and not (layer is None and call is None):
        raise click.UsageError("--layer and --call are for --channels and --units")
    from .io import check_output

    check_output(out, (*PICTURES, ".npz"))
    not_an_input(out, labels, weights)
    begun = time.perf_counter()

    from .explain.networks.loading import load_network
    from .explain.networks.photos import parse_preprocess
    from .progress import open_progress
    from .visualize import FeatureVisualizer

    with open_progress(verbose=not quiet) as progress, torch_set(threads, seed):
        with progress.stage("network"):
            network = load_network(spec, weights)
        names = network.names if labels is None else read_names(labels)
        visualizer = FeatureVisualizer(
            network.model,
            size=None if size is None else _size(size),
            preprocess=parse_preprocess(preprocess or "", network.preprocess),
            random_state=seed,
            verbose=not quiet,
            **given,
        )
        place: dict[str, Any] = {"layer": layer, "call": call}
        if "classes" in wanted:
            classes = read_classes(wanted["classes"], names)
            found, titles = visualizer.classes(classes), _titles(classes, names, given["copies"])
        elif "channels" in wanted:
            text = wanted["channels"].strip().lower()
            channels = None if text == "all" else read_numbers(text, "--channels")
            found, titles = visualizer.channels(channels=channels, **place), None
        else:
            channels, positions = read_units(wanted["units"])
            found = visualizer.units(channels=channels, positions=positions, **place)
            titles = None
    look = {} if out.suffix.lower() == ".npz" else {"titles": titles, "title": _title(spec, found)}
    if look:
        import matplotlib

        matplotlib.use("Agg")
    found.save(out, **look)
    if not quiet:
        many = f"{len(found)} image{'s' * (len(found) > 1)}"
        click.echo(f"{many} made in {time.perf_counter() - begun:.1f} s: {out}", err=True)


def _title(spec: str, found: Any) -> str:
    return f"{spec}, {found.layer}" if found.layer else spec


def _titles(classes: Sequence[int], names: Sequence[str] | None, copies: int) -> list[str]:
    known = [names[k] if names is not None and k < len(names) else f"class {k}" for k in classes]
    return [name for name in known for _ in range(copies)]


def read_numbers(text: str, what: str) -> list[int]:
    """Whole numbers with commas between them; 3:6 stands for 3, 4 and 5.

    Raises
    ------
    InvalidInputError
        If something else is written, or no number is named.
    """
    found: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d+)(?::(\d+))?", part)
        if match is None:
            raise InvalidInputError(f"{what} {part!r}: numbers as in 3,7 or 0:16 are expected")
        first = int(match[1])
        found += range(first, int(match[2])) if match[2] else [first]
    if not found:
        raise InvalidInputError(f"{what} {text!r} names none")
    return found


def read_classes(text: str, names: Sequence[str] | None) -> list[int]:
    """Numbers of classes, from numbers, ranges and names.

    Raises
    ------
    InvalidInputError
        If a class has no such name, or several have it.
    """
    from ._cli_explain import read_target

    if names is not None and text.strip().casefold() in (name.casefold() for name in names):
        return [read_target(text, names, 1)]
    found: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if re.fullmatch(r"\d+(:\d+)?", part):
            found += read_numbers(part, "--classes")
            continue
        number = read_target(part, names, 1)
        if not isinstance(number, int):
            raise InvalidInputError(f"--classes {part!r}: a number or a name is expected")
        found.append(number)
    if not found:
        raise InvalidInputError(f"--classes {text!r} names none")
    return found


def read_units(text: str) -> tuple[list[int], list[tuple[int, ...]] | None]:
    """Channels, and their places (row, column) where such are written.

    Raises
    ------
    InvalidInputError
        If something else is written, or some have a place and others none.
    """
    channels: list[int] = []
    places: list[tuple[int, ...]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        channel, at, place = part.partition("@")
        numbers = read_numbers(channel, "--units")
        channels += numbers
        if at:
            match = re.fullmatch(r"(\d+)x(\d+)", place.strip())
            if match is None:
                raise InvalidInputError(f"--units {part!r}: a place as in 5@3x7 is expected")
            places += [(int(match[1]), int(match[2]))] * len(numbers)
    if not channels:
        raise InvalidInputError(f"--units {text!r} names none")
    if places and len(places) != len(channels):
        raise InvalidInputError(
            f"--units {text!r}: give all units a place, or none for the middle of the map"
        )
    return channels, places or None


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip())
    if match is None:
        raise InvalidInputError(f"--size {text!r}: pixels as in 224 or 224x320 are expected")
    return int(match[1]), int(match[2] or match[1])
