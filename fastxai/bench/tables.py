"""What was measured, side by side: on a terminal, in Markdown."""

from __future__ import annotations

from statistics import mean, median, stdev
from typing import Any

from .contestants import METHODS, OURS

TITLES = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
QUALITIES = {
    "label_accuracy": "label accuracy",
    "neighbor_preservation": "15-neighbour preservation",
    "trustworthiness": "trustworthiness",
    "continuity": "continuity",
    "random_triplet_accuracy": "random-triplet accuracy",
    "distance_correlation": "distance correlation",
    "outlier_fraction": "outlier fraction",
    "kl_divergence": "KL divergence",
}
_TIMES = {"first": "first call", "warm": "warm call", "import": "import"}

_BUSY = 0.3  # cores at work on something else that disturb a measurement

Result = dict[str, Any]
Table = tuple[list[str], list[list[str]]]


def methods_of(result: Result) -> list[str]:
    """The methods that were run, in their usual order."""
    found = {run["method"] for run in result["runs"]}
    return [method for method in METHODS if method in found]


def runs_of(result: Result, method: str) -> dict[str, list[dict[str, Any]]]:
    """The runs of each library, ours first."""
    found: dict[str, list[dict[str, Any]]] = {OURS: []}
    for run in result["runs"]:
        if run["method"] == method:
            found.setdefault(run["library"], []).append(run)
    return {library: runs for library, runs in found.items() if runs}


def table(result: Result, method: str) -> Table:
    """Heads and rows of one method: a figure a row, a library a column."""
    libraries = runs_of(result, method)
    measured = {name: [r for r in runs if "first" in r] for name, runs in libraries.items()}
    heads = [TITLES[method], *(f"{name} {result['versions'][name]}" for name in libraries)]
    rows = []
    for key, title in _TIMES.items():
        rows.append([title, *_beside(measured, key, seconds)])
    rows.append(["peak memory", *_beside(measured, "peak", lambda b: f"{b / 1e9:.2f} GB")])
    for key, title in QUALITIES.items():
        cells = [_quality(runs, key) for runs in measured.values()]
        if any(cell != "–" for cell in cells):
            rows.append([title, *cells])
    if any(run["state"] not in ("done", "measured") for runs in libraries.values() for run in runs):
        rows.append(["not measured", *(_reasons(runs) for runs in libraries.values())])
    return heads, rows


def _beside(measured: dict[str, list[dict[str, Any]]], key: str, show: Any) -> list[str]:
    """Medians, those of others also as multiples of ours."""
    middle = {}
    for name, runs in measured.items():
        values = [run[key] for run in runs if run[key] is not None]
        middle[name] = median(values) if values else None
    ours = middle.get(OURS)
    cells = []
    for name, value in middle.items():
        if value is None:
            cells.append("–")
        elif name == OURS or not ours:
            cells.append(show(value))
        else:
            times = value / ours
            cells.append(f"{show(value)} ({times:.{2 if times < 1 else 1 if times < 20 else 0}f}×)")
    return cells


def seconds(value: float) -> str:
    """Seconds, or milliseconds of little."""
    if value < 0.1:
        return f"{1e3 * value:.0f} ms"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} s"


def _quality(runs: list[dict[str, Any]], key: str) -> str:
    """The mean over seeds and how much seeds differ; of one seed half the interval."""
    figures = [run["quality"][key] for run in runs if key in run["quality"]]
    if not figures:
        return "–"
    value = mean(figure["value"] for figure in figures)
    if len(figures) > 1:
        return f"{value:.3f} ± {stdev(figure['value'] for figure in figures):.3f}"
    half = (figures[0]["high"] - figures[0]["low"]) / 2
    return f"{value:.3f} ± {half:.3f}" if half else f"{value:.3f}"


def _reasons(runs: list[dict[str, Any]]) -> str:
    reasons = [run["reason"] for run in runs if "reason" in run]
    return reasons[0] if reasons else ""


def caption(runs: list[dict[str, Any]]) -> str:
    """The figures that stand below a map."""
    measured = [run for run in runs if "first" in run]
    parts = [
        seconds(median(run["first"] for run in measured)),
        f"{median(run['peak'] for run in measured) / 1e9:.2f} GB",
    ]
    short = {"label_accuracy": "acc.", "neighbor_preservation": "15-NN", "kl_divergence": "KL"}
    for key, name in short.items():
        if (cell := _quality(measured[:1], key)) != "–":
            parts.append(f"{name} {cell.split(' ')[0]}")
    return " · ".join(parts)


def about(result: Result) -> str:
    """What data, where, when, and what the figures are."""
    data, m = result["data"], result["machine"]
    seeds = len({run["seed"] for run in result["runs"]})
    lines = [
        f"{data['name']}: {data['points']:,} x {data['features']}, "
        f"{seeds} seed{'s' if seeds != 1 else ''}. {m['cpu']}, {m['cores']} cores, "
        f"{m['memory_gib']} GiB, {m['system']}; {result['date']}.",
        "Each run is a fresh process with the library's defaults (umap-learn without "
        "random_state, else it takes one thread; t-SNE with all threads) and compiled code "
        "cached. First call: in that process, import and loading apart; warm call: once more "
        "in the first seed's process. Times and memory are medians over seeds, in brackets as "
        "multiples of fastxai's; memory is the largest resident size, data included. Qualities "
        "are means over seeds, ± their standard deviation (of one seed: ± half the 95% "
        "confidence interval).",
    ]
    recall = result["neighbors_recall"]
    if recall is not None and recall < 1:
        lines.append(f"The divergence is about neighbours of recall {recall:.3f}.")
    if (disturbed := disturbance(result)) is not None:
        lines.append(disturbed)
    return "\n\n".join(lines)


def disturbance(result: Result) -> str | None:
    """A word on other work that ran on the machine: none of these times is to be quoted then."""
    busy = max((run.get("busy_before") or 0.0 for run in result["runs"]), default=0.0)
    if busy < _BUSY:
        return None
    return (
        f"Something else kept up to {busy:.1f} cores at work between the runs: times are longer "
        "than on an idle machine, and most of all those of libraries whose threads wait "
        "actively (OpenMP). Measure again without it."
    )


def markdown(result: Result, picture: str | None = None) -> str:
    """The whole comparison as a page."""
    parts = [f"# {result['data']['name']}", "", f"`{result['command']}`", "", about(result), ""]
    for method in methods_of(result):
        heads, rows = table(result, method)
        parts.append("| " + " | ".join(heads) + " |")
        parts.append("|---" * len(heads) + "|")
        parts += ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows]
        parts.append("")
    if picture is not None:
        parts += [f"![the maps side by side]({picture})", ""]
    return "\n".join(parts)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;")


def show(result: Result) -> None:
    """Write the tables to stdout."""
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console.width = 160
    for method in methods_of(result):
        heads, rows = table(result, method)
        grid = Grid(show_edge=False, pad_edge=False)
        for number, head in enumerate(heads):
            grid.add_column(Text(head), justify="right" if number else "left")
        for row in rows:
            grid.add_row(*(Text(cell) for cell in row))
        console.print(grid)
        console.print()
    if (disturbed := disturbance(result)) is not None:
        console.print(Text(disturbed))
