"""Lists of candidates made better: neighbours of neighbours, and distances in the full space.

    e(x, y) = |x - y|^2 + left_x + left_y

orders candidates by few components of them (see `cells`).  `join_neighbors` tries the
neighbours of the neighbours (Dong, Moses and Li 2011, section 2), `rerank` measures what is
left in all features.

A program takes one row.  Limit: the candidates' points, 4 d bytes each, gathered from anywhere;
points sorted by cell have most of theirs in L2.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from ._lists import EMPTY, key_of, merge, pack, sort_down, unpack
from ._triton import kernel

_FOLLOWED = 16  # neighbours of a point, at most
_JOINED = (256, 1024)  # lengths of lists
_RANKED = (64, 256, 1024)
_FEATURES = 32


@kernel(
    "points:*fp32 left:*fp32 indices:*i32 keys:*i64 found:*i64 d:i32 length:i32 width:i32 "
    "first:i32",
    [
        {"LENGTH": length, "FOLLOWED": _FOLLOWED, "TRIED": _FOLLOWED**2, "FEATURES": 16}
        for length in _JOINED
    ],
)
def _join(
    points, left, indices, keys, found, d, length, width, first,
    LENGTH: tl.constexpr, FOLLOWED: tl.constexpr, TRIED: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    i = row + first
    slot = tl.arange(0, LENGTH)
    held = slot < length
    best = tl.load(keys + i * length + slot, mask=held, other=EMPTY)
    known = tl.sum((best != EMPTY).to(tl.int32), axis=0)
    follow = tl.arange(0, FOLLOWED)
    near = tl.load(indices + i * length + follow, mask=follow < width, other=-1).to(tl.int64)
    around = indices + near[:, None] * length + follow[None, :]
    inside = (near >= 0)[:, None] & (follow < width)[None, :]
    tried = tl.reshape(tl.load(around, mask=inside, other=-1), [1, TRIED])
    # One of each: sorted, what equals the one before it goes.
    tried = tl.reshape(sort_down(tried, 1, TRIED), [TRIED])
    place = tl.arange(0, TRIED)
    before = tl.gather(tried, tl.maximum(place - 1, 0), axis=0)
    new = (tried >= 0) & (tried != i) & ((place == 0) | (tried != before))
    for k in range(known):
        new &= tried != tl.load(indices + i * length + k)
    squares = tl.zeros([TRIED, FEATURES], tl.float32)
    base = tried.to(tl.int64) * d
    for o in range(0, d, FEATURES):
        j = o + tl.arange(0, FEATURES)
        x = tl.load(points + i * d + j, mask=j < d, other=0.0)
        there = new[:, None] & (j < d)[None, :]
        y = tl.load(points + base[:, None] + j[None, :], mask=there, other=0.0)
        away = tl.where(there, x[None, :] - y, 0.0)
        squares += away * away
    rest = tl.load(left + tried, mask=new, other=0.0)
    estimates = tl.sum(squares, axis=1) + tl.load(left + i) + rest
    fresh = tl.where(new, key_of(estimates, tried), EMPTY)
    best = merge(tl.reshape(best, [1, LENGTH]), tl.reshape(fresh, [1, TRIED]), 1, LENGTH, TRIED)
    tl.store(found + row * length + slot, tl.reshape(best, [LENGTH]), mask=held)


def join_neighbors(
    points: Tensor,
    left: Tensor,
    indices: Tensor,
    squares: Tensor,
    width: int,
    first: int,
    last: int,
) -> tuple[Tensor, Tensor]:
    """Lists of rows ``first .. last - 1`` after trying the neighbours of their neighbours.

    ``indices`` and ``squares`` (n, L) are sorted lists of all points by |x - y|^2 + left_x +
    left_y; the first ``width``, at most 16, of each are followed, twice.
    """
    length, d = indices.shape[1], points.shape[1]
    keys = pack(indices, squares)
    found = keys.new_empty((last - first, length))
    held = min(size for size in _JOINED if size >= length)
    _join.launch(
        (last - first,), points, left, indices, keys, found, d, length, min(width, length), first,
        LENGTH=held, FOLLOWED=_FOLLOWED, TRIED=_FOLLOWED**2, FEATURES=16,
    )  # fmt: skip
    del keys  # its memory is that of the result
    return unpack(found)


@kernel(
    "queries:*fp32 data:*fp32 rows:*i32 candidates:*i32 names:*i32 keys:*i64 "
    "d:i32 length:i32 wanted:i32",
    [{"LENGTH": length, "TRIED": 64, "FEATURES": _FEATURES} for length in _RANKED],
)
def _rerank(
    queries, data, rows, candidates, names, keys, d, length, wanted,
    LENGTH: tl.constexpr, TRIED: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    query = queries + tl.load(rows + row).to(tl.int64) * d
    slot = tl.arange(0, LENGTH)
    best = tl.full([1, LENGTH], EMPTY, tl.int64)
    worst = tl.max(tl.max(best, axis=1), axis=0)
    for start in range(0, length, TRIED):
        c = start + tl.arange(0, TRIED)
        candidate = tl.load(candidates + row * length + c, mask=c < length, other=-1)
        named = tl.load(names + candidate, mask=candidate >= 0, other=0)
        base = named.to(tl.int64) * d
        squares = tl.zeros([TRIED, FEATURES], tl.float32)
        for o in range(0, d, FEATURES):
            j = o + tl.arange(0, FEATURES)
            x = tl.load(query + j, mask=j < d, other=0.0)
            there = (candidate >= 0)[:, None] & (j < d)[None, :]
            y = tl.load(data + base[:, None] + j[None, :], mask=there, other=0.0)
            away = tl.where(there, x[None, :] - y, 0.0)
            squares += away * away
        new = key_of(tl.sum(squares, axis=1), named)
        new = tl.where((candidate >= 0) & (new < worst), new, EMPTY)
        if tl.min(new, axis=0) < EMPTY:
            best = merge(best, tl.reshape(new, [1, TRIED]), 1, LENGTH, TRIED)
            worst = tl.max(tl.max(tl.where((slot < wanted)[None, :], best, 0), axis=1), axis=0)
    out = tl.reshape(best, [LENGTH])
    tl.store(keys + row * wanted + slot, out, mask=slot < wanted)


def rerank(
    queries: Tensor,
    data: Tensor,
    rows: Tensor,
    candidates: Tensor,
    names: Tensor,
    n_neighbors: int,
) -> tuple[Tensor, Tensor]:
    """The ``n_neighbors`` candidates nearest to each of ``queries[rows]``, by direct distance.

    A candidate c of (m, L) stands for row ``names[c]`` of ``data``, -1 for none.  Returns
    rows of data and squared distances (m, n_neighbors), sorted; n_neighbors is at most 1024.
    """
    m, length = candidates.shape
    keys = torch.empty((m, n_neighbors), dtype=torch.int64, device=data.device)
    held = min(size for size in _RANKED if size >= n_neighbors)
    _rerank.launch(
        (m,), queries, data, rows, candidates, names, keys, data.shape[1], length, n_neighbors,
        LENGTH=held, TRIED=64, FEATURES=_FEATURES,
    )  # fmt: skip
    return unpack(keys)
