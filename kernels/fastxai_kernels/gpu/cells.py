"""Points in few dimensions, sorted into cells: the approximate search's first candidates.

    e(x, y) = |x - y|^2 + left_x + left_y

estimates a squared distance from the leading principal components x, y of two points and
what is left of them, some share of the squared norm of the rest.  An inverted file (Jegou,
Douze and Schmid 2011, section III): `probe_cells` compares a point with the owners of the
cells nearest to it.

`probe_cells` takes turns: in each, the queries are sorted by the cell whose turn it is, and a
program takes sixteen of one cell (eight or four for long lists), so that a panel is read once
for them, mostly from L2: compared points * d * 4 / 16 bytes, 120 GB for a million queries,
eight cells of 950 points and 64 components.  Limit: 2 d flops (FMA units, no TF32) for each
compared point, and sorting the blocks that hold something nearer than the list's last.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from ._groups import groups_of_a_turn, groups_of_equals
from ._lists import EMPTY, key_of, merge, pack, unpack
from ._triton import ceil_div, kernel

LANES = 16
_PADDING = tl.constexpr(3e38)  # the "distance" of columns that stand for no point
_BLOCK = 2048
_COLUMNS, _FEATURES = 64, 16  # of a tile
_PROJECTED = 64
# Length of the lists that a program holds: how many, and its warps (with fewer they would spill).
_SHAPES = {64: (16, 8), 256: (8, 4), 1024: (4, 4)}
_TURNS, _FEW, _PIECES = 32, 4096, 16


def principal_axes(points: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Variances, descending, and directions (columns) of the principal components about ``mean``.

    As many as there are points or features (n, d), whichever is less, in float64.  By the
    covariance, or by the inner products of the points if these are fewer.  Products are float64
    too: a setting of torch's may turn those of float32 into TF32.
    """
    n, d = points.shape
    if n < d:
        moved = (points - mean).double()
        variances, rows = torch.linalg.eigh(moved @ moved.T / n)
        directions = moved.T @ rows
        lengths = torch.linalg.vector_norm(directions, dim=0)
        directions /= lengths.clamp(min=torch.finfo(torch.float32).tiny)
    else:
        covariance = torch.zeros((d, d), dtype=torch.float64, device=points.device)
        for start in range(0, n, _BLOCK):
            moved = (points[start : start + _BLOCK] - mean).double()
            covariance += moved.T @ moved
        variances, directions = torch.linalg.eigh(covariance / n)
    return variances.flip(0), directions.flip(1).contiguous()


@kernel(
    "points:*fp32 mean:*fp32 components:*fp32 projected:*fp32 left:*fp32 n:i32 d:i32 width:i32",
    [{"ROWS": 64, "WIDTH": _PROJECTED, "FEATURES": _FEATURES, "num_warps": 8}],
)
def _project(
    points, mean, components, projected, left, n, d, width,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    wide = i.to(tl.int64)[:, None]
    feature = tl.arange(0, FEATURES)
    rest = tl.zeros([ROWS], tl.float32)
    for first in range(0, width, WIDTH):
        c = first + tl.arange(0, WIDTH)
        products = tl.zeros([ROWS, WIDTH], tl.float32)
        squares = tl.zeros([ROWS, FEATURES], tl.float32)
        for o in range(0, d, FEATURES):
            j = o + feature
            there = (i < n)[:, None] & (j < d)[None, :]
            x = tl.load(points + wide * d + j[None, :], mask=there, other=0.0)
            m = tl.load(mean + j, mask=j < d, other=0.0)
            x = tl.where(there, x - m[None, :], 0.0)
            inside = (j < d)[:, None] & (c < width)[None, :]
            y = tl.load(components + j[:, None] * width + c[None, :], mask=inside, other=0.0)
            products = tl.dot(x, y, products, input_precision="ieee")
            squares += x * x
        if first == 0:
            rest += tl.sum(squares, axis=1)
        rest -= tl.sum(products * products, axis=1)
        inside = (i < n)[:, None] & (c < width)[None, :]
        tl.store(projected + wide * width + c[None, :], products, mask=inside)
    tl.store(left + i, tl.where(rest > 0.0, rest, 0.0), mask=i < n)


def project(points: Tensor, mean: Tensor, components: Tensor) -> tuple[Tensor, Tensor]:
    """(points - mean) @ components (d, c), orthonormal, and the squared norm of what is left.

    Each row by itself: no batch changes its bits.  Limit: 2 n d c flops, and n d numbers read
    once for every 64 components.
    """
    n, (d, width) = len(points), components.shape
    projected = torch.empty((n, width), dtype=torch.float32, device=points.device)
    left = torch.empty(n, dtype=torch.float32, device=points.device)
    _project.launch(
        (ceil_div(n, 64),), points, mean, components, projected, left, n, d, width,
        ROWS=64, WIDTH=_PROJECTED, FEATURES=_FEATURES,
    )  # fmt: skip
    return projected, left


@kernel(
    "points:*fp32 left:*fp32 cell_starts:*i64 centroids:*fp32 owners:*i64 panel_starts:*i64 "
    "panels:*fp32 norms:*fp32 d:i32",
    [{"FEATURES": 64, "num_warps": 2}],
)
def _pack(
    points, left, cell_starts, centroids, owners, panel_starts, panels, norms, d,
    FEATURES: tl.constexpr,
):  # fmt: skip
    """One panel a program: rows in, columns out."""
    panel = tl.program_id(0).to(tl.int64)
    cell = tl.load(owners + panel)
    lane = tl.arange(0, 16)
    at = tl.load(cell_starts + cell) + (panel - tl.load(panel_starts + cell)) * 16 + lane
    there = at < tl.load(cell_starts + cell + 1)
    norm = tl.zeros([16], tl.float32)
    for o in range(0, d, FEATURES):
        j = o + tl.arange(0, FEATURES)
        inside = there[:, None] & (j < d)[None, :]
        x = tl.load(points + at[:, None] * d + j[None, :], mask=inside, other=0.0)
        c = tl.load(centroids + cell * d + j, mask=j < d, other=0.0)
        x = tl.where(inside, x - c[None, :], 0.0)
        norm += tl.sum(x * x, axis=1)
        tl.store(panels + (panel * d + j)[:, None] * 16 + lane[None, :], tl.trans(x),
                 mask=(j < d)[:, None])  # fmt: skip
    norm = tl.where(there, norm + tl.load(left + at, mask=there, other=0.0), _PADDING)
    tl.store(norms + panel * 16 + lane, norm)


def pack_cells(
    points: Tensor, left: Tensor, cell_starts: Tensor, centroids: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The points of each cell, less its centroid, in panels of sixteen columns.

    ``points`` (n, d) are sorted by cell, cell c owning rows ``cell_starts[c]`` to
    ``cell_starts[c + 1]``.  Returns panels (p * d, 16); |y - c|^2 + left_y of every column,
    huge for one without a point (p * 16,); and the first panel of each cell (cells + 1,).
    Limit: points are read and written once.
    """
    counts = (cell_starts.diff() + (LANES - 1)) // LANES
    panel_starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    total, d, device = int(panel_starts[-1]), points.shape[1], points.device  # sizes the result
    owners = torch.repeat_interleave(counts, output_size=total)
    panels = torch.empty((total * d, LANES), dtype=torch.float32, device=device)
    norms = torch.empty(total * LANES, dtype=torch.float32, device=device)
    lists = (owners, panel_starts, panels, norms)
    _pack.launch((total,), points, left, cell_starts, centroids, *lists, d, FEATURES=64)
    return panels, norms, panel_starts


@kernel(
    "queries:*fp32 left:*fp32 skip:*i32 near:*i32 panels:*fp32 norms:*fp32 panel_starts:*i64 "
    "cell_starts:*i64 centroids:*fp32 indices:*i32 order:*i32 starts:*i32 stops:*i32 keys:*i64 "
    "m:i32 d:i32 turns:i32 length:i32 first:i32 stride:i32",
    [
        {"ROWS": r, "LENGTH": size, "COLUMNS": _COLUMNS, "FEATURES": _FEATURES, "num_warps": warps}
        for size, (r, warps) in _SHAPES.items()
    ],
)
def _probe(
    queries, left, skip, near, panels, norms, panel_starts, cell_starts, centroids, indices,
    order, starts, stops, keys, m, d, turns, length, first, stride,
    ROWS: tl.constexpr, LENGTH: tl.constexpr, COLUMNS: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """Some queries that visit the same cells in turns ``first + piece * stride`` and on."""
    start, stop = tl.load(starts + tl.program_id(0)), tl.load(stops + tl.program_id(0))
    if start < stop:
        at = start + tl.arange(0, ROWS)
        alive = at < stop
        rows = tl.load(order + at, mask=alive, other=0)
        leader = tl.load(order + start)
        slot = tl.arange(0, LENGTH)
        mine = (tl.program_id(1) * m + rows).to(tl.int64)[:, None] * length + slot[None, :]
        held = alive[:, None] & (slot < length)[None, :]
        best = tl.load(keys + mine, mask=held, other=EMPTY)
        worst = tl.max(tl.where((slot < length)[None, :], best, 0), axis=1)
        given = indices + rows.to(tl.int64)[:, None] * length + slot[None, :]
        given = tl.load(given, mask=held, other=-1)
        known = tl.max(tl.sum((given >= 0).to(tl.int32), axis=1), axis=0)
        feature = tl.arange(0, FEATURES)
        column = tl.arange(0, COLUMNS)
        offset = column // 16 * 16 * d + column % 16  # of a column from its first panel's start
        begin = first + tl.program_id(1) * stride
        for turn in range(begin, tl.minimum(begin + stride, turns)):
            cell = tl.load(near + leader.to(tl.int64) * turns + turn).to(tl.int64)
            panel = tl.load(panel_starts + tl.maximum(cell, 0))
            end = tl.load(panel_starts + tl.maximum(cell, 0) + 1)
            end = tl.where(cell >= 0, end, panel)
            low = tl.load(cell_starts + tl.maximum(cell, 0)).to(tl.int32)
            high = tl.load(cell_starts + tl.maximum(cell, 0) + 1).to(tl.int32)
            squares = tl.zeros([ROWS, FEATURES], tl.float32)
            for o in range(0, d, FEATURES):
                j = o + feature
                there = alive[:, None] & (j < d)[None, :]
                x = queries + rows.to(tl.int64)[:, None] * d + j[None, :]
                x = tl.load(x, mask=there, other=0.0)
                c = tl.load(centroids + tl.maximum(cell, 0) * d + j, mask=j < d, other=0.0)
                x = tl.where(there, x - c[None, :], 0.0)
                squares += x * x
            base = tl.sum(squares, axis=1) + tl.load(left + rows, mask=alive, other=0.0)
            while panel < end:
                panels_here, norms_here = panels + panel * 16 * d, norms + panel * 16
                real = column < (end - panel).to(tl.int32) * 16
                products = tl.zeros([ROWS, COLUMNS], tl.float32)
                for o in tl.range(0, d, FEATURES, num_stages=1):  # more stages would spill
                    j = o + feature
                    there = alive[:, None] & (j < d)[None, :]
                    x = queries + rows.to(tl.int64)[:, None] * d + j[None, :]
                    x = tl.load(x, mask=there, other=0.0)
                    c = tl.load(centroids + cell * d + j, mask=j < d, other=0.0)
                    x = tl.where(there, x - c[None, :], 0.0)
                    inside = (j < d)[:, None] & real[None, :]
                    y = panels_here + (j[:, None] * 16 + offset[None, :])
                    y = tl.load(y, mask=inside, other=0.0)
                    products = tl.dot(x, y, products, input_precision="ieee")
                norm = tl.load(norms_here + column, mask=real, other=0.0)
                found = low + column
                tries = alive[:, None] & (found < high)[None, :]
                skipped = tl.load(skip + rows, mask=alive, other=-1)  # anew: registers are scarce
                tries &= found[None, :] != skipped[:, None]
                new = key_of(base[:, None] + norm[None, :] - 2.0 * products, found[None, :])
                new = tl.where(tries & (new < worst[:, None]), new, EMPTY)
                if tl.min(tl.min(new, axis=1), axis=0) < EMPTY:
                    for k in range(known):  # what the list began with keeps its estimate
                        had = indices + rows.to(tl.int64) * length + k
                        had = tl.load(had, mask=alive, other=-1)
                        new = tl.where(had[:, None] == found[None, :], EMPTY, new)
                    best = merge(best, new, ROWS, LENGTH, COLUMNS)
                    worst = tl.max(tl.where((slot < length)[None, :], best, 0), axis=1)
                panel += COLUMNS // 16
                low += COLUMNS
        # All anew: registers are scarce.
        at = tl.load(starts + tl.program_id(0)) + tl.arange(0, ROWS)
        alive = at < tl.load(stops + tl.program_id(0))
        rows = tl.load(order + at, mask=alive, other=0)
        mine = (tl.program_id(1) * m + rows).to(tl.int64)[:, None] * length + slot[None, :]
        tl.store(keys + mine, best, mask=alive[:, None] & (slot < length)[None, :])


def probe_cells(
    queries: Tensor,
    left: Tensor,
    skip: Tensor,
    near: Tensor,
    panels: Tensor,
    norms: Tensor,
    panel_starts: Tensor,
    cell_starts: Tensor,
    centroids: Tensor,
    indices: Tensor,
    squares: Tensor,
) -> tuple[Tensor, Tensor]:
    """Lists of ``queries`` (m, d) after trying the owners of the cells ``near`` (m, p) to each.

    ``panels``, ``norms`` and ``panel_starts`` are those of `pack_cells`; the nearest cell of
    a row comes first, none comes twice, -1 stands for none; ``skip`` (m,) names a point that
    is left out, -1 for none.  ``indices`` and ``squares`` (m, L) are sorted lists of points and
    estimated squared distances to begin with, -1 and infinity for none; L is at most 1024.

    Few queries with many cells each (those of all points, say) go through them in pieces of
    their own, and the pieces' lists are merged.
    """
    (m, turns), length, d = near.shape, indices.shape[1], queries.shape[1]
    keys = pack(indices, squares)
    held = min(size for size in _SHAPES if size >= length)
    given = (queries, left, skip, near, panels, norms, panel_starts, cell_starts, centroids)
    rows = _SHAPES[held][0]
    shape = {"ROWS": rows, "LENGTH": held, "COLUMNS": _COLUMNS, "FEATURES": _FEATURES}
    if turns > _TURNS and m <= _FEW:
        groups = groups_of_equals(near, rows)
        parts = keys.new_full((_PIECES, m, length), EMPTY.value)
        parts[0] = keys
        _probe.launch(
            (m, _PIECES), *given, indices, *groups, parts, m, d, turns, length, 0,
            ceil_div(turns, _PIECES), **shape,
        )  # fmt: skip
        every = parts.transpose(0, 1).reshape(m, _PIECES * length)
        return unpack(torch.sort(every, dim=1).values[:, :length])
    for turn in range(turns):
        groups = groups_of_a_turn(near[:, turn].contiguous(), len(centroids), rows)
        _probe.launch(
            (len(groups[1]), 1), *given, indices, *groups, keys, m, d, turns, length, turn, 1,
            **shape,
        )  # fmt: skip
    return unpack(keys)
