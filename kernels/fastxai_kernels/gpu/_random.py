"""Counter-based random bits: a number is a hash of its place, whoever draws it and when."""

# Compiled functions carry no annotations: their types stand in the kernels that call them.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

_MASK = (1 << 64) - 1


@triton.jit
def mix(x):
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): 64 well-mixed bits of x."""
    x = x.to(tl.uint64, bitcast=True) + 0x9E3779B97F4A7C15
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB
    return x ^ (x >> 31)


@triton.jit
def below(bits, n):
    """A number in [0, n), n < 2^31, from the upper half of random bits."""
    return (((bits >> 32) * n.to(tl.uint64)) >> 32).to(tl.int32)


@triton.jit
def joined(high, low):
    """64 bits from two halves, which travel as whole numbers of 32 bits."""
    upper = high.to(tl.uint32, bitcast=True).to(tl.uint64)
    return (upper << 32) | low.to(tl.uint32, bitcast=True).to(tl.uint64)


def halves(x: int) -> tuple[int, int]:
    """The upper and the lower 32 bits of x, as signed numbers."""
    upper, lower = (x >> 32) & 0xFFFFFFFF, x & 0xFFFFFFFF
    return upper - ((upper >> 31) << 32), lower - ((lower >> 31) << 32)


def mix_int(x: int) -> int:
    """`mix` for Python integers."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)
