"""Explanations: Grad-CAM, five methods together, occlusion; both sides in one process, in turn."""

from __future__ import annotations

import re
from statistics import mean, median
from typing import Any

from ..checks import Check, at_most, at_most_share, faster, in_turn, recorded
from ..harness import Bench

_NAMES = {"resnet50": "ResNet-50", "vgg16": "VGG-16", "efficientnet-lite0": "EfficientNet-Lite0"}
_CAPTUM = ("captum, trainable", "captum, frozen")
_SAME = 1e-3  # relative L2 between float32 computations in different orders
_RULES = 1e-4
_MEMORY_ROUNDS = 3
# At least so many times as fast as grad-cam, captum, torchcam; none where only recorded.
_GRADCAM = {"resnet50": (3.0, 2.0, 1.1), "vgg16": (3.0, 1.2, 1.05)}
_TOGETHER = {"resnet50": 3.0, "vgg16": 2.5}
_OCCLUSION = {"resnet50": 1.3, "vgg16": 1.05}
_OURS = {"fastxai": {"fold": False}, "fastxai, folded copy": {"fold": True}}
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


def _same(what: str, difference: float, limit: float = _SAME) -> Check:
    """A map is another's; the limit is float32's, with room for other orders of sums."""
    check = at_most(what, difference, limit, "")
    return {**check, "target": f"≤ {limit:g}", "shown": f"{difference:.1e}", "ours": None}


def gradcam(bench: Bench, network: str) -> dict[str, Any]:
    """Grad-CAM by all, and what more classes and layers cost us."""
    given = {"network": network, **_size(bench), "rounds": _rounds(bench, 7)}
    run = bench.explanation("gradcam", **given)
    rounds = run["rounds"]
    mine, plain = rounds["fastxai"], rounds["plain forward"]
    captum = _fastest(rounds, _CAPTUM)
    theirs = {"grad-cam": "grad-cam", f"captum ({captum[8:]})": captum, "torchcam": "torchcam"}
    limits = _GRADCAM.get(network)
    checks: list[Check] = []
    for number, (title, name) in enumerate(theirs.items()):
        if limits is None:
            checks.append(recorded(f"against {title}", median(mine), median(rounds[name]), "s"))
        else:
            checks.append(in_turn(faster, f"against {title}", mine, rounds[name], limits[number]))
    checks += _costs(rounds, plain, limits is not None)
    found = run["difference"]
    checks += [
        _same("difference from captum's maps", found["captum"]),
        _same("difference from torchcam's maps", found["torchcam"]),
        _same("difference from grad-cam's maps, scaled like them", found["grad-cam"]),
        _same("top 5: difference of the first class", found["top 5"]),
        _same("four layers: difference of the earliest", found["four layers"]),
    ]
    notes = [
        f"{_about(run, given)} All are asked about the same classes. captum is compared with "
        "the faster of trainable and frozen parameters; grad-cam and torchcam need trainable "
        "ones. torchcam's maps are brought to image size like the others'."
    ]
    if run["blank"]:
        notes.append(f"Maps without a positive value: {run['blank']} of {given['batch']}.")
    return {"checks": checks, "notes": notes, "times": _times(rounds), "runs": {"both": [run]}}


def _costs(rounds: Rounds, plain: list[float], judged: bool) -> list[Check]:
    """Beside a plain forward; five classes beside one; four layers beside the earliest."""
    asked = [
        ("against one plain no-grad forward", "fastxai", plain, 1.05),
        ("top 5 against one class", "fastxai, top 5", rounds["fastxai"], 1.5),
        (
            "four layers against the earliest alone",
            "fastxai, four layers",
            rounds["fastxai, earliest layer"],
            1.1,
        ),
    ]
    checks = []
    for what, name, base, share in asked:
        check = in_turn(at_most_share, what, rounds[name], base, share)
        checks.append(check if judged else {**check, "target": "recorded", "met": None, "by": None})
    return checks


def memory(bench: Bench) -> dict[str, Any]:
    """Peak above the loaded model; a fresh process a run."""
    who = ("plain forward", "fastxai", "torchcam", "captum", "grad-cam")
    checks, runs, notes = [], {}, []
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
    notes.append(
        "The largest resident size during one call, less that before it, in a process that has "
        "called the same thing on one small image before; medians of "
        f"{_MEMORY_ROUNDS} processes, peers one. Two threads, contiguous."
    )
    return {"checks": checks, "notes": notes, "runs": runs}


def together(bench: Bench, network: str) -> dict[str, Any]:
    """Saliency, guided backprop, DeconvNet, Grad-CAM, Guided Grad-CAM."""
    given = {"network": network, **_size(bench), "rounds": _rounds(bench, 5)}
    run = bench.explanation("together", **given)
    rounds, found = run["rounds"], run["difference"]
    captum = _fastest(rounds, _CAPTUM)
    mine = rounds["fastxai"]
    title = f"against captum ({captum[8:]}) one by one"
    checks = [
        in_turn(faster, title, mine, rounds[captum], _TOGETHER[network]),
        recorded("one plain no-grad forward", median(mine), median(rounds["plain forward"]), "s"),
    ]
    for name, difference in found.items():
        library, method = name.split(", ")
        checks.append(_same(f"{method}: difference from {library}", difference, _limit(method)))
    notes = [
        f"{_about(run, given)} All are asked about the same classes; captum is compared with the "
        "faster of trainable and frozen parameters."
    ]
    return {"checks": checks, "notes": notes, "times": _times(rounds), "runs": {"both": [run]}}


def _limit(method: str) -> float:
    return _RULES if method in ("guided_backprop", "deconvnet") else _SAME


def occlusion(bench: Bench, network: str) -> dict[str, Any]:
    """169 windows of one image."""
    size = _size(bench)["size"]
    usual = 2 if network == "vgg16" else 3
    given = {"network": network, "size": size, "rounds": _rounds(bench, usual)}
    run = bench.explanation("occlusion", options=_OURS, **given)
    rounds, found = run["rounds"], run["difference"]
    mine, folded = rounds["fastxai"], rounds["fastxai, folded copy"]
    dense = "against the best dense forwards"
    checks = [
        in_turn(at_most_share, f"the model as it is {dense}", mine, rounds["dense"], 1.05),
        in_turn(at_most_share, f"a folded copy {dense}", folded, rounds["dense"], 1.0),
        in_turn(faster, "a folded copy against captum", folded, rounds["captum"], 0.0)
        | {"target": "recorded", "met": None, "by": None},
        in_turn(
            faster, "the model as it is against captum", mine, rounds["captum"], _OCCLUSION[network]
        ),
        _same("the model as it is: largest difference from dense", found["fastxai"], 1e-4),
        _same("a folded copy: largest difference", found["fastxai, folded copy"], 1e-4),
    ]
    best = {name: min(tried, key=tried.__getitem__) for name, tried in run["tuning"].items()}
    notes = [
        f"One image of {size}×{size}, {run['windows']} windows of 32×32, a stride of 16, zeros; "
        f"medians of {given['rounds']} rounds in turn. Dense forwards at their best of 8, 16 and "
        f"32 windows, contiguous and channels_last ({best['dense']}); captum at its best of 1, 4, "
        f"16 and 32 perturbations_per_eval ({best['captum']}). Differences are shares of the "
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


def _about(run: dict[str, Any], given: dict[str, Any]) -> str:
    batch, size = given["batch"], given["size"]
    return (
        f"{batch} photos of {size}×{size}, two threads, contiguous; medians of {given['rounds']} "
        "rounds in turn in one process, ratios within a round."
    )
