"""What the network says of each image: its best classes, by the task."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray


class Answers(NamedTuple):
    """Best classes and their scores, (B, top_k), the best first; whether all answers are finite."""

    classes: NDArray[np.int32]
    scores: NDArray[np.float32]
    finite: NDArray[np.bool_]


def answers(output: Any, task: str, top_k: int) -> Answers:
    """Of the selected output (B, classes, ...): probabilities, of a regression the values.

    Outputs with a value at each pixel are averaged over the pixels.  One column of a binary
    task makes two classes.
    """
    values = output.detach().float().cpu()
    if task == "binary" and values.shape[1] == 1:
        on = torch.sigmoid(values)
        scores = torch.cat([1 - on, on], 1)
    elif task in ("binary", "softmax"):
        scores = torch.softmax(values, 1)
    else:
        scores = torch.sigmoid(values) if task == "multilabel" else values
    scores = scores.flatten(2).mean(2) if scores.ndim > 2 else scores
    # Stable: of equal scores the lower class first, whatever the version of torch.
    order = np.argsort(-scores.numpy(), axis=1, kind="stable")[:, :top_k]
    best = np.take_along_axis(scores.numpy(), order, 1)
    return Answers(order.astype(np.int32), best, torch.isfinite(values).flatten(1).all(1).numpy())


def classes_of(output: Any, task: str) -> int:
    """How many classes an output tells apart."""
    return 2 if task == "binary" and output.shape[1] == 1 else int(output.shape[1])
