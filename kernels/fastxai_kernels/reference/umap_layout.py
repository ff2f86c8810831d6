"""UMAP's layout, vertex by vertex: what the fast kernels must compute.

A vertex walks its row in blocks of edges; before each it is repelled by its share of random
others, in blocks of as many (McInnes, Healy and Melville 2018, section 3.2, appendix C):

y_i += alpha clip(sum_k clip(e_ik (y_i - y_k)))
y_i += r alpha sum_j w_ij clip(c_ij (y_i - y_j)) / (1 - r alpha sum_j w_ij c_ij)

c = -2ab d^(2b-2) / (1 + a d^2b),   e = 2 gamma b / ((0.001 + d^2)(1 + a d^2b))

r = 2 where all points move (an edge moves both ends), 1 among fixed points.
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BLOCK = 16
_MASK = 2**64 - 1


def _mix(x: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): 64 well-mixed bits of x."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def pack_edges(indptr: Array, indices: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Rows filled up to whole blocks with edges of weight 0."""
    packed, to_indices, to_weights = [0], [], []
    for first, last in pairwise(indptr.tolist()):
        missing = -(last - first) % BLOCK
        to_indices += [*indices[first:last], *[0] * missing]
        to_weights += [*weights[first:last], *[0.0] * missing]
        packed.append(len(to_indices))
    return (
        np.array(packed, np.int64),
        np.array(to_indices, np.int32),
        np.array(to_weights, np.float32),
    )


def _clip(x: Array) -> Array:
    return np.clip(x, -4.0, 4.0)


def _attracted(y: Array, near: Array, w: Array, a: float, b: float, rate: float) -> Array:
    apart = y - near
    d2 = (apart**2).sum(axis=1) + 1e-12
    c = -2 * a * b * d2 ** (b - 1) / (1 + a * d2**b)
    force = (w[:, None] * _clip(c[:, None] * apart)).sum(axis=0)
    return np.asarray(y + rate * force / (1 - rate * (w * c).sum()))


def _repelled(y: Array, far: Array, a: float, b: float, gamma: float, alpha: float) -> Array:
    apart = y - far
    d2 = (apart**2).sum(axis=1)
    e = 2 * gamma * b / ((0.001 + d2) * (1 + a * (d2 + 1e-12) ** b))
    return np.asarray(y + alpha * _clip(_clip(e[:, None] * apart).sum(axis=0)))


def _epoch(
    own: Array,
    others: Array,
    edges: tuple[Array, Array, Array],
    keys: Array,
    forces: tuple[float, float, float, float],
    alpha: float,
    base: int,
    same: bool,
) -> Array:
    indptr, indices, weights = edges
    a, b, gamma, rate = forces
    n, moved = len(others), own.copy()
    stride = 1 + _mix(base) % n
    while gcd(stride, n) != 1:
        stride += 1
    listed = (base % n + np.arange(n + BLOCK) * stride) % n
    for i in range(len(own)):
        row = slice(indptr[i], indptr[i + 1])
        r = _mix(base ^ int(keys[i]))
        drawn = (r >> 40) * 2.0**-24
        negatives = int(np.float32(weights[row].sum() * np.float32(rate / BLOCK)) + drawn)
        walks, done = (row.stop - row.start) // BLOCK, 0
        for s in range(walks):
            for _ in range(done, negatives * (s + 1) // walks):
                done, r = done + 1, _mix(r)
                start = ((r >> 32) * n) >> 32
                far = [k for k in listed[start : start + BLOCK] if not (same and k == i)]
                moved[i] = _repelled(moved[i], others[far], a, b, gamma, alpha)
            block = slice(row.start + s * BLOCK, row.start + (s + 1) * BLOCK)
            near, pull_rate = others[indices[block]], 2 * alpha if same else alpha
            moved[i] = _attracted(moved[i], near, weights[block], a, b, pull_rate)
    return moved


def umap_layout(
    embedding: Array,
    indptr: Array,
    indices: Array,
    weights: Array,
    first_epoch: int,
    last_epoch: int,
    n_epochs: int,
    a: float,
    b: float,
    repulsion_strength: float,
    negative_sample_rate: float,
    learning_rate: float,
    seed: int,
) -> Array:
    """Epochs ``first_epoch .. last_epoch - 1`` of ``n_epochs``, all points moving."""
    places, keys = embedding.astype(np.float64), np.arange(len(embedding))
    forces = (a, b, repulsion_strength, negative_sample_rate)
    for number in range(first_epoch, last_epoch):
        alpha, base = learning_rate * (1 - number / n_epochs), _mix(_mix(seed) ^ number)
        edges = (indptr, indices, weights)
        places = _epoch(places, places.copy(), edges, keys, forces, alpha, base, True)
    return places


def umap_place(
    points: Array,
    fixed: Array,
    indptr: Array,
    indices: Array,
    weights: Array,
    first_epoch: int,
    last_epoch: int,
    n_epochs: int,
    a: float,
    b: float,
    repulsion_strength: float,
    negative_sample_rate: float,
    learning_rate: float,
    seeds: Array,
) -> Array:
    """New ``points`` move among ``fixed`` ones, each by itself."""
    places, still = points.astype(np.float64), fixed.astype(np.float64)
    forces = (a, b, repulsion_strength, negative_sample_rate)
    for number in range(first_epoch, last_epoch):
        alpha, base = learning_rate * (1 - number / n_epochs), _mix(_mix(0) ^ number)
        edges = (indptr, indices, weights)
        places = _epoch(places, still, edges, seeds, forces, alpha, base, False)
    return places
