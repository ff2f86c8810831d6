"""Words about rendered scenes: the network, the decoder, and how right its sentences are.

Run by `fastxai.bench.child` in our interpreter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastxai.bench.child import Stages


def scenes(stages: Stages, seed: int, pairs: int, unseen: int, singles: int) -> dict[str, Any]:
    """Train on scenes of known pairs of colour and shape, and judge on scenes with unseen ones."""
    from fastxai.words import TextExplainer
    from fastxai.words import scenes as room

    with stages("draw"):
        known = room.scenes(pairs, 10 + seed)
        judged = {
            "unseen": room.scenes(unseen, 100 + seed, unseen=True),
            "known": room.scenes(unseen, 100 + seed),
        }
    with stages("network"):
        network = room.network(seed, count=singles)
    with stages("decoder"):
        explainer = TextExplainer(network.model, random_state=seed)
        explainer.fit(known.images, known.texts)
    right, whole = {}, {}
    for name, data in judged.items():
        with stages("explain"):
            said = explainer.explain(data.images).texts
        right[name] = room.attribute_accuracy(said, data.texts)
        whole[name] = sum(a == b for a, b in zip(said, data.texts, strict=True)) / len(said)
    with stages("beam 3"):
        said = explainer.explain(judged["unseen"].images, beam=3).texts
    right["beam 3"] = room.attribute_accuracy(said, judged["unseen"].texts)
    return {"right": right, "whole": whole, "epochs": len(explainer.curve_.training)}


TASKS = {"scenes": scenes}
