"""Pictures of sentences and of how training went."""

import dotted
import numpy as np
import pytest
import torch
from PIL import Image

from fastxai import InvalidInputError, TextExplainer
from fastxai.words.picture import draw_curve
from fastxai.words.result import TextExplanation, TextExplanations, nothing_said
from fastxai.words.training import Curve


def sentence(words, looks, size=(16, 16)):
    attention = np.array(looks, np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32) / 16
    probabilities = np.full(len(words), 0.9, np.float32)
    return TextExplanation(" ".join(words), tuple(words), probabilities, 0.9, -1.0, attention, size)


def found(*items, axes=2):
    return TextExplanations(items, torch.rand(len(items), 3, *[16] * axes))


def texts(figure):
    return [t.get_text() for t in figure.texts] + [
        t.get_text() for axes in figure.axes for t in axes.texts
    ]


def test_each_word_has_a_panel_with_its_probability():
    figure = found(sentence(["a", "ring"], [1, 1]), sentence(["two"], [1])).picture()
    assert len(figure.axes) == 2 + 3 + 1  # images, words, and the scale
    assert texts(figure).count("0.90") == 3
    assert {"a", "ring", "two"} <= set(texts(figure))


def test_a_word_that_did_not_look_says_so():
    figure = found(sentence(["a", "ring"], [0.05, 0.9])).picture()
    assert sum("did not" in text for text in texts(figure)) == 1


def test_words_of_a_sentence_share_their_colours():
    figure = found(sentence(["a", "ring"], [0.5, 0.9])).picture(colorbar=False)
    limits = {axes.images[-1].get_clim() for axes in figure.axes[1:]}
    assert len(limits) == 1


def test_long_sentences_take_several_rows():
    one = sentence(["word"] * 7, [1] * 7)
    short, long = (found(one).picture(columns=c).get_size_inches() for c in (7, 3))
    assert long[1] > 2 * short[1] and long[0] < short[0]


def test_an_image_about_which_nothing_was_said():
    figure = found(nothing_said((16, 16), (4, 4)), sentence(["a"], [1])).picture()
    assert "nonfinite" in texts(figure)


def test_pictures_are_written(tmp_path):
    found(sentence(["a"], [1])).picture(tmp_path / "words.png")
    assert min(Image.open(tmp_path / "words.png").size) > 100


REFUSED = {
    "too many": (found(*[sentence(["a"], [1])] * 13), {}, "13 images"),
    "none": (found(), {}, "0 images"),
    "volumes": (found(sentence(["a"], [1]), axes=3), {}, "3 spatial axes"),
    "other display": (found(sentence(["a"], [1])), {"display": np.zeros((2, 8, 8))}, "2 images"),
    "size": (found(sentence(["a"], [1])), {"size": 0}, "size=0"),
    "ending": (found(sentence(["a"], [1])), {"path": "words.jpg"}, "jpg"),
}


@pytest.mark.parametrize("given, options, message", REFUSED.values(), ids=REFUSED)
def test_pictures_that_are_refused(given, options, message):
    with pytest.raises(InvalidInputError, match=message):
        given.picture(**options)


@pytest.mark.parametrize("held", [[0.9, 0.7], [np.nan, np.nan]], ids=["held out", "none"])
def test_the_learning_curve(held):
    figure = draw_curve(Curve(np.array([1.0, 0.5]), np.array(held), 1))
    assert len(figure.axes[0].get_legend().get_texts()) == 1 + bool(np.isfinite(held[0]))


def test_a_curve_of_what_was_learned(tmp_path):
    explainer = TextExplainer(dotted.network(), width=8, epochs=2)
    explainer.fit(*dotted.dots(20)).learning_curve(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").exists()


def test_results_are_sequences():
    several = found(sentence(["a"], [1]), sentence(["b"], [1]), nothing_said((16, 16), (4, 4)))
    assert [one.text for one in several[:2]] == ["a", "b"] and len(several[1:].images) == 2
    assert several.status == ["ok", "ok", "nonfinite"]
    assert len(several.problems()) == 1 and "1 of 3" in several.problems()[0]
    assert "2 ok" in repr(several) and "'a'" in repr(several[0])
