"""The neighbour kernels of the GPU against their reference."""

import numpy as np
import pytest
import torch

from fastxai_kernels import select
from fastxai_kernels.gpu import _precision, knn

reference = select("reference")


def gaussian(n, d, scale=1.0, centre=0.0):
    rng = np.random.default_rng(0)
    return (rng.standard_normal((n, d)) * scale + centre).astype(np.float32)


CASES = {
    "a ragged tile": gaussian(35, 5),
    "a few rows": gaussian(9, 33),
    "many features": gaussian(20, 300),
    "one dimension": gaussian(33, 1),
    "all equal": np.ones((14, 6), np.float32),
    "half copies": np.repeat(gaussian(9, 8), 2, axis=0),
    "near copies far from the origin": gaussian(24, 16, scale=1e-2, centre=1e3),
    "tiny numbers": gaussian(21, 12, scale=1e-12),
    "large numbers": gaussian(21, 12, scale=1e12),
    "one point": gaussian(1, 4),
}


def found(queries, data, k, skip):
    tensors = [torch.from_numpy(np.array(one)) for one in (queries, data, skip)]
    before = [one.clone() for one in tensors]
    indices, distances = knn.nearest(*tensors[:2], k, tensors[2])
    assert all(map(torch.equal, tensors, before))
    assert (indices.dtype, distances.dtype) == (torch.int32, torch.float32)
    return indices.numpy(), distances.numpy()


def check(queries, data, k, skip):
    indices, distances = found(queries, data, k, skip)
    _, expected = reference.nearest(queries, data, k, skip)
    np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-20)
    assert np.array_equal(indices < 0, np.isinf(expected))
    assert not ((indices == skip[:, None]) & (indices >= 0)).any()
    assert all(len(np.unique(row[row >= 0])) == (row >= 0).sum() for row in indices)
    with np.errstate(invalid="ignore"):
        tied = (np.diff(distances) == 0) & (indices[:, 1:] >= 0)
    assert (indices[:, 1:] > indices[:, :-1])[tied].all()
    return indices, distances


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(knn, "_QUERIES", 7)
    monkeypatch.setattr(knn, "_PAIRS", 7 * 48)
    monkeypatch.setattr(knn, "_SORTED_PAIRS", 7 * 32)


@pytest.mark.parametrize("X", CASES.values(), ids=CASES.keys())
def test_nearest_finds_the_true_distances(X):
    check(X, X, 6, np.arange(len(X), dtype=np.int32))


def far_rows_first(n):
    return np.linspace(30, 1, n, dtype=np.float32)[:, None] * np.ones(3, np.float32)


@pytest.mark.parametrize(
    "data", [gaussian(300, 3), far_rows_first(170)], ids=["few enter later", "all rows enter"]
)
@pytest.mark.usefixtures("small_tiles")
def test_several_tiles_of_queries_and_data(data):
    queries = np.concatenate([data[::40], np.zeros((3, 3), np.float32)])
    skip = np.full(len(queries), -1, np.int32)
    skip[: len(data[::40]) : 2] = np.arange(0, len(data), 80)
    check(queries, data, 5, skip)


@pytest.mark.parametrize("k", [24, 25, 120, 121, 504, 505])
def test_lists_of_any_length(k):
    data = gaussian(700, 4)
    check(data[:2], data, k, np.array([0, -1], np.int32))


@pytest.mark.usefixtures("small_tiles")
def test_lists_too_long_for_registers(monkeypatch):
    monkeypatch.setattr(knn, "LISTS", {})
    X = np.repeat(gaussian(45, 3), 2, axis=0)
    check(X, X, 5, np.arange(len(X), dtype=np.int32))
    check(X[:3], X[:4], 6, np.arange(3, dtype=np.int32))


def test_ties_are_ranked_by_index():
    X = np.zeros((70, 3), np.float32)
    indices, _ = check(X[:1], X, 4, np.array([-1], np.int32))
    assert indices[0].tolist() == [0, 1, 2, 3]


@pytest.mark.usefixtures("small_tiles")
def test_many_near_copies_far_from_the_centre_are_told_apart():
    X = np.full((60, 4), 2.0**-14, np.float32)
    X[:, 0] = 5
    X[[0, 40], 0] = 0
    X[1:30, 1] = 0
    rows = np.arange(0, 60, 4, dtype=np.int32)
    check(X[rows], X, 3, rows)


def test_there_may_be_no_rows():
    none = np.zeros((0, 4), np.float32)
    assert found(none, gaussian(3, 4), 2, np.zeros(0, np.int32))[0].shape == (0, 2)
    check(gaussian(2, 4), none, 2, np.full(2, -1, np.int32))


def test_two_runs_give_the_same_bits_and_a_batch_changes_no_neighbour():
    X = gaussian(24, 20)
    skip = np.full(24, -1, np.int32)
    first, second = found(X, X, 5, skip), found(X, X, 5, skip)
    alone = found(X[21:22], X, 5, skip[:1])
    for a, b, c in zip(first, second, alone, strict=True):
        assert a.tobytes() == b.tobytes()
        assert np.array_equal(c[0], a[21])


def test_screened_search_is_that_of_nearest():
    X, rows = gaussian(60, 20), np.arange(0, 60, 7, dtype=np.int32)
    _, expected = reference.nearest(X[rows], X, 6, rows)
    limits = (expected[:, -1] ** 2 * 1.001).astype(np.float32)
    coarse = np.ascontiguousarray(X[:, :8])
    given = [torch.from_numpy(one) for one in (X[rows], X, coarse[rows], coarse, limits)]
    _, distances = knn.nearest_screened(*given, 6, torch.from_numpy(rows))
    np.testing.assert_allclose(distances.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("old", ["highest", "high"])
def test_precision_of_products_is_left_as_found(old):
    matmul = torch.backends.cuda.matmul
    torch.set_float32_matmul_precision(old)
    try:
        before = (torch.get_float32_matmul_precision(), matmul.fp32_precision)
        with _precision.products():
            assert not matmul.allow_tf32
        with _precision.tf32(), _precision.products():
            assert matmul.allow_tf32
        assert (torch.get_float32_matmul_precision(), matmul.fp32_precision) == before
    finally:
        torch.set_float32_matmul_precision("highest")
