"""Sentences of a decoder: the most probable ones that a beam search meets, and given ones."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .decoder import Decoder, State
from .training import padded
from .vocabulary import END, START, UNKNOWN


class Said(NamedTuple):
    """One sentence.

    Attributes
    ----------
    words : list of int
        Numbers of its T words, without the end.
    attention : Tensor of shape (T, L)
    log_probabilities : Tensor of shape (T + 1,), or (T,) where it has no end
        Of the words and the end.
    ended : bool
        Whether the end was said.
    """

    words: list[int]
    attention: Tensor
    log_probabilities: Tensor
    ended: bool

    @property
    def log_probability(self) -> float:
        """Of the whole sentence."""
        return float(self.log_probabilities.double().sum())


def search(decoder: Decoder, places: Tensor, beam: int, most: int) -> list[list[Said]]:
    """For each image the sentences of highest probability among those looked at, best first.

    Of all sentences begun, the ``beam`` most probable are carried on, word by word; with
    ``beam=1`` the most probable word is taken each time ("greedy").  Unknown words are never
    said.  Sums of log-probabilities are compared as they are: no bonus for length.

    Parameters
    ----------
    decoder : Decoder
    places : Tensor of shape (N, L, C)
    beam : int
    most : int
        Words in a sentence, at most; one that would go on is cut off there, and has no end.

    Returns
    -------
    list of N lists of at most ``beam`` sentences
    """
    n = len(places)
    rows = torch.arange(n, device=places.device).repeat_interleave(beam)
    keys, spread = decoder.keys(places)[rows], places[rows]
    state = decoder.begin(n * beam)
    words = torch.full((n * beam,), START, device=places.device)
    total = torch.full((n, beam), -torch.inf, dtype=torch.float64, device=places.device)
    total[:, 0] = 0.0
    ended = torch.zeros(n, beam, dtype=torch.bool, device=places.device)
    history: list[_Taken] = []
    for t in range(most + 1):
        step = decoder.step(keys, spread, state, words)
        gains = _gains(step.logits, ended.flatten(), last=t == most).view(n, beam, -1)
        # Sorted, and not topk, whose choice among equals is no promise.
        sums = (total[:, :, None] + gains).flatten(1)
        ordered, chosen = sums.sort(dim=1, descending=True, stable=True)
        total, chosen = ordered[:, :beam], chosen[:, :beam]
        parent, word = chosen // gains.shape[2], chosen % gains.shape[2]
        at = (parent + beam * torch.arange(n, device=places.device)[:, None]).flatten()
        was = ended.flatten()[at].view(n, beam)
        gained = gains.flatten(0, 1)[at, word.flatten()].view(n, beam)
        attention = step.attention[at].view(n, beam, -1)
        history.append(_Taken(parent, word, was, gained, attention))
        ended, words = was | (word == END), word.flatten()
        state = State(step.state.hidden[at], step.state.seen[at])
        if t == most or bool((ended | torch.isinf(total)).all()):
            break
    return [_sentences(history, total, row) for row in range(n)]


class _Taken(NamedTuple):
    """One step of all beams, (N, beam) each: from where, what, and whether it was over before."""

    parent: Tensor
    word: Tensor
    over: Tensor
    gain: Tensor
    attention: Tensor


def _gains(logits: Tensor, ended: Tensor, last: bool) -> Tensor:
    """Log-probabilities of what may come next; behind an end only the end, for nothing.

    The ``last`` time there is no room for another word: a sentence ends, if that is the most
    probable, or is cut off as it stands, for which `UNKNOWN` stands.
    """
    found = logits.double().log_softmax(1)
    found[:, [START, UNKNOWN]] = -torch.inf
    if last:
        cut = found.argmax(1) != END
        found[:, END + 1 :] = -torch.inf
        found[cut, END], found[cut, UNKNOWN] = -torch.inf, 0.0
    found[ended] = -torch.inf
    found[ended, END] = 0.0
    return found


def _sentences(history: list[_Taken], total: Tensor, row: int) -> list[Said]:
    """The sentences of an image, followed back from their ends."""
    found = []
    for place in (~torch.isinf(total[row])).nonzero().flatten().tolist():
        steps, at = [], place
        for taken in reversed(history):
            if not taken.over[row, at]:
                steps.append((int(taken.word[row, at]), taken, at))
            at = int(taken.parent[row, at])
        steps.reverse()
        ended = steps[-1][0] == END
        kept = steps if ended else [step for step in steps if step[0] != UNKNOWN]
        gains = torch.stack([taken.gain[row, at] for _, taken, at in kept]).float()
        spoken = kept[:-1] if ended else kept
        looks = [taken.attention[row, at] for _, taken, at in spoken]
        attention = torch.stack(looks) if looks else history[0].attention[row, :0]
        found.append(Said([word for word, _, _ in spoken], attention, gains, ended))
    return found


def read(decoder: Decoder, places: Tensor, texts: list[list[int]]) -> list[Said]:
    """Given sentences, one an image: how probable each word was, and where it was looked.

    Parameters
    ----------
    decoder : Decoder
    places : Tensor of shape (N, L, C)
    texts : list of N lists of int
    """
    before, after = padded(texts, places.device)
    logits, attention = decoder(places, before)
    found = logits.log_softmax(2).gather(2, after.clamp(min=0)[:, :, None])[:, :, 0]
    return [
        Said(text, attention[row, : len(text)], found[row, : len(text) + 1], True)
        for row, text in enumerate(texts)
    ]
