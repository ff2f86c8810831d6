"""One step of gradient descent: CPU against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastxai_kernels import cpu, reference
from fastxai_kernels.cpu._threads import threads


def state(n: int, d: int, seed: int = 0) -> tuple[Any, ...]:
    random = np.random.default_rng(seed)
    arrays = [random.normal(size=(n, d)).astype(np.float32) for _ in range(5)]
    arrays[2] = np.abs(arrays[2])  # gains
    return tuple(arrays)


@pytest.mark.parametrize("n, d", [(1, 2), (7, 1), (1000, 2), (20_000, 3)])
def test_agrees_with_the_reference(n: int, d: int) -> None:
    given = (*state(n, d), 7.0, 12.0, 3.0, 0.5, np.inf)
    for ours, exact in zip(cpu.descend(*given), reference.descend(*given), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=2e-5, atol=2e-5)


def test_no_step_is_longer_than_allowed() -> None:
    Y, *_ = given = state(500, 2)
    moved = cpu.descend(*given, 1.0, 1.0, 100.0, 0.8, 2.0)[0]
    assert np.linalg.norm(moved - Y, axis=1).max() <= 2.0 * (1 + 1e-5)


def test_a_gain_grows_where_velocity_and_gradient_disagree() -> None:
    one = np.ones((1, 2), np.float32)
    velocity = np.array([[1.0, -1.0]], np.float32)
    gains = cpu.descend(one, velocity, one, -one, 0 * one, 1.0, 1.0, 1.0, 0.5, np.inf)[2]
    np.testing.assert_allclose(gains, [[1.2, 0.8]], rtol=1e-6)


def test_a_gain_is_never_below_a_hundredth() -> None:
    one = np.ones((1, 2), np.float32)
    gains = cpu.descend(one, one, 0.01 * one, one, 0 * one, 1.0, 1.0, 1.0, 0.5, np.inf)[2]
    np.testing.assert_allclose(gains, 0.01, rtol=1e-6)


@pytest.mark.parametrize("count", [2, 8])
def test_the_same_bits_for_any_number_of_threads(count: int) -> None:
    given = (*state(50_000, 2), 5.0, 1.0, 200.0, 0.8, 5.0)
    with threads(1):
        alone = cpu.descend(*given)
    with threads(count):
        together = cpu.descend(*given)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
