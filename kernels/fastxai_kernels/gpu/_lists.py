"""The L nearest found so far, as sorted rows of integers.

A key holds a distance's bits in its upper half and an index in its lower one: keys order as
(distance, index) do, so that what a list ends up with does not depend on the order in which
things were met.  In memory the halves are a pair (index, distance) of 32 bits each.

Lists and blocks of new keys are sorted by a bitonic network (Batcher 1968), each row by itself.
"""

# Compiled functions carry no annotations: their types stand in the kernels that call them.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

EMPTY = tl.constexpr((0x7F800000 << 32) | 0xFFFFFFFF)  # index -1 at infinite distance

jit: Any = triton.jit


@triton.constexpr_function
def _log(size):
    return int(size).bit_length() - 1


@jit
def key_of(distance, index):
    """Keys of distances, below zero counted as zero, and indices in [0, 2^31)."""
    bits = tl.where(distance <= 0.0, 0.0, distance).to(tl.int32, bitcast=True)
    return (bits.to(tl.int64) << 32) | index.to(tl.int64)


@jit
def _merge_halves(x, backwards, DIMS: tl.constexpr, COUNT: tl.constexpr):
    """Sort bitonic runs of 2^COUNT: each compares with the one half a run away, and so on."""
    for i in tl.static_range(COUNT):
        other = tl.sum(x, DIMS - COUNT + i, keep_dims=True) - x  # wraps, and is right all the same
        right = tl.reshape(tl.arange(0, 2), [1] * (DIMS - COUNT + i) + [2] + [1] * (COUNT - 1 - i))
        x = tl.where((x > other) != ((backwards ^ right) != 0), other, x)
    return x


@jit
def sort_down(x, ROWS: tl.constexpr, LENGTH: tl.constexpr):
    """Sort each row of (ROWS, LENGTH), powers of two, descending."""
    LOG: tl.constexpr = _log(LENGTH)
    DIMS: tl.constexpr = _log(ROWS * LENGTH)
    h = tl.reshape(x, [2] * DIMS)
    for stage in tl.static_range(1, LOG):
        up = tl.reshape(tl.arange(0, 2), [1] * (DIMS - 1 - stage) + [2] + [1] * stage)
        h = _merge_halves(h, up, DIMS, stage)
    return tl.reshape(_merge_halves(h, 1, DIMS, LOG), [ROWS, LENGTH])


@jit
def merge(best, new, ROWS: tl.constexpr, LENGTH: tl.constexpr, BLOCK: tl.constexpr):
    """The first LENGTH of ascending lists (ROWS, LENGTH) and any new keys (ROWS, BLOCK)."""
    GROUPS: tl.constexpr = LENGTH // BLOCK
    DIMS: tl.constexpr = _log(ROWS * LENGTH)
    LOG: tl.constexpr = _log(LENGTH)
    down = sort_down(new, ROWS, BLOCK)
    if GROUPS > 1:
        last = (tl.arange(0, GROUPS) == GROUPS - 1)[None, :, None]
        wide = tl.broadcast_to(down[:, None, :], [ROWS, GROUPS, BLOCK])
        down = tl.reshape(tl.where(last, wide, EMPTY), [ROWS, LENGTH])
    # Ascending against descending: the lesser of each pair are the first LENGTH, bitonic.
    h = tl.reshape(tl.minimum(best, down), [2] * DIMS)
    return tl.reshape(_merge_halves(h, 0, DIMS, LOG), [ROWS, LENGTH])


def pack(indices: Tensor, squares: Tensor) -> Tensor:
    """Keys of sorted lists (m, L), -1 at infinity for none."""
    pairs = torch.stack([indices, squares.view(torch.int32)], dim=-1)
    return pairs.view(torch.int64)[..., 0]


def unpack(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Indices and squared distances of keys (m, L)."""
    pairs = keys.contiguous().view(torch.int32).reshape(*keys.shape, 2)
    return pairs[..., 0].contiguous(), pairs[..., 1].contiguous().view(torch.float32)
