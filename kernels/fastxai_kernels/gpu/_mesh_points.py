"""Quintic B-splines at one point of a mesh, in the type of the place they are given.

A point at u = a + t, with a whole and 0 <= t < 1, has the weights M(t), M(t + 1), ..,
M(t + 5) at the nodes a + 5, .., a.
"""

# Compiled functions carry no annotations: their types stand in the kernels that call them.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

ORDER = 6


@triton.jit
def _fifth(x):
    x = tl.maximum(x, 0.0)
    return x * x * x * x * x


@triton.jit
def weight_at(z):
    """120 M at the distance z from its centre: by truncated powers, for lanes of all nodes."""
    z = tl.abs(z)
    return _fifth(3.0 - z) - 6.0 * _fifth(2.0 - z) + 15.0 * _fifth(1.0 - z)


@triton.jit
def weight(t, J: tl.constexpr):
    """120 times the weight of node a + J."""
    if J == 0:
        x = 1.0 - t
        value = x * x * x * x * x
    elif J == 1:
        value = ((((5.0 * t - 20.0) * t + 20.0) * t + 20.0) * t - 50.0) * t + 26.0
    elif J == 2:
        value = ((30.0 - 10.0 * t) * t * t - 60.0) * t * t + 66.0
    elif J == 3:
        value = ((((10.0 * t - 20.0) * t - 20.0) * t + 20.0) * t + 50.0) * t + 26.0
    elif J == 4:
        value = ((((5.0 - 5.0 * t) * t + 10.0) * t + 10.0) * t + 5.0) * t + 1.0
    else:
        value = t * t * t * t * t
    return value


@triton.jit
def slope(t, J: tl.constexpr):
    """24 times the derivative by t of the weight of node a + J."""
    if J == 0:
        x = (1.0 - t) * (1.0 - t)
        value = -(x * x)
    elif J == 1:
        value = (((5.0 * t - 16.0) * t + 12.0) * t + 8.0) * t - 10.0
    elif J == 2:
        value = ((24.0 - 10.0 * t) * t * t - 24.0) * t
    elif J == 3:
        value = (((10.0 * t - 16.0) * t - 12.0) * t + 8.0) * t + 10.0
    elif J == 4:
        value = (((4.0 - 5.0 * t) * t + 6.0) * t + 4.0) * t + 1.0
    else:
        value = t * t * t * t
    return value


@triton.jit
def _row(row, valid, w0, w1, w2, w3, w4, w5, d0, d1, d2, d3, d4, d5):
    """Sums over six nodes of a row, by weights and by slopes."""
    node = tl.load(row, mask=valid, other=0.0)
    value, fall = w0 * node, d0 * node
    node = tl.load(row + 1, mask=valid, other=0.0)
    value, fall = value + w1 * node, fall + d1 * node
    node = tl.load(row + 2, mask=valid, other=0.0)
    value, fall = value + w2 * node, fall + d2 * node
    node = tl.load(row + 3, mask=valid, other=0.0)
    value, fall = value + w3 * node, fall + d3 * node
    node = tl.load(row + 4, mask=valid, other=0.0)
    value, fall = value + w4 * node, fall + d4 * node
    node = tl.load(row + 5, mask=valid, other=0.0)
    return value + w5 * node, fall + d5 * node


@triton.jit
def at_point(mesh, at, stride, t, s, valid):
    """The spline through the mesh at points, and its derivatives along rows and columns."""
    w0, w1, w2 = weight(s, 0), weight(s, 1), weight(s, 2)
    w3, w4, w5 = weight(s, 3), weight(s, 4), weight(s, 5)
    d0, d1, d2 = slope(s, 0), slope(s, 1), slope(s, 2)
    d3, d4, d5 = slope(s, 3), slope(s, 4), slope(s, 5)
    value = tl.zeros_like(t)
    along = tl.zeros_like(t)
    across = tl.zeros_like(t)
    for i in tl.static_range(6):
        row = mesh + at + i * stride
        line, fall = _row(row, valid, w0, w1, w2, w3, w4, w5, d0, d1, d2, d3, d4, d5)
        value += weight(t, i) * line
        along += slope(t, i) * line
        across += weight(t, i) * fall
    return value / 14400.0, along / 2880.0, across / 2880.0


@triton.jit
def cosine(x):
    """cos(2 pi x) for |x| <= 1/2, to 1e-6."""
    y = x * x
    value = -21.069142584 * y + 58.789387908
    value = value * y - 85.271406826
    value = value * y + 64.928640647
    value = value * y - 19.738979906
    return value * y + 0.9999992


@triton.jit
def sine(x):
    """sin(2 pi x) for |x| <= 1/2, to 1e-7."""
    y = x * x
    value = -12.2678984905 * y + 41.2031427391
    value = value * y - 76.5795526470
    value = value * y + 81.5961256106
    value = value * y - 41.3414188721
    return x * (value * y + 6.2831827879)
