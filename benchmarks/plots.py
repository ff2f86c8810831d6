"""One picture a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_COLOURS = {
    "fastxai": "#0072B2",
    "ours": "#0072B2",
    "pynndescent": "#E69F00",
    "umap-learn": "#E69F00",
    "hnswlib": "#009E73",
    "usearch": "#CC79A7",
    "faiss exact": "#555555",
}


def draw(result: dict[str, Any], maps: dict[str, str], out: Path) -> None:
    """Write what this row has to show: stages, the curve, the maps."""
    import matplotlib

    matplotlib.use("Agg")
    name = result["row"]
    if result.get("curve"):
        _save(_curve(result), out / f"{name}.png")
    if result.get("stages"):
        _save(_stages(result), out / f"{name}.png")
    if result.get("kernels"):
        _save(_kernels(result), out / f"{name}.png")
    if maps:
        _save(_maps(result, dict(maps)), out / f"{name}-maps.png")


def _save(figure: Any, file: Path) -> None:
    import matplotlib.pyplot as plt

    temporary = file.with_name(f".{file.name}")
    figure.savefig(temporary, dpi=130, format="png")
    plt.close(figure)
    temporary.replace(file)


def _clean(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _curve(result: dict[str, Any]) -> Any:
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, both = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    titles = {"first": "a fresh process, import included", "second": "the same call again"}
    for axes, (call, title) in zip(both, titles.items(), strict=True):
        for library in dict.fromkeys(run["library"] for run in result["curve"]):
            runs = sorted(
                (r for r in result["curve"] if r["library"] == library), key=lambda r: r["recall"]
            )
            points = [r[call] for r in runs], [r["recall"] for r in runs]
            axes.plot(*points, "o-", color=_COLOURS.get(library), label=library, ms=5, lw=1.3)
        for level in (0.95, 0.99):
            axes.axhline(level, color="0.8", lw=0.8, zorder=0)
        axes.set(xscale="log", xlabel="seconds", title=title)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        _clean(axes)
    both[0].set_ylabel("recall of the 15 nearest")
    both[0].legend(frameon=False, loc="lower right")
    figure.suptitle(f"{result['title']}: recall against time")
    return figure


def _stages(result: dict[str, Any]) -> Any:
    import matplotlib.pyplot as plt

    stages = result["stages"]
    names = list(dict.fromkeys(n for side in stages.values() for n in side))
    figure, axes = plt.subplots(figsize=(9, 0.9 + 0.8 * len(stages)), layout="constrained")
    colours = plt.get_cmap("tab20").colors
    lefts = np.zeros(len(stages))
    for i, name in enumerate(names):
        seconds = np.array([max(0.0, side.get(name, 0.0)) for side in stages.values()])
        colour = colours[i % len(colours)]
        axes.barh(list(stages), seconds, left=lefts, color=colour, label=name, height=0.6)
        lefts += seconds
    for i, total in enumerate(lefts):
        axes.text(total, i, f" {total:.1f} s", va="center")
    axes.invert_yaxis()
    axes.set(xlabel="seconds", title=result["title"])
    axes.margins(x=0.1)
    axes.legend(frameon=False, fontsize=8, ncols=1, bbox_to_anchor=(1, 1), loc="upper left")
    _clean(axes)
    return figure


def _kernels(result: dict[str, Any]) -> Any:
    import matplotlib.pyplot as plt

    found = result["kernels"]
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.33 * len(found)), layout="constrained")
    names = [one["kernel"] for one in found]
    axes.barh(names, [100 * one["limit_s"] / one["seconds"] for one in found], color="#0072B2")
    axes.invert_yaxis()
    axes.set(xlabel="% of the machine's limit (bytes or operations)", title="hot kernels")
    _clean(axes)
    return figure


def _maps(result: dict[str, Any], maps: dict[str, str]) -> Any:
    import matplotlib.pyplot as plt

    file = maps.pop("labels", None)
    labels = None if file is None else np.load(file)
    figure, every = plt.subplots(
        1, len(maps), figsize=(6 * len(maps), 6), squeeze=False, layout="constrained"
    )
    for axes, (name, where) in zip(every[0], maps.items(), strict=True):
        Y = np.load(where)
        order = np.random.default_rng(0).permutation(len(Y))[:200_000]
        size = min(4.0, 40_000 / len(order))
        colours: dict[str, Any] = {"color": "#0072B2"}
        if labels is not None:
            colours = {"c": labels[order], "cmap": "tab10"}
        axes.scatter(*Y[order].T, s=size, lw=0, rasterized=True, **colours)
        axes.set(title=name, xticks=[], yticks=[])
        axes.set_aspect("equal", "datalim")
    figure.suptitle(result["title"])
    return figure
