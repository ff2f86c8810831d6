"""Squared Euclidean distance of two rows, summed in one fixed order."""

from __future__ import annotations

import numpy as np

from ._jit import helper


@helper
def squared_distance(a, b):  # type: ignore[no-untyped-def]  # compiled
    """Sum of (a_j - b_j)^2 by direct differences, in sixteen lanes.

    Differences and not |a|^2 + |b|^2 - 2ab, which loses near copies with large norms.
    The lanes are written out, since 'contract' alone does not let LLVM reorder a sum.
    """
    zero = np.float32(0.0)
    s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
    r0, r1, r2, r3, r4, r5, r6, r7 = zero, zero, zero, zero, zero, zero, zero, zero
    n = np.uint64(a.shape[0])
    whole = n - n % np.uint64(16)
    o = np.uint64(0)
    while o < whole:
        x = a[o : o + np.uint64(16)]
        y = b[o : o + np.uint64(16)]
        s0 += (x[0] - y[0]) * (x[0] - y[0])
        s1 += (x[1] - y[1]) * (x[1] - y[1])
        s2 += (x[2] - y[2]) * (x[2] - y[2])
        s3 += (x[3] - y[3]) * (x[3] - y[3])
        s4 += (x[4] - y[4]) * (x[4] - y[4])
        s5 += (x[5] - y[5]) * (x[5] - y[5])
        s6 += (x[6] - y[6]) * (x[6] - y[6])
        s7 += (x[7] - y[7]) * (x[7] - y[7])
        r0 += (x[8] - y[8]) * (x[8] - y[8])
        r1 += (x[9] - y[9]) * (x[9] - y[9])
        r2 += (x[10] - y[10]) * (x[10] - y[10])
        r3 += (x[11] - y[11]) * (x[11] - y[11])
        r4 += (x[12] - y[12]) * (x[12] - y[12])
        r5 += (x[13] - y[13]) * (x[13] - y[13])
        r6 += (x[14] - y[14]) * (x[14] - y[14])
        r7 += (x[15] - y[15]) * (x[15] - y[15])
        o += np.uint64(16)
    rest = zero
    while o < n:
        rest += (a[o] - b[o]) * (a[o] - b[o])
        o += np.uint64(1)
    low = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    high = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))
    return (low + high) + rest
