"""Texts as words and numbers, and the pairs that nothing can be learned from."""

import numpy as np
import pytest

from fastxai import InvalidInputError
from fastxai.words.pairs import learnable, status_of
from fastxai.words.vocabulary import SPECIAL, UNKNOWN, Vocabulary, read_texts, text_of, words_of

SPLITS = {
    "lower case": ("A Large RING", ["a", "large", "ring"]),
    "marks are words": ("a cat, asleep.", ["a", "cat", ",", "asleep", "."]),
    "hyphens and apostrophes hold": ("the t-shirt isn't", ["the", "t-shirt", "isn't"]),
    "letters of all languages": ("Ein grüner Kreis", ["ein", "grüner", "kreis"]),
    "composed and decomposed alike": ("u\u0308ber", ["über"]),
    "special words can not be forged": ("<end>", ["<", "end", ">"]),
    "numbers": ("3 cats", ["3", "cats"]),
    "white space": (" a\n\tcat ", ["a", "cat"]),
    "nothing": ("  ", []),
}


@pytest.mark.parametrize("text, words", SPLITS.values(), ids=SPLITS)
def test_words_of_a_text(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize("text", ["a cat, asleep.", "two (small) dogs", "what is it?", "a t-shirt"])
def test_words_become_the_text_again(text):
    assert text_of(words_of(text)) == text


def test_the_vocabulary_has_the_most_frequent_words_first():
    texts = [["b", "a"], ["c", "b"], ["b", "a"], ["d"]]
    assert Vocabulary.of(texts).words == ("b", "a", "c", "d")


def test_rare_words_are_unknown():
    vocabulary = Vocabulary.of([["b", "a"], ["b", "c"], ["b", "a"]], min_count=2)
    assert vocabulary.words == ("b", "a")
    numbers = vocabulary.encode(["a", "c", "b"])
    assert numbers[1] == UNKNOWN
    assert [vocabulary[number] for number in numbers] == ["a", SPECIAL[UNKNOWN], "b"]
    assert "a" in vocabulary and "c" not in vocabulary


STRANGE = {
    "one string": ("a cat", 3, "list of strings"),
    "none": (None, 2, "NoneType"),
    "too few": (["a"], 2, "1 texts for 2 images"),
    "too many": (["a", "b", "c"], 2, "3 texts for 2 images"),
    "no string": (["a", 3], 2, r"texts\[1\] is a int"),
    "empty": (["a", " "], 2, "without a word, at 1"),
}


@pytest.mark.parametrize("texts, n, message", STRANGE.values(), ids=STRANGE)
def test_texts_that_are_refused(texts, n, message):
    with pytest.raises(InvalidInputError, match=message):
        read_texts(texts, n)


UNLEARNABLE = {
    "one pair": (["a cat"], 1, "1 pair of image and text"),
    "no pair": ([], 1, "0 pairs"),
    "all the same": (["a cat", "A cat"], 1, "all 2 texts are the same"),
    "all rare": (["a cat", "two dogs"], 2, "min_count=2"),
}


@pytest.mark.parametrize("texts, least, message", UNLEARNABLE.values(), ids=UNLEARNABLE)
def test_pairs_that_teach_nothing_are_refused(texts, least, message):
    with pytest.raises(InvalidInputError, match=message):
        learnable(np.zeros((len(texts), 1, 4, 4)), texts, least)


@pytest.mark.parametrize(
    "numbers, status",
    [([3, 4], "ok"), ([3, UNKNOWN], "unknown_words"), ([UNKNOWN, UNKNOWN], "no_known_word")],
    ids=["all known", "some", "none"],
)
def test_a_text_tells_whether_its_words_are_known(numbers, status):
    assert status_of(numbers) == status
