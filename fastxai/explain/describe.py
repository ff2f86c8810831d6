"""An explanation in words: sentences that are computed from the map and from the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._checks import check_whole
from ..errors import InvalidInputError
from .description import answers as answering
from .description import wording
from .description.hiding import Answers, ask
from .description.maps import Shown, as_array, axes_of, by_layer, measured, several, table_of
from .description.places import box_name
from .description.sanity import Again, check_sanity
from .description.text import Description, Descriptions, Teller
from .explanation import Explanation, Explanations, canonical

__all__ = ["Description", "Descriptions", "describe"]

_NEAR = 1e-2  # scores of the same network on the same images differ by less
_OPTIONS = ("output", "task", "wrt", "batch_size", "verbose")
_CHECKS = [
    "what happens to the score when the strongest place is hidden",
    "how sure the network is",
    "which classes compete",
    "whether the map depends on what the network learned",
]


class Known(NamedTuple):
    """What is known beside the maps: classes and scores (N, K) that were recorded with them."""

    classes: NDArray[np.int64] | None = None
    scores: NDArray[np.floating[Any]] | None = None


class _Told(NamedTuple):
    """What is described: the maps by layer, each of them measured, and what is known of them."""

    explanation: Explanation
    maps: Mapping[str, Any]  # (N, K, [C,] *spatial)
    axes: int
    shown: list[Shown]
    known: Known
    names: Any


def describe(
    explanation: Explanation,
    model: Any = None,
    images: Any = None,
    *,
    target: Any = None,
    names: Sequence[str] | None = None,
    baseline: Any = 0.0,
    boxes: int = 8,
    sanity: bool | str = "auto",
    method_options: Mapping[str, Any] | None = None,
    random_state: int = 0,
    known: Known | None = None,
    **options: Any,
) -> Descriptions:
    """Describe every map of an explanation; see `Explanation.describe`."""
    if strange := [name for name in options if name not in _OPTIONS]:
        raise TypeError(f"there is no option {strange[0]!r}; of a model there are {_OPTIONS}")
    check_whole("boxes", boxes, 1)
    check_whole("random_state", random_state, 0)
    if sanity not in (True, False, "auto"):
        raise InvalidInputError(f"sanity={sanity!r}: choose True, False or 'auto'")
    if model is not None and images is None:
        raise InvalidInputError(
            "describe() was given a model and no images, which an Explanation does not hold: give "
            "images=, or describe the Explanations that fastxai.explain() returns"
        )
    axes = axes_of(explanation, images)
    maps = dict(by_layer(explanation, axes))
    shown = [
        one
        for layer, table in maps.items()
        for one in measured(explanation, layer, table, axes, boxes, random_state)
    ]
    told = _Told(explanation, maps, axes, shown, known or Known(), names)
    if model is None:
        return _finished(told, _without_model(told))
    again = Again(method_options or {}, sanity, random_state, options)
    target = _target(target, told.known)
    return _finished(told, _with_model(told, model, images, target, baseline, again))


def describe_all(
    explanations: Explanations,
    model: Any = None,
    images: Any = None,
    *,
    method_options: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Descriptions:
    """Describe the maps of several methods; see `Explanations.describe`."""
    known = Known(explanations.classes, explanations.scores)
    images = explanations.images if images is None else images
    own = {canonical(name): given for name, given in (method_options or {}).items()}
    if strange := [name for name in own if name not in explanations]:
        raise InvalidInputError(
            f"method_options= names {strange[0]!r}; there is {', '.join(explanations)}"
        )
    found = Descriptions()
    for name, one in explanations.items():
        found += describe(one, model, images, method_options=own.get(name), known=known, **options)
    return Descriptions(sorted(found, key=lambda one: (one.image, one.target)))


def _without_model(told: _Told) -> list[Teller]:
    """What the maps and the recorded scores say, and what was not checked."""
    tellers = []
    for one in told.shown:
        tell = _begun(told, one)
        if told.known.scores is not None:
            wording.tell_recorded(tell)
        _tell_map(tell, one, told.explanation.details)
        wording.tell_unchecked(tell, _CHECKS, "since no model was given")
        tellers.append(tell)
    return tellers


def _with_model(
    told: _Told, model: Any, images: Any, target: Any, baseline: Any, again: Again
) -> list[Teller]:
    """What the maps say, and what the network answers when it is asked about them."""
    explanation, maps, shown = told.explanation, told.maps, told.shown
    answers = {
        layer: ask(
            model,
            images,
            target,
            table_of(shown, layer),
            baseline,
            values.shape[values.ndim - told.axes :],
            **again.options,
        )
        for layer, values in maps.items()
    }
    first = next(iter(answers.values()))
    _check_scores(first.scores[..., 0], told.known)
    if target is None or (isinstance(target, str) and target.lower().startswith("top")):
        # What was predicted stays what is explained, also where weights are random.
        target = first.classes if several(explanation) else first.classes[:, 0]
    checked: Any = "there is nothing to compare"
    if any(one.places for one in shown):
        checked = check_sanity(explanation, model, images, target, maps, again)
    told = told._replace(known=Known(first.classes, first.scores[..., 0]))
    task = again.options.get("task", "softmax")
    tellers = []
    for one in shown:
        tell = _begun(told, one)
        tell.know(
            baseline=_baseline_name(baseline),
            score_is_probability=bool(tell.facts["class_index"] >= 0) and task != "regression",
        )
        _tell_answer(tell, one, first, told.names, exclusive=task != "multilabel")
        _tell_map(tell, one, explanation.details)
        _tell_hidden(tell, one, answers[one.layer].scores[one.image, one.target])
        _tell_checked(tell, one, checked)
        tellers.append(tell)
    return tellers


def _tell_answer(tell: Teller, one: Shown, answers: Answers, names: Any, exclusive: bool) -> None:
    """How sure the network is, where its output has classes."""
    chosen, score = tell.facts["class_index"], tell.facts["score"]
    if not np.isfinite(score):
        tell.say("the network's score of {class_name} is no finite number.", "score")
        return
    if answers.ranked is None or chosen < 0:
        tell.say("the score of {class_name} is {score:n}.")
        return
    classes, probabilities = (table[one.image] for table in answers.ranked)
    own = float(probabilities[(classes == chosen).argmax()])
    if abs(own - score) > _NEAR and abs(1 - own - score) < _NEAR:  # a target with a minus sign
        tell.know(class_name=f"anything but {tell.facts['class_name']}")
    answering.tell_class(tell, classes, probabilities, names, chosen, exclusive)


def _tell_map(tell: Teller, one: Shown, details: Sequence[Any]) -> None:
    """Where the evidence lies, or why there is none."""
    low, high = float(one.values.min()), float(one.values.max())
    if wording.tell_empty(tell, one.status, low, high):
        return
    assert one.places is not None
    shape = one.values.shape[-len(one.places.centre) :]
    name = box_name(one.places.box, shape)
    wording.tell_places(tell, one.places, name, one.against)
    wording.tell_signs(tell, *one.signs)
    if details:
        r2 = float(np.atleast_1d(details[one.image].r2)[one.target])
        if np.isfinite(r2):
            wording.tell_stand_in(tell, r2)


def _tell_hidden(tell: Teller, one: Shown, scores: Any) -> None:
    """What hiding the strongest box does; ``scores`` are that of the image, and of each box."""
    if one.places is None:
        tell.say("nothing was hidden, since the map has no strongest place.", "status")
        return
    known = np.isfinite(scores)
    if not known[:2].all():
        tell.say("what hiding it does could not be told: the score is no finite number.", "score")
        return
    others = scores[2 : 1 + len(one.boxes)]
    answering.tell_hidden(tell, scores[0], scores[1], others[np.isfinite(others)], one.against)


def _tell_checked(tell: Teller, one: Shown, checked: Any) -> None:
    """The sanity check, or why there is none."""
    if isinstance(checked, str):
        tell.know(sanity_left_out=checked)
        tell.say("the sanity check was not made: {sanity_left_out}.")
        return
    if one.places is None:
        tell.say("the sanity check was not made: there is nothing to compare.", "status")
        return
    sanity = checked[one.layer]
    if not sanity.remade(one.image, one.target):
        tell.know(sanity_same=sanity.same[one.image, one.target])
        tell.say(
            "the sanity check was not made: the method, made again, gives another map (its rank "
            "correlation with this one is {sanity_same:n}); give the options it was made with, "
            "method_options=."
        )
        return
    last, whole = (float(table[one.image, one.target]) for table in (sanity.last, sanity.all))
    answering.tell_sanity(tell, last, whole, sanity.layer)


def _begun(told: _Told, one: Shown) -> Teller:
    """A teller that knows whose map it is."""
    tell, explanation, known = Teller(), told.explanation, told.known
    chosen = -1 if known.classes is None else int(known.classes[one.image, one.target])
    tell.know(class_index=chosen)
    tell.know(method=explanation.method, layer=one.layer, signed=explanation.signed)
    tell.know(status=one.status, class_name=answering.class_name(chosen, told.names))
    tell.know(image=one.image, target=one.target)
    if known.scores is not None:
        tell.know(score=known.scores[one.image, one.target])
    for name in ("minimum", "maximum"):
        table = getattr(explanation, name)
        table = as_array(table[one.layer] if isinstance(table, dict) else table)
        tell.know(**{name: table.reshape(len(table), -1)[one.image, one.target]})
    if not tell.facts["layer"] and len(explanation.layers) == 1:
        tell.know(layer=explanation.layers[0])
    return tell


def _finished(told: _Told, tellers: list[Teller]) -> Descriptions:
    """The descriptions, image by image."""
    made = [
        Description(
            one.image,
            one.target,
            told.explanation.method,
            str(tell.facts["layer"]),
            tuple(tell.sentences),
            tell.facts,
        )
        for one, tell in zip(told.shown, tellers, strict=True)
    ]
    return Descriptions(sorted(made, key=lambda one: (one.image, one.target)))


def _target(target: Any, known: Known) -> Any:
    """What the maps were made for: as given, else the recorded classes."""
    if target is not None or known.classes is None:
        return target
    if (known.classes < 0).any():
        raise InvalidInputError(
            "the explained score is a function's, which an Explanations does not hold: give "
            "describe() the same target="
        )
    return known.classes  # (N, K)


def _check_scores(scores: Any, known: Known) -> None:
    """Refuse another model, other images or another target than the maps were made with."""
    if known.scores is None:
        return
    apart = ~np.isclose(scores, known.scores, rtol=_NEAR, atol=_NEAR, equal_nan=True)
    if apart.any():
        row, k = (int(i) for i in np.argwhere(apart)[0])
        raise InvalidInputError(
            f"the model gives image {row} a score of {scores[row, k]:.3g}, and with the map "
            f"{known.scores[row, k]:.3g} was recorded: give the same model and images, and the "
            "same target=, task= and output= where they were not the defaults"
        )


def _baseline_name(baseline: Any) -> Any:
    if isinstance(baseline, str):
        return {"mean": "its mean colour"}.get(baseline, baseline)
    value = np.asarray(baseline.cpu() if hasattr(baseline, "cpu") else baseline)
    return float(value) if value.ndim == 0 else "the given baseline"
