"""UMAP's layout: epochs of attraction along edges and repulsion from random points.

Every vertex i moves itself only (McInnes, Healy and Melville 2018, section 3.2 and
appendix C).  It walks its row in blocks of `BLOCK` edges; before each block it is repelled
by its share of random others k, in blocks of as many:

    y_i += alpha clip(sum_k clip(e_ik (y_i - y_k)))
    y_i += r alpha sum_j w_ij clip(c_ij (y_i - y_j)) / (1 - r alpha sum_j w_ij c_ij)

    c = -2ab d^(2b-2) / (1 + a d^2b)             e = 2 gamma b / ((0.001 + d^2)(1 + a d^2b))

with clip to [-4, 4] by component; r = 2 where all points move, 1 among fixed ones.  The module of
the same name for CPUs says why, and how random numbers are drawn: they are the same here.

A program holds `VERTICES` vertices by `BLOCK` lanes, a vertex within a warp: sums cross no
barrier.  Vertices whose rows have as many blocks share a program, the longest first: a hub holds
up only its equals, and starts before everybody else.  Positions are padded with zeros to a power
of two of axes (which moves nothing), so that a neighbour is one wide load; others are copied in
the order in which they are drawn, so that a block of negatives is one run of memory.

Limit, for E edges and m = rate * sum(w) / BLOCK blocks of negatives a vertex: an epoch streams 8 E
bytes of edges and gathers 32 E + (192 m + 100) n bytes, mostly from L2, at about 45 flops a pair.
Offsets of places have 32 bits: n * axes < 2^31.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional
from triton.language.extra import libdevice

from ._random import below, halves, joined, mix, mix_int
from ._triton import ceil_div, interpreting, kernel, power_of_two

BLOCK = 16
_BLOCK = tl.constexpr(BLOCK)
_INTERPRETED = tl.constexpr(interpreting())
_VERTICES = 8
_WARPS = {2: 2, 4: 2, 8: 4, 16: 4, 32: 8}  # by axes: a thread holds 4 to 16 numbers of a block
_ROWS = 128
_MOST_BLOCKS = 2**15 - 1


@triton.jit
def _power(x, exponent):
    """x ** exponent for x > 0 to about 1e-5, kept within float32."""
    # The hardware's logarithm: 20 instructions less, an eighth of all.  No interpreter has it.
    log = tl.log2(x) if _INTERPRETED else libdevice.fast_log2f(x)
    return tl.exp2(tl.minimum(tl.maximum(exponent * log, -120.0), 120.0))


@triton.jit
def _clip(x):
    return tl.minimum(tl.maximum(x, -4.0), 4.0)


@triton.jit
def _attracted(y, near, w, a, less, pull, rate):
    """Places y (vertices, axes) after a block of edges; less = b - 1 and pull = -2ab."""
    apart = y[:, None, :] - near
    d2 = tl.sum(apart * apart, axis=2)
    p = _power(d2 + 1e-12, less)
    c = pull * p / (1.0 + a * d2 * p)
    force = tl.sum(w[:, :, None] * _clip(c[:, :, None] * apart), axis=1)
    step = rate / (1.0 - rate * tl.sum(w * c, axis=1))
    return y + step[:, None] * force


@triton.jit
def _repelled(y, far, counted, a, b, push, alpha):
    """Places y after a block of negatives, of which the ``counted`` act; push = 2 gamma b."""
    apart = y[:, None, :] - far
    d2 = tl.sum(apart * apart, axis=2)
    e = push / ((0.001 + d2) * (1.0 + a * _power(d2 + 1e-12, b)))
    e = tl.where(counted, e, 0.0)
    force = tl.sum(_clip(e[:, :, None] * apart), axis=1)
    return y + alpha * _clip(force)


@kernel(
    "own:*fp32 others:*fp32 indptr:*i64 indices:*i32 weights:*fp32 blocks:*fp32 keys:*i64 "
    "order:*i64 listed:*fp32 names:*i32 moved:*fp32 rows:i32 n:i32 base_high:i32 base_low:i32 "
    "same:i32 a:fp32 b:fp32 less:fp32 pull:fp32 push:fp32 pull_rate:fp32 alpha:fp32",
    [{"AXES": axes, "VERTICES": _VERTICES, "num_warps": warps} for axes, warps in _WARPS.items()],
)
def _epoch(
    own, others, indptr, indices, weights, blocks, keys, order, listed, names, moved,
    rows, n, base_high, base_low, same, a, b, less, pull, push, pull_rate, alpha,
    AXES: tl.constexpr, VERTICES: tl.constexpr,
):  # fmt: skip
    lane = tl.arange(0, _BLOCK)
    axis = tl.arange(0, AXES)
    turn = tl.program_id(0) * VERTICES + tl.arange(0, VERTICES)
    here = turn < rows
    i = tl.load(order + turn, mask=here, other=0).to(tl.int32)
    first = tl.load(indptr + i)
    walks = tl.where(here, (tl.load(indptr + i + 1) - first).to(tl.int32) // _BLOCK, 0)
    place = i[:, None] * AXES + axis[None, :]
    y = tl.load(own + place)
    r = mix(joined(base_high, base_low) ^ tl.load(keys + i).to(tl.uint64, bitcast=True))
    drawn = (r >> 40).to(tl.int32).to(tl.float32) * (2.0**-24)
    negatives = (tl.load(blocks + i) + drawn).to(tl.int32)
    myself = tl.where(same != 0, i, -1)
    # Of m negatives floor(m s / e) are due before block s of e: m // e each time, and one more
    # when the remainders fill up.  No product of m and s, which may pass 32 bits.
    parts = tl.maximum(walks, 1)
    due = negatives // parts
    rest = negatives - due * parts
    left = tl.zeros_like(due)
    for s in range(tl.max(walks, axis=0)):
        live = s < walks
        o = (first + s * _BLOCK)[:, None] + lane[None, :]
        w = tl.load(weights + o, mask=live[:, None], other=0.0)
        j = tl.load(indices + o, mask=live[:, None], other=0)
        # Asked for now, needed after the negatives: memory answers in the meantime.
        near = tl.load(others + (j * AXES)[:, :, None] + axis[None, None, :])
        left += rest
        full = left >= parts
        left = tl.where(full, left - parts, left)
        todo = tl.where(live, due + full.to(tl.int32), 0)
        for t in range(tl.max(todo, axis=0)):
            active = t < todo
            r = tl.where(active, mix(r), r)
            # Below 0 where a vertex pauses: counts then need no second layout.
            q = tl.where(active, below(r, n), -_BLOCK)[:, None] + lane[None, :]
            who = tl.load(names + q, mask=q >= 0, other=-1)
            far = tl.load(
                listed + (q * AXES)[:, :, None] + axis[None, None, :],
                mask=(q >= 0)[:, :, None],
                other=0.0,
            )
            counted = (q >= 0) & (who != myself[:, None])
            y = _repelled(y, far, counted, a, b, push, alpha)
        # Rows that have ended have weights of 0 here: they stay where they are.
        y = _attracted(y, near, w, a, less, pull, pull_rate)
    tl.store(moved + place, y, mask=here[:, None])


@kernel(
    "others:*fp32 listed:*fp32 names:*i32 n:i32 first:i32 stride:i32",
    [{"AXES": axes, "ROWS": _ROWS} for axes in _WARPS],
)
def _list_others(
    others, listed, names, n, first, stride, AXES: tl.constexpr, ROWS: tl.constexpr
):  # fmt: skip
    t = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    axis = tl.arange(0, AXES)
    inside = t < n + _BLOCK
    j = (first + t.to(tl.int64) * stride) % n
    place = tl.load(others + j[:, None] * AXES + axis[None, :])
    tl.store(listed + t.to(tl.int64)[:, None] * AXES + axis[None, :], place, mask=inside[:, None])
    tl.store(names + t, j.to(tl.int32), mask=inside)


@kernel(
    "indptr:*i64 weights:*fp32 order:*i64 blocks:*fp32 rows:i32 per_weight:fp32",
    [{"ROWS": _ROWS}],
)
def _count_blocks(indptr, weights, order, blocks, rows, per_weight, ROWS: tl.constexpr):
    turn = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = turn < rows
    i = tl.load(order + turn, mask=here, other=0)
    first = tl.load(indptr + i)
    walks = tl.where(here, (tl.load(indptr + i + 1) - first).to(tl.int32) // _BLOCK, 0)
    total = tl.zeros([ROWS, _BLOCK], tl.float32)
    for s in range(tl.max(walks, axis=0)):
        o = (first + s * _BLOCK)[:, None] + tl.arange(0, _BLOCK)[None, :]
        total += tl.load(weights + o, mask=(s < walks)[:, None], other=0.0)
    tl.store(blocks + i, tl.sum(total, axis=1) * per_weight, mask=here)


def pack_edges(indptr: Tensor, indices: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows filled up to whole blocks with edges of weight 0: the form the layout reads."""
    lengths = indptr.diff()
    packed = torch.zeros_like(indptr)
    packed[1:] = torch.cumsum((lengths + (BLOCK - 1)) // BLOCK * BLOCK, 0)
    edges, total = len(indices), int(packed[-1])  # the size of what is returned
    moved = torch.repeat_interleave(packed[:-1] - indptr[:-1], lengths, output_size=edges)
    moved += torch.arange(edges, device=indptr.device)
    to_indices = torch.zeros(total, dtype=torch.int32, device=indptr.device)
    to_weights = torch.zeros(total, dtype=torch.float32, device=indptr.device)
    to_indices[moved] = indices
    to_weights[moved] = weights
    return packed, to_indices, to_weights


def _run(
    own: Tensor,
    others: Tensor | None,
    edges: tuple[Tensor, Tensor, Tensor],
    keys: Tensor,
    epochs: tuple[int, int, int],
    forces: tuple[float, float, float, float, float],
    seed: int,
) -> Tensor:
    """Epochs ``first..last`` of ``n_epochs``; `others` is None when all points move."""
    indptr, indices, weights = edges
    first, last, n_epochs = epochs
    a, b, gamma, rate, learning_rate = (float(force) for force in forces)
    rows, width = own.shape
    axes = power_of_two(width, 2)
    if axes > max(_WARPS):
        raise ValueError(f"on a GPU a layout has at most {max(_WARPS)} components, not {width}")
    if first >= last or rows == 0:
        return own.clone()
    same = others is None
    curve = (a, b, b - 1.0, -2.0 * a * b, 2.0 * gamma * b)
    places = functional.pad(own, (0, axes - width))
    fixed = places if others is None else functional.pad(others, (0, axes - width))
    n, floats = len(fixed), {"dtype": torch.float32, "device": own.device}
    # Few bits are few passes of the radix sort; of the longest rows the order does not matter.
    walks = (indptr.diff() // BLOCK).clamp(max=_MOST_BLOCKS).to(torch.int16)
    order = torch.argsort(walks, descending=True, stable=True)
    blocks = torch.empty(rows, **floats)
    _count_blocks.launch(
        (ceil_div(rows, _ROWS),), indptr, weights, order, blocks, rows, rate / BLOCK, ROWS=_ROWS
    )  # fmt: skip
    listed = torch.empty((n + BLOCK, axes), **floats)
    names = torch.empty(n + BLOCK, dtype=torch.int32, device=own.device)
    spare = [torch.empty_like(places) for _ in range(2)]
    for number in range(first, last):
        base = mix_int(mix_int(seed & (2**64 - 1)) ^ number)
        stride = 1 + mix_int(base) % n
        while math.gcd(stride, n) != 1:
            stride += 1
        _list_others.launch(
            (ceil_div(n + BLOCK, _ROWS),), fixed, listed, names, n, base % n, stride % n,
            AXES=axes, ROWS=_ROWS,
        )  # fmt: skip
        alpha = learning_rate * (1.0 - number / n_epochs)
        moved = spare[number % 2]
        _epoch.launch(
            (ceil_div(rows, _VERTICES),), places, fixed, indptr, indices, weights, blocks, keys,
            order, listed, names, moved, rows, n, *halves(base), int(same), *curve,
            2 * alpha if same else alpha, alpha, AXES=axes, VERTICES=_VERTICES,
        )  # fmt: skip
        places = moved
        fixed = places if same else fixed
    return places[:, :width].contiguous()


def umap_layout(
    embedding: Tensor,
    indptr: Tensor,
    indices: Tensor,
    weights: Tensor,
    first_epoch: int,
    last_epoch: int,
    n_epochs: int,
    a: float,
    b: float,
    repulsion_strength: float,
    negative_sample_rate: float,
    learning_rate: float,
    seed: int,
) -> Tensor:
    """Epochs ``first_epoch .. last_epoch - 1`` of ``n_epochs``, all points moving.

    ``indptr, indices, weights`` come from `pack_edges`, weights divided by their maximum;
    ``embedding`` is (n, n_components), of at most 32 components, and stays as it is.
    """
    keys = torch.arange(len(embedding), device=embedding.device)
    epochs = (first_epoch, last_epoch, n_epochs)
    forces = (a, b, repulsion_strength, negative_sample_rate, learning_rate)
    return _run(embedding, None, (indptr, indices, weights), keys, epochs, forces, seed)


def umap_place(
    points: Tensor,
    fixed: Tensor,
    indptr: Tensor,
    indices: Tensor,
    weights: Tensor,
    first_epoch: int,
    last_epoch: int,
    n_epochs: int,
    a: float,
    b: float,
    repulsion_strength: float,
    negative_sample_rate: float,
    learning_rate: float,
    seeds: Tensor,
) -> Tensor:
    """New ``points`` (m, c) move among ``fixed`` ones (n, c), each by itself.

    ``indptr, indices, weights`` (from `pack_edges`) lead from new points to fixed ones.
    ``seeds`` (int64, the bits of uint64) holds one seed a point, so a point's path does not
    depend on its batch.
    """
    epochs = (first_epoch, last_epoch, n_epochs)
    forces = (a, b, repulsion_strength, negative_sample_rate, learning_rate)
    return _run(points, fixed, (indptr, indices, weights), seeds, epochs, forces, 0)
