"""Tables out of the results: ``python -m benchmarks.report`` also renews README and docs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .checks import RECORDED
from .harness import ROOT, write_whole

BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
_PAGES = {"README.md": False, "docs/benchmarks.md": True}
# Rows that README shows; the page of benchmarks shows all.
_HEADLINES = (
    *("umap", "first-process", "knn", "transform", "words", "crops"),
    *("tsne", "tsne-sklearn", "tsne-scaling", "tsne-3d"),
    *("gradcam-resnet50", "gradcam-vgg16", "gradcam-memory"),
    *("explain-resnet50", "explain-vgg16", "occlusion-resnet50", "occlusion-vgg16"),
    *("set-gradcam-lite0", "set-memory", "set-resume", "insertion-deletion"),
    *("prototypes", "lime-lite0", "visualize-lite0", "text-scenes"),
)
Result = dict[str, Any]


def load(folder: Path) -> list[Result]:
    """The results that lie in a folder, in the order of the rows; compared ones first."""
    from .rows import ROWS

    results = []
    for row in ROWS:
        files = (folder / f"{row.name}.json", folder / f"{row.name}.ours-only.json")
        found = next((file for file in files if file.is_file()), None)
        if found is not None:
            results.append(json.loads(found.read_text()))
    return results


def amount(value: float | None, unit: str) -> str:
    """A figure as people read it."""
    if value is None:
        return "–"
    if unit == "B":
        return f"{value / 1e9:.2f} GB"
    if unit == "s":
        return f"{value * 1e3:.0f} ms" if value < 0.1 else f"{value:.{2 if value < 10 else 1}f} s"
    if unit:
        return f"{value:.2f} {unit}"
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def verdict(check: dict[str, Any]) -> str:
    """Met, or missed by how much."""
    if check["target"] == RECORDED:
        return ""
    if check["met"] is None:
        return "" if check["target"] == "recorded" else "not compared"
    by = f" ({check['by']})" if check["by"] else ""
    return f"met{by}" if check["met"] else f"**missed**{by}"


def table(results: Sequence[Result]) -> str:
    """One line a target."""
    lines = ["| what | ours | theirs | | target | |", "|---|---|---|---|---|---|"]
    for result in results:
        for check in result["checks"]:
            cells = [
                f"{result['title']}: {check['what']}",
                amount(check["ours"], check["unit"]),
                amount(check["theirs"], check["unit"]),
                check["shown"],
                check["target"],
                verdict(check),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def headlines(results: Sequence[Result]) -> list[Result]:
    """What README shows: whole runs, without what is only recorded; and every missed target."""
    shown = []
    for result in results:
        whole = result["row"] in _HEADLINES
        checks = [
            check
            for check in result["checks"]
            if check["met"] is False or (whole and check["target"] != "recorded")
        ]
        if checks:
            shown.append({**result, "checks": checks})
    return shown


def machine_line(results: Sequence[Result]) -> str:
    """Where and when, and what the peers were; every machine that contributed."""
    lines = []
    for result in results:
        m, peers = result["machine"], result["versions"]["peers"]
        line = (
            f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB; "
            f"{_peers(result, peers)}; "
            f"{result['date'][:10]}"
        )
        if line not in lines:
            lines.append(line)
    text = "Measured on " + "; and on ".join(lines) + "."
    if any(result["trial"] for result in results):
        text = "**A trial on few points: says nothing about speed.** " + text
    text += (
        " Both sides in one run, each in a fresh process on the same file, caches warm unless "
        "said otherwise; memory is the largest resident size, input included."
    )
    if any(_explains(result) for result in results):
        text += (
            " Explanations: both sides in one process, in turn, with the same torch; times "
            "without loading; ratios are medians of those within rounds."
        )
    return text


def _explains(result: Result) -> bool:
    return "captum" in result["versions"]["peers"]


def _peers(result: Result, versions: dict[str, str]) -> str:
    """Those that a row is measured against."""
    names = ["umap-learn", "numba"]
    if _explains(result):
        names = ["torch", "grad-cam", "captum", "torchcam"]
    elif "pillow" in versions:
        names = ["torch", "pillow"]
    elif "t-SNE" in result["title"]:
        names = ["openTSNE", "scikit-learn"]
    return ", ".join(f"{name} {versions.get(name)}" for name in names)


def _stages(result: Result) -> list[str]:
    stages = result.get("stages")
    if not stages:
        return []
    names = list(dict.fromkeys(name for side in stages.values() for name in side))
    lines = ["| stage | " + " | ".join(stages) + " |", "|---|" + "---|" * len(stages)]
    for name in names:
        seconds = [amount(side.get(name), "s") for side in stages.values()]
        lines.append(f"| {name} | " + " | ".join(seconds) + " |")
    return [*lines, ""]


def _times(result: Result) -> list[str]:
    if not result.get("times"):
        return []
    lines = ["| call | median | least | most |", "|---|---|---|---|"]
    for name, seconds in result["times"].items():
        lines.append(f"| {name} | " + " | ".join(amount(s, "s") for s in seconds) + " |")
    return [*lines, ""]


def _curve(result: Result) -> list[str]:
    if not result.get("curve"):
        return []
    lines = ["| library | setting | recall | first | second | peak |", "|---|---|---|---|---|---|"]
    for run in result["curve"]:
        setting = ", ".join(f"{k}={v}" for k, v in run["setting"].items()) or "default"
        cells = [run["library"], setting, f"{run['recall']:.4f}"]
        cells += [amount(run["first"], "s"), amount(run["second"], "s"), amount(run["peak"], "B")]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _kernels(result: Result) -> list[str]:
    if not result.get("kernels"):
        return []
    lines = ["| kernel | on | measured | limit | of the limit |", "|---|---|---|---|---|"]
    for one in result["kernels"]:
        share = one["limit_s"] / one["seconds"]
        times = f"{one['seconds'] * 1e3:.1f} ms | {one['limit_s'] * 1e3:.1f} ms ({one['limit']})"
        lines.append(f"| {one['kernel']} | {one['on']} | {times} | {share:.0%} |")
    return [*lines, ""]


def details(results: Sequence[Result]) -> str:
    """Stages, curves, kernels and notes, row by row."""
    parts: list[str] = []
    for result in results:
        parts += [f"### {result['title']}", ""]
        parts += [*result["notes"], "", f"`{result['command']}`, {result['date']}", ""]
        parts += _stages(result) + _times(result) + _curve(result) + _kernels(result)
    return "\n".join(parts).rstrip()


def write_report(folder: Path) -> str:
    """``results.md`` beside the results; returns its text."""
    results = load(folder)
    if not results:
        return ""
    parts = ["# Benchmarks", "", table(results), "", machine_line(results), "", details(results)]
    text = "\n".join(parts) + "\n"
    write_whole(folder / "results.md", text)
    return text


def insert(page: Path, text: str) -> bool:
    """Put text between the markers of a page; False if it has none."""
    if not page.is_file():
        return False
    old = page.read_text()
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return False
    new = f"{before}{BEGIN}\n{text}\n{END}{after}"
    if new != old:
        write_whole(page, new)
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Write the tables; renew README.md and docs/benchmarks.md where they have the markers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    folder = parser.parse_args(argv).out
    results = load(folder)
    if not write_report(folder):
        print(f"no results in {folder}", file=sys.stderr)
        return 1
    if any(result["trial"] for result in results):
        print("trial results stay out of README and docs", file=sys.stderr)
        return 0
    summary = f"{table(results)}\n\n{machine_line(results)}"
    first = headlines(results)
    short = f"{table(first)}\n\n{machine_line(first)}"
    for name, long in _PAGES.items():
        text = f"{summary}\n\n{details(results)}" if long else short
        done = insert(ROOT / name, text)
        print(f"{name}: {'renewed' if done else f'no {BEGIN} there'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
