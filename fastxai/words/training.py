"""Training of the decoder: the words that users gave, on feature maps that stay as they are."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DivergedError
from ..progress import Progress
from .decoder import Decoder
from .vocabulary import END, START

_IGNORED = -100  # behind the end of a text
_CLIP = 1.0  # length of a gradient, at most
_READ = 256  # texts that are read together


@dataclass(frozen=True)
class Options:
    """How a decoder is trained; see `TextExplainer`."""

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    look_cost: float
    seed: int


@dataclass(frozen=True)
class Curve:
    """How training went, an entry an epoch.

    Attributes
    ----------
    training, validation : ndarray of shape (epochs,)
        Mean of −log p of a word, in nats; NaN where nothing was held out.
    best : int
        The epoch whose decoder was kept, from 0.
    """

    training: NDArray[np.float64]
    validation: NDArray[np.float64]
    best: int


def padded(texts: list[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """What was said before each word, and the word: (N, T) each, the end among the latter."""
    longest = max(map(len, texts)) + 1
    before = torch.full((len(texts), longest), END)
    after = torch.full((len(texts), longest), _IGNORED)
    for row, text in enumerate(texts):
        before[row, : len(text) + 1] = torch.tensor([START, *text])
        after[row, : len(text) + 1] = torch.tensor([*text, END])
    return before.to(device), after.to(device)


def train(
    decoder: Decoder,
    places: Tensor,
    texts: list[list[int]],
    held_out: Tensor,
    options: Options,
    progress: Progress,
) -> Curve:
    """Minimise −log p of the words, by Adam, until the held-out texts are no better read.

    Parameters
    ----------
    decoder : Decoder
        Ends with the weights of the best epoch, in eval mode.
    places : Tensor of shape (N, L, C)
    texts : list of N lists of int
    held_out : Tensor of bool of shape (N,)
    options : Options
    progress : Progress

    Raises
    ------
    DivergedError
        The loss is no number any more.
    """
    rows, others = (~held_out).nonzero().flatten(), held_out.nonzero().flatten()
    optimizer = torch.optim.Adam(decoder.parameters(), options.learning_rate)
    steps = options.epochs * -(-len(rows) // options.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, total_steps=steps
    )
    order = torch.Generator().manual_seed(options.seed)
    best: tuple[float, int, dict[str, Tensor]] = (np.inf, 0, {})
    losses: list[tuple[float, float]] = []
    with progress.stage("train", steps) as advance:
        for epoch in range(options.epochs):
            total, count = 0.0, 0
            for part in rows[torch.randperm(len(rows), generator=order)].split(options.batch_size):
                loss, n = _step(decoder, places, texts, part, optimizer, options)
                schedule.step()
                total, count = total + loss * n, count + n
                advance(1)
            held = _loss(decoder, places, texts, others) if len(others) else np.nan
            losses.append((total / count, held))
            if not np.isfinite(total):
                raise DivergedError(
                    f"training ended in numbers that are none, in epoch {epoch + 1}: choose a "
                    f"lower learning_rate than {options.learning_rate:g}"
                )
            score = held if len(others) else -epoch
            if score < best[0]:
                best = (score, epoch, copy.deepcopy(decoder.state_dict()))
            elif epoch - best[1] >= options.patience:
                break
    decoder.load_state_dict(best[2])
    decoder.eval()
    training, validation = np.array(losses).T
    return Curve(training, validation, best[1])


def _step(
    decoder: Decoder,
    places: Tensor,
    texts: list[list[int]],
    part: Tensor,
    optimizer: torch.optim.Optimizer,
    options: Options,
) -> tuple[float, int]:
    """One step; −log p of a word before it, and how many words there were."""
    before, after = padded([texts[row] for row in part.tolist()], places.device)
    optimizer.zero_grad()
    logits, attention = decoder(places[part], before)
    loss = F.cross_entropy(logits.flatten(0, 1), after.flatten(), ignore_index=_IGNORED)
    # A look that helps no word is not worth its price.
    looks = attention.sum(2)[after != _IGNORED].mean()
    (loss + options.look_cost * looks).backward()
    torch.nn.utils.clip_grad_norm_(decoder.parameters(), _CLIP)
    optimizer.step()
    return float(loss.detach()), int((after != _IGNORED).sum())


def _loss(decoder: Decoder, places: Tensor, texts: list[list[int]], rows: Tensor) -> float:
    """Mean of −log p over the words of some texts."""
    total, count = 0.0, 0
    with torch.no_grad():
        for part in rows.split(_READ):
            before, after = padded([texts[row] for row in part.tolist()], places.device)
            logits = decoder(places[part], before)[0].flatten(0, 1)
            found = F.cross_entropy(logits, after.flatten(), ignore_index=_IGNORED, reduction="sum")
            total, count = total + float(found), count + int((after != _IGNORED).sum())
    return total / count
