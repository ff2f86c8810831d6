"""Projection, and the cells of the approximate search, in Triton: against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fastxai_kernels import reference
from fastxai_kernels.gpu.cells import pack_cells, principal_axes, probe_cells, project


def gaussian(n: int, d: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def there(arrays: Any) -> tuple[Any, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(a).copy()) for a in arrays)


def nothing(rows: int, length: int) -> tuple[Any, Any]:
    return np.full((rows, length), -1, np.int32), np.full((rows, length), np.inf, np.float32)


class Cells:
    """Points sorted into five cells, one of them empty, one of them large; each probes three."""

    def __init__(self, n: int = 260, d: int = 10) -> None:
        X = gaussian(n, d)
        left = np.abs(gaussian(n, 1, seed=1))[:, 0]
        self.centroids = np.concatenate([X[:1] * 0, X[1:4] * 2, X[:1] + 1e4])
        near, _ = reference.nearest(X, self.centroids, 3, np.full(n, -1))
        order = np.argsort(near[:, 0], kind="stable")
        counts = np.bincount(near[:, 0], minlength=5)
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.points, self.left = X[order], left[order]
        self.near = near[order].astype(np.int32)
        self.skip = np.arange(n, dtype=np.int32)
        packed = reference.pack_cells(self.points, self.left, self.starts, self.centroids)
        self.packed = (packed[0].astype(np.float32), packed[1].astype(np.float32), packed[2])

    def given(self, near: Any, lists: Any, some: Any) -> tuple[Any, ...]:
        rows = [a[some] for a in (self.points, self.left, self.skip)]
        return (*rows, near[some], *self.packed, self.starts, self.centroids, *lists)

    def check(self, near: Any, lists: Any, some: Any) -> None:
        given = self.given(near, lists, some)
        indices, squares = probe_cells(*there(given))
        assert (indices.dtype, squares.dtype) == (torch.int32, torch.float32)
        expected, expected_squares = reference.probe_cells(*given)
        np.testing.assert_allclose(squares, expected_squares, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(indices, expected)

    def probe(self, near: Any, lists: Any, some: Any) -> tuple[Any, Any]:
        return probe_cells(*there(self.given(near, lists, some)))


@pytest.fixture(scope="module")
def cells() -> Cells:
    return Cells()


@pytest.mark.parametrize("d", [1, 10, 70])
def test_packed_cells_are_those_of_the_reference(d: int) -> None:
    cells = Cells(100, d)
    given = (cells.points, cells.left, cells.starts, cells.centroids)
    expected = reference.pack_cells(*given)
    for mine, other in zip(pack_cells(*there(given)), expected, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("length", "probes", "every"),
    [(1, 1, 40), (8, 3, 24), (64, 2, 60), (100, 3, 90), (200, 1, 90), (300, 3, 130)],
)
def test_probing_finds_what_the_cells_hold(
    cells: Cells, length: int, probes: int, every: int
) -> None:
    some = slice(0, 260, every)
    cells.check(cells.near[:, :probes], nothing(len(cells.points[some]), length), some)


@pytest.mark.parametrize("d", [1, 17, 40])
def test_probing_in_any_width(d: int) -> None:
    cells, some = Cells(90, d), slice(0, 90, 30)
    cells.check(cells.near, nothing(3, 6), some)


def test_given_lists_keep_their_estimates(cells: Cells) -> None:
    """Also that of a point which the estimate would move, and of one it would drop."""
    some = slice(0, 260, 87)
    indices, squares = reference.probe_cells(*cells.given(cells.near[:, :2], nothing(3, 12), some))
    squares = squares.astype(np.float32)
    squares[1] = np.arange(12)  # others than would be found
    squares[2, -3:] = 1e6
    cells.check(cells.near, (indices, squares), some)


def test_probing_goes_on_with_given_lists(cells: Cells) -> None:
    some = slice(3, 260, 64)
    near, none = cells.near, nothing(len(cells.points[some]), 12)
    first = tuple(a.numpy() for a in cells.probe(near[:, :1], none, some))
    then = cells.probe(near[:, 1:], first, some)
    at_once = cells.probe(near, none, some)
    again = cells.probe(near, tuple(a.numpy() for a in at_once), some)
    for a, b, c in zip(then, at_once, again, strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_a_missing_cell_is_passed_over(cells: Cells) -> None:
    near, some = cells.near.copy(), slice(0, 260, 65)
    near[:, 1] = -1
    near[65] = -1
    cells.check(near, nothing(4, 8), some)


def test_one_cell_of_all_points_and_short_lists() -> None:
    X, starts = gaussian(70, 6), np.array([0, 70], np.int64)
    left, middle, skip = np.zeros(70, np.float32), np.zeros((1, 6), np.float32), np.full(20, -1)
    packed = pack_cells(*there((X, left, starts, middle)))
    some = there((X[:20], left[:20], skip.astype(np.int32), np.zeros((20, 1), np.int32)))
    lists = there(nothing(20, 2))
    found = probe_cells(*some, *packed, *there((starts, middle)), *lists)
    expected, squares = reference.nearest(X[:20], X, 2, skip)
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_allclose(found[1], squares**2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alike", [True, False], ids=["the same", "others"])
def test_few_queries_among_many_cells(alike: bool) -> None:
    X, left = gaussian(72, 5), np.zeros(72, np.float32)
    starts = np.arange(0, 73, 2, dtype=np.int64)
    middle = np.zeros((36, 5), np.float32)
    near = np.tile(np.arange(36, dtype=np.int32), (3, 1))
    if not alike:
        near[1] = near[1, ::-1]
    packed = tuple(a.numpy() for a in pack_cells(*there((X, left, starts, middle))))
    lists = nothing(3, 7)
    lists[0][0, :2], lists[1][0, :2] = [40, 50], [0.25, 0.5]
    rows = np.arange(3, dtype=np.int32)
    given = (X[:3], left[:3], rows, near, *packed, starts, middle, *lists)
    indices, squares = probe_cells(*there(given))
    expected, expected_squares = reference.probe_cells(*given)
    np.testing.assert_allclose(squares, expected_squares, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(indices, expected)


def test_estimates_are_accurate_near_a_far_centroid() -> None:
    X = gaussian(64, 8) * np.float32(1e-2) + np.float32(1e3)
    centroids, starts = np.full((1, 8), 1e3, np.float32), np.array([0, 64], np.int64)
    packed = pack_cells(*there((X, np.zeros(64, np.float32), starts, centroids)))
    rows = there((X[:16], np.zeros(16, np.float32), np.arange(16, dtype=np.int32)))
    near = torch.zeros((16, 1), dtype=torch.int32)
    found = probe_cells(*rows, near, *packed, *there((starts, centroids)), *there(nothing(16, 5)))
    expected, _ = reference.nearest(X[:16], X, 5, np.arange(16))
    assert (np.sort(found[0]) == np.sort(expected)).mean() > 0.97


@pytest.mark.parametrize(
    ("n", "d", "width"), [(70, 40, 12), (1, 7, 3), (64, 100, 100), (65, 300, 70), (3, 5, 5)]
)
def test_project_equals_the_product(n: int, d: int, width: int) -> None:
    X, mean = gaussian(n, d), gaussian(1, d, seed=3)[0]
    components = np.linalg.qr(gaussian(d, width, seed=2))[0]
    expected, rest = reference.project(X, mean, components)
    projected, left = project(*there((X, mean, components)))
    np.testing.assert_allclose(projected, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(left, rest, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("n", "d"), [(3000, 30), (20, 90), (40, 40)])
def test_principal_axes_are_those_of_the_covariance(n: int, d: int) -> None:
    X = gaussian(n, d) * np.linspace(3, 1, d, dtype=np.float32)
    mean = gaussian(1, d, seed=5)[0] * np.float32(0.1)
    variances, directions = principal_axes(*there((X, mean)))
    expected, axes = reference.principal_axes(X, mean)
    assert (variances.dtype, directions.dtype) == (torch.float64, torch.float64)
    assert directions.shape == (d, min(n, d))
    np.testing.assert_allclose(variances, expected, rtol=1e-4, atol=1e-6)
    first = np.abs((directions.numpy() * axes).sum(axis=0))[: min(n, d) // 2]
    np.testing.assert_allclose(first, 1, atol=1e-3)


def test_a_rows_bits_depend_neither_on_the_batch_nor_on_the_run(cells: Cells) -> None:
    some = slice(0, 260, 52)
    together = cells.probe(cells.near, nothing(5, 8), some)
    alone = cells.probe(cells.near, nothing(1, 8), slice(104, 105))
    assert all(torch.equal(a[0], b[2]) for a, b in zip(alone, together, strict=True))
    given = there(cells.given(cells.near, nothing(5, 8), some))
    before = [a.clone() for a in given]
    again = probe_cells(*given)
    assert all(torch.equal(a, b) for a, b in zip(again, together, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
    X, mean, components = there((gaussian(70, 20), gaussian(1, 20)[0], np.eye(20, 6)))
    whole = project(X, mean, components.float())
    one = project(X[66:67], mean, components.float())
    assert torch.equal(one[0][0], whole[0][66]) and one[1][0] == whole[1][66]


@pytest.mark.parametrize("probes", [0, 3, 40])
def test_no_queries_have_no_lists(cells: Cells, probes: int) -> None:
    near = np.zeros((260, probes), np.int32)
    indices, squares = cells.probe(near, nothing(0, 8), slice(0, 0))
    assert indices.shape == squares.shape == (0, 8)
