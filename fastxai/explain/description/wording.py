"""The sentences about a map: which facts are told, and in which words.

Every word that judges has a threshold, which stands here.  Words are about the map and the score,
and never about what the network knows or sees.
"""

from __future__ import annotations

from .places import Places
from .text import Teller, joined

STANDS_OUT = 1.5  # a box holds so many times its share of the pixels
# Gradients by the pixels: their sign tells whether a pixel should be brighter or darker, and not
# whether it speaks for or against, so that their size is what is looked at.
GRADIENTS = ("saliency", "smoothgrad", "deconvnet", "guided_backprop", "guided_gradcam")
_SENSITIVE = ("saliency", "smoothgrad")
_PARTS = {1: "three", 2: "nine", 3: "twenty-seven"}


def tell_recorded(tell: Teller) -> None:
    """The score that was kept with the map, where there is no network to ask."""
    tell.say("the recorded score of {class_name} is {score:p}.")


def tell_empty(tell: Teller, status: str, low: float, high: float) -> bool:
    """Say why a map shows nothing, if it does not: then there is no place to tell of."""
    if status == "zero_gradient":
        tell.say(
            "by {method}, there is no map: the score of {class_name} does not depend on what was "
            "looked at.",
            "status",
        )
    elif status == "nonfinite":
        tell.say("there is no map by {method}: NaN or infinity came out.", "status")
    elif low == high == 0:
        was = tell.facts.get("maximum")
        if status == "empty_after_relu" and was is not None and was < 0:
            tell.say(
                "by {method}, the map is zero everywhere: before negative values were cut off, its "
                "highest value was {maximum:n}, so nothing in it speaks for {class_name}.",
                "status",
            )
        else:
            tell.say(
                "by {method}, the map is zero everywhere: it relates no place to the score of "
                "{class_name}.",
                "status",
            )
    elif low == high:
        tell.know(constant=low)
        tell.say(
            "by {method}, the map has the same value, {constant:n}, everywhere: it points at no "
            "place."
        )
    else:
        return False
    return True


def tell_places(tell: Teller, found: Places, name: str, against: bool) -> None:
    """Where the evidence is; ``against`` if there is none for the target, but some against."""
    what = _noun(tell, against)
    tell.know(box_place=name, box_share=found.box_share, box_area=found.box_area)
    tell.know(box_start=found.box.start, box_size=found.box.size)
    layer = " at layer {layer}" if tell.facts["layer"] else ""
    if found.box_share < STANDS_OUT * found.box_area:
        tell.say(
            f"by {{method}}{layer}, no place stands out in {what}: even the strongest box, in the "
            "{box_place}, holds {box_share:%} of it on {box_area:%} of the image."
        )
    else:
        tell.say(
            f"by {{method}}{layer}, {what} is strongest in the {{box_place}}: a box of "
            "{box_area:%} of the image there holds {box_share:%} of it."
        )
    tell.know(**{f"share_{name.replace(' ', '_')}": share for name, share in found.parts.items()})
    _tell_parts(tell, found)
    _tell_centre(tell, found, what)


def _tell_parts(tell: Teller, found: Places) -> None:
    (first, share_1), (second, share_2), *_ = found.parts.items()
    tell.know(part_1=first, part_share_1=share_1, part_2=second, part_share_2=share_2)
    tell.know(top_pixels=found.top_pixels, top_share=found.top_share)
    then = ", followed by the {part_2} with {part_share_2:%}" if share_2 > 0 else ""
    tell.say(
        f"of {_PARTS[len(found.centre)]} equal parts of the image, the {{part_1}} holds most of "
        f"it, {{part_share_1:%}}{then}; the strongest {{top_pixels:%}} of the pixels hold "
        "{top_share:%}."
    )


def _tell_centre(tell: Teller, found: Places, what: str) -> None:
    names = ("centre_z", "centre_y", "centre_x")[3 - len(found.centre) :]
    tell.know(**dict(zip(names, found.centre, strict=True)), spread=found.spread)
    where = {
        1: "{centre_x:%} of the way along",
        2: "{centre_x:%} of the width from the left and {centre_y:%} of the height from the top",
        3: "{centre_x:%} of the width from the left, {centre_y:%} of the height from the top and "
        "{centre_z:%} of the slices from the first",
    }[len(found.centre)]
    tell.say(
        f"its centre of mass lies {where}; it spreads {{spread:%}} as far around it as an even map "
        "does."
    )


def _noun(tell: Teller, against: bool) -> str:
    """What the values of the map are."""
    method = tell.facts["method"]
    if method == "attention_rollout":
        return "the attention"
    if method in _SENSITIVE:
        return "the sensitivity of the score of {class_name}"
    if method in GRADIENTS:
        return "the signal for {class_name}"
    if method == "integrated_gradients" and not tell.facts["signed"]:
        return "the size of what is attributed to the score of {class_name}"
    return f"the evidence {'against' if against else 'for'} {{class_name}}"


def tell_signs(tell: Teller, positive: float, negative: float) -> None:
    """How much of the map is positive and how much negative, where it can tell."""
    facts, method = tell.facts, tell.facts["method"]
    tell.know(positive=positive, negative=negative)
    if method == "attention_rollout":
        tell.say(
            "attention shows where information comes from, and not whether it speaks for or "
            "against {class_name}."
        )
    elif method in GRADIENTS and negative > 0:
        tell.say(
            "of its values by their size, {positive:%} are above zero (by the method, the score "
            "rises with the pixel) and {negative:%} below (it falls)."
        )
    elif facts["signed"] or negative > 0:
        tell.say(
            "of all values of the map by their size, {positive:%} speak for {class_name} and "
            "{negative:%} against it."
        )
    elif method in GRADIENTS or method == "integrated_gradients":
        tell.say("{method} shows sizes only: what speaks for and what against is not told apart.")
    elif facts["minimum"] < 0:
        tell.say(
            "values below zero, down to {minimum:n}, were cut off: what speaks against "
            "{class_name} is not shown."
        )
    else:
        tell.say(
            "the map has no values below zero, so it shows nothing that speaks against "
            "{class_name}."
        )


def tell_stand_in(tell: Teller, r2: float) -> None:
    """How far the linear stand-in, whose weights the map shows, follows the network."""
    tell.know(stand_in_r2=r2)
    tell.say(
        "its values are weights of a linear stand-in, which follows the score of the masked images "
        "with an R² of {stand_in_r2:.2f}."
    )


def tell_unchecked(tell: Teller, what: list[str], why: str) -> None:
    """What was not looked at, and why."""
    tell.know(unchecked=what)
    tell.say(f"not checked, {why}: {joined(what)}.", "unchecked")
