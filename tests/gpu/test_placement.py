"""The attraction of new points by fixed ones, in Triton: against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fastxai_kernels import reference
from fastxai_kernels.gpu.placement import attraction_at


def given(m: int, d: int, k: int, seed: int = 0) -> tuple[Any, ...]:
    random = np.random.default_rng(seed)
    Y = random.normal(scale=20, size=(100, d)).astype(np.float32)
    points = random.normal(scale=20, size=(m, d)).astype(np.float32)
    indices = random.integers(0, 100, (m, k)).astype(np.int32)
    affinities = random.random((m, k)).astype(np.float32)
    return points, Y, indices, affinities


def there(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(torch.from_numpy(a.copy()) for a in arrays)


def agree(arrays: tuple[Any, ...], dof: float) -> None:
    for one, other in zip(
        attraction_at(*there(arrays), dof), reference.attraction_at(*arrays, dof), strict=True
    ):
        assert one.dtype == torch.float32
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("dof", [0.5, 1.0])
@pytest.mark.parametrize(
    ("m", "d", "k"),
    [(1, 2, 1), (7, 1, 5), (70, 2, 45), (16, 3, 16), (33, 3, 17), (9, 16, 5), (6, 37, 20)],
)
def test_agrees_with_the_reference(m: int, d: int, k: int, dof: float) -> None:
    agree(given(m, d, k), dof)


@pytest.mark.parametrize("d", [2, 20])
def test_minus_one_is_no_neighbour(d: int) -> None:
    arrays = given(20, d, 10)
    arrays[2][:, 5:] = -1
    arrays[2][3] = -1
    arrays[3][3] = np.nan
    agree((*arrays[:3], np.nan_to_num(arrays[3])), 1.0)
    forces, stiffness = attraction_at(*there(arrays), 1.0)
    assert not forces[3].any() and stiffness[3] == 0


def test_no_points_have_no_attraction() -> None:
    points, Y, indices, affinities = there(given(4, 2, 3))
    forces, stiffness = attraction_at(points[:0], Y, indices[:0], affinities[:0], 1.0)
    assert forces.shape == (0, 2) and stiffness.shape == (0,)


def test_a_points_bits_depend_neither_on_the_batch_nor_on_the_run() -> None:
    points, Y, indices, affinities = lists = there(given(40, 2, 30))
    before = [part.clone() for part in lists]
    together = attraction_at(*lists, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(lists, before, strict=True))
    for i in (0, 19, 39):
        some = slice(i, i + 1)
        alone = attraction_at(points[some], Y, indices[some], affinities[some], 1.0)
        assert torch.equal(alone[0][0], together[0][i])
        assert alone[1][0] == together[1][i]
