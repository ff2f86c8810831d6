"""Equal rows: a hash of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def hash_rows(points: Array) -> NDArray[np.uint64]:
    """A 64-bit hash of each row: that of its bytes, -0 taken as 0."""
    clean = np.ascontiguousarray(points + np.float32(0.0))
    return np.array([hash(row.tobytes()) % 2**64 for row in clean], np.uint64)
