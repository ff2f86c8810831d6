"""`TextExplainer`: what it learns, what it tells, what it refuses, and what it leaves alone."""

import dotted
import numpy as np
import pytest
import torch
from states import assert_same_state, state_of
from torch import nn

import fastxai
from fastxai import FastxaiWarning, InvalidInputError, TextExplainer

OPTIONS = {"width": 32, "epochs": 25, "batch_size": 16, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def network():
    return dotted.network()


@pytest.fixture(scope="module")
def explainer(network):
    return TextExplainer(network, **OPTIONS).fit(*dotted.dots())


@pytest.fixture(scope="module")
def found(explainer):
    return explainer.explain(dotted.dots(40, seed=1)[0])


def test_it_says_what_is_on_images_that_it_never_saw(found):
    right = [a == b for a, b in zip(found.texts, dotted.dots(40, seed=1)[1], strict=True)]
    assert np.mean(right) > 0.9


def test_an_explanation_holds_a_map_and_a_probability_for_each_word(found):
    for one in found:
        count = len(one.words)
        assert one.text == " ".join(one.words)
        assert one.attention.shape == (count, 8, 8) and one.attention.dtype == np.float32
        assert one.maps.shape == (count, 16, 16) and one.maps.dtype == np.float32
        assert one.probabilities.shape == one.looked.shape == (count,)
        assert ((one.looked >= 0) & (one.looked <= 1 + 1e-5)).all()
        logs = np.log([*one.probabilities.astype(float), one.end_probability])
        assert one.log_probability == pytest.approx(logs.sum(), abs=1e-5)


def test_the_word_for_the_colour_looks_where_the_dot_is(found):
    shares = []
    for image, one in zip(dotted.dots(40, seed=1)[0], found, strict=True):
        near = nn.functional.max_pool2d((image.amax(0) > 0.5).float()[None], 9, 1, 4)[0].numpy()
        shares.append((one.maps[1] * near).sum() / one.maps[1].sum())
    assert np.mean(shares) > 0.8


def test_a_beam_finds_no_less_and_tells_the_others(explainer, found):
    wide = explainer.explain(dotted.dots(40, seed=1)[0], beam=4)
    better = wide.log_probabilities - found.log_probabilities
    assert np.median(better) >= -1e-6
    assert all(1 <= len(one.others) <= 3 for one in wide)
    for one in wide:
        sums = [one.log_probability, *(sum_ for _, sum_ in one.others)]
        assert sums == sorted(sums, reverse=True)


def test_what_was_said_scores_as_it_was_said(explainer, found):
    again = explainer.score(dotted.dots(40, seed=1)[0], found.texts)
    np.testing.assert_allclose(again.log_probabilities, found.log_probabilities, atol=1e-4)
    np.testing.assert_allclose(again[0].attention, found[0].attention, atol=1e-6)


def test_a_false_text_is_less_probable(explainer):
    images, texts = dotted.dots(20, seed=2)
    swapped = [t.replace("left", "RIGHT") if "left" in t else t.replace("right", "left")
               for t in texts]  # fmt: skip
    true, false = explainer.score(images, texts), explainer.score(images, swapped)
    assert (true.log_probabilities > false.log_probabilities).mean() > 0.9


def test_unknown_words_are_told(explainer):
    images = dotted.dots(3)[0]
    with pytest.warns(FastxaiWarning, match="'no_known_word'"):
        told = explainer.score(images, ["a red dot left", "a red hexagon", "zwei Hunde"])
    assert told.status == ["ok", "unknown_words", "no_known_word"]
    assert np.isnan(told[2].log_probability) and np.isnan(told[2].probabilities).all()
    assert np.isfinite(told[1].log_probability)
    assert told[2].words == ("zwei", "hunde")


def test_no_room_for_a_sentence_is_told(explainer):
    with pytest.warns(FastxaiWarning, match="'unfinished'"):
        told = explainer.explain(dotted.dots(2)[0], max_words=2)
    assert told.status == ["unfinished"] * 2 and np.isnan(told[0].end_probability)
    assert all(len(one.words) == 2 for one in told)


def test_images_without_numbers_are_told():
    images, texts = dotted.dots(40)

    class Log(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x):
            return self.conv(x.log()).relu().mean((2, 3))

    explainer = TextExplainer(Log(), epochs=1).fit(images + 0.01, texts)
    with pytest.warns(FastxaiWarning, match="'nonfinite'"):
        told = explainer.explain(torch.stack([images[0] + 0.01, images[0] * 0]), max_words=20)
    assert told[1].status == "nonfinite" and told[1].text == ""
    assert told[1].maps.shape == (0, 16, 16) and np.isnan(told[1].log_probability)
    assert told[0].status != "nonfinite"


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(network):
    images, texts = dotted.dots(60)
    found = []
    threads = torch.get_num_threads()
    for number in (1, 3):
        try:
            torch.set_num_threads(number)
            explainer = TextExplainer(network, width=16, epochs=2).fit(images, texts)
            assert torch.get_num_threads() == number
            found.append(explainer.score(images[:5], texts[:5]))
        finally:
            torch.set_num_threads(threads)
    assert found[0].texts == found[1].texts
    assert np.array_equal(found[0].log_probabilities, found[1].log_probabilities)
    assert all(np.array_equal(a.attention, b.attention) for a, b in zip(*found, strict=True))


def test_another_seed_is_another_decoder(network):
    images, texts = dotted.dots(40)
    one, other = (
        TextExplainer(network, width=16, epochs=1, random_state=seed).fit(images, texts)
        for seed in (0, 1)
    )
    assert not np.array_equal(one.held_out_, other.held_out_)
    assert one.curve_.training[0] != other.curve_.training[0]


@pytest.mark.parametrize("wrong", [False, True], ids=["all well", "an exception"])
def test_the_model_leaves_as_it_came(wrong):
    model = dotted.network().train()
    model[0].weight.requires_grad_(False)
    images, texts = dotted.dots(20)
    before = state_of(model)
    explainer = TextExplainer(model, width=8, epochs=1)
    if wrong:
        with pytest.raises(InvalidInputError):
            explainer.fit(torch.full_like(images, torch.nan), texts)
    else:
        explainer.fit(images, texts).score(images[:2], texts[:2])
    assert_same_state(before, model)


def test_numpy_and_tensors_are_the_same(explainer):
    images = dotted.dots(3)[0]
    one, other = explainer.explain(images), explainer.explain(images.numpy())
    assert one.texts == other.texts
    assert np.array_equal(one.log_probabilities, other.log_probabilities)


def test_training_ends_when_held_out_pairs_are_no_better_read(network):
    images, texts = dotted.dots(60)
    shuffled = [texts[k] for k in np.random.default_rng(0).permutation(len(texts))]
    options = {**OPTIONS, "epochs": 200, "patience": 3, "validation": 0.3}
    curve = TextExplainer(network, **options).fit(images, shuffled).curve_
    assert len(curve.training) == curve.best + 1 + 3 < 200
    assert curve.validation[curve.best] == curve.validation.min()


def test_the_decoder_that_is_kept_is_the_best_one(network):
    images, texts = dotted.dots(60)
    shuffled = [texts[k] for k in np.random.default_rng(0).permutation(len(texts))]
    options = {**OPTIONS, "epochs": 30, "patience": 5, "validation": 0.3}
    explainer = TextExplainer(network, **options).fit(images, shuffled)
    held = explainer.held_out_
    told = explainer.score(images[torch.from_numpy(held)], np.array(shuffled)[held].tolist())
    words = sum(len(one.words) + 1 for one in told)
    loss = -told.log_probabilities.sum() / words
    assert loss == pytest.approx(explainer.curve_.validation.min(), abs=1e-5)


def test_without_validation_the_last_epoch_is_kept(network):
    explainer = TextExplainer(network, width=8, epochs=3, validation=0).fit(*dotted.dots(20))
    assert explainer.curve_.best == 2 and not explainer.held_out_.any()
    assert np.isnan(explainer.curve_.validation).all()


def test_rare_words_are_not_learned(network):
    images, texts = dotted.dots(30)
    explainer = TextExplainer(network, width=8, epochs=1, min_count=2)
    explainer.fit(images, [*texts[:-1], "an extraordinary dot"])
    assert "extraordinary" not in explainer.vocabulary_ and "dot" in explainer.vocabulary_


REFUSED = {
    "no pair": (lambda x, t: (x[:0], []), "0 pairs"),
    "one pair": (lambda x, t: (x[:1], t[:1]), "1 pair of"),
    "fewer texts": (lambda x, t: (x, t[:-1]), "19 texts for 20 images"),
    "an empty text": (lambda x, t: (x, [*t[:-1], ""]), "without a word, at 19"),
    "one text for all": (lambda x, t: (x, ["a dot"] * 20), "all 20 texts are the same"),
    "several sizes": (lambda x, t: ([*x[:-1], x[0, :, :8]], t), "list"),
    "no images": (lambda x, t: (t, t), "list"),
    "whole numbers": (lambda x, t: ((x * 255).byte(), t), "uint8"),
    "NaN": (lambda x, t: (x * torch.nan, t), "NaN"),
    "constant": (lambda x, t: (x * 0, t), "same value everywhere"),
}


@pytest.mark.parametrize("change, message", REFUSED.values(), ids=REFUSED)
def test_pairs_that_are_refused(change, message):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(InvalidInputError, match=message):
        TextExplainer(model, epochs=1).fit(*change(*dotted.dots(20)))


LAYERS = {
    "without space": ("8", "no \\(N, C, H, W\\)"),
    "of one place": ("7", "one place"),
    "unknown": ("conv9", "no layer 'conv9'"),
}


@pytest.mark.parametrize("layer, message", LAYERS.values(), ids=LAYERS)
def test_layers_that_are_refused(network, layer, message):
    with pytest.raises(InvalidInputError, match=message):
        TextExplainer(network, layer, epochs=1).fit(*dotted.dots(10))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"width": 0}, "width=0"),
        ({"validation": 1.0}, "validation=1.0"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"min_count": 0}, "min_count=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"look_cost": -1}, "look_cost=-1"),
        ({"layer": ["0", "3"]}, "several layers"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_that_are_refused(network, options, message):
    with pytest.raises(InvalidInputError, match=message):
        TextExplainer(network, **options)


def test_an_explainer_that_has_learned_nothing_says_so(network):
    for call in ("explain", "score"):
        with pytest.raises(InvalidInputError, match="call fit"):
            given = [["a dot"]] if call == "score" else []
            getattr(TextExplainer(network), call)(dotted.dots(1)[0], *given)


def test_images_of_another_size_are_refused(explainer):
    with pytest.raises(InvalidInputError, match="trained on"):
        explainer.explain(torch.rand(1, 3, 24, 24))


@pytest.mark.parametrize("beam", [0, -1, 1.5])
def test_beams_that_are_none(explainer, beam):
    with pytest.raises(InvalidInputError, match="beam"):
        explainer.explain(dotted.dots(1)[0], beam=beam)


def test_images_of_one_axis_work():
    signals = torch.rand(30, 1, 24)
    texts = ["rises", "falls"] * 15
    model = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(96, 2))
    explainer = TextExplainer(model, width=8, epochs=1).fit(signals, texts)
    told = explainer.score(signals[:2], texts[:2])
    assert told[0].maps.shape[1:] == (24,)


def test_it_is_at_home_in_the_package():
    assert fastxai.TextExplainer is TextExplainer
