"""Explanations: Grad-CAM, five methods together, occlusion; both sides in one process, in turn."""

from __future__ import annotations

import re
from collections.abc import Iterable
from statistics import mean, median
from typing import Any

from ..checks import RECORDED, Check, at_most, at_most_share, faster, in_turn, recorded
from ..harness import Bench

_NAMES = {"resnet50": "ResNet-50", "vgg16": "VGG-16", "efficientnet-lite0": "EfficientNet-Lite0"}
_CAPTUM = ("captum, trainable", "captum, frozen")
_SAME = 1e-3  # relative L2 between float32 computations in different orders
_MEMORY_ROUNDS = 3
# At least so many times as fast as grad-cam, captum, torchcam; none where only recorded.
_GRADCAM = {"resnet50": (3.0, 2.0, 1.1), "vgg16": (3.0, 1.2, 1.05)}
_TOGETHER = {"resnet50": 3.0, "vgg16": 2.5}
_OCCLUSION = {"resnet50": 1.3, "vgg16": 1.05}
_OURS: dict[str, dict[str, Any]] = {
    "fastxai": {},
    "fastxai, whole images": {"local": False},
    "fastxai, folded copy": {"fast": True},
}
Rounds = dict[str, list[float]]


def _size(bench: Bench) -> dict[str, int]:
    """The images of a run; few and small ones in a trial."""
    return {"batch": 2, "size": 64} if bench.trial else {"batch": 8, "size": 224}


def _rounds(bench: Bench, usual: int) -> int:
    return 1 if bench.trial else 2 * usual if bench.full else usual


def _fastest(rounds: Rounds, names: tuple[str, ...]) -> str:
    return min(names, key=lambda name: median(rounds[name]))


def _times(rounds: Rounds) -> dict[str, list[float]]:
    """Median, least and most seconds, for the page of benchmarks."""
    return {name: [median(s), min(s), max(s)] for name, s in rounds.items()}


def _same(what: str, differences: Iterable[float], limit: float = _SAME) -> Check:
    """Maps are another's; the limit is float32's, with room for other orders of sums."""
    largest = max(differences)
    check = at_most(what, largest, limit, "")
    return {**check, "target": f"≤ {limit:g}", "shown": f"{largest:.1e}", "ours": None, "by": None}


def _recorded(check: Check) -> Check:
    """The figure without a target."""
    return {**check, "target": RECORDED, "met": None, "by": None}


def gradcam(bench: Bench, network: str) -> dict[str, Any]:
    """Grad-CAM by all, and what more classes and layers cost us."""
    given = {"network": network, **_size(bench), "rounds": _rounds(bench, 7)}
    run = bench.explanation("gradcam", **given)
    rounds, limits = run["rounds"], _GRADCAM.get(network)
    captum = _fastest(rounds, _CAPTUM)
    theirs = ("grad-cam", captum, "torchcam")
    checks = []
    for number, name in enumerate(theirs):
        mine, title = rounds["fastxai"], f"against {name}"
        check = in_turn(faster, title, mine, rounds[name], limits[number] if limits else 1.0)
        checks.append(check if limits else _recorded(check))
    checks += [
        check if limits else _recorded(check) for check in _costs(rounds, rounds["plain forward"])
    ]
    found = run["difference"]
    checks.append(_same("the maps of all three: largest difference", found.values()))
    notes = [
        f"{_about(given)} All are asked about the same classes. captum is compared with "
        "the faster of trainable and frozen parameters; grad-cam and torchcam need trainable "
        "ones. torchcam's maps are brought to image size, ours are scaled like grad-cam's to be "
        "compared with them."
    ]
    if run["blank"]:
        notes.append(f"Maps without a positive value: {run['blank']} of {given['batch']}.")
    return {"checks": checks, "notes": notes, "times": _times(rounds), "runs": {"both": [run]}}


def _costs(rounds: Rounds, plain: list[float]) -> list[Check]:
    """Beside a plain forward; five classes beside one; four layers beside the earliest."""
    mine, earliest = rounds["fastxai"], rounds["fastxai, earliest layer"]
    top, four = rounds["fastxai, top 5"], rounds["fastxai, four layers"]
    return [
        in_turn(at_most_share, "against one plain no-grad forward", mine, plain, 1.05),
        in_turn(at_most_share, "top 5 against one class", top, mine, 1.5),
        in_turn(at_most_share, "four layers against the earliest alone", four, earliest, 1.1),
    ]


def memory(bench: Bench) -> dict[str, Any]:
    """Peak above the loaded model; a fresh process a run."""
    who = ("plain forward", "fastxai", "torchcam", "captum", "grad-cam")
    checks, runs = [], {}
    for network in ("resnet50", "vgg16"):
        found: dict[str, list[int]] = {name: [] for name in who}
        for number in range(1 if bench.trial else _MEMORY_ROUNDS):
            for name in who:
                if number and name not in who[:2]:
                    continue  # recorded only: once is enough
                run = bench.explanation("memory", network=network, contestant=name, **_size(bench))
                found[name].append(run["above"])
        bytes_of = {name: median(some) for name, some in found.items()}
        checks.append(
            at_most_share(
                f"{_NAMES[network]}: Grad-CAM against a plain no-grad forward",
                bytes_of["fastxai"],
                bytes_of["plain forward"],
                1.15,
                "B",
            )
        )
        checks += [
            recorded(f"{_NAMES[network]}: beside {name}", bytes_of["fastxai"], bytes_of[name], "B")
            for name in who[2:]
        ]
        runs[network] = [found]
    notes = [
        "The largest resident size during one call, less that before it, in a process that has "
        "called the same thing on one small image before; medians of "
        f"{_MEMORY_ROUNDS} processes, of peers one."
    ]
    return {"checks": checks, "notes": notes, "runs": runs}


def together(bench: Bench, network: str) -> dict[str, Any]:
    """Saliency, guided backprop, DeconvNet, Grad-CAM, Guided Grad-CAM."""
    usual = 3 if network == "vgg16" else 5
    given = {"network": network, **_size(bench), "rounds": _rounds(bench, usual)}
    run = bench.explanation("together", **given)
    rounds, mine = run["rounds"], run["rounds"]["fastxai"]
    best = _fastest(rounds, _CAPTUM)
    plain = "against one plain no-grad forward"
    checks = [
        in_turn(faster, f"against {best}, one by one", mine, rounds[best], _TOGETHER[network]),
        _recorded(in_turn(at_most_share, plain, mine, rounds["plain forward"], 1.0)),
        _same(
            "the maps of captum, and zennit's by rule: largest difference",
            run["difference"].values(),
        ),
    ]
    notes = [
        f"{_about(given)} All are asked about the same classes; captum is compared with the "
        "faster of trainable and frozen parameters."
    ]
    return {"checks": checks, "notes": notes, "times": _times(rounds), "runs": {"both": [run]}}


def occlusion(bench: Bench, network: str) -> dict[str, Any]:
    """169 windows of one image."""
    size = _size(bench)["size"]
    usual = 2 if network == "vgg16" else 3
    given = {"network": network, "size": size, "rounds": _rounds(bench, usual)}
    run = bench.explanation("occlusion", options=_OURS, **given)
    rounds, found = run["rounds"], run["difference"]
    mine, whole, folded = (rounds[name] for name in _OURS)
    dense, captum = rounds["dense"], rounds["captum"]
    best = "against the best dense forwards"
    checks = [
        in_turn(at_most_share, f"whole images {best}", whole, dense, 1.05),
        in_turn(at_most_share, f"what the window reaches (the default) {best}", mine, dense, 1.0),
        in_turn(at_most_share, f"the same on a folded copy {best}", folded, dense, 1.0),
        in_turn(faster, "the default against captum", mine, captum, _OCCLUSION[network]),
        _recorded(in_turn(faster, "whole images against captum", whole, captum, 1.0)),
        _same("the maps of dense forwards: largest difference", found.values(), 1e-4),
    ]
    tuned = {name: min(tried, key=tried.__getitem__) for name, tried in run["tuning"].items()}
    notes = [
        f"One image of {size}×{size}, {run['windows']} windows of 32×32, a stride of 16, zeros; "
        f"{given['rounds']} rounds in turn. Dense forwards at their best of 8, 16 and "
        f"32 windows, contiguous and channels_last ({tuned['dense']}); captum at its best of 1, "
        f"4, 16 and 32 perturbations_per_eval ({tuned['captum']}). Differences are shares of the "
        "largest value of the map."
    ]
    return {"checks": checks, "notes": notes, "times": _times(rounds), "runs": {"both": [run]}}


def agreement(bench: Bench) -> dict[str, Any]:
    """Grad-CAM beside occlusion on a trained network."""
    size = {"count": 2, "size": 64} if bench.trial else {"count": 8, "size": 224}
    run = bench.explanation("agreement", network="efficientnet-lite0", **size)
    correlations = run["correlations"]
    seconds = {name: mean(some) for name, some in run["seconds"].items()}
    checks = [
        recorded("time an image", seconds["gradcam"], seconds["occlusion"], "s"),
        recorded("rank correlation with occlusion, mean", mean(correlations.values()), None),
    ]
    by_photo = ", ".join(
        f"{re.sub('_', ' ', name)} {value:+.2f}" for name, value in correlations.items()
    )
    notes = [
        "Trained weights, photos of scikit-image, the predicted class. Spearman's correlation "
        "between Grad-CAM and the drop of the logit by occlusion (windows of 32, a stride of "
        f"16), over the means of 14×14 cells: {by_photo}."
    ]
    return {"checks": checks, "notes": notes, "runs": {"ours": [run]}}


def _about(given: dict[str, Any]) -> str:
    batch, size = given["batch"], given["size"]
    return (
        f"{batch} photos of {size}×{size}, all cores, contiguous; medians of {given['rounds']} "
        "rounds in turn in one process, of the ratios within a round."
    )
