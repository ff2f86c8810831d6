"""The second model: a recurrent decoder that looks at places of feature maps, word by word."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn


class State(NamedTuple):
    """Where a sentence stands: the recurrent state and what was seen last, (B, width) each."""

    hidden: Tensor
    seen: Tensor


class Step(NamedTuple):
    """One word ahead.

    Attributes
    ----------
    state : State
    attention : Tensor of shape (B, L)
        How much of this word's look goes to each place; what is missing to 1 was no look.
    logits : Tensor of shape (B, V)
    """

    state: State
    attention: Tensor
    logits: Tensor


class Decoder(nn.Module):
    """Soft attention over feature maps, and a gated recurrent unit that says the words.

        h_t = GRU([E w_(t-1), z_(t-1)], h_(t-1))
        (α_t, β_t) = softmax([q(h_t) · k(a_i) / √d for i in 1..L, q(h_t) · k_0 / √d + log L])
        z_t = W (Σ_i α_ti a_i) + b,      p(w_t) = softmax(E_o (A h_t + B z_t))

    after Xu et al. (2015), "Show, attend and tell", whose output layer (7) it has, with four
    changes: the look is decided with the word before known (Luong et al. 2015); scores are
    products; β_t is the share of not looking (Lu et al. 2017, "Knowing when to look"); and h_0
    is the same for every image.  So all that the words know of an image went through the maps.

    Parameters
    ----------
    channels : int
        Numbers at a place, with its coordinates.
    n_words : int
        V, with the special ones.
    width : int
        Of the recurrent state.
    """

    def __init__(self, channels: int, n_words: int, width: int) -> None:
        super().__init__()
        half = max(width // 2, 1)
        self.words = nn.Embedding(n_words, half)
        self.key = nn.Sequential(nn.Linear(channels, half), nn.Tanh(), nn.Linear(half, half))
        self.query = nn.Linear(width, half)
        self.no_look = nn.Parameter(torch.zeros(half))
        self.value = nn.Linear(channels, width)
        self.cell = nn.GRUCell(half + width, width)
        self.hidden = nn.Parameter(torch.zeros(width))
        self.seen = nn.Parameter(torch.zeros(width))
        # No curve between these: what a look gives a word stays the same whatever was said.
        self.from_hidden = nn.Linear(width, half)
        self.from_seen = nn.Linear(width, half)
        self.say = nn.Linear(half, n_words)

    def begin(self, n: int) -> State:
        """The state before the first word: it knows nothing of any image."""
        return State(self.hidden.expand(n, -1), self.seen.expand(n, -1))

    def keys(self, places: Tensor) -> Tensor:
        """(B, L, d) of features (B, L, C): what looks are chosen by, the same for all words."""
        found: Tensor = self.key(places)
        return found

    def step(self, keys: Tensor, places: Tensor, state: State, words: Tensor) -> Step:
        """From the words said last (B,) to the next ones."""
        hidden = self.cell(torch.cat([self.words(words), state.seen], 1), state.hidden)
        query = self.query(hidden) / keys.shape[2] ** 0.5
        scores = torch.bmm(keys, query[:, :, None])[:, :, 0]
        # At the beginning, not to look weighs as much as all places together.
        blind = (query @ self.no_look)[:, None] + math.log(scores.shape[1])
        attention = torch.cat([scores, blind], 1).softmax(1)[:, :-1]
        seen = self.value(torch.bmm(attention[:, None], places)[:, 0])
        logits = self.say(self.from_hidden(hidden) + self.from_seen(seen))
        return Step(State(hidden, seen), attention, logits)

    def forward(self, places: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V) and attention (B, T, L) where ``words`` (B, T) were said before."""
        keys, state = self.keys(places), self.begin(len(places))
        steps = []
        for t in range(words.shape[1]):
            steps.append(self.step(keys, places, state, words[:, t]))
            state = steps[-1].state
        logits = torch.stack([step.logits for step in steps], 1)
        return logits, torch.stack([step.attention for step in steps], 1)
