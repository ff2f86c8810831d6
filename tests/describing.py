"""Maps and networks whose right description is known by hand, and a check of every number."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import nn

from fastxai.explain import Explanation
from fastxai.explain.description import Descriptions

NAN = float("nan")


def of(values: Any, method: str = "gradcam", status: str = "ok", **fields: Any) -> Explanation:
    """An explanation of one image by hand."""
    maps = np.asarray(values, np.float32)[None]
    ends = {"minimum": np.array([maps.min()]), "maximum": np.array([maps.max()])}
    return Explanation(method, maps, np.array([status]), **{**ends, "signed": False, **fields})


def blocks(*rows: list[float]) -> Any:
    """A 9 x 9 map of nine equal blocks with these sums."""
    return np.kron(np.array(rows) / 9, np.ones((3, 3)))


def texts(found: Descriptions) -> list[str]:
    return [sentence.text for sentence in found[0].sentences]


CORNER = blocks([1, 0, 0], [0, 0, 0], [0, 0, 0])
TWO = blocks([6, 0, 0], [0, 0, 0], [0, 0, 4])
UNCHECKED = "Not checked, since no model was given"


class Corners(nn.Module):
    """Two classes: light in the upper left third, and in the lower right one."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        weights = np.stack([blocks([1, 0, 0], [0] * 3, [0] * 3), blocks(*[[0] * 3] * 2, [0, 0, 1])])
        self.linear = nn.Linear(81, 2)
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(scale * weights.reshape(2, 81)))
            self.linear.bias.zero_()

    def forward(self, x: Any) -> Any:
        return self.linear(x.flatten(1))


IMAGE = torch.ones(1, 1, 9, 9)
IMAGE[:, :, :3, :3] = 3.0  # logits 3 and 1: probabilities 0.88 and 0.12


def small() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
        ).eval()  # fmt: skip


def check_numbers(found: Descriptions) -> None:
    """Every number in a sentence is one of its facts, rounded; names of classes are left out."""
    pattern = re.compile(r"([<>]?)(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(%?)")
    for description in found:
        assert facts_of(description) <= set(description.facts)
        for text, facts in description.sentences:
            given = [value for value in facts.values() if isinstance(value, (int, float))]
            words = " ".join(value for value in facts.values() if isinstance(value, str))
            given += [float(number) for _, number, _ in pattern.findall(words)]
            for sign, number, percent in pattern.findall(text.replace("R²", "")):
                values = [value * 100 for value in given] if percent else given
                assert any(is_rounded(value, number, sign) for value in values), (number, text)


def facts_of(description: Any) -> set[str]:
    return {name for _, facts in description.sentences for name in facts}


def is_rounded(value: float, told: str, sign: str) -> bool:
    """Whether a number in a text is a value to the digits that it has, or bounds it."""
    if sign:
        return value < float(told) if sign == "<" else value > float(told)
    if "e" in told:
        return bool(np.isclose(value, float(told), rtol=5e-3))
    digits = len(told.partition(".")[2])
    return abs(value - float(told)) <= 0.5000001 * 10.0**-digits
