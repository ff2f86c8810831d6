"""The L nearest found so far, as one sorted row of integers.

A key holds a distance in its upper half and an index in its lower one; keys order as
(distance, index) do, so that what a list ends up with does not depend on the order in which
things were met.  keys[0] is the farthest, keys[L - 1] the nearest, keys[L] a sentinel: to
insert is one pass without a branch, which vectorises.
"""

# Compiled functions carry no annotations: their types stand in the kernels that call them.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from ._jit import helper, inlined

EMPTY = (0x7F800000 << 32) | 0xFFFFFFFF  # index -1 at infinite distance
SENTINEL = -(2**63)
FAR = np.float32(1e38)  # what is farther is not looked at
PADDING = np.float32(3e38)  # the "distance" of columns that stand for no point


@inlined
def least(a, b):
    """The smaller of two numbers; numba compiles a function of its own for ``min``."""
    return a if a < b else b


@inlined
def key_of(distance, index):
    """The key of a distance (float32) and an index in [0, 2^31)."""
    bits = np.int64(np.float32(distance).view(np.int32))
    bits ^= (bits >> np.int64(31)) & np.int64(0x7FFFFFFF)  # negative floats order backwards
    return (bits << np.int64(32)) | np.int64(index)


@inlined
def distance_of(key):
    """The distance in a key."""
    bits = key >> np.int64(32)
    bits ^= (bits >> np.int64(31)) & np.int64(0x7FFFFFFF)
    return np.int32(bits).view(np.float32)


@inlined
def push(key, keys):
    """Put a key that is below keys[0] in its place; the farthest falls out."""
    for t in range(keys.shape[0] - 1):
        farther = keys[t]
        nearer = keys[t + 1]
        smaller = key if key < farther else farther
        keys[t] = nearer if nearer > smaller else smaller


@inlined
def fill(array, value):
    """array[:] = value, which numba takes long to compile."""
    for t in range(array.shape[0]):
        array[t] = value


@helper
def holds(keys, index):
    """Whether a list names an index."""
    found = np.int32(0)
    for t in range(keys.shape[0] - 1):
        found += np.int32(np.int32(keys[t]) == index)
    return found > 0


@helper
def clear(keys):
    """Make a list of no neighbours."""
    last = keys.shape[0] - 1
    for t in range(last):
        keys[t] = np.int64(EMPTY)
    keys[last] = np.int64(SENTINEL)


@helper
def read(indices, distances, keys):
    """Make a list of sorted neighbours, -1 for none."""
    last = keys.shape[0] - 1
    for t in range(last):
        key = key_of(distances[t], indices[t])
        keys[last - 1 - t] = key if indices[t] >= 0 else np.int64(EMPTY)
    keys[last] = np.int64(SENTINEL)


@helper
def write(keys, indices, distances):
    """Write a list out, the nearest first."""
    last = keys.shape[0] - 2
    for t in range(indices.shape[0]):
        indices[t] = np.int32(keys[last - t])
        distances[t] = distance_of(keys[last - t])


@helper
def bound(products, norms, minima, wanted):
    """A number that at least ``wanted`` of products + norms do not exceed, close to the least.

    The columns are dealt out to groups; what ``wanted`` of the groups' minima do not exceed,
    as many of all numbers do not.  ``minima`` is work space, a multiple of 64 long, at least
    ``wanted`` and at most half as long as the columns.
    """
    groups = minima.shape[0]
    for g in range(groups):
        minima[g] = PADDING
    at = 0
    for o in range(0, norms.shape[0] - 63, 64):
        v = products[o : o + 64]
        c = norms[o : o + 64]
        m = minima[at : at + 64]
        for t in range(64):
            value = v[t] + c[t]
            m[t] = value if value < m[t] else m[t]
        at = at + 64 if at + 64 < groups else 0
    low, high = PADDING, -PADDING
    for g in range(groups):
        low = minima[g] if minima[g] < low else low
        high = minima[g] if minima[g] > high else high
    for _ in range(10):
        middle = np.float32(0.5) * (low + high)
        count = np.int32(0)
        for g in range(groups):
            count += np.int32(minima[g] <= middle)
        if count >= wanted:
            high = middle
        else:
            low = middle
    return high
