"""The sentences about what the network answers: of the image, of hidden places, at random.

Every word that judges has a threshold, which stands here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .text import Teller, joined
from .wording import GRADIENTS

CLOSE_CALL, FAR = 0.1, 0.9  # how far behind in probability the runner-up is
MATTERS = 0.02  # change of a probability, or of a value relative to itself
KEPT, CHANGED = 0.7, 0.3  # rank correlations with the map of a random network
_RANKED = 3  # classes that are named
_NO_CHOICE = 0.1  # bits: hardly more than one class


def tell_class(
    tell: Teller, classes: Any, probabilities: Any, names: Any, chosen: int, exclusive: bool
) -> None:
    """How sure the network is, and which classes compete: of all classes, ranked.

    ``chosen`` is the class that is explained; ``exclusive``: one of them is the answer, and not
    each by itself is right or wrong.
    """
    some = zip(classes[:_RANKED], probabilities[:_RANKED], strict=True)
    for place, (one, probability) in enumerate(some, 1):
        tell.know(**{f"class_{place}": class_name(one, names), f"probability_{place}": probability})
    rank = int((classes == chosen).argmax()) + 1
    tell.know(classes=len(classes), rank=rank, probability=probabilities[rank - 1])
    tell.know(explained=class_name(chosen, names))
    if not exclusive:
        tell.say(
            "each class has a probability of its own: {explained} has {probability:p}, the "
            "{rank:th} highest of {classes}."
        )
    elif rank == 1:
        tell.say("the network's answer is {class_1}, with a probability of {probability_1:p}.")
    else:
        tell.say(
            "{explained}, which is explained, is not the network's answer: of {classes} classes it "
            "comes {rank:th}, with a probability of {probability:p}."
        )
    if len(classes) > 1:
        tell.know(margin=probabilities[0] - probabilities[1])
        _tell_others(tell, min(len(classes), _RANKED), first=exclusive and rank == 1)
    if exclusive:
        _tell_entropy(tell, probabilities)


def _tell_others(tell: Teller, named: int, first: bool) -> None:
    """The classes with the highest probabilities, the answer itself already told or not."""
    listed = [f"{{class_{place}}} ({{probability_{place}:p}})" for place in range(1, named + 1)]
    if not first:
        tell.say(f"the highest probabilities are those of {joined(listed)}.")
        return
    others = listed[1:]
    follow = f"{joined(others)} {'follow' if len(others) > 1 else 'follows'}"
    margin = "the margin is {margin:p}"
    if tell.facts["margin"] < CLOSE_CALL:
        tell.say(f"that is close: {follow}; {margin}.")
    elif tell.facts["margin"] > FAR:
        tell.say(f"no other class comes near: {follow}; {margin}.")
    else:
        tell.say(f"{follow}; {margin}.")


def _tell_entropy(tell: Teller, probabilities: Any) -> None:
    some = probabilities[probabilities > 0]
    entropy = max(0.0, float(-(some * np.log2(some)).sum()))
    tell.know(entropy=entropy, entropy_most=math.log2(len(probabilities)))
    tell.know(even_classes=2**entropy)
    even = "" if entropy < _NO_CHOICE else ", that of an even choice among {even_classes:.1f}"
    tell.say(f"the entropy over all {{classes}} classes is {{entropy:b}} bits{even}.")


def tell_hidden(tell: Teller, before: float, hidden: float, others: Any, against: bool) -> None:
    """What happens to the score when the strongest box, and when others are hidden."""
    tell.know(score_before=before, score_hidden=hidden, boxes_elsewhere=len(others))
    how = "p" if tell.facts["score_is_probability"] else "n"
    what = "probability" if how == "p" else "score"
    base = {"blur": "blurred"}.get(tell.facts["baseline"], "replaced by {baseline}")
    if isinstance(tell.facts["baseline"], float):
        base = "replaced by {baseline:n}"
    text = (
        f"with the strongest box hidden ({base}), the {what} of {{class_name}} goes from "
        f"{{score_before:{how}}} to {{score_hidden:{how}}}"
    )
    if not len(others):
        tell.say(f"{text}; the image has no room for another box to compare with.")
        return
    tell.know(hidden_elsewhere=float(others.mean()), hidden_elsewhere_all=others)
    tell.know(hidden_elsewhere_least=others.min(), hidden_elsewhere_most=others.max())
    tell.say(
        f"{text}; with one of {{boxes_elsewhere}} boxes of the same size hidden elsewhere, it is "
        f"{{hidden_elsewhere:{how}}} on average ({{hidden_elsewhere_least:{how}}} to "
        f"{{hidden_elsewhere_most:{how}}}).",
        "hidden_elsewhere_all",
    )
    _judge_hidden(tell, against)


def _judge_hidden(tell: Teller, against: bool) -> None:
    facts = tell.facts
    sign = -1 if against else 1
    change = sign * (facts["score_before"] - facts["score_hidden"])
    elsewhere = [sign * (facts["score_before"] - one) for one in facts["hidden_elsewhere_all"]]
    if facts["method"] in GRADIENTS:  # which name no direction
        change, elsewhere = abs(change), [abs(one) for one in elsewhere]
    scale = 1.0 if facts["score_is_probability"] else abs(facts["score_before"])
    because = ("score_before", "score_hidden", "hidden_elsewhere_all")
    mean = sum(elsewhere) / len(elsewhere)
    wrong = "falls" if against else "rises"
    if max(abs(change), *map(abs, elsewhere)) < MATTERS * scale:
        tell.say("none of this changes the score much: hiding tells nothing here.", *because)
    elif change < -MATTERS * scale:
        tell.say(
            f"the score {wrong} when the box is hidden: hiding does not support the map.",
            *because,
        )
    elif change > max(elsewhere) and change >= MATTERS * scale:
        tell.say("the score depends on this box more than on any of the others.", *because)
    elif change > mean and change >= MATTERS * scale:
        tell.say(
            "the score depends on this box more than on the others on average, but not more than "
            "on each of them.",
            *because,
        )
    else:
        tell.say(
            "the score does not depend on this box more than on others: hiding does not support "
            "the map.",
            *because,
        )


def tell_sanity(tell: Teller, last: float, whole: float, layer: str) -> None:
    """Whether the map depends on what the network learned."""
    tell.know(sanity_last=last, sanity_all=whole, sanity_layer=layer)
    if math.isnan(last) and math.isnan(whole):
        tell.say(
            "sanity check: with random weights the method gives no map that could be compared with "
            "this one.",
            "sanity_last",
            "sanity_all",
        )
        return
    near, all_ = _likeness(last), _likeness(whole)
    top = "{sanity_last:.2f} with random weights in the layer next to the output alone"
    full = "{sanity_all:.2f} with random weights everywhere"
    listed = [words for words, r in ((top, near), (full, all_)) if not math.isnan(r)]
    if all_ >= KEPT:
        end = "it fails: a network that learned nothing gives much the same map"
    elif near >= KEPT:
        end = (
            "it fails in part: the map hardly depends on the layer next to the output, which tells "
            "the classes apart"
        )
    elif max(r for r in (near, all_) if not math.isnan(r)) > CHANGED:
        end = "it holds in part: some of the map stays whatever was learned"
    else:
        end = "it holds: the map changes when what was learned is taken away"
    tell.say(
        f"sanity check: this map has a rank correlation of {joined(listed)}; {end}.",
        "sanity_last",
        "sanity_all",
    )


def _likeness(correlation: float) -> float:
    """Of a map that is much the same upside down its size, too; else no likeness below zero."""
    return abs(correlation) if correlation <= -KEPT else max(correlation, 0.0)


def class_name(one: int, names: Any) -> str:
    """A class as it is written."""
    if one < 0:
        return "the target"
    if names is not None and one < len(names):
        return f"'{names[one]}'"
    return f"class {one}"
