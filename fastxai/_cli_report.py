"""The command ``fastxai report``: one page about an explained set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from .errors import InvalidInputError

_SAMPLE = 16  # images on which the maps are put to the test


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The page: .html [RUN/report.html]")
@click.option(
    "--trust/--no-trust",
    default=None,
    help="Put the maps to the test, which runs the network on some of the images "
    "[where the network can be built]",
)
@click.option(
    "--model",
    "spec",
    help="The network again, where RUN was explained with package.module:callable: its code is "
    "run only if it is named here",
)
@click.option("--weights", help="Its file of weights")
@click.option(
    "--reference", help="The group that others are compared with [training, or the largest]"
)
@click.option("--sample", type=click.IntRange(min=2), default=_SAMPLE, show_default=True,
              help="How many images the tests run on")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads [all that may be used]")
@click.option("--quiet", is_flag=True, help="No progress.")
def report(
    run: Path,
    out: Path | None,
    trust: bool | None,
    spec: str | None,
    weights: str | None,
    reference: str | None,
    sample: int,
    seed: int,
    threads: int | None,
    quiet: bool,
) -> None:
    """Write one HTML page about RUN, what ``fastxai explain FOLDER --out RUN`` wrote.

    It opens without a network: accuracy and where the evidence lies by class and group, what
    failed, what is wrong, and how far the maps can be trusted.
    """
    from ._cli_explain import torch_set
    from .io import check_output

    if out is not None:
        check_output(out, (".html", ".htm"))
    begun = time.perf_counter()
    from . import report as pages
    from .image_sets.results import open_results

    results = open_results(run)
    with torch_set(threads, seed):
        if trust is not False:
            _put_to_the_test(results, spec, weights, sample, seed, trust is True, quiet)
        page = pages.write(results, out, reference=reference, verbose=not quiet)
    click.echo(f"{page} ({time.perf_counter() - begun:.1f} s)", err=True)


def _put_to_the_test(
    results: Any, spec: str | None, weights: str | None, sample: int, seed: int, must: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Write the figures of trust beside the maps, unless they are there already."""
    from .image_sets.trust import TRUST, network_of, trust_of

    if (results.path / TRUST).exists() and not must:
        return
    try:
        network = network_of(results, spec, weights)
        if not quiet:
            text = "the maps are put to the test, once, on some of the images (--no-trust: not)"
            click.echo(text, err=True)
        trust_of(results, network, sample=sample, random_state=seed, verbose=not quiet)
    except InvalidInputError as error:
        if must:
            raise
        click.echo(f"the maps are not put to the test: {error}", err=True)
