"""Squared Euclidean distance of two rows."""

# Compiled functions carry no annotations: their types stand in the kernels that call them.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def squared_distance(a, b):
    """Sum of (a_j - b_j)^2 by direct differences, in float32.

    Differences and not |a|^2 + |b|^2 - 2ab, which loses near copies with large norms.
    The one place where the compiler may reorder a sum, so that it vectorises.
    """
    total = np.float32(0.0)
    for j in range(a.shape[0]):
        difference = a[j] - b[j]
        total += difference * difference
    return total
