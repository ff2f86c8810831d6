"""The decoder's formulas, and the sentences that a search finds, against all there are."""

import itertools

import pytest
import torch

from fastxai.words.decoder import Decoder
from fastxai.words.search import read, search
from fastxai.words.training import padded
from fastxai.words.vocabulary import END, START, UNKNOWN

N_WORDS = 5  # of which three are special
PLACES, CHANNELS = 6, 4


def decoder(seed=0, sharp=3.0):
    torch.manual_seed(seed)
    made = Decoder(CHANNELS, N_WORDS, width=8).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.mul_(sharp)  # else all sentences are about as probable
    return made


def places(n=3, seed=1):
    return torch.randn(n, PLACES, CHANNELS, generator=torch.Generator().manual_seed(seed))


def by_hand(model, row, sentence, ended=True):
    """log p of a sentence about one image, step by step from the formulas."""
    keys, state, total = model.keys(row[None]), model.begin(1), 0.0
    for before, word in itertools.pairwise([START, *sentence, *([END] if ended else [])]):
        step = model.step(keys, row[None], state, torch.tensor([before]))
        total += float(step.logits.double().log_softmax(1)[0, word])
        state = step.state
    return total


def sentences(longest):
    words = [number for number in range(N_WORDS) if number not in (END, START, UNKNOWN)]
    for length in range(longest + 1):
        yield from itertools.product(words, repeat=length)


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_all_sentences_finds_the_most_probable(seed):
    model, most = decoder(seed), 3
    best = search(model, places(), 2**most + 2, most)
    for row, found in zip(places(), best, strict=True):
        complete = {tuple(s): by_hand(model, row, s) for s in sentences(most)}
        ended = [said for said in found if said.ended]
        top = max(complete, key=complete.__getitem__)
        assert tuple(ended[0].words) == top
        for said in ended:
            assert said.log_probability == pytest.approx(complete[tuple(said.words)], abs=1e-4)


def test_sentences_come_best_first_and_each_once():
    for found in search(decoder(), places(), 8, 4):
        sums = [said.log_probability for said in found]
        assert sums == sorted(sums, reverse=True)
        assert len({(tuple(said.words), said.ended) for said in found}) == len(found)


def test_greedy_takes_the_most_probable_word_each_time():
    model = decoder(2)
    for row, (said,) in zip(places(), search(model, places(), 1, 6), strict=True):
        keys, state, word = model.keys(row[None]), model.begin(1), START
        for taken in [*said.words, *([END] if said.ended else [])]:
            step = model.step(keys, row[None], state, torch.tensor([word]))
            allowed = step.logits[0].clone()
            allowed[[START, UNKNOWN]] = -torch.inf
            assert taken == int(allowed.argmax())
            state, word = step.state, taken


def test_a_wider_beam_than_there_are_sentences_gives_them_all():
    found = search(decoder(), places(1), 50, 1)[0]
    assert 1 <= len(found) <= 3
    assert len({tuple(said.words) for said in found}) == len(found)


def endless():
    """A decoder that never ends."""
    model = decoder()
    model.say.bias[END] = -1e4
    return model


@pytest.mark.parametrize("beam", [1, 3])
def test_a_sentence_without_an_end_is_cut_off(beam):
    model = endless()
    for row, found in zip(places(), search(model, places(), beam, 4), strict=True):
        for said in found:
            assert not said.ended and len(said.words) == 4
            assert len(said.log_probabilities) == len(said.attention) == 4
            expected = by_hand(model, row, said.words, ended=False)
            assert said.log_probability == pytest.approx(expected, abs=1e-4)


def test_a_decoder_may_say_nothing():
    model = decoder()
    model.say.bias[END] = 1e4
    (said,) = search(model, places(1), 1, 4)[0]
    assert said.words == [] and said.ended and said.attention.shape == (0, PLACES)
    assert said.log_probability == pytest.approx(0.0, abs=1e-6)


def test_unknown_words_are_never_said():
    model = decoder()
    model.say.bias[UNKNOWN] = 50.0
    assert all(
        UNKNOWN not in said.words for found in search(model, places(), 3, 4) for said in found
    )


def test_images_do_not_influence_each_other():
    together = search(decoder(), places(), 3, 4)
    for row, found in zip(places(), together, strict=True):
        (alone,) = search(decoder(), row[None], 3, 4)
        assert [said.words for said in alone] == [said.words for said in found]


def test_given_sentences_are_read_as_they_were_said():
    model = decoder(1)
    said = [found[0] for found in search(model, places(), 8, 4)]
    assert all(one.ended for one in said)
    for one, other in zip(said, read(model, places(), [s.words for s in said]), strict=True):
        torch.testing.assert_close(one.log_probabilities, other.log_probabilities)
        torch.testing.assert_close(one.attention, other.attention)


def test_looks_and_not_looking_make_one():
    logits, attention = decoder()(places(), torch.tensor([[START, 3, 4]] * 3))
    assert logits.shape == (3, 3, N_WORDS) and attention.shape == (3, 3, PLACES)
    assert bool((attention >= 0).all()) and bool((attention.sum(2) <= 1 + 1e-6).all())


def test_at_the_beginning_half_of_each_look_is_none():
    model = Decoder(CHANNELS, N_WORDS, 8).requires_grad_(False)
    torch.nn.init.zeros_(model.query.weight)
    torch.nn.init.zeros_(model.query.bias)
    attention = model(places(), torch.tensor([[START]] * 3))[1]
    torch.testing.assert_close(attention, torch.full((3, 1, PLACES), 0.5 / PLACES))


def test_without_a_look_no_word_depends_on_the_image():
    model = decoder()
    model.no_look.zero_()
    model.query.weight.zero_()
    # The query is along no_look alone, whose score then outweighs every place's.
    model.query.bias.copy_(torch.ones(4))
    model.no_look.fill_(1e4)
    one = model(places(seed=1), torch.tensor([[START, 3, 4]] * 3))[0]
    other = model(places(seed=2), torch.tensor([[START, 3, 4]] * 3))[0]
    assert torch.equal(one, other)


def test_padding_stands_behind_the_end():
    before, after = padded([[3], [4, 3]], torch.device("cpu"))
    assert before.tolist() == [[START, 3, END], [START, 4, 3]]
    assert after.tolist() == [[3, END, -100], [4, 3, END]]
