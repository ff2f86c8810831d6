"""The command ``fastxai``: embed a file, explain photos and sets, see a demo, ask what is there.

Exit codes: 0 done, 1 failed, 2 wrong usage or bad input, 130 interrupted.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from . import __version__, _interrupt
from ._cli_bench import bench
from ._cli_dream import dream
from ._cli_examples import examples
from ._cli_explain import explain
from ._cli_report import report
from ._cli_shared import (
    OPTIONS,
    PICTURES,
    colours,
    method_options,
    not_an_input,
    read_points,
    refuse_options_of_others,
    save_picture,
    setting,
)
from ._cli_surrogate import surrogate
from ._cli_sweep import sweep
from ._cli_units import units
from .errors import FastxaiError, FastxaiWarning, InvalidInputError


def _perplexity(context: Any, parameter: Any, text: str | None) -> Any:
    """One number, or several joined by +."""
    if text is None:
        return None
    try:
        value = setting(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no number, nor several as in 30+300 (maps of several perplexities side "
            "by side: fastxai sweep)"
        ) from None
    return list(value) if isinstance(value, tuple) else value


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def fastxai() -> None:
    """Look at your data and at your network: maps of millions of points, of evidence in photos."""


@fastxai.command()
@click.argument("input")
@click.option(
    "--method",
    type=click.Choice(sorted(OPTIONS), case_sensitive=False),
    default="umap",
    show_default=True,
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Embedding: .npy, .npz, .csv, .parquet"
)
@click.option("--plot", type=click.Path(path_type=Path), help="Picture: .png, .pdf, .svg")
@click.option("--labels", help="File with one label a point, or the name of a column of INPUT.")
@click.option("--key", help="Name of the matrix in a .npz file with several.")
@click.option("--n-components", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "--n-neighbors", type=click.IntRange(min=2), help="UMAP: size of a neighbourhood [15]"
)
@click.option("--min-dist", type=float, help="UMAP: least distance in the picture [0.1]")
@click.option(
    "--perplexity",
    callback=_perplexity,
    help="t-SNE: effective neighbours [30]; 30+300 shows both scales",
)
@method_options
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads [all that may be used]")
@click.option("--device", help="cpu, cuda or cuda:1 [CUDA where there is a device]")
@click.option("--quiet", is_flag=True, help="No progress.")
def embed(
    input: str,
    method: str,
    out: Path | None,
    plot: Path | None,
    labels: str | None,
    key: str | None,
    n_components: int,
    seed: int,
    threads: int | None,
    device: str | None,
    quiet: bool,
    **method_options: Any,
) -> None:
    """Embed the rows of INPUT (.npy, .npz, .csv, .tsv, .parquet, IDX, the last also .gz).

    INPUT may be one of the built-in data sets digits and fashion-mnist, too.
    """
    given = {name: value for name, value in method_options.items() if value is not None}
    if out is None and plot is None:
        raise click.UsageError("nothing to write: give --out, --plot or both")
    refuse_options_of_others(method, given)
    if plot is not None and (n_components == 1 or (method != "pca" and n_components != 2)):
        raise click.UsageError(f"--plot shows two components, not {n_components}")
    if labels is not None and plot is None and Path(labels).exists():
        raise click.UsageError("--labels are shown in the picture: give --plot")
    from .io import check_output, save_matrix

    for file, endings in ((out, None), (plot, PICTURES)):
        if file is not None:
            check_output(file, endings)
            not_an_input(file, input, labels)
    begun = time.perf_counter()
    X, classes, names = read_points(input, key, labels)
    options = {"n_components": n_components, "random_state": seed, **given}
    if device is not None:
        options["device"] = device
    model, embedding, timings = _run(method, X, options, threads, quiet)
    columns = tuple(model.get_feature_names_out())
    if out is not None:
        save_matrix(out, embedding, columns)
    if plot is not None:
        _picture(plot, embedding[:, :2], classes, names)
    if not quiet:
        n, d = X.shape
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in timings.items())
        files = " and ".join(str(file) for file in (out, plot) if file is not None)
        seconds = time.perf_counter() - begun
        divergence = f", KL divergence {model.kl_divergence_:.3f}" if method == "tsne" else ""
        click.echo(
            f"{n:,} x {d} embedded in {seconds:.1f} s ({stages}){divergence}: {files}", err=True
        )


def _run(
    method: str, X: Any, options: dict[str, Any], n_threads: int | None, quiet: bool
) -> tuple[Any, Any, dict[str, float]]:
    """Embed, with progress; the estimator, the embedding, seconds of each stage."""
    from fastxai_kernels.cpu._threads import threads

    from . import PCA, TSNE, UMAP
    from .progress import open_progress

    model: Any = {"pca": PCA, "tsne": TSNE, "umap": UMAP}[method](**options)
    with open_progress(verbose=not quiet) as progress, threads(n_threads):
        embedding = model.fit_transform(X)
    return model, embedding, progress.timings


def _picture(path: Path, embedding: Any, labels: Any, names: Any = None) -> None:
    from . import plot

    save_picture(path, lambda: plot.scatter(embedding, **colours(labels, names)))


@fastxai.command()
@click.option("--data", type=click.Choice(["digits", "fashion-mnist"]), help="[digits]")
@click.option("--photos", is_flag=True, help="Explain photos by a real network instead.")
@click.option("--set", "whole", is_flag=True, help="Explain installed photos as a set.")
@click.option("--network", is_flag=True, help="Ask the digits' network in all the other ways.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Picture, or folder of --set and --network [demo-DATA.png]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads [all that may be used]")
@click.option("--quiet", is_flag=True, help="No progress.")
def demo(
    data: str | None,
    photos: bool,
    whole: bool,
    network: bool,
    out: Path | None,
    seed: int,
    threads: int | None,
    quiet: bool,
) -> None:
    """Embed a real data set with UMAP, and explain what a small network sees in the digits.

    Writes demo-DATA.png, and of the digits demo-digits-explained.png, too; with --photos
    demo-photos.png; with --set a folder demo-set and its report; with --network a folder
    demo-network: what units want to see, examples, stand-ins, and words.
    """
    from ._cli_demo import explain_digits, explain_photos, explain_set
    from .io import check_output

    if sum((photos, whole, network, data is not None)) > 1:
        raise click.UsageError("--data, --photos, --set and --network are four demos: give one")
    if network:
        from ._cli_demo_network import ask_digits

        click.echo(ask_digits(out or Path("demo-network"), seed, threads, quiet))
        return
    if whole:
        click.echo(explain_set(out or Path("demo-set"), seed, threads, quiet))
        return
    if photos:
        out = check_output(out or Path("demo-photos.png"), PICTURES)
        click.echo(explain_photos(out, seed, threads, quiet))
        return
    data = data or "digits"
    out = check_output(out or Path(f"demo-{data}.png"), PICTURES)
    click.echo(_embed_demo(data, out, seed, threads, quiet))
    if data == "digits":
        explained = check_output(out.with_name(f"{out.stem}-explained{out.suffix}"), PICTURES)
        click.echo(explain_digits(explained, seed, threads, quiet))


def _embed_demo(data: str, out: Path, seed: int, threads: int | None, quiet: bool) -> str:
    from . import datasets

    points = datasets.digits() if data == "digits" else datasets.fashion_mnist()
    begun = time.perf_counter()
    _, embedding, _ = _run("umap", points.data, {"random_state": seed}, threads, quiet)
    seconds = time.perf_counter() - begun
    _picture(out, embedding, points.target, points.names)
    from fastxai_kernels.cpu._threads import threads as using

    from .metrics.embedding import label_accuracy

    with using(threads):
        accuracy = label_accuracy(embedding, points.target)
    n, d = points.data.shape
    return (
        f"{data}: {n:,} x {d} in {seconds:.1f} s; the 10 nearest neighbours in the picture "
        f"name the class of {accuracy:.1%} of the points: {out}"
    )


@fastxai.command()
def warmup() -> None:
    """Compile every kernel now, so that the first run need not."""
    from fastxai_kernels.cpu import _warm

    from .progress import open_progress
    from .system import compile_kernels, kernel_cache

    begun = time.perf_counter()
    with open_progress(verbose=True) as progress:
        compile_kernels(progress, again=True)
    missing = sorted(set(_warm.kernel_names()) - set(_warm.cached_names()))
    if missing:
        raise FastxaiError(f"not compiled: {', '.join(missing)} (can {kernel_cache()} be written?)")
    total = len(_warm.kernel_names())
    click.echo(f"{total} kernels in {kernel_cache()} ({time.perf_counter() - begun:.1f} s)")


@fastxai.command()
def info() -> None:
    """Print versions, CPU, threads, memory, GPU, and what is compiled."""
    from .system import describe

    for name, text in describe():
        click.echo(f"{name + ':':<10} {text}")


fastxai.add_command(bench)
fastxai.add_command(dream)
fastxai.add_command(examples)
fastxai.add_command(explain)
fastxai.add_command(report)
fastxai.add_command(surrogate)
fastxai.add_command(sweep)
fastxai.add_command(units)


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _warn(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, FastxaiWarning):
        click.echo(f"fastxai: warning: {_one_line(str(message))}", err=True)


def run(arguments: Sequence[str]) -> int:
    """Run the command with these arguments and return its exit code; nothing is raised."""
    _interrupt.hint = ""
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            fastxai.main(list(arguments), prog_name="fastxai", standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return 2
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "fastxai"
            hint = f" (see {command} --help)"
            click.echo(f"{command}: {_one_line(error.format_message())}{hint}", err=True)
            return 2
        except (click.Abort, KeyboardInterrupt):
            click.echo(f"fastxai: interrupted{_interrupt.hint}", err=True)
            return 130
        except InvalidInputError as error:
            click.echo(f"fastxai: {_one_line(str(error))}", err=True)
            return 2
        except (FastxaiError, MemoryError, OSError) as error:
            message = _one_line(str(error)) or type(error).__name__
            click.echo(f"fastxai: {message}", err=True)
            return 1
    return 0


def main() -> None:
    """Entry point of the command."""
    _interrupt.end_soon_after_interrupt()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
