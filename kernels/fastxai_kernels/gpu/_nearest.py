"""Kernels of the search by all pairs: selection among products, direct distances.

A candidate is one whole number, the nearer the larger: the complement of the ordered bits of
its distance, then that of its index.  An empty place is the smallest number, of index -1.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from ._triton import kernel

LISTS = {
    32: {"LENGTH": 32, "BLOCK": 1024, "FEW": 8},
    128: {"LENGTH": 128, "BLOCK": 2048, "FEW": 16},
    512: {"LENGTH": 512, "BLOCK": 2048, "FEW": 32},
}

_NOTHING = tl.constexpr(-(2**63))
_LOWEST = tl.constexpr(-(2**31))


@triton.jit
def _score(squares):
    """Whole numbers in the opposite order of some floats."""
    bits = tl.where(squares == squares, squares, float("inf")).to(tl.int32, bitcast=True)
    return ~(bits ^ ((bits >> 31) & 0x7FFFFFFF))


@triton.jit
def _key(score, index):
    return (score.to(tl.int64) << 32) | (~index.to(tl.int64) & 0xFFFFFFFF)


@triton.jit
def _index(key):
    return ((~key << 32) >> 32).to(tl.int32)


@triton.jit
def _merge(kept, keys, out, LENGTH: tl.constexpr):
    """The largest of both, found by bisection and gathered in the query's list."""
    low = tl.min(kept, 0)
    found = tl.sum((kept > low).to(tl.int32), 0) + tl.sum((keys > low).to(tl.int32), 0)
    # No search where all fit.  Else keys differ, so that some cut leaves just enough.
    high = tl.where(found > LENGTH, tl.maximum(tl.max(kept, 0), tl.max(keys, 0)), low)
    cut = low
    while (found != LENGTH) & (low < high):
        cut = (low >> 1) + (high >> 1) + (low & high & 1)
        found = tl.sum((kept > cut).to(tl.int32), 0) + tl.sum((keys > cut).to(tl.int32), 0)
        low = tl.where(found > LENGTH, cut, low)
        high = tl.where(found > LENGTH, high, cut)
    stays, enters = (kept > cut).to(tl.int32), (keys > cut).to(tl.int32)
    places = tl.arange(0, LENGTH)
    tl.debug_barrier()  # all have read the list
    tl.store(out + tl.cumsum(stays, 0) - 1, kept, mask=stays == 1)
    tl.store(out + tl.sum(stays, 0) + tl.cumsum(enters, 0) - 1, keys, mask=enters == 1)
    tl.store(out + places, tl.full([LENGTH], _NOTHING, tl.int64), mask=places >= found)
    tl.debug_barrier()
    return tl.load(out + places)


@kernel(
    "tile:*fp32 norms:*fp32 skip:*i32 lists:*i64 first:i32 width:i32",
    [{**one, "num_warps": max(4, one["BLOCK"] // 256)} for one in LISTS.values()],
)
def select(
    tile, norms, skip, lists, first, width,
    LENGTH: tl.constexpr, BLOCK: tl.constexpr, FEW: tl.constexpr,
):  # fmt: skip
    """Put the rows 16 first .. 16 first + width - 1 of data into the list of one query."""
    row = tl.program_id(0).to(tl.int64)
    # Sixteen times something, as the compiler can see: loads are wide.
    first, stride = first * 16, (width + 15) // 16 * 16
    left_out = tl.load(skip + row)
    places = row * LENGTH + tl.arange(0, LENGTH)
    kept = tl.load(lists + places)
    worst = (tl.min(kept, 0) >> 32).to(tl.int32)
    changed = 0
    for start in range(0, width, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        squares = tl.load(tile + row * stride + columns, mask=columns < stride, other=0.0)
        squares += tl.load(norms + first + columns, mask=columns < stride, other=0.0)
        taken = (columns < width) & (first + columns != left_out)
        scores = tl.where(taken, _score(squares), _LOWEST)
        # Among equals the earlier rows, which are in the list, come first.
        hits = tl.sum((scores > worst).to(tl.int32), 0)
        if hits > 0:
            keys = tl.where(taken, _key(scores, first + columns), _NOTHING)
            if (hits > FEW) | (worst == _LOWEST):
                kept = _merge(kept, keys, lists + row * LENGTH, LENGTH)
                worst = (tl.min(kept, 0) >> 32).to(tl.int32)
            else:
                best_key = tl.max(keys, 0)
                while (best_key >> 32) > worst:
                    kept = tl.where(kept == tl.min(kept, 0), best_key, kept)
                    worst = (tl.min(kept, 0) >> 32).to(tl.int32)
                    keys = tl.where(keys == best_key, _NOTHING, keys)
                    best_key = tl.max(keys, 0)
            changed = 1
    if changed == 1:
        tl.store(lists + places, kept)


@kernel(
    "queries:*fp32 data:*fp32 lists:*i64 parts:i32 length:i32",
    [
        {"ALIGN": 1, "ROWS": 16, "BLOCK": 64, "num_warps": 4},
        {"ALIGN": 4, "ROWS": 16, "BLOCK": 64, "num_warps": 4},
    ],
)
def measure(
    queries,
    data,
    lists,
    parts,
    length,
    ALIGN: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Some candidates of one query with their direct squared distances."""
    row = tl.program_id(0).to(tl.int64)
    d = parts * ALIGN
    places = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    keys = tl.load(lists + row * length + places, mask=places < length, other=_NOTHING)
    index = _index(keys)
    rows = tl.where(index >= 0, index, 0).to(tl.int64) * d
    total = tl.zeros([ROWS, BLOCK], tl.float32)
    for start in range(0, d, BLOCK):
        j = start + tl.arange(0, BLOCK)
        x = tl.load(queries + row * d + j, mask=j < d, other=0.0)
        inside = (index >= 0)[:, None] & (j < d)[None, :]
        y = tl.load(data + rows[:, None] + j[None, :], mask=inside, other=0.0)
        difference = tl.where(inside, x[None, :] - y, 0.0)
        total += difference * difference
    keys = tl.where(index >= 0, _key(_score(tl.sum(total, 1)), index), _NOTHING)
    tl.store(lists + row * length + places, keys, mask=places < length)


@kernel(
    "rows:*fp32 centre:*fp32 norms:*fp32 n:i32 parts:i32",
    [
        {"ALIGN": 1, "ROWS": 16, "BLOCK": 64, "num_warps": 4},
        {"ALIGN": 4, "ROWS": 16, "BLOCK": 64, "num_warps": 4},
    ],
)
def norms(
    rows, centre, norms, n, parts, ALIGN: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    """|y - centre|^2 of each row."""
    d = parts * ALIGN
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    total = tl.zeros([ROWS, BLOCK], tl.float32)
    for start in range(0, d, BLOCK):
        j = start + tl.arange(0, BLOCK)
        inside = (row < n)[:, None] & (j < d)[None, :]
        y = tl.load(rows + row.to(tl.int64)[:, None] * d + j[None, :], mask=inside, other=0.0)
        difference = y - tl.load(centre + j, mask=j < d, other=0.0)[None, :]
        total += difference * difference
    tl.store(norms + row, tl.sum(total, 1), mask=row < n)


@kernel(
    "queries:*fp32 data:*fp32 tile:*fp32 m:i32 width:i32 d:i32",
    [{"ROWS": 32, "COLUMNS": 128, "num_warps": 4}],
)
def direct(queries, data, tile, m, width, d, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Squared distances of all pairs by direct differences; both inputs lie by feature."""
    stride = (width + 15) // 16 * 16
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    x, y = queries + row, data + column
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for _ in range(d):
        a = tl.load(x, mask=row < m, other=0.0)
        b = tl.load(y, mask=column < stride, other=0.0)
        difference = a[:, None] - b[None, :]
        total += difference * difference
        x += m
        y += stride
    out = tile + row.to(tl.int64)[:, None] * stride + column[None, :]
    tl.store(out, total, mask=(row < m)[:, None] & (column < width)[None, :])
