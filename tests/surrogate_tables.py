"""Tables and models that the tests of surrogates share."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

IRIS = load_iris()
X, Y = IRIS.data, IRIS.target
NAMES = [str(name) for name in IRIS.target_names]


@cache
def forest() -> Any:
    """A forest that knows the irises."""
    return RandomForestClassifier(20, random_state=0).fit(X, Y)


def numbers(n: int = 200, d: int = 3, seed: int = 0) -> NDArray[np.float64]:
    """Rows without structure."""
    return np.random.default_rng(seed).uniform(-2, 2, size=(n, d))


def shop(n: int = 200) -> pd.DataFrame:
    """A table of numbers, truth values and categories; one colour is missing."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": generator.integers(18, 80, n),
            "colour": generator.choice(["blue", "green", "red"], n),
            "smoker": generator.random(n) < 0.3,
        }
    )
    frame.loc[3, "colour"] = None
    return frame


def buys(frame: pd.DataFrame) -> NDArray[np.str_]:
    """A model of the shop: red from 40 years on, and all smokers."""
    red = (frame["colour"] == "red").to_numpy()
    old = frame["age"].to_numpy() > 40
    return np.where((red & old) | frame["smoker"].to_numpy(bool), "buys", "leaves")
