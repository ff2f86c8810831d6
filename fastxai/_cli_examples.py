"""The command ``fastxai examples``: how a network sees a set, and what it takes to be alike."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import _interrupt
from ._cli_shared import PICTURES, names_option, not_an_input, save_picture, task_option

if TYPE_CHECKING:
    from .examples.bank import FeatureBank

# Options that say how a bank is built: refused where there is one already.
_BUILDS = (
    *("out", "layer", "pool", "task", "labels", "truth", "groups", "preprocess", "batch_size"),
    "workers",
)


@click.command()
@click.argument("source", metavar="SET")
@click.option(
    "--model",
    "spec",
    help="efficientnet-lite0, torchvision:NAME, timm:NAME, or package.module:callable, which "
    "is imported (also from this folder) and called: that code is run.",
)
@click.option("--weights", help="File of weights; none leaves random ones [the published ones]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the bank")
@click.option("--layer", help="Whose output the features are [the input of the last linear layer]")
@click.option(
    "--pool",
    type=click.Choice(["mean", "flatten"]),
    default="mean",
    show_default=True,
    help="Feature maps: the mean of each channel, or all numbers",
)
@task_option
@names_option
@click.option(
    "--truth",
    help="The true classes: a .csv or .parquet file with paths and labels, a column of SET, or "
    "folder: the name of each photo's folder",
)
@click.option("--groups", help="Groups of photos, given in the same ways")
@click.option(
    "--preprocess", help="size=224,crop=0.875,mean=...,std=... as of fastxai explain [its own]"
)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), help="Threads that read [one a core]")
@click.option(
    "--map", "map_file", type=click.Path(path_type=Path), help="Map: .png, .pdf, .svg, .html"
)
@click.option(
    "--method",
    type=click.Choice(["umap", "tsne", "pca"], case_sensitive=False),
    default="umap",
    show_default=True,
    help="Of the map",
)
@click.option("--query", help="A photo to be explained by examples, or a row of the bank")
@click.option("--k", type=click.IntRange(min=1), default=5, show_default=True, help="Examples")
@click.option(
    "--metric",
    type=click.Choice(["euclidean", "cosine"]),
    default="euclidean",
    show_default=True,
    help="How examples are compared",
)
@click.option(
    "--class", "label", help="Tell images of this class from others [the predicted class]"
)
@click.option(
    "--prototypes",
    type=click.IntRange(min=1),
    help="So many images that stand for the set, and as many that those leave out",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    help="Of --query or --prototypes: .png, .pdf, .svg",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads [all that may be used]")
@click.option("--quiet", is_flag=True, help="No progress, no summary.")
@click.pass_context
def examples(
    context: click.Context,
    /,
    source: str,
    map_file: Path | None,
    method: str,
    query: str | None,
    k: int,
    metric: str,
    label: str | None,
    prototypes: int | None,
    picture: Path | None,
    seed: int,
    threads: int | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Show how a network sees SET, and explain by examples from it.

    SET is a folder of photos, a .csv or .parquet file with paths, or a .npy array: its features
    are written into the bank --out, and continued there when the command is given again.  SET
    may be such a bank, too, for further pictures of it.
    """
    _check_pictures(source, map_file, query, prototypes, picture)
    from ._cli_explain import torch_set
    from .progress import open_progress

    begun = time.perf_counter()
    written = [file for file in (map_file, picture) if file is not None]
    with open_progress(verbose=not quiet) as progress, torch_set(threads, seed):
        bank = _bank(context, source, options, quiet)
        if not quiet:
            for line in summary(bank):
                click.echo(line, err=True)
        if map_file is not None:
            with progress.stage("map"):
                _draw_map(bank, map_file, method, seed)
        if query is not None:
            given = {"spec": options["spec"], "weights": options["weights"]}
            for line in _explain(bank, query, picture, k, metric, label, **given):
                click.echo(line)
        if prototypes is not None and picture is not None:
            found = bank.prototypes(prototypes, prototypes)
            save_picture(picture, found.plot)
    if not quiet:
        files = ", ".join(map(str, [bank.path, *written]))
        click.echo(f"{time.perf_counter() - begun:.1f} s: {files}", err=True)
        if not written and query is None:
            click.echo(f"next: fastxai examples {bank.path} --map map.png", err=True)


def _check_pictures(
    source: str, map_file: Path | None, query: str | None, prototypes: int | None,
    picture: Path | None,
) -> None:  # fmt: skip
    """Refuse before the work what could not be written."""
    from .io import check_output

    if query is not None and prototypes is not None:
        raise click.UsageError("--query and --prototypes are two pictures: give one at a time")
    if prototypes is not None and picture is None:
        raise click.UsageError("--prototypes are shown in a picture: give --picture")
    if picture is not None and query is None and prototypes is None:
        raise click.UsageError("--picture is of --query or --prototypes: give one of them")
    for file, endings in ((map_file, (*PICTURES, ".html")), (picture, PICTURES)):
        if file is not None:
            check_output(file, endings)
            not_an_input(file, source, query)


def _bank(context: click.Context, source: str, options: dict[str, Any], quiet: bool) -> FeatureBank:
    """The bank that SET is, or one that is built of it."""
    from .examples.bank import FeatureBank
    from .examples.folder import is_bank

    if is_bank(source):
        for name in _BUILDS:
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(
                    f"--{name.replace('_', '-')} is for building a bank, and {source} is one; give "
                    "the photos"
                )
        return FeatureBank.open(source)
    spec, out = options.pop("spec"), options.pop("out")
    options["spec"] = None  # the bank knows its network from now on
    if spec is None or out is None:
        raise click.UsageError(
            f"{source} is no bank: give --model, the network that is to look at it, and --out, the "
            "folder to write"
        )
    from ._cli_explain import read_names
    from ._cli_explain_set import _in_options

    _interrupt.hint = f": the same command continues {out}"
    names, truth = options.pop("labels"), options.pop("truth")
    given = {name: value for name, value in options.items() if name != "spec"}
    with _in_options():
        return FeatureBank.build(
            spec,
            source,
            out=out,
            labels=truth,
            names=None if names is None else read_names(names),
            verbose=not quiet,
            **given,
        )


def summary(bank: FeatureBank) -> list[str]:
    """What the bank holds, what failed, and how often the network is right."""
    lines = [f"{len(bank):,} images, {bank.features.shape[1]:,} features of each at {bank.layer}"]
    known = bank.table["correct"].dropna()
    if len(known):
        lines.append(f"{known.mean():.1%} of {len(known):,} with a true class are right")
    return lines + bank.problems()


def _draw_map(bank: FeatureBank, file: Path, method: str, seed: int) -> None:
    found = bank.embed(method, random_state=seed)
    if file.suffix.lower() == ".html":
        found.html(file)
        return
    save_picture(file, found.plot)


def _explain(
    bank: FeatureBank, query: str, picture: Path | None, k: int, metric: str, label: str | None,
    spec: str | None, weights: str | None,
) -> list[str]:  # fmt: skip
    """Explain a photo or a row; what is said of it."""
    from .examples.by_example import explain_by_example
    from .explain.networks.loading import load_network

    row = query.isdecimal() and not Path(query).exists()
    network = None if spec is None else load_network(spec, weights)
    found = explain_by_example(
        bank, int(query) if row else query, k, model=network, metric=metric, label=label
    )
    if picture is not None:
        save_picture(picture, found.plot)
    return [f"{found.title}: {line}" for line in found.lines()]
