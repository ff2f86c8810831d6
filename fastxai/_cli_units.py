"""The command ``fastxai units``: what excites the units of a network, its filters, dead units."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import _interrupt
from ._cli_explain import _listed, torch_set
from ._cli_shared import PICTURES, model_option, save_picture, weights_option
from .errors import InvalidInputError

if TYPE_CHECKING:
    from .units.results import UnitScan

_DPI = 120


def _units(context: Any, parameter: Any, text: str) -> Any:
    """So many units, all, or their numbers."""
    text = text.strip().lower()
    if text == "all":
        return text
    if not re.fullmatch(r"\d+(\s*,\s*\d+)*\s*,?", text):
        raise click.BadParameter(
            f"{text!r}: give a number of units, or their numbers with commas (3,17,40; one alone "
            "as 7,), or all"
        )
    found = [int(part) for part in text.split(",") if part.strip()]
    return found if "," in text else found[0]


@click.command()
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path))
@model_option
@weights_option
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for what is found"
)
@click.option(
    "--layer",
    "layers",
    callback=_listed,
    help="Layers; activations: whatever an activation function gives [the last convolution of "
    "every resolution]",
)
@click.option(
    "--images", "k", type=click.IntRange(min=1), default=9, show_default=True, help="Images a unit"
)
@click.option(
    "--units",
    callback=_units,
    default="16",
    show_default=True,
    help="Units of each layer to draw: so many, their numbers (3,17,40), or all",
)
@click.option("--project/--no-project", default=True, help="DeconvNet beside the patches [yes]")
@click.option(
    "--field",
    type=click.Choice(["exact", "local"]),
    default="exact",
    show_default=True,
    help="Patches: all that a unit can read, or without statistics over the whole image (squeeze "
    "and excitation, group norm)",
)
@click.option("--filters", is_flag=True, help="Draw the filters of the first layer, too")
@click.option(
    "--feature-maps",
    "image",
    type=click.Path(path_type=Path),
    help="Draw the feature maps of this photo, too",
)
@click.option("--dead", is_flag=True, help="List all dead and always-on units, not some of them")
@click.option(
    "--threshold",
    type=float,
    default=0.0,
    show_default=True,
    help="An activation above it counts as active",
)
@click.option(
    "--preprocess",
    help="size=224,crop=0.875,mean=0.485/0.456/0.406,std=0.229/0.224/0.225; what is left out is "
    "the network's own, or this",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Photos that run together",
)
@click.option("--workers", type=click.IntRange(min=1), help="Threads that read photos [one a core]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads [all that may be used]")
@click.option("--quiet", is_flag=True, help="No progress, no summary.")
def units(
    photos: tuple[Path, ...],
    spec: str,
    weights: str | None,
    out: Path,
    layers: list[str] | None,
    filters: bool,
    image: Path | None,
    dead: bool,
    preprocess: str | None,
    threads: int | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Show what excites the units of a network, in PHOTOS: files, a folder, a table or a .npy file.

    Of each unit the images that excite it most are kept: the patches, cut out by the receptive
    field, stand beside what DeconvNet projects back; one picture for each layer, in
    OUT/pictures.  Statistics of all units go to OUT/units.csv, and dead units are named.  The
    same command continues a scan that was interrupted.  Without PHOTOS, --filters and
    --feature-maps draw what needs none.
    """
    if not photos and not filters and image is None:
        raise click.UsageError(
            "nothing to do: give photos, a folder or an array of images; or --filters, or "
            "--feature-maps PHOTO"
        )
    if not photos and dead:
        raise click.UsageError("--dead is about images: give photos, a folder or an array")
    if out.suffix.lower() in PICTURES:
        raise click.UsageError(f"--out {out} is a picture, and a folder is written: name one")
    begun = time.perf_counter()
    _interrupt.hint = f": the same command continues {out}" if photos else ""
    from .progress import open_progress

    wanted = _one_or_all(layers)
    with open_progress(verbose=not quiet) as progress, torch_set(threads, 0):
        from .explain.networks.loading import load_network

        files: list[Path] = []
        scan = None
        if photos:
            scan = _scan(photos, spec, weights, out, wanted, preprocess, options)
            files += _draw(scan, progress)
        if filters or image is not None:
            network = load_network(spec, weights)
            out.mkdir(parents=True, exist_ok=True)
            files += _draw_filters(network, out) if filters else []
            files += _draw_maps(network, image, wanted, preprocess, out) if image else []
    if not quiet:
        if scan is not None:
            for line in _summary(scan, dead):
                click.echo(line, err=True)
        seconds = time.perf_counter() - begun
        click.echo(f"{seconds:.1f} s: {', '.join(map(str, files)) or out}", err=True)


def _one_or_all(layers: list[str] | None) -> Any:
    if layers is not None and len(layers) == 1 and layers[0] in ("activations", "resolutions"):
        return layers[0]
    return layers or None


def _scan(
    photos: Sequence[Path],
    spec: str,
    weights: str | None,
    out: Path,
    layers: Any,
    preprocess: str | None,
    options: dict[str, Any],
) -> UnitScan:
    from ._cli_explain_set import _source
    from .io import atomic_write
    from .units.scan import scan_units
    from .units.store import TABLE

    scan = scan_units(
        spec, _source(photos), layers, out, weights=weights, preprocess=preprocess, **options
    )
    with atomic_write(out / TABLE) as temporary:
        scan.table.to_csv(temporary, index=False)
    return scan


def _draw(scan: UnitScan, progress: Any) -> list[Path]:
    """A picture a layer of the units that have pictures; pages, where they are many."""
    from .units.results import PAGE
    from .units.store import PICTURES as FOLDER

    assert scan.path is not None
    drawn = []
    with progress.stage("drawing"):
        for name in scan.layers:
            numbers = scan.pictured(name)
            folder = scan.path / FOLDER / scan.folder(name).name
            pages = -(-len(numbers) // PAGE)
            for page in range(pages):
                ending = "" if pages == 1 else f"-page-{page + 1}"
                file = folder.with_name(f"{folder.name}{ending}.png")
                save_picture(file, partial(scan.figure, name, numbers, page=page), _DPI)
                drawn.append(file)
    return drawn


def _draw_filters(network: Any, out: Path) -> list[Path]:
    from .units.filters import filters

    file = out / "filters.png"
    save_picture(file, filters(network.model).figure, _DPI)
    return [file]


def _draw_maps(
    network: Any, image: Path, layers: Any, preprocess: str | None, out: Path
) -> list[Path]:
    from .explain.networks.photos import parse_preprocess, read_photo
    from .units.feature_maps import feature_maps
    from .units.portraits import file_name

    prepare = parse_preprocess(preprocess or "", network.preprocess)
    images, shown = prepare([read_photo(image)])
    found: dict[str, Any] = {}
    for layer in layers if isinstance(layers, list) else [layers or "resolutions"]:
        try:
            maps = feature_maps(network.model, images, layer)
        except InvalidInputError as error:  # the other layers may have space
            click.echo(f"fastxai: no feature maps: {error}", err=True)
            continue
        found |= maps if isinstance(maps, dict) else {maps.layer: maps}
    drawn = []
    for name, maps in found.items():
        file = out / f"feature-maps-{file_name(name)}.png"
        save_picture(file, partial(maps.figure, shown=shown[0]), _DPI)
        drawn.append(file)
    return drawn


def _summary(scan: UnitScan, all_units: bool) -> list[str]:
    """What was scanned, what failed, and which units look broken."""
    failed = scan.failed
    lines = [f"{scan.done - len(failed):,} of {len(scan):,} images scanned"]
    if failed:
        number, reason = next(iter(failed.items()))
        lines[0] += f", {len(failed):,} failed (the first, image {number}: {reason})"
    return lines + scan.dead_units().lines(None if all_units else 12)
