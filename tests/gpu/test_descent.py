"""One step of gradient descent: the interpreter against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fastxai_kernels import reference
from fastxai_kernels.gpu.descent import descend


def state(n: int, d: int, seed: int = 0) -> tuple[Any, ...]:
    random = np.random.default_rng(seed)
    arrays = [random.normal(size=(n, d)).astype(np.float32) for _ in range(5)]
    arrays[2] = np.abs(arrays[2])  # gains
    return tuple(arrays)


def descended(*given: Any) -> tuple[Any, ...]:
    arrays = [torch.from_numpy(array.copy()) for array in given[:5]]
    *found, norm = descend(*arrays, *given[5:])
    for ours, before in zip(arrays, given[:5], strict=True):
        np.testing.assert_array_equal(ours.numpy(), before)
    assert all(array.dtype == torch.float32 for array in found) and type(norm) is float
    return (*(array.numpy() for array in found), norm)


SHAPES = [(1, 2), (7, 1), (256, 2), (1000, 2), (1, 3), (300, 3), (50, 4), (33, 32), (0, 2)]


@pytest.mark.parametrize("max_step", [np.inf, 3.0], ids=["free", "held back"])
@pytest.mark.parametrize("n, d", SHAPES)
def test_agrees_with_the_reference(n: int, d: int, max_step: float) -> None:
    given = (*state(n, d), 7.0, 12.0, 3.0, 0.5, max_step)
    for ours, exact in zip(descended(*given), reference.descend(*given), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=2e-5, atol=2e-5)


def test_no_step_is_longer_than_allowed() -> None:
    Y, *_ = given = state(500, 2)
    moved = descended(*given, 1.0, 1.0, 100.0, 0.8, 2.0)[0]
    assert np.linalg.norm(moved - Y, axis=1).max() <= 2.0 * (1 + 1e-5)


def test_a_gain_grows_where_velocity_and_gradient_disagree() -> None:
    one = np.ones((1, 2), np.float32)
    velocity = np.array([[1.0, -1.0]], np.float32)
    gains = descended(one, velocity, one, -one, 0 * one, 1.0, 1.0, 1.0, 0.5, np.inf)[2]
    np.testing.assert_allclose(gains, [[1.2, 0.8]], rtol=1e-6)


def test_a_gain_is_never_below_a_hundredth() -> None:
    one = np.ones((1, 2), np.float32)
    gains = descended(one, one, 0.01 * one, one, 0 * one, 1, 1, 1, 0, np.inf)[2]
    np.testing.assert_allclose(gains, 0.01, rtol=1e-6)


def test_two_runs_give_the_same_bits() -> None:
    given = (*state(700, 2), 5.0, 1.0, 200.0, 0.8, 5.0)
    for one, other in zip(descended(*given), descended(*given), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_steps_beyond_float32_end_in_an_infinite_norm() -> None:
    given = state(3, 2)
    assert not np.isfinite(descended(*given, 1.0, 1.0, 1e300, 0.8, np.inf)[3])


def test_more_components_than_there_are_kernels_for_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 32 components, not 33"):
        descended(*state(2, 33), 1.0, 1.0, 1.0, 0.8, np.inf)
