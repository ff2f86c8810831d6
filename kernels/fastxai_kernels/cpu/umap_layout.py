"""UMAP's layout: epochs of attraction along edges and repulsion from random points.

Every vertex i moves itself only (McInnes, Healy and Melville 2018, section 3.2 and
appendix C).  It walks its row in blocks of `BLOCK` edges; before each block it is repelled
by its share of random others k, in blocks of as many:

    y_i += alpha clip(sum_k clip(e_ik (y_i - y_k)))
    y_i += r alpha sum_j w_ij clip(c_ij (y_i - y_j)) / (1 - r alpha sum_j w_ij c_ij)

    c = -2ab d^(2b-2) / (1 + a d^2b)             e = 2 gamma b / ((0.001 + d^2)(1 + a d^2b))

with d the distance of the pair and clip to [-4, 4] by component.  Edges act in every
epoch at their weight (what drawing them in proportion to it gives on average); r = 2,
since an edge moves both of its ends and is listed from both, and r = 1 among fixed points.

The division makes the step of a block implicit (the springs c at the end of the step, not
at its beginning): an explicit one overshoots as soon as r alpha sum w c > 2, which flings
hubs and dense neighbourhoods apart.  The clip of a block's sum bounds what an epoch can
tear away, and since every share of repulsion is followed by attraction the others see a
vertex among its neighbours, as when single edges are drawn one after another.

Positions of others are those of the previous epoch, so threads do not race; a vertex's own
position is live.

Random numbers, in 64-bit arithmetic, with `mix` of ``_random``:

- ``base = mix(mix(seed) ^ epoch)`` names the epoch;
- others are listed in the order ``(base % n + t * stride) % n``, t = 0, 1, .., where the
  stride is the first number from ``1 + mix(base) % n`` on that has no factor in common
  with n; the list begins again at its end;
- vertex i draws ``r = mix(base ^ key_i)`` with ``key_i = i`` (layout) or the point's seed
  (placing), then ``m = floor(rate * sum_j w_ij / BLOCK + u)`` blocks of negatives with u the
  upper 24 bits of r as a fraction, of which ``floor(m s / e)`` are done before its s-th of e
  blocks of edges (s = 1, .., e); each block draws ``r = mix(r)`` and takes `BLOCK` entries
  of the list, itself left out, from ``t = (r >> 32) * n >> 32`` on.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, i32, i64, inlined, kernel, u64
from ._random import below, mix, mix_int
from ._threads import parallel_for, thread_count

BLOCK = 16
_FILL_GRAIN = 8192


@inlined
def _power(x, exponent):
    """x ** exponent for x > 0 to about 1e-4: exponent bits and two short polynomials."""
    bits = np.float32(x).view(np.int32)
    m = np.int32((bits & np.int32(0x007FFFFF)) | np.int32(0x3F800000)).view(np.float32)
    m -= np.float32(1.0)
    series = np.float32(-0.08213009) * m + np.float32(0.32118769)
    series = series * m + np.float32(-0.67778321)
    series = series * m + np.float32(1.4387256)
    log = np.float32(np.int32((bits >> np.int32(23)) - np.int32(127))) + series * m
    t = max(min(log * np.float32(exponent), np.float32(120.0)), np.float32(-120.0))
    whole = np.floor(t)
    part = t - whole
    mantissa = np.float32(0.07924489) * part + np.float32(0.224865)
    mantissa = mantissa * part + np.float32(0.69589011)
    mantissa = mantissa * part + np.float32(1.0)
    scale = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return mantissa * scale


@inlined
def _clip(x):
    # Written as comparisons: min and max keep LLVM from vectorising.
    if x > np.float32(4.0):
        x = np.float32(4.0)
    if x < np.float32(-4.0):
        x = np.float32(-4.0)
    return x


@inlined
def _attraction(d2, a, less, pull):
    """-2ab d^(2b-2) / (1 + a d^2b), with less = b - 1 and pull = -2ab."""
    p = _power(d2 + np.float32(1e-12), less)
    return pull * p / (np.float32(1.0) + a * d2 * p)


@inlined
def _repulsion(d2, a, b, push):
    """2 gamma b / ((0.001 + d^2)(1 + a d^2b)), with push = 2 gamma b."""
    p = _power(d2 + np.float32(1e-12), b)
    return push / ((np.float32(0.001) + d2) * (np.float32(1.0) + a * p))


@inlined
def _total(g):
    """The sum of sixteen lanes in one fixed order."""
    even = ((g[0] + g[8]) + (g[4] + g[12])) + ((g[2] + g[10]) + (g[6] + g[14]))
    odd = ((g[1] + g[9]) + (g[5] + g[13])) + ((g[3] + g[11]) + (g[7] + g[15]))
    return even + odd


_EDGES = (array_in(i64, 1), array_in(i32, 1), array_in(f32, 1), array_in(f32, 1))
_FORCES = (f32, f32, f32, f32, f32)


@kernel(
    *(array_in(f32, 2), array_in(f32, 2), *_EDGES, array_in(u64, 1)),
    *(array_in(f32, 2), array_in(i32, 1), *_FORCES, u64, i64, array_out(f32, 2), i64, i64),
)
def _epoch_2d(
    own, others, indptr, indices, weights, blocks, keys,
    listed, names, a, b, gamma, pull_rate, alpha, base, same, moved, start, stop,
):  # fmt: skip
    n = np.uint64(others.shape[0])
    gx = np.empty(BLOCK, np.float32)
    gy = np.empty(BLOCK, np.float32)
    gk = np.empty(BLOCK, np.float32)
    nx = np.empty(BLOCK, np.float32)
    ny = np.empty(BLOCK, np.float32)
    less = b - np.float32(1.0)
    pull = np.float32(-2.0) * a * b
    push = np.float32(2.0) * gamma * b
    for i in range(start, stop):
        x = own[i, 0]
        y = own[i, 1]
        r = mix(base ^ keys[i])
        drawn = np.float32(r >> np.uint64(40)) * np.float32(2.0**-24)
        negatives = int(blocks[i] + drawn)
        walks = (indptr[i + 1] - indptr[i]) // BLOCK
        myself = np.int32(i) if same else np.int32(-1)
        done = 0
        for s in range(walks):
            share = negatives * (s + 1) // walks
            while done < share:
                done += 1
                r = mix(r)
                q = below(r, n)
                bx = listed[0, q : q + np.uint64(BLOCK)]
                by = listed[1, q : q + np.uint64(BLOCK)]
                who = names[q : q + np.uint64(BLOCK)]
                for t in range(BLOCK):
                    dx = x - bx[t]
                    dy = y - by[t]
                    c = _repulsion(dx * dx + dy * dy, a, b, push)
                    if who[t] == myself:
                        c = np.float32(0.0)
                    gx[t] = _clip(c * dx)
                    gy[t] = _clip(c * dy)
                x += alpha * _clip(_total(gx))
                y += alpha * _clip(_total(gy))
            o = indptr[i] + s * BLOCK
            w = weights[o : o + BLOCK]
            # Gathered first: the arithmetic below then vectorises.
            for t in range(BLOCK):
                j = np.uint64(indices[o + t])
                nx[t] = others[j, 0]
                ny[t] = others[j, 1]
            for t in range(BLOCK):
                dx = x - nx[t]
                dy = y - ny[t]
                c = _attraction(dx * dx + dy * dy, a, less, pull)
                gx[t] = w[t] * _clip(c * dx)
                gy[t] = w[t] * _clip(c * dy)
                gk[t] = w[t] * c
            step = pull_rate / (np.float32(1.0) - pull_rate * _total(gk))
            x += step * _total(gx)
            y += step * _total(gy)
        moved[i, 0] = x
        moved[i, 1] = y


@kernel(
    *(array_in(f32, 2), array_in(f32, 2), *_EDGES, array_in(u64, 1)),
    *(array_in(f32, 2), array_in(i32, 1), *_FORCES, u64, i64, array_out(f32, 2), i64, i64),
)
def _epoch_nd(
    own, others, indptr, indices, weights, blocks, keys,
    listed, names, a, b, gamma, pull_rate, alpha, base, same, moved, start, stop,
):  # fmt: skip
    n = np.uint64(others.shape[0])
    width = own.shape[1]
    force = np.empty(BLOCK, np.float32)
    step = np.empty(width, np.float32)
    less = b - np.float32(1.0)
    pull = np.float32(-2.0) * a * b
    push = np.float32(2.0) * gamma * b
    for i in range(start, stop):
        place = moved[i]
        place[:] = own[i]
        r = mix(base ^ keys[i])
        drawn = np.float32(r >> np.uint64(40)) * np.float32(2.0**-24)
        negatives = int(blocks[i] + drawn)
        walks = (indptr[i + 1] - indptr[i]) // BLOCK
        myself = np.int32(i) if same else np.int32(-1)
        done = 0
        for s in range(walks):
            share = negatives * (s + 1) // walks
            while done < share:
                done += 1
                r = mix(r)
                q = np.int64(below(r, n))
                for t in range(BLOCK):
                    d2 = np.float32(0.0)
                    for c in range(width):
                        difference = place[c] - listed[c, q + t]
                        d2 += difference * difference
                    force[t] = d2
                for t in range(BLOCK):
                    force[t] = _repulsion(force[t], a, b, push)
                    if names[q + t] == myself:
                        force[t] = np.float32(0.0)
                for c in range(width):
                    total = np.float32(0.0)
                    for t in range(BLOCK):
                        total += _clip(force[t] * (place[c] - listed[c, q + t]))
                    step[c] = total
                for c in range(width):
                    place[c] += alpha * _clip(step[c])
            o = indptr[i] + s * BLOCK
            for t in range(BLOCK):
                other = others[indices[o + t]]
                d2 = np.float32(0.0)
                for c in range(width):
                    d2 += (place[c] - other[c]) * (place[c] - other[c])
                force[t] = d2
            springs = np.float32(0.0)
            for t in range(BLOCK):
                force[t] = _attraction(force[t], a, less, pull)
            step[:] = np.float32(0.0)
            for t in range(BLOCK):
                springs += weights[o + t] * force[t]
                other = others[indices[o + t]]
                for c in range(width):
                    step[c] += weights[o + t] * _clip(force[t] * (place[c] - other[c]))
            rate = pull_rate / (np.float32(1.0) - pull_rate * springs)
            for c in range(width):
                place[c] += rate * step[c]


@kernel(array_in(f32, 2), i64, i64, array_out(f32, 2), array_out(i32, 1), i64, i64)
def _list_others(others, first, stride, listed, names, start, stop):
    n = others.shape[0]
    j = (first + (start % n) * stride) % n
    for t in range(start, stop):
        for c in range(others.shape[1]):
            listed[c, t] = others[j, c]
        names[t] = j
        j += stride
        if j >= n:
            j -= n


@kernel(
    *(array_in(i64, 1), array_in(i32, 1), array_in(f32, 1), array_in(i64, 1)),
    *(array_out(i32, 1), array_out(f32, 1), i64, i64),
)
def _pack_rows(indptr, indices, weights, packed, to_indices, to_weights, start, stop):
    for i in range(start, stop):
        o = packed[i]
        for e in range(indptr[i], indptr[i + 1]):
            to_indices[o] = indices[e]
            to_weights[o] = weights[e]
            o += 1
        for p in range(o, packed[i + 1]):
            to_indices[p] = 0
            to_weights[p] = np.float32(0.0)


def pack_edges(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Rows filled up to whole blocks with edges of weight 0: the form the layout reads."""
    rows = len(indptr) - 1
    packed = np.zeros(rows + 1, np.int64)
    np.cumsum(-(-np.diff(indptr) // BLOCK) * BLOCK, out=packed[1:])
    to_indices = np.empty(packed[-1], np.int32)
    to_weights = np.empty(packed[-1], np.float32)
    edges = (indptr, indices, weights, packed, to_indices, to_weights)
    parallel_for(_pack_rows, rows, _FILL_GRAIN, *edges)
    return packed, to_indices, to_weights


@kernel(array_in(i64, 1), array_in(f32, 1), f32, array_out(f32, 1), i64, i64)
def _count_blocks(indptr, weights, per_weight, blocks, start, stop):
    for i in range(start, stop):
        total = np.float32(0.0)
        for e in range(indptr[i], indptr[i + 1]):
            total += weights[e]
        blocks[i] = total * per_weight


def _run(
    own: NDArray[np.float32],
    others: NDArray[np.float32] | None,
    edges: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
    keys: NDArray[np.uint64],
    epochs: tuple[int, int, int],
    forces: tuple[float, float, float, float, float],
    seed: int,
) -> NDArray[np.float32]:
    """Epochs ``first..last`` of ``n_epochs``; `others` is None when all points move."""
    indptr, indices, weights = edges
    first, last, n_epochs = epochs
    a, b, gamma, rate, learning_rate = forces
    rows, width = own.shape
    same = others is None
    n = len(own if others is None else others)
    blocks = np.empty(rows, np.float32)
    parallel_for(
        _count_blocks, rows, _FILL_GRAIN, indptr, weights, np.float32(rate / BLOCK), blocks
    )
    listed = np.empty((width, n + BLOCK), np.float32)
    names = np.empty(n + BLOCK, np.int32)
    epoch = _epoch_2d if width == 2 else _epoch_nd
    # A vertex moves by itself: chunks may follow the threads.  A call costs 20 microseconds.
    grain = max(256, rows // (8 * thread_count()))
    spare = np.empty(own.shape, np.float32)
    own = own.copy()
    for number in range(first, last):
        fixed = own if others is None else others
        base = mix_int(mix_int(seed & (2**64 - 1)) ^ number)
        stride = 1 + mix_int(base) % n
        while math.gcd(stride, n) != 1:
            stride += 1
        parallel_for(
            _list_others, n + BLOCK, _FILL_GRAIN, fixed, base % n, stride % n, listed, names
        )
        alpha = learning_rate * (1.0 - number / n_epochs)
        parallel_for(
            epoch, rows, grain, own, fixed, indptr, indices, weights, blocks, keys,
            listed, names, np.float32(a), np.float32(b), np.float32(gamma),
            np.float32(2 * alpha if same else alpha), np.float32(alpha), np.uint64(base),
            int(same), spare,
        )  # fmt: skip
        own, spare = spare, own
    return own


def umap_layout(
    embedding: NDArray[np.float32],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    first_epoch: int,
    last_epoch: int,
    n_epochs: int,
    a: float,
    b: float,
    repulsion_strength: float,
    negative_sample_rate: float,
    learning_rate: float,
    seed: int,
) -> NDArray[np.float32]:
    """Epochs ``first_epoch .. last_epoch - 1`` of ``n_epochs``, all points moving.

    ``indptr, indices, weights`` come from `pack_edges`, weights divided by their maximum;
    ``embedding`` is (n, n_components) and stays as it is.
    """
    keys = np.arange(len(embedding), dtype=np.uint64)
    epochs = (first_epoch, last_epoch, n_epochs)
    forces = (a, b, repulsion_strength, negative_sample_rate, learning_rate)
    return _run(embedding, None, (indptr, indices, weights), keys, epochs, forces, seed)


def umap_place(
    points: NDArray[np.float32],
    fixed: NDArray[np.float32],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    first_epoch: int,
    last_epoch: int,
    n_epochs: int,
    a: float,
    b: float,
    repulsion_strength: float,
    negative_sample_rate: float,
    learning_rate: float,
    seeds: NDArray[np.uint64],
) -> NDArray[np.float32]:
    """New ``points`` (m, c) move among ``fixed`` ones (n, c), each by itself.

    ``indptr, indices, weights`` (from `pack_edges`) lead from new points to fixed ones.
    ``seeds`` holds one seed a point, so a point's path does not depend on its batch.
    """
    epochs = (first_epoch, last_epoch, n_epochs)
    forces = (a, b, repulsion_strength, negative_sample_rate, learning_rate)
    return _run(points, fixed, (indptr, indices, weights), seeds, epochs, forces, 0)
