"""Explanations in words: attributes right on unseen combinations, and minutes of training."""

from __future__ import annotations

from statistics import mean, median
from typing import Any

from ..checks import at_most, recorded
from ..harness import Bench

_WRONG = 0.05  # share of attributes
_MINUTES = 2.0


def scenes(bench: Bench) -> dict[str, Any]:
    """Rendered scenes of coloured shapes."""
    given = {"pairs": 4000, "unseen": 1000, "singles": 3000}
    if bench.trial:
        given = {"pairs": 200, "unseen": 40, "singles": 200}
    seeds = (0,) if bench.trial else (0, 1, 2, 3, 4) if bench.full else (0, 1, 2)
    runs = [bench.ours("scenes", tasks="ours_words", seed=seed, **given) for seed in seeds]
    right = [run["right"]["unseen"] for run in runs]
    minutes = median(run["stages"]["network"] + run["stages"]["decoder"] for run in runs) / 60
    checks = [
        at_most("attributes wrong, unseen combinations, worst seed", 1 - min(right), _WRONG, ""),
        at_most("training of network and decoder", minutes, _MINUTES, "min"),
        recorded("attributes right, unseen combinations", mean(right), None),
        recorded("... known combinations", mean(r["right"]["known"] for r in runs), None),
        recorded("... unseen, beam of 3", mean(r["right"]["beam 3"] for r in runs), None),
        recorded("whole sentences right, unseen", mean(r["whole"]["unseen"] for r in runs), None),
    ]
    notes = [
        "Scenes of 56×56 with one or two of 80 things (2 sizes, 8 colours, 5 shapes): "
        f"{given['pairs']:,} with their sentences for the decoder, {given['singles']:,} of single "
        f"things for the network, {given['unseen']:,} judged. "
        "Each colour has a shape with which it is in no sentence of "
        "training, and each judged scene holds such a thing; the network has seen it, alone and "
        "without a sentence. An attribute is a size, colour, shape or relation at its place. "
        f"Seeds {', '.join(map(str, seeds))}, in each of network, decoder and scenes; training on "
        "one thread."
    ]
    return {"checks": checks, "notes": notes, "runs": {"fastxai": runs}}
