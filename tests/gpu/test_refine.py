"""Candidates made better, in Triton: against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fastxai_kernels import reference
from fastxai_kernels.gpu.refine import join_neighbors, rerank


def gaussian(n: int, d: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def there(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(a).copy()) for a in arrays)


def lists(n: int, d: int, length: int) -> tuple[Any, ...]:
    """Points with random sorted lists, some of which end early or hold nothing."""
    X, left = gaussian(n, d), np.abs(gaussian(n, 1))[:, 0]
    random = np.random.default_rng(1)
    start = np.array([random.permutation(n) for _ in range(n)], np.int32)
    start = np.concatenate([start, np.full((n, length), -1, np.int32)], axis=1)[:, :length]
    start[start == np.arange(n)[:, None]] = -1
    start[random.random(start.shape) < 0.2] = -1
    start[n // 2] = -1
    far = np.full(start.shape, np.inf)
    indices, squares = reference.join_neighbors(X, left, start, far, 0, 0, n)
    return X, left, indices, squares.astype(np.float32)


@pytest.mark.parametrize(
    ("n", "d", "length", "width", "first", "last"),
    [
        (60, 6, 8, 5, 20, 26),
        (60, 33, 20, 12, 28, 32),
        (40, 64, 24, 16, 37, 40),
        (12, 2, 11, 16, 0, 4),
        (2, 3, 1, 1, 0, 2),
        (300, 5, 280, 3, 149, 152),
        (40, 5, 9, 0, 3, 5),
        (40, 5, 9, 4, 7, 7),
    ],
    ids=["plain", "wide", "full", "everybody", "two", "long", "nobody", "no row"],
)
def test_join_tries_the_neighbours_of_neighbours(
    n: int, d: int, length: int, width: int, first: int, last: int
) -> None:
    arrays = lists(n, d, length)
    indices, squares = join_neighbors(*there(arrays), width, first, last)
    assert (indices.dtype, squares.dtype) == (torch.int32, torch.float32)
    if first == last:
        assert indices.shape == squares.shape == (0, length)
        return
    expected, expected_squares = reference.join_neighbors(*arrays, width, first, last)
    np.testing.assert_allclose(squares, expected_squares, rtol=2e-5)
    np.testing.assert_array_equal(indices, expected)


def test_equal_points_are_joined_in_their_order() -> None:
    X, left, indices, _ = lists(30, 3, 6)
    X[:], left[:] = 1.0, 0.0
    squares = np.where(indices >= 0, 0.0, np.inf).astype(np.float32)
    indices = np.sort(np.where(indices < 0, 99, indices), axis=1)
    indices = np.where(indices == 99, -1, indices).astype(np.int32)
    found = join_neighbors(*there((X, left, indices, squares)), 4, 0, 3)
    expected = reference.join_neighbors(X, left, indices, squares, 4, 0, 3)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_rerank_follows_rows_and_names() -> None:
    X, rows = gaussian(60, 5), np.array([3, 9, 0, 1], np.int32)
    names = np.random.default_rng(0).permutation(60).astype(np.int32)
    candidates = np.full((4, 5), -1, np.int32)
    candidates[:3] = [[1, 2, 3, 4, -1], [9, 8, 7, 6, 5], [-1, -1, -1, 2, 1]]
    arrays = (X[:20], X, rows, candidates, names)
    indices, squares = rerank(*there(arrays), 4)
    expected, expected_squares = reference.rerank(*arrays, 4)
    assert (indices.dtype, squares.dtype) == (torch.int32, torch.float32)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(squares, expected_squares, rtol=1e-5)


@pytest.mark.parametrize(
    ("d", "length", "wanted"),
    [(1, 20, 20), (3, 1, 1), (17, 64, 5), (100, 65, 64), (784, 7, 9), (4, 200, 70)],
)
def test_rerank_of_any_size(d: int, length: int, wanted: int) -> None:
    X, rows = gaussian(250, d), np.array([249, 0], np.int32)
    random = np.random.default_rng(2)
    names = random.permutation(250).astype(np.int32)
    candidates = np.array([random.permutation(250)[:length] for _ in rows], np.int32)
    arrays = (X, X, rows, candidates, names)
    indices, squares = rerank(*there(arrays), wanted)
    expected, expected_squares = reference.rerank(*arrays, wanted)
    np.testing.assert_allclose(squares, expected_squares, rtol=1e-5)
    np.testing.assert_array_equal(indices, expected)


def test_copies_are_ranked_by_their_number() -> None:
    X = np.ones((90, 3), np.float32)
    rows, names = np.array([5], np.int32), np.arange(90, dtype=np.int32)
    candidates = np.random.default_rng(0).permutation(90).astype(np.int32)[None]
    indices, squares = rerank(*there((X, X, rows, candidates, names)), 10)
    np.testing.assert_array_equal(indices[0], np.arange(10))
    assert not squares.any()


def test_two_runs_give_the_same_bits_and_leave_what_they_were_given() -> None:
    given = there(lists(40, 7, 8))
    before = [a.clone() for a in given]
    runs = [join_neighbors(*given, 6, 3, 5) for _ in range(2)]
    rows = torch.arange(2, dtype=torch.int32)
    names = torch.arange(40, dtype=torch.int32)
    ranked = [rerank(given[0], given[0], rows, given[2][:2], names, 3) for _ in range(2)]
    for one, other in (runs, ranked):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
