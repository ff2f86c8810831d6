"""Class activation maps at the size of the layer, and their upsampling.

L_p = sum_c w_c A_cp                                       (Zhou et al. 2016; w given)
gradcam:    w_c = mean_p G_cp                              (Selvaraju et al. 2017, eq. 1)
gradcam++:  w_c = sum_p alpha_cp relu(G_cp),
            alpha_cp = G^2 / (2 G^2 + (sum_q A_cq) G^3)    (Chattopadhay et al. 2018, eq. 19)
hirescam:   L_p = sum_c G_cp A_cp                          (Draelos and Carin 2020)
layercam:   L_p = sum_c relu(G_cp) A_cp                    (Jiang et al. 2021)

A are activations and G the gradients of the score by them.  The maps come as they are, before
the rectifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _rectify(values: Array) -> Array:
    """The positive part; NaN stays NaN."""
    return np.where(values <= 0, 0.0, values)


def _plus_plus(A: Array, G: Array) -> Array:
    """Grad-CAM++'s alpha, 0 where the fraction has no value."""
    square = G**2
    below = 2 * square + A.sum(axis=2, keepdims=True) * square * G
    return np.asarray(np.divide(square, below, out=np.zeros_like(G), where=below != 0))


def cam_maps(activations: Array, gradients: Array, method: str) -> Array:
    """Maps (n, *s) of one method before the rectifier, from A and G (n, c, *s)."""
    shape = activations.shape
    A = activations.reshape(*shape[:2], -1).astype(np.float64)
    G = gradients.reshape(*shape[:2], -1).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        weights: Array = {
            "gradcam": G.mean(axis=2, keepdims=True),
            "gradcam++": (_plus_plus(A, G) * _rectify(G)).sum(axis=2, keepdims=True),
            "hirescam": G,
            "layercam": _rectify(G),
        }[method]
        maps: Array = (weights * A).sum(axis=1).reshape(shape[0], *shape[2:])
    return maps


def weighted_sum(activations: Array, weights: Array) -> Array:
    """Maps (n, *s) = sum over c of weights (n, c) times A (n, c, *s)."""
    A, w = activations.astype(np.float64), weights.astype(np.float64)
    return np.asarray(np.einsum("nc...,nc->n...", A, w))


def _interpolation(n: int, size: int) -> Array:
    """Matrix (size, n) of the linear interpolation whose pixels are cells, not corners."""
    place = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
    low = np.minimum(place.astype(int), n - 1)
    matrix = np.zeros((size, n))
    matrix[np.arange(size), low] += 1 - (place - low)
    matrix[np.arange(size), np.minimum(low + 1, n - 1)] += place - low
    return matrix


def upsample(coarse: Array, size: Sequence[int], relu: bool) -> Array:
    """Maps (n, *size) from (n, *s), one to three axes, linear; with ``relu`` rectified first.

    A NaN reaches every pixel that is interpolated from it.
    """
    found = _rectify(coarse.astype(np.float64)) if relu else coarse.astype(np.float64)
    for axis, pixels in enumerate(size, 1):
        along = np.moveaxis(found, axis, -1)
        matrix = _interpolation(coarse.shape[axis], pixels)
        spread = np.where(np.isfinite(along), along, 0.0) @ matrix.T
        touched = (~np.isfinite(along)).astype(float) @ (matrix.T > 0)
        found = np.moveaxis(np.where(touched > 0, np.nan, spread), -1, axis)
    return found
