"""Texts as numbers: words and marks in lower case, numbered by how often they come."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import InvalidInputError

END, START, UNKNOWN = 0, 1, 2
# No word of a text can be one of these: "<" is a token of its own.
SPECIAL = ("<end>", "<start>", "<unk>")
_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
_CLOSES, _OPENS = frozenset(".,;:!?)]}%"), frozenset("([{")


def words_of(text: str) -> list[str]:
    """The words and marks of a text, in lower case.

    Examples
    --------
    >>> words_of("A LARGE ring, left of it a t-shirt.")
    ['a', 'large', 'ring', ',', 'left', 'of', 'it', 'a', 't-shirt', '.']
    """
    return _TOKEN.findall(unicodedata.normalize("NFC", text).lower())


def text_of(words: Iterable[str]) -> str:
    """Words as a line of text, marks where one writes them."""
    text, glued = "", True
    for word in words:
        text += word if glued or word in _CLOSES else f" {word}"
        glued = word in _OPENS
    return text


class Vocabulary:
    """The words that a decoder can say.

    Parameters
    ----------
    words : sequence of str
        Each once; their numbers begin behind those of `SPECIAL`.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._all = (*SPECIAL, *self.words)
        self._numbers = {word: number for number, word in enumerate(self._all)}

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], min_count: int = 1) -> Vocabulary:
        """The words that come at least ``min_count`` times, the most frequent first."""
        counts = Counter(word for words in texts for word in words)
        kept = [word for word, count in counts.items() if count >= min_count]
        return cls(sorted(kept, key=lambda word: (-counts[word], word)))

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, word: object) -> bool:
        return word in self._numbers

    def __getitem__(self, number: int) -> str:
        return self._all[number]

    def encode(self, words: Iterable[str]) -> list[int]:
        """The words' numbers; `UNKNOWN` where there is none."""
        return [self._numbers.get(word, UNKNOWN) for word in words]


def read_texts(texts: Any, n_images: int, name: str = "texts") -> list[list[str]]:
    """The words of one text an image.

    Raises
    ------
    InvalidInputError
        What is no sequence of as many strings as there are images, and texts without a word.
    """
    if isinstance(texts, (str, bytes)) or not hasattr(texts, "__len__"):
        raise InvalidInputError(
            f"{name} is a {type(texts).__name__}: give a list of strings, one an image"
        )
    texts = list(texts)
    if len(texts) != n_images:
        raise InvalidInputError(
            f"{len(texts)} {name} for {n_images} images: give one text an image, in the same "
            "order (an image with several texts is repeated)"
        )
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(
                f"{name}[{number}] is a {type(text).__name__} and no string: {text!r:.60}"
            )
    found = [words_of(text) for text in texts]
    if empty := [number for number, words in enumerate(found) if not words]:
        listed = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        raise InvalidInputError(
            f"{name} without a word, at {listed} ({len(empty)} of {n_images}): leave these images "
            "out, or say in words that there is nothing"
        )
    return found
