"""Which methods find what a network uses: ``python -m benchmarks.shortcut [--only mark|halves]``.

Two kinds of images of which it is known.  Digits with a planted mark, whose class the network
reads from it: the evidence must lie on the mark.  Composites of two photos: the evidence for the
class of a half must lie on that half.  Writes benchmarks/results/shortcut.json and prints tables.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

import fastxai
from fastxai.bench.machine import cores, machine, versions
from fastxai.errors import FastxaiError, FastxaiWarning
from fastxai.explain.methods import METHODS
from fastxai.explain.networks import (
    efficientnet_lite0,
    photo_composites,
    shortcut_cnn,
    shortcut_images,
)
from fastxai.metrics import maps
from fastxai.metrics.maps import Estimate, MapMeasure

from .harness import ROOT, write_whole

FILE = ROOT / "benchmarks" / "results" / "shortcut.json"
PACKAGES = ("fastxai", "torch", "numpy", "efficientnet-lite-pytorch", "foolbox", "scikit-image")
Row = dict[str, Any]

# --- the planted mark ----------------------------------------------------------------------

DIGITS, RANDOMISED, STAGES = 60, 20, 4
SMALL: dict[str, dict[str, Any]] = {
    "occlusion": {"window": 6, "stride": 2},
    "rise": {"n_masks": 500},
}


def mark() -> dict[str, Any]:
    """Digits with the mark of another class, which the network follows because of the mark."""
    torch.set_num_threads(1)  # a network this small is not faster on two
    net = shortcut_cnn().model
    data = {group: shortcut_images(groups=[group]) for group in ("train", "missing", "foreign")}
    with torch.inference_mode():
        named = {group: net(some.images).argmax(1) for group, some in data.items()}
    foreign, plain = data["foreign"], data["missing"]
    fooled = (named["foreign"] == foreign.marks) & (named["missing"] != foreign.marks)
    some = fooled.nonzero().ravel()[:DIGITS]
    images, target, boxes = foreign.images[some], foreign.marks[some], foreign.boxes[some]
    methods, refused = applicable(net, images[:2], SMALL)
    tell(f"{len(some)} digits, {', '.join(methods)}")
    table = maps.trust(
        net, images, methods, target=target, boxes=boxes, tolerance=0, random_state=0,
        insertion_baseline=0.0,
        measures=["pointing_game", "evidence_share", "insertion", "deletion"],
    )  # fmt: skip
    tell("random weights")
    shaken = maps.randomisation(
        net, images[:RANDOMISED], methods, target=target[:RANDOMISED], stages=STAGES
    )
    tell("without the mark")
    without = explained(net, plain.images[some], methods, named["missing"][some])
    chance = float((boxes[0, 2:] - boxes[0, :2]).prod()) / images[0].numel()
    rows = []
    for name in [*methods, "random"]:
        found = {
            row.measure: figure(row.estimate, row.n) for row in table.rows if row.method == name
        }
        found["evidence_share"]["chance"] = chance
        if name in methods:
            share = share_in(without[name], boxes=boxes)
            found["corner_without_mark"] = figure(share.estimate, share.n)
            found["randomisation"] = figure(shaken[name].estimate, shaken[name].n)
        rows.append({"method": name, **found, "finds": "" if name == "random" else verdict(found)})
    accuracy = {
        group: float((named[group] == some.labels).float().mean()) for group, some in data.items()
    }
    return {
        "network": {
            "accuracy": accuracy,
            "follows_foreign_mark": float((named["foreign"] == foreign.marks).float().mean()),
            "because_of_the_mark": int(fooled.sum()),
            "of": len(fooled),
        },
        "images": len(some),
        "randomised": {"images": RANDOMISED, "stages": STAGES},
        "options": methods,
        "rows": ordered(rows, "evidence_share"),
        "refused": refused,
    }


def verdict(found: Mapping[str, Row]) -> str:
    """Whether a method finds the mark: most of its maps point there, and their evidence is there.

    Of both the whole interval must say so, and evidence must be more than twice the mark's share
    of the area.
    """
    points = found["pointing_game"]["low"] > 0.5
    shows = found["evidence_share"]["low"] > 2 * found["evidence_share"]["chance"]
    words = {(True, True): "yes", (True, False): "only points", (False, True): "only shows"}
    return words.get((points, shows), "no")


def mark_table(found: Mapping[str, Any]) -> str:
    """As Markdown."""
    chance = found["rows"][0]["evidence_share"]["chance"]
    lines = [
        f"The mark takes {chance:.3f} of the image; {found['images']} images.",
        "",
        "| method | finds it | highest point on the mark | evidence on the mark "
        "| evidence in the empty corner | insertion ↑ | deletion ↓ | randomisation ↓ |",
        "|---|---|---|---|---|---|---|---|",
    ]
    columns = ("pointing_game", "evidence_share", "corner_without_mark")
    columns += ("insertion", "deletion", "randomisation")
    for row in found["rows"]:
        name = "a map of noise" if row["method"] == "random" else f"`{row['method']}`"
        cells = [cell(row.get(column), found["images"]) for column in columns[:-1]]
        cells.append(cell(row.get(columns[-1]), found["randomised"]["images"]))
        lines.append(f"| {name} | {row['finds']} | {' | '.join(cells)} |")
    lines += [f"\n`{name}` does not apply: {why}" for name, why in found["refused"].items()]
    return "\n".join(lines)


# --- halves --------------------------------------------------------------------------------

DRAWN, PHOTOS, AMONG = 40, 12, 10
LARGE: dict[str, dict[str, Any]] = {
    "smoothgrad": {"n_samples": 6},
    "integrated_gradients": {"n_samples": 8},
    "occlusion": {"window": 56, "stride": 28},
    "rise": {"n_masks": 100},
}


def halves() -> dict[str, Any]:
    """Evidence for both classes of composites that the network has among its best."""
    torch.set_num_threads(cores())
    network = efficientnet_lite0()
    made = photo_composites(DRAWN, network=network)
    with torch.inference_mode():
        scores = torch.cat([network.model(part) for part in made.images.split(10)])
    classes = torch.from_numpy(made.classes)
    ranks = (scores[:, None] > scores.gather(1, classes)[..., None]).sum(-1)
    seen = (ranks < AMONG).all(1)
    some = seen.nonzero().ravel()[:PHOTOS]
    images, target, masks = made.images[some], classes[some], made.masks[some.numpy()]
    tell(f"{len(some)} of {int(seen.sum())} composites")
    methods, refused = applicable(network.model, images[:1], LARGE)
    rows = []
    for name, own in methods.items():
        began = time.time()
        found = explained(network.model, images, {name: own}, target)[name]
        share = share_in(found, masks=masks)
        right = (share.values > 0.5).astype(float) + 0.5 * (share.values == 0.5)
        right[~np.isfinite(share.values)] = np.nan
        first = ranks[some].numpy() == 0
        sides = {
            "best": share.values[first],
            "other": share.values[~first],
        }
        row = {"method": name, "evidence_share": figure(share.estimate, share.n, share.chance)}
        row |= {"more_in_the_right_half": float(np.nanmean(right))}
        row |= {f"share_{side}": float(np.nanmean(values)) for side, values in sides.items()}
        tell(f"{name}: {share!r}, {time.time() - began:.0f} s")
        rows.append(row)
    return {
        "drawn": DRAWN,
        "both_among_the_best": {str(AMONG): int(seen.sum())},
        "images": len(some),
        "options": methods,
        "rows": ordered(rows, "evidence_share"),
        "refused": refused,
    }


def halves_table(found: Mapping[str, Any]) -> str:
    """As Markdown."""
    lines = [
        f"{found['images']} composites, two classes each; chance is 0.5.",
        "",
        "| method | evidence in the right half | of the best class | of the other class "
        "| maps with more in the right half |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        share = cell(row["evidence_share"], found["images"])
        sides = f"{row['share_best']:.2f} | {row['share_other']:.2f}"
        right = f"{100 * row['more_in_the_right_half']:.0f}%"
        lines.append(f"| `{row['method']}` | {share} | {sides} | {right} |")
    lines += [f"\n`{name}` does not apply: {why}" for name, why in found["refused"].items()]
    return "\n".join(lines)


# --- both ----------------------------------------------------------------------------------


def applicable(
    model: Any, images: Any, options: Mapping[str, dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The methods with their options, and why others do not apply to this network."""
    methods, refused = {}, {}
    for name in METHODS:
        cheap = {**options.get(name, {}), **({"n_masks": 2} if name == "rise" else {})}
        try:
            explained(model, images, {name: cheap}, 0)
        except FastxaiError as error:
            refused[name] = str(error)
        else:
            methods[name] = options.get(name, {})
    return methods, refused


def explained(model: Any, images: Any, methods: Any, target: Any) -> dict[str, Any]:
    """The maps of each method; those by channel have an axis for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastxaiWarning)  # of empty maps: they are counted
        found = fastxai.explain(model, images, methods, target=target)
    return {name: np.asarray(found[name].maps) for name in methods}


def share_in(values: Any, boxes: Any = None, masks: Any = None) -> MapMeasure:
    """The share of evidence inside, of maps with or without channels."""
    single = boxes is not None
    by_channel = values.ndim == 4 + (not single)
    return maps.evidence_share(values, boxes, masks, by_channel=by_channel)


def figure(found: Estimate, n: int, chance: Estimate | None = None) -> Row:
    """A figure as JSON holds it."""
    row: Row = {"value": found.value, "low": found.low, "high": found.high, "n": n}
    return row if chance is None else {**row, "chance": chance.value}


def cell(found: Row | None, total: int) -> str:
    """A figure with its interval, and of how many images, if some say nothing."""
    if found is None:
        return ""
    text = f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
    return text if found["n"] == total else f"{text} of {found['n']}"


def ordered(rows: list[Row], column: str) -> list[Row]:
    """The best first, noise last."""
    return sorted(rows, key=lambda row: (row["method"] == "random", -row[column]["value"]))


def tell(words: str) -> None:
    """Progress."""
    print(f"{datetime.now(UTC):%H:%M:%S} {words}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shortcut", description=__doc__)
    parser.add_argument("--only", choices=("mark", "halves"), help="one of the two tables")
    only = parser.parse_args().only
    began = time.time()
    result: dict[str, Any] = {
        "row": "shortcut",
        "title": "which methods find what a network uses",
        "command": "python -m benchmarks.shortcut",
        "machine": machine(),
        "versions": versions(sys.executable, PACKAGES),
    }
    for name, measure, table in (("mark", mark, mark_table), ("halves", halves, halves_table)):
        if only in (None, name):
            start = time.time()
            result[name] = {**measure(), "seconds": round(time.time() - start)}
            print(table(result[name]), end="\n\n", flush=True)
    old = json.loads(FILE.read_text("utf-8")) if only and FILE.exists() else {}
    result |= {key: old[key] for key in ("mark", "halves") if key in old and key not in result}
    result["date"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    result["minutes"] = round((time.time() - began) / 60, 1)
    write_whole(FILE, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
