"""Kernel sums of all pairs of a strip, and one step of the choice."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from fastxai_kernels import select

from .inputs import points

kernels = select("cpu")
_N, _D, _STRIP = 20_000, 784, 512


@cache
def _inputs() -> Any:
    X = points(_N, _D)
    return X, X.mean(axis=0), 1.0 / float(X.var(axis=0).sum())


def test_kernel_sums(measure: Any) -> None:
    X, centre, gamma = _inputs()
    measure(
        f"{_STRIP} among {_N:,}×{_D}",
        lambda: kernels.kernel_sums(X, centre, gamma, 0, _STRIP, 0, _N),
        moved=X.nbytes,
        operations=2 * _STRIP * X.size,
    )


def test_next_prototype(measure: Any) -> None:
    X, _, gamma = _inputs()
    means, sums = np.ones(_N), np.zeros(_N)
    measure(
        f"{_N:,}×{_D}",
        lambda: kernels.next_prototype(X, gamma, means, [5, 7], sums),
        moved=X.nbytes + 3 * means.nbytes,
        operations=3 * X.size,
    )


def test_next_criticism(measure: Any) -> None:
    X, _, gamma = _inputs()
    witness, factors = np.ones(_N), np.zeros((_N, 10))

    def step() -> None:
        left = np.ones(_N)
        kernels.next_criticism(X, gamma, witness, [5], [7, 9], factors, left)

    measure(
        f"{_N:,}×{_D}",
        step,
        moved=X.nbytes + factors.nbytes + 3 * witness.nbytes,
        operations=3 * X.size,
    )
