"""The order along a Z-curve: that of the CPU, point by point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fastxai.embed.umap_layout import along_a_curve
from fastxai_kernels.gpu._curve import curve_order


def points(n: int, d: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


CASES = {
    "plane": points(1000, 2),
    "line": points(300, 1),
    "space": points(300, 3),
    "one point": points(1, 2),
    "one place": np.ones((50, 2), np.float32),
    "duplicates": np.repeat(points(20, 2), 5, axis=0),
    "a flat axis": points(100, 2) * np.array([1, 0], np.float32),
    "far apart": points(100, 2) * np.float32(1e30),
    "corners": np.array([[1, 1], [0, 0], [1, 0], [0, 1]], np.float32),
}


@pytest.mark.parametrize("places", CASES.values(), ids=CASES.keys())
def test_the_order_is_that_of_the_cpu(places: Any) -> None:
    given = torch.from_numpy(places.copy())
    order = curve_order(given)
    assert order.dtype == torch.int64
    np.testing.assert_array_equal(order.numpy(), along_a_curve(places))
    np.testing.assert_array_equal(given.numpy(), places)
