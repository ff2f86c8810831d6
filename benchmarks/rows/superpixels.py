"""Local surrogates over superpixels: beside bare forwards, and beside lime on the same masks."""

from __future__ import annotations

from statistics import median
from typing import Any

from ..checks import at_most, at_most_share, in_turn, recorded
from ..harness import Bench

_NAMES = {"resnet50": "ResNet-50", "efficientnet-lite0": "EfficientNet-Lite0"}
_SAME = 1e-4  # of the largest coefficient: scores are float32, in batches of other shapes


def lime(bench: Bench, network: str) -> dict[str, Any]:
    """LIME of one image: coefficients, and what is not forwards."""
    given: dict[str, Any] = {"network": network, "size": 224, "segments": 50, "masks": 256}
    given["rounds"] = 6 if bench.full else 3
    if bench.trial:
        given |= {"size": 64, "segments": 20, "masks": 64, "rounds": 1}
    run = bench.explanation("lime", tasks="both_superpixels", **given)
    rounds, found = run["rounds"], run["difference"]
    mine, bare, theirs = (rounds[name] for name in ("fastxai", "bare forwards", "lime"))
    largest = max(found.values())
    same = at_most("coefficients, intercept and R² of lime: largest difference", largest, _SAME, "")
    ratio = median(b / a for a, b in zip(mine, theirs, strict=True))
    against = recorded("against lime", median(mine), median(mine) * ratio, "s")
    checks = [
        in_turn(at_most_share, "against the bare forwards of its batches", mine, bare, 1.1),
        {**against, "theirs": median(theirs)},
        {**same, "target": f"≤ {_SAME:g}", "shown": f"{largest:.1e}", "ours": None, "by": None},
    ]
    notes = [
        f"One photo of {given['size']}×{given['size']}, {_NAMES[network]}, {run['segments']} "
        f"segments, {given['masks']} masks, zeros; {given['rounds']} rounds in turn. Ours is the "
        "whole call: superpixels, masks, forwards, fit, fidelity and stability, in batches of "
        f"{max(run['batches'])} that it found; the bare forwards are of those very batches. lime "
        "is given our segments and masks, in batches of 32. Differences are shares of its largest "
        f"coefficient. R² {run['r2']:.2f}, {run['r2_held_out']:.2f} held out; halves of the "
        f"masks agree to {run['stability']:.2f}."
    ]
    times = {name: [median(s), min(s), max(s)] for name, s in rounds.items()}
    return {"checks": checks, "notes": notes, "times": times, "runs": {"both": [run]}}
