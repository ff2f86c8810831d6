"""Equal rows: a hash of each."""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, i32, i64, inlined, kernel, u64
from ._threads import parallel_for

_GRAIN = 512


@inlined
def _mixed(h, word):
    """One step of the hash; -0.0 counts as 0.0."""
    clean = np.int32(0) if word == np.int32(-2147483648) else word
    h = (h ^ np.uint64(np.uint32(clean))) * np.uint64(0x9DDFEA08EB382D69)
    return h ^ (h >> np.uint64(29))


@kernel(array_in(i32, 2), array_out(u64, 1), i64, i64)
def _hash(words, hashes, start, stop):
    whole = words.shape[1] - words.shape[1] % 4
    for i in range(start, stop):
        # Four chains side by side: a step has to wait for the one before it.
        a, b, c, d = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
        for j in range(0, whole, 4):
            a = _mixed(a, words[i, j])
            b = _mixed(b, words[i, j + 1])
            c = _mixed(c, words[i, j + 2])
            d = _mixed(d, words[i, j + 3])
        for j in range(whole, words.shape[1]):
            a = _mixed(a, words[i, j])
        h = (a * np.uint64(31) + b) * np.uint64(0x9DDFEA08EB382D69)
        h = (h ^ (h >> np.uint64(31)) ^ c) * np.uint64(0x9DDFEA08EB382D69)
        h = (h ^ (h >> np.uint64(31)) ^ d) * np.uint64(0x9DDFEA08EB382D69)
        hashes[i] = h ^ (h >> np.uint64(31))


def hash_rows(points: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A 64-bit hash of each row; equal rows have equal hashes."""
    hashes = np.empty(len(points), np.uint64)
    parallel_for(_hash, len(points), _GRAIN, points.view(np.int32), hashes)
    return hashes
