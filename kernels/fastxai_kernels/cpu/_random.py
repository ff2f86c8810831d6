"""Counter-based random bits: a number is a hash of its place, whoever draws it and when."""

# Compiled functions carry no annotations: their types stand in the kernels that call them.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from ._jit import inlined

_MASK = (1 << 64) - 1


@inlined
def mix(x):
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): 64 well-mixed bits of x."""
    x = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@inlined
def below(bits, n):
    """A number in [0, n), n < 2^32, from the upper half of random bits."""
    return ((bits >> np.uint64(32)) * n) >> np.uint64(32)


def mix_int(x: int) -> int:
    """`mix` for Python integers."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)
