"""Scenes of coloured shapes, drawn here, with texts that are known to be right.

Two shapes on plain ground, "a large red circle above a small blue square", or one of them.  Some
pairs of colour and shape are kept out of training: a decoder that has learned words, and not
sentences, can say them all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .._checks import check_whole
from ..errors import InvalidInputError
from ..examples.features import torch_threads
from ..explain.networks import Network, Preprocess
from .drawing import COLOURS, RELATIONS, SHAPES, SIDE, SIZES, Thing, draw, place

_KINDS = (("size", SIZES), ("colour", COLOURS), ("shape", SHAPES))
_TOLD = frozenset((*SIZES, *COLOURS, *SHAPES, *RELATIONS))
_LAYERS = ((24, 5, 2), (32, 3, 1), (48, 3, 1), (64, 3, 1))  # channels, kernel, stride
_BATCH, _RATE = 32, 4e-3
_CHUNK = 256  # scenes that are drawn together


class Scenes(NamedTuple):
    """Pictures of things, and what is true of them.

    Attributes
    ----------
    images : Tensor of shape (N, 3, 56, 56)
        float32 in 0..1.
    texts : list of N str
    things : list of N tuples of `Thing`
        One or two each, the one that is named first first.
    """

    images: Any
    texts: list[str]
    things: list[tuple[Thing, ...]]


def scenes(count: int, seed: int = 0, *, unseen: bool = False, things: int | None = None) -> Scenes:
    """Draw scenes and say what is on them.

    Parameters
    ----------
    count : int
        How many.
    seed : int, default 0
        The same number draws the same scenes.
    unseen : bool, default False
        False: only pairs of colour and shape that are for training.  True: each scene holds one
        at least that is not (`UNSEEN`: one shape of each colour).
    things : {1, 2}, optional
        How many on each scene; by default two on three of four.

    Returns
    -------
    Scenes

    Raises
    ------
    InvalidInputError
        If ``count`` is not positive or ``things`` is neither 1 nor 2.

    Examples
    --------
    >>> from fastxai.words.scenes import scenes
    >>> data = scenes(3)
    >>> data.images.shape
    torch.Size([3, 3, 56, 56])
    >>> data.texts[0]
    'a large blue ring left of a large purple cross'
    """
    check_whole("count", count, 1)
    check_whole("seed", seed, 0)
    if things not in (None, 1, 2):
        raise InvalidInputError(f"things={things!r}: choose 1 or 2, or None for some of both")
    random = np.random.default_rng([seed, int(unseen), things or 0])
    placed = [place(random, unseen, things) for _ in range(count)]
    images = np.empty((count, 3, SIDE, SIDE), np.float32)
    for first in range(0, count, _CHUNK):
        images[first : first + _CHUNK] = draw(placed[first : first + _CHUNK], random)
    return Scenes(torch.from_numpy(images), [describe(found) for found in placed], placed)


def describe(things: Sequence[Thing]) -> str:
    """The sentence about one or two things, of which the upper or left one comes first."""
    if len(things) == 1:
        return str(things[0])
    return f"{things[0]} {_relation(*things)} {things[1]}"


def _relation(first: Thing, second: Thing) -> str:
    return RELATIONS[0] if abs(second.y - first.y) > abs(second.x - first.x) else RELATIONS[1]


def attributes(text: str) -> tuple[str, ...]:
    """The words of a sentence that can be right or wrong: sizes, colours, shapes, the relation.

    Examples
    --------
    >>> attributes("a large red ring left of a small blue cross")
    ('large', 'red', 'ring', 'left of', 'small', 'blue', 'cross')
    """
    words = text.lower().replace("left of", "left_of").split()
    return tuple(word.replace("_", " ") for word in words if word.replace("_", " ") in _TOLD)


def attribute_accuracy(said: Sequence[str], true: Sequence[str]) -> float:
    """Share of the attributes of true sentences that stand at their place in what was said.

    A sentence with too many attributes has as many wrong as there are too many, at most all.
    """
    right = total = 0
    for one, other in zip(said, true, strict=True):
        found, wanted = attributes(one), attributes(other)
        hits = sum(a == b for a, b in zip(found, wanted, strict=False))
        right += max(hits - max(len(found) - len(wanted), 0), 0)
        total += len(wanted)
    return right / total


# --- a network of single things -----------------------------------------------------------


def network(seed: int = 0, *, count: int = 3000, epochs: int = 8) -> Network:
    """Train a small network to name single things: their size, colour and shape.

    Convolutions, batch norm, a global average pool and one linear layer with an output a word.
    It sees every pair of colour and shape (a decoder is to learn words for what a network knows),
    but never two things, and no sentence.  Takes 20 seconds on one thread.  The same seed gives
    the same weights, bit for bit on the same machine; torch's own random numbers and threads stay
    as they were.

    Parameters
    ----------
    seed : int, default 0
    count : int, default 3000
        Scenes to train on, a fifth of them with pairs that `scenes` keeps out of sentences.
    epochs : int, default 8

    Returns
    -------
    Network
        Takes images (N, 3, 56, 56) in 0..1, as `scenes` draws them; its outputs are logits of 2
        sizes, 8 colours and 5 shapes.
    """
    plain = scenes(max(count - count // 5, 1), seed + 1, things=1)
    unseen = scenes(max(count // 5, 1), seed + 1, unseen=True, things=1)
    images = torch.cat([plain.images, unseen.images])
    things = [found[0] for data in (plain, unseen) for found in data.things]
    labels = torch.tensor(
        [[words.index(getattr(t, name)) for name, words in _KINDS] for t in things]
    )
    with (
        torch_threads(1),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.random.fork_rng(devices=[]),
    ):
        torch.manual_seed(seed)
        model = _train(_cnn(), images, labels, epochs)
    names = tuple(word for _, words in _KINDS for word in words)
    return Network(model, names, Preprocess((SIDE, SIDE), 1.0, (0.0,) * 3, (1.0,) * 3))


def _cnn() -> Any:
    layers: OrderedDict[str, Any] = OrderedDict()
    inputs = 3
    for number, (outputs, kernel, stride) in enumerate(_LAYERS, 1):
        layers[f"conv{number}"] = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, bias=False, dtype=torch.float32
        )
        layers[f"norm{number}"] = nn.BatchNorm2d(outputs, dtype=torch.float32)
        layers[f"relu{number}"] = nn.ReLU()
        if number == 2:
            layers["shrink"] = nn.MaxPool2d(2)
        inputs = outputs
    layers["pool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    layers["head"] = nn.Linear(inputs, len(_TOLD) - len(RELATIONS), dtype=torch.float32)
    with torch.no_grad():
        layers["head"].weight.mul_(8.0)  # a thing fills a small part of what is averaged
    return nn.Sequential(layers)


def _train(model: Any, images: Any, labels: Any, epochs: int) -> Any:
    steps = epochs * -(-len(images) // _BATCH)
    optimizer = torch.optim.Adam(model.parameters(), _RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    groups = [len(words) for _, words in _KINDS]
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(_BATCH):
            optimizer.zero_grad()
            parts = model(images[rows]).split(groups, 1)
            losses = [F.cross_entropy(p, labels[rows, k]) for k, p in enumerate(parts)]
            torch.stack(losses).sum().backward()
            optimizer.step()
            schedule.step()
    model.zero_grad()
    return model.eval()
