"""Projection, and the cells of the approximate search, against their reference."""

import numpy as np
import pytest

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def nothing(rows, length):
    return np.full((rows, length), -1, np.int32), np.full((rows, length), np.inf, np.float32)


class Cells:
    """Points sorted into five cells, one of them empty, one of them large; each probes three."""

    def __init__(self, n=700, d=10):
        X = gaussian(n, d)
        left = np.abs(gaussian(n, 1, seed=1))[:, 0]
        self.centroids = np.concatenate([X[:1] * 0, X[1:4] * 2, X[:1] + 1e4])
        none = np.full(n, -1)
        near, _ = reference.nearest(X, self.centroids, 3, none)
        order = np.argsort(near[:, 0], kind="stable")
        counts = np.bincount(near[:, 0], minlength=5)
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.points, self.left = X[order], left[order]
        self.near = np.ascontiguousarray(near[order])
        self.skip = np.arange(n, dtype=np.int32)
        self.packed = cpu.pack_cells(self.points, self.left, self.starts, self.centroids)

    def probe(self, backend, near, lists, some=slice(None)):
        rows = [np.ascontiguousarray(a[some]) for a in (self.points, self.left, self.skip, near)]
        return backend.probe_cells(*rows, *self.packed, self.starts, self.centroids, *lists)


@pytest.fixture(scope="module")
def cells():
    return Cells()


def test_packed_cells_are_those_of_the_reference(cells):
    expected = reference.pack_cells(cells.points, cells.left, cells.starts, cells.centroids)
    for mine, other in zip(cells.packed, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [1, 5, 8, 24, 200])
@pytest.mark.parametrize("probes", [1, 3])
def test_probing_finds_what_the_cells_hold(cells, length, probes):
    some, near = slice(0, 700, 9), np.ascontiguousarray(cells.near[:, :probes])
    lists = nothing(len(cells.points[some]), length)
    indices, squares = cells.probe(cpu, near, lists, some)
    expected, expected_squares = cells.probe(reference, near, lists, some)
    np.testing.assert_allclose(squares, expected_squares, rtol=1e-4, atol=1e-4)
    assert (indices == expected).mean() > 0.99  # ties by rounding


def test_probing_goes_on_with_given_lists(cells):
    first = cells.probe(cpu, cells.near[:, :1].copy(), nothing(700, 12))
    then = cells.probe(cpu, cells.near[:, 1:].copy(), first)
    at_once = cells.probe(cpu, cells.near, nothing(700, 12))
    assert np.array_equal(then[0], at_once[0])


def test_probing_a_cell_again_names_nobody_twice(cells):
    once = cells.probe(cpu, cells.near, nothing(700, 12))
    again = cells.probe(cpu, cells.near, once)
    assert np.array_equal(np.sort(once[0], axis=1), np.sort(again[0], axis=1))


def test_a_missing_cell_is_passed_over(cells):
    near = cells.near.copy()
    near[:, 1] = -1
    found = cells.probe(cpu, near, nothing(700, 8))
    expected = cells.probe(cpu, np.ascontiguousarray(near[:, [0, 2]]), nothing(700, 8))
    assert np.array_equal(found[0], expected[0])


def test_a_row_finds_the_same_in_any_batch(cells):
    together = cells.probe(cpu, cells.near, nothing(700, 8))
    for i in (0, 311, 699):
        alone = cells.probe(cpu, cells.near, nothing(1, 8), slice(i, i + 1))
        assert np.array_equal(alone[0][0], together[0][i])
        assert np.array_equal(alone[1][0], together[1][i])


def test_estimates_are_accurate_near_a_far_centroid():
    X = gaussian(64, 8) * np.float32(1e-2)
    centroids = np.full((1, 8), 1e3, np.float32)
    starts, left = np.array([0, 64], np.int64), np.zeros(64, np.float32)
    packed = cpu.pack_cells(X + centroids, left, starts, centroids)
    rows = (X + centroids, left, np.arange(64, dtype=np.int32), np.zeros((64, 1), np.int32))
    found = cpu.probe_cells(*rows, *packed, starts, centroids, *nothing(64, 5))
    expected, _ = reference.nearest(X + centroids, X + centroids, 5, np.arange(64))
    assert (np.sort(found[0]) == np.sort(expected)).mean() > 0.97


@pytest.mark.parametrize(("d", "width"), [(40, 12), (40, 32), (7, 3), (100, 100), (784, 96)])
def test_project_equals_the_product(d, width):
    X, mean = gaussian(300, d), gaussian(1, d, seed=3)[0]
    components = np.linalg.qr(gaussian(d, width, seed=2))[0]
    expected, rest = reference.project(X, mean, components)
    projected, left = cpu.project(X, mean, components)
    np.testing.assert_allclose(projected, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(left, rest, rtol=1e-3, atol=1e-2)


def test_project_does_not_depend_on_the_batch():
    X, mean = gaussian(600, 50), np.zeros(50, np.float32)
    components = np.linalg.qr(gaussian(50, 20, seed=2))[0]
    together = cpu.project(X, mean, components)
    for i in (0, 7, 511, 599):
        alone = cpu.project(X[i : i + 1], mean, components)
        assert np.array_equal(alone[0][0], together[0][i])
        assert alone[1][0] == together[1][i]


@pytest.mark.parametrize(("n", "d"), [(5000, 30), (20, 90)], ids=["tall", "wide"])
def test_principal_axes_are_those_of_the_covariance(n, d):
    X = gaussian(n, d) * np.linspace(3, 1, d, dtype=np.float32)
    mean = np.zeros(d, np.float32)
    variances, directions = cpu.principal_axes(X, mean)
    expected, axes = reference.principal_axes(X, mean)
    assert directions.shape == (d, min(n, d))
    np.testing.assert_allclose(variances, expected, rtol=1e-4)
    np.testing.assert_allclose(np.abs((directions * axes).sum(axis=0)), 1, atol=1e-2)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_number_of_threads_changes_no_bit(cells, count):
    X = gaussian(3000, 60)
    expected = (cells.probe(cpu, cells.near, nothing(700, 8)), cpu.principal_axes(X, X[0]))
    with threads(count):
        found = (cells.probe(cpu, cells.near, nothing(700, 8)), cpu.principal_axes(X, X[0]))
    for mine, other in zip(found, expected, strict=True):
        for a, b in zip(mine, other, strict=True):
            assert np.array_equal(a, b)
