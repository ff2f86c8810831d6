"""Feature visualisation against lucent: images a second, and what they are worth."""

from __future__ import annotations

from statistics import mean, median
from typing import Any

from ..checks import RECORDED, faster, in_turn, not_below
from ..harness import Bench

_LAYER = "_blocks.9"
_FASTER = 3.0  # times lucent


def channels(bench: Bench) -> dict[str, Any]:
    """64 channels of a middle layer of a trained network."""
    given: dict[str, Any] = {"layer": _LAYER, "count": 64, "size": 128, "steps": 128}
    given |= {"rounds": 3 if bench.full else 2, "tuning": 4}
    if bench.trial:
        given |= {"count": 4, "size": 64, "steps": 4, "rounds": 1, "tuning": 1}
    run = bench.explanation("channels", tasks="both_visualize", **given)
    rounds, judged = run["rounds"], run["judged"]
    theirs = [name for name in rounds if name != "fastxai"]
    checks = [
        in_turn(faster, f"against {name}", rounds["fastxai"], rounds[name], _FASTER)
        for name in theirs
    ]
    # Its examples leave the parameters trainable; who freezes them first does our part of the work.
    checks[1:] = [{**check, "target": RECORDED, "met": None, "by": None} for check in checks[1:]]
    for border in ("grey", "mirrored"):
        mine = mean(judged["fastxai"][border])
        best = max(mean(judged[name][border]) for name in theirs)
        checks.append(not_below(f"mean activation under held-out shifts, {border}", mine, best))
    tuned = ", ".join(f"{kind}: {batch}" for kind, batch in run["best"].items())
    images = given["count"] / median(rounds["fastxai"])
    notes = [
        f"EfficientNet-Lite0 with its trained weights, layer {_LAYER}, {given['count']} channels, "
        f"{given['size']}×{given['size']}, {given['steps']} steps of Adam at 0.05, Fourier "
        f"coefficients with decorrelated colours on both sides; {given['rounds']} rounds in turn "
        f"in one process; ours {images:.2f} images a second. lucent with its standard transforms, "
        "in the batches in which it was fastest on a few steps "
        f"({tuned}), its parameters trainable, as its examples have them, and frozen. Judged on "
        "16 shifts by up to 8 pixels that neither side saw, what comes in being grey, or mirrored."
    ]
    times = {name: [median(s), min(s), max(s)] for name, s in rounds.items()}
    return {"checks": checks, "notes": notes, "times": times, "runs": {"both": [run]}}
