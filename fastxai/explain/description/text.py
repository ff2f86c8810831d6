"""Sentences that know the facts they were made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, NamedTuple

import numpy as np


class Sentence(NamedTuple):
    """One sentence, and the facts whose values stand in it or decided about it."""

    text: str
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Description:
    """What can be said of one map; ``str()`` of it is the text.

    Attributes
    ----------
    image, target : int
        Which image of the batch, and which of its targets, from 0.
    method, layer : str
        Whose map; without a layer ``""``.
    sentences : tuple of Sentence
        ``(text, facts)``: a sentence and the facts that it is made of.
    facts : dict of str to value
        Everything that was computed, in full precision, also what no sentence tells.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.explain import Explanation
    >>> found = np.zeros((1, 9, 9), np.float32)
    >>> found[0, 0, 0] = 2
    >>> status, edge = np.array(["ok"]), np.zeros(1)
    >>> one = Explanation("gradcam", found, status, edge, edge + 2, False).describe()[0]
    >>> one.facts["box_place"], one.facts["box_share"]
    ('upper left', 1.0)
    >>> print(one.sentences[0].text)
    By gradcam, the evidence for the target is strongest in the upper left: a box of 11% \
of the image there holds 100% of it.
    """

    image: int
    target: int
    method: str
    layer: str
    sentences: tuple[Sentence, ...]
    facts: dict[str, Any]

    def __str__(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)

    def __repr__(self) -> str:
        where = f" at {self.layer!r}" if self.layer else ""
        return (
            f"Description(image {self.image}, target {self.target}, {self.method}{where}: {self!s})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, fit for JSON: NaN and infinity become None."""
        return {
            "image": self.image,
            "target": self.target,
            "method": self.method,
            "layer": self.layer,
            "text": str(self),
            "sentences": [
                {"text": text, "facts": _finite(facts)} for text, facts in self.sentences
            ],
            "facts": _finite(self.facts),
        }


class Descriptions(list[Description]):
    """The descriptions of several maps: a list; ``str()`` of it is a paragraph a map."""

    def __str__(self) -> str:
        return "\n\n".join(map(str, self))


class Teller:
    """Collects facts and says sentences of them.

    A sentence is a template whose fields are names of facts, so that no number gets into a text
    which is not a fact.  After a colon stands how a value is written: ``%`` a share in percent,
    ``p`` a probability, ``b`` bits, ``n`` three digits, ``th`` a place in an order.

    Examples
    --------
    >>> tell = Teller()
    >>> tell.know(share=0.25, place="upper left")
    >>> tell.say("the {place} holds {share:%} of it.")
    >>> tell.sentences[0].text, tell.sentences[0].facts
    ('The upper left holds 25% of it.', {'place': 'upper left', 'share': 0.25})
    """

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.sentences: list[Sentence] = []

    def know(self, **facts: Any) -> None:
        """Take note of facts, as plain values of Python."""
        self.facts |= {name: _plain(value) for name, value in facts.items()}

    def say(self, template: str, *because: str) -> None:
        """Add a sentence; ``because`` names facts that decided about it and do not stand in it."""
        fields = [name for _, name, _, _ in _WRITER.parse(template) if name]
        text = _WRITER.vformat(template, (), self.facts)
        used = {name: self.facts[name] for name in dict.fromkeys([*fields, *because])}
        self.sentences.append(Sentence(text[0].upper() + text[1:], used))


class _Writer(Formatter):
    """Writes the values of fields."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "%":
            return _share(value * 100, 0) + "%"
        if format_spec == "p":
            return _share(value, 2)
        if format_spec == "n":
            return f"{value:.3g}"
        if format_spec == "b":
            return f"{value:.2f}" if value >= 0.005 or value == 0 else "<0.01"
        if format_spec == "th":
            return _ordinal(value)
        return str(super().format_field(value, format_spec))


_WRITER = _Writer()


def _share(value: float, decimals: int) -> str:
    """A number from 0 to 1, or to 100 without decimals, not written as an end if it is none."""
    step = 10.0**-decimals
    whole = 1.0 if decimals else 100.0
    if 0 < value < step / 2:
        return f"<{step:g}"
    if whole - step / 2 < value < whole:
        return f">{whole - step:g}"
    return f"{value:.{decimals}f}"


def _ordinal(place: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{'th' if place % 100 in (11, 12, 13) else ending}"


def joined(parts: Sequence[str]) -> str:
    """A list in words: one, two and three."""
    *some, last = parts
    return f"{', '.join(some)} and {last}" if some else last


def _plain(value: Any) -> Any:
    """Numbers and lists of Python in the place of NumPy's."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def _finite(value: Any) -> Any:
    """Without NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
