"""What the commands share: options of the methods, points and labels, files, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .errors import InvalidInputError

PICTURES = (".png", ".pdf", ".svg")
_MANY = 50  # more distinct whole numbers than this are shown as values, not as classes
_BUILT_IN = ("digits", "fashion-mnist")
# Which options belong to which method.
OPTIONS: dict[str, set[str]] = {
    "pca": set(),
    "tsne": {
        *("perplexity", "early_exaggeration", "exaggeration", "learning_rate", "max_iter"),
        *("tol", "dof", "pca_components", "metric", "init"),
    },
    "umap": {"n_neighbors", "min_dist", "spread", "metric", "n_epochs", "init"},
}
_METHOD_OPTIONS = (
    click.option("--spread", type=float, help="UMAP: scale of the picture [1.0]"),
    click.option("--n-epochs", type=click.IntRange(min=0), help="UMAP: rounds of the layout"),
    click.option("--early-exaggeration", type=float, help="t-SNE: factor in the early phase [12]"),
    click.option("--exaggeration", type=float, help="t-SNE: factor in the main phase [1]"),
    click.option("--learning-rate", type=float, help="t-SNE: step [by the number of points]"),
    click.option("--max-iter", type=click.IntRange(min=1), help="t-SNE: iterations [1000]"),
    click.option("--tol", type=float, help="t-SNE: end when the KL divergence falls by less"),
    click.option("--dof", type=float, help="t-SNE: the kernel's degrees of freedom [1]"),
    click.option("--pca-components", type=click.IntRange(min=1), help="PCA to so many first"),
    click.option("--metric", help="UMAP, t-SNE: how distances are measured [euclidean]"),
    click.option("--init", help="UMAP, t-SNE: spectral, pca, random [spectral; pca]"),
)


# What commands about networks are told in the same words.
model_option = click.option(
    "--model",
    "spec",
    required=True,
    help="efficientnet-lite0, torchvision:NAME, timm:NAME, or package.module:callable, which "
    "is imported (also from this folder) and called: that code is run.",
)
weights_option = click.option(
    "--weights",
    help="File of weights (.safetensors, or a state dict of torch.save; no code in it is run); "
    "none leaves random ones [those published with the network]",
)
task_option = click.option(
    "--task",
    type=click.Choice(["softmax", "binary", "multilabel", "regression"]),
    default="softmax",
    show_default=True,
    help="What the network's output means",
)
names_option = click.option(
    "--labels", type=click.Path(path_type=Path), help="File with a class name a line"
)


def method_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the options of t-SNE and UMAP that take one value in every command."""
    for option in reversed(_METHOD_OPTIONS):
        command = option(command)
    return command


def setting(text: str) -> Any:
    """One number, or several joined by +, which are one setting: a tuple."""
    values = tuple(_number(part) for part in text.split("+"))
    return values[0] if len(values) == 1 else values


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


def refuse_options_of_others(
    method: str, given: dict[str, Any], always: frozenset[str] = frozenset()
) -> None:
    """Refuse options that the method does not have; ``always`` belong to the command."""
    strange = sorted(set(given) - OPTIONS[method] - always)
    if strange:
        names = ", ".join("--" + name.replace("_", "-") for name in strange)
        owners = [other for other in OPTIONS if set(strange) <= OPTIONS[other]]
        raise click.UsageError(f"{names}: for --method {' or '.join(owners) or 'others'} only")


def not_an_input(file: Path, *inputs: Path | str | None) -> None:
    """Refuse to replace what is read."""
    for name in inputs:
        if name is not None and file.exists() and Path(name).exists() and file.samefile(name):
            raise click.UsageError(f"{file} is an input: give the output another name")


def read_file(path: Path, key: str | None, labels: str | None) -> tuple[Any, Any]:
    """Return the matrix, and the labels from a column of it or from a file of their own."""
    from .io import load_labels, load_matrix

    if labels is None or not Path(labels).is_file():
        try:
            table = load_matrix(path, key=key, labels=labels)
        except InvalidInputError as error:
            if labels is None or path.suffix not in (".npy", ".gz", ".idx"):
                raise
            raise InvalidInputError(f"--labels {labels}: no such file, and {error}") from None
        return table.values, table.labels
    table = load_matrix(path, key=key)
    return table.values, load_labels(labels, table.values.shape[0])


def read_points(input: str, key: str | None, labels: str | None) -> tuple[Any, Any, Any]:
    """Of a file or a built-in data set the matrix, labels or None, names of classes or None."""
    from . import datasets
    from .io import load_labels

    if input in _BUILT_IN and not Path(input).exists():
        data = datasets.digits() if input == "digits" else datasets.fashion_mnist()
        if labels is None:
            return data.data, data.target, data.names
        return data.data, load_labels(labels, len(data.data)), None
    return *read_file(Path(input), key, labels), None


def some_rows(X: Any, classes: Any, rows: int | None, seed: int) -> tuple[Any, Any]:
    """Rows drawn at random, in their order."""
    import numpy as np

    if rows is None or rows >= X.shape[0]:
        return X, classes
    kept = np.sort(np.random.default_rng([seed, 3]).choice(X.shape[0], rows, replace=False))
    return X[kept], None if classes is None else np.asarray(classes)[kept]


def colours(classes: Any, names: Any = None) -> dict[str, Any]:
    """What a picture colours the points by: classes, or many numbers."""
    import numpy as np

    if classes is None:
        return {}
    classes = np.asarray(classes)
    if classes.dtype.kind in "iuf":
        known = classes[np.isfinite(classes)]
        if len(np.unique(known)) > _MANY or (known != np.floor(known)).any():
            return {"values": classes}
    return {"labels": classes} | ({} if names is None else {"names": names})


def save_picture(path: Path, draw: Callable[[], Any], dpi: int = 200) -> None:
    """Draw without a display, and write the picture whole or not at all."""
    import matplotlib

    matplotlib.use("Agg")
    from .io import atomic_write

    figure = draw()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=dpi, bbox_inches="tight")
