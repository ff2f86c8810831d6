"""The attraction of new points by fixed ones: CPU against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastxai_kernels import cpu, reference


def given(m: int, d: int, k: int, seed: int = 0) -> tuple[Any, ...]:
    random = np.random.default_rng(seed)
    Y = random.normal(scale=20, size=(300, d)).astype(np.float32)
    points = random.normal(scale=20, size=(m, d)).astype(np.float32)
    indices = np.argsort(random.random((m, 300)), axis=1)[:, :k].astype(np.int32)
    affinities = random.random((m, k)).astype(np.float32)
    return points, Y, indices, affinities / affinities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("m, d, k", [(1, 2, 1), (7, 1, 5), (700, 2, 90), (50, 3, 17)])
def test_agrees_with_the_reference(m: int, d: int, k: int, dof: float) -> None:
    ours, exact = (room.attraction_at(*given(m, d, k), dof) for room in (cpu, reference))
    for one, other in zip(ours, exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_minus_one_is_no_neighbour() -> None:
    points, Y, indices, affinities = given(20, 2, 10)
    indices[:, 5:] = -1
    ours = cpu.attraction_at(points, Y, indices, affinities, 1.0)
    fewer = (np.ascontiguousarray(part[:, :5]) for part in (indices, affinities))
    np.testing.assert_array_equal(ours[0], cpu.attraction_at(points, Y, *fewer, 1.0)[0])


def test_a_points_bits_do_not_depend_on_the_batch() -> None:
    points, Y, indices, affinities = given(600, 2, 30)
    together = cpu.attraction_at(points, Y, indices, affinities, 1.0)
    for i in (0, 299, 599):
        some = (part[i : i + 1] for part in (indices, affinities))
        alone = cpu.attraction_at(points[i : i + 1], Y, *some, 1.0)
        np.testing.assert_array_equal(alone[0][0], together[0][i])
