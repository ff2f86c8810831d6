"""The row hashes of the GPU: equal exactly where rows are."""

import numpy as np
import pytest
import torch

from fastxai_kernels import select
from fastxai_kernels.gpu.rows import hash_rows

reference = select("reference")


def some(n, d, copies=1):
    rows = np.random.default_rng(0).integers(-3, 4, (n, d)).astype(np.float32)
    return np.tile(rows, (copies, 1))


CASES = {
    "one row": some(1, 5),
    "no rows": some(0, 5),
    "one column": some(40, 1),
    "aligned rows": some(20, 8, 3),
    "ragged rows": some(37, 67, 2),
    "several blocks of columns": some(20, 200, 2),
    "all equal": np.ones((33, 3), np.float32),
    "infinities": np.array([[np.inf, 0], [-np.inf, 0], [np.inf, -0.0]], np.float32),
}


@pytest.mark.parametrize("X", CASES.values(), ids=CASES.keys())
def test_rows_share_a_hash_where_the_reference_says_so(X):
    given = torch.from_numpy(X.copy())
    hashes = hash_rows(given)
    assert hashes.dtype == torch.int64
    assert hashes.shape == (len(X),)
    expected = reference.hash_rows(X)
    found = hashes.numpy()
    assert np.array_equal(found[:, None] == found, expected[:, None] == expected)
    assert torch.equal(hash_rows(given), hashes)
    assert given.numpy().tobytes() == X.tobytes()


def test_minus_zero_counts_as_zero_and_the_order_of_columns_counts():
    X = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    hashes = hash_rows(X).tolist()
    assert hashes[0] == hashes[1] == hashes[3] != hashes[2]


@pytest.mark.parametrize("d", [1, 2, 4, 11, 130])
def test_rows_that_differ_in_one_place_have_other_hashes(d):
    X = torch.zeros((d + 1, d))
    X[torch.arange(d), torch.arange(d)] = 1
    assert len(hash_rows(X).unique()) == d + 1


def test_a_row_has_its_hash_wherever_it_stands():
    X = torch.from_numpy(some(50, 21))
    assert torch.equal(hash_rows(X[17:18].contiguous()), hash_rows(X)[17:18])
