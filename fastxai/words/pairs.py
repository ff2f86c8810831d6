"""Pairs of image and text: what can be learned from, and what a given text's words are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidInputError
from .result import OK
from .vocabulary import UNKNOWN, Vocabulary, read_texts, text_of


def read_pairs(images: Any, texts: Any) -> list[list[str]]:
    """The words of one text an image; see `read_texts`."""
    return read_texts(texts, _count(images, texts))


def learnable(images: Any, texts: Any, min_count: int) -> tuple[Vocabulary, list[list[int]]]:
    """The vocabulary of texts that a decoder can learn from, and the texts in its numbers.

    Raises
    ------
    InvalidInputError
        Fewer than two pairs, texts that are all the same, or no word that comes often enough.
    """
    spoken = read_pairs(images, texts)
    if len(spoken) < 2:
        raise InvalidInputError(
            f"{len(spoken)} pair{'s' * (len(spoken) != 1)} of image and text: give two at the "
            "very least; hundreds are needed to learn something"
        )
    if all(words == spoken[0] for words in spoken):
        raise InvalidInputError(
            f"all {len(spoken)} texts are the same ({text_of(spoken[0])!r:.60}): there is nothing "
            "that one would have to look for"
        )
    vocabulary = Vocabulary.of(spoken, min_count)
    if not vocabulary.words:
        raise InvalidInputError(
            f"no word comes min_count={min_count} times in the texts: choose a lower min_count"
        )
    return vocabulary, [vocabulary.encode(words) for words in spoken]


def status_of(numbers: list[int]) -> str:
    """Of a given text: whether its words are known."""
    unknown = sum(number == UNKNOWN for number in numbers)
    if unknown == len(numbers):
        return "no_known_word"
    return "unknown_words" if unknown else OK


def _count(images: Any, texts: Any) -> int:
    """How many images there are, as far as can be told before they are read."""
    first = images
    if isinstance(images, (tuple, Mapping)) and images:
        first = next(iter(images.values() if isinstance(images, Mapping) else images))
    return len(first) if hasattr(first, "__len__") else len(texts)
