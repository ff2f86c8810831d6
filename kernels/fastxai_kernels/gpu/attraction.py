"""t-SNE's attraction along the edges of a sparse graph.

    a_i = sum_j p_ij (1 + r_ij^2 / dof)^-1 (y_i - y_j)
    C   = -sum_ij p_ij log w(r_ij),   w(r) = (1 + r^2 / dof)^-dof

(van der Maaten and Hinton 2008; Kobak, Linderman, Steinerberger, Kluger and Berens 2019 for
dof).  With the repulsive f_i and Z of the other kernels the gradient of the KL divergence is
4 (a_i - f_i / Z), and the divergence itself  sum p log p + C + log Z.

A program walks four rows side by side, 128 edges of each at a time; a row longer than
`_LONG` it walks alone, 1024 at a time: a hub of 10^5 edges takes a hundred steps.

The limit is memory: 8 bytes an edge from HBM, and a sector of 32 bytes an edge from the L2
cache for the other's place.  Points should be kept in an order in which neighbours are near
(`reorder_graph`).
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._triton import Kernel, ceil_div, kernel

_ROWS = 4  # of a program: so many independent loads a thread
_LONG = tl.constexpr(2048)  # edges of a row up to which it is walked beside others
_WIDE = tl.constexpr(1024)
_GRAPH = "Y:*fp32 indptr:*i64 columns:*i32 weights:*fp32"
_TILES = [{"WIDTH": width, "ROWS": _ROWS, "LANES": 128, "num_warps": 4} for width in (2, 4)]
_ANY = [{"LANES": 32, "AXES": 16, "num_warps": 4}]


@triton.jit
def _pulls(Y, columns, weights, rows, starts, offsets, valid, WIDTH: tl.constexpr):
    """p, y_i - y_j and r^2 of edges (rows, lanes); p = 0 where there is no edge."""
    axes = tl.arange(0, WIDTH)
    edges = starts[:, None] + offsets
    j = tl.load(columns + edges, mask=valid, other=0)
    p = tl.load(weights + edges, mask=valid, other=0.0)
    own = tl.load(Y + rows[:, None] * WIDTH + axes[None, :])
    others = tl.load(Y + j.to(tl.int64)[:, :, None] * WIDTH + axes[None, None, :])
    away = own[:, None, :] - others
    return p, away, tl.sum(away * away, axis=2)


@triton.jit
def _lengths(indptr, rows, there):
    """Where rows start, and how many edges they have."""
    starts = tl.load(indptr + rows, mask=there, other=0)
    ends = tl.load(indptr + rows + 1, mask=there, other=0)
    return starts, (ends - starts).to(tl.int32)


@triton.jit
def _forces(Y, columns, weights, scale, rows, starts, lengths, LANES: tl.constexpr,
            WIDTH: tl.constexpr, ROWS: tl.constexpr):  # fmt: skip
    """Sums (ROWS, WIDTH) over the edges of these rows."""
    lanes = tl.arange(0, LANES)[None, :]
    force = tl.zeros((ROWS, LANES, WIDTH), tl.float32)
    for at in range(0, tl.max(lengths), LANES):
        offsets = at + lanes
        valid = offsets < lengths[:, None]
        p, away, square = _pulls(Y, columns, weights, rows, starts, offsets, valid, WIDTH)
        force += (p / (1.0 + scale * square))[:, :, None] * away
    return tl.sum(force, axis=1)


@kernel(f"{_GRAPH} forces:*fp32 n:i32 scale:fp32", _TILES)
def _attract(Y, indptr, columns, weights, forces, n, scale, WIDTH: tl.constexpr,
             ROWS: tl.constexpr, LANES: tl.constexpr):  # fmt: skip
    first = tl.program_id(0).to(tl.int64) * ROWS
    axes = tl.arange(0, WIDTH)[None, :]
    rows = first + tl.arange(0, ROWS)
    there = rows < n
    rows = tl.where(there, rows, 0)
    starts, lengths = _lengths(indptr, rows, there)
    short = lengths <= _LONG
    lengths = tl.where(short, lengths, 0)
    total = _forces(Y, columns, weights, scale, rows, starts, lengths, LANES, WIDTH, ROWS)
    tl.store(forces + rows[:, None] * WIDTH + axes, total, mask=(there & short)[:, None])
    for r in range(ROWS):
        row = tl.minimum(first + r, n - 1) + tl.zeros((1,), tl.int64)
        start, length = _lengths(indptr, row, row == first + r)
        if tl.max(length) > _LONG:
            hub = _forces(Y, columns, weights, scale, row, start, length, _WIDE, WIDTH, 1)
            tl.store(forces + row[:, None] * WIDTH + axes, hub)


@triton.jit
def _entropies(Y, columns, weights, scale, rows, starts, lengths, LANES: tl.constexpr,
               WIDTH: tl.constexpr, ROWS: tl.constexpr):  # fmt: skip
    """Sums (ROWS,) of p log(1 + r^2 / dof) over the edges of these rows."""
    lanes = tl.arange(0, LANES)[None, :]
    total = tl.zeros((ROWS, LANES), tl.float32)
    for at in range(0, tl.max(lengths), LANES):
        offsets = at + lanes
        valid = offsets < lengths[:, None]
        p, _, square = _pulls(Y, columns, weights, rows, starts, offsets, valid, WIDTH)
        total += p * _log(scale * square)
    return tl.sum(total.to(tl.float64), axis=1)


@triton.jit
def _log(x):
    """log(1 + x), also of small x: what 1 + x rounds away is put back."""
    u = 1.0 + x
    return tl.log(u) + (x - (u - 1.0)) / u


@kernel(f"{_GRAPH} sums:*fp64 n:i32 scale:fp32", _TILES)
def _cross(Y, indptr, columns, weights, sums, n, scale, WIDTH: tl.constexpr, ROWS: tl.constexpr,
           LANES: tl.constexpr):  # fmt: skip
    """The sum over each row of p log(1 + r^2 / dof)."""
    first = tl.program_id(0).to(tl.int64) * ROWS
    rows = first + tl.arange(0, ROWS)
    there = rows < n
    rows = tl.where(there, rows, 0)
    starts, lengths = _lengths(indptr, rows, there)
    short = lengths <= _LONG
    lengths = tl.where(short, lengths, 0)
    total = _entropies(Y, columns, weights, scale, rows, starts, lengths, LANES, WIDTH, ROWS)
    tl.store(sums + rows, total, mask=there & short)
    for r in range(ROWS):
        row = tl.minimum(first + r, n - 1) + tl.zeros((1,), tl.int64)
        start, length = _lengths(indptr, row, row == first + r)
        if tl.max(length) > _LONG:
            hub = _entropies(Y, columns, weights, scale, row, start, length, _WIDE, WIDTH, 1)
            tl.store(sums + row, hub)


@triton.jit
def _squares(Y, row, j, d, LANES: tl.constexpr, AXES: tl.constexpr):
    """r^2 (LANES,) of any number of axes, some at a time."""
    square = tl.zeros((LANES,), tl.float32)
    for axis in range(0, d, AXES):
        axes = axis + tl.arange(0, AXES)
        own = tl.load(Y + row * d + axes, mask=axes < d, other=0.0)
        others = tl.load(
            Y + j.to(tl.int64)[:, None] * d + axes[None, :], mask=axes[None, :] < d, other=0.0
        )
        away = own[None, :] - others
        square += tl.sum(away * away, axis=1)
    return square


@kernel(f"{_GRAPH} forces:*fp32 d:i32 scale:fp32", _ANY)
def _attract_any(Y, indptr, columns, weights, forces, d, scale, LANES: tl.constexpr,
                 AXES: tl.constexpr):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    start, stop = tl.load(indptr + row), tl.load(indptr + row + 1)
    for axis in range(0, d, AXES):
        axes = axis + tl.arange(0, AXES)
        own = tl.load(Y + row * d + axes, mask=axes < d, other=0.0)
        force = tl.zeros((LANES, AXES), tl.float32)
        for at in range(start, stop, LANES):
            edges = at + tl.arange(0, LANES)
            j = tl.load(columns + edges, mask=edges < stop, other=0)
            p = tl.load(weights + edges, mask=edges < stop, other=0.0)
            others = tl.load(
                Y + j.to(tl.int64)[:, None] * d + axes[None, :], mask=axes[None, :] < d, other=0.0
            )
            p = p / (1.0 + scale * _squares(Y, row, j, d, LANES, AXES))
            force += p[:, None] * (own[None, :] - others)
        tl.store(forces + row * d + axes, tl.sum(force, axis=0), mask=axes < d)


@kernel(f"{_GRAPH} sums:*fp64 d:i32 scale:fp32", _ANY)
def _cross_any(Y, indptr, columns, weights, sums, d, scale, LANES: tl.constexpr,
               AXES: tl.constexpr):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    start, stop = tl.load(indptr + row), tl.load(indptr + row + 1)
    total = tl.zeros((LANES,), tl.float32)
    for at in range(start, stop, LANES):
        edges = at + tl.arange(0, LANES)
        j = tl.load(columns + edges, mask=edges < stop, other=0)
        p = tl.load(weights + edges, mask=edges < stop, other=0.0)
        total += p * _log(scale * _squares(Y, row, j, d, LANES, AXES))
    tl.store(sums + row, tl.sum(total.to(tl.float64), axis=0))


def _launch(tiles: Kernel, single: Kernel, Y: Tensor, graph: tuple[Tensor, ...], dof: float,
            out: Tensor) -> None:  # fmt: skip
    """Rows by fours for up to 4 axes, else one by one."""
    n, width = Y.shape
    if width > 4:
        single.launch((n,), Y, *graph, out, width, 1.0 / dof, LANES=32, AXES=16)
    else:
        shape = {"WIDTH": width, "ROWS": _ROWS, "LANES": 128}
        tiles.launch((ceil_div(n, _ROWS),), Y, *graph, out, n, 1.0 / dof, **shape)


def _filled(Y: Tensor) -> Tensor:
    """Y with 2 or 4 columns, so that a place is one load; with its own if they are more."""
    d = Y.shape[1]
    width = d if d > 4 else 2 if d <= 2 else 4
    return Y if d == width else torch.nn.functional.pad(Y, (0, width - d))


def attraction(Y: Tensor, indptr: Tensor, columns: Tensor, weights: Tensor, dof: float) -> Tensor:
    """The attractive forces a (n, d) at the places Y (n, d), p as CSR."""
    places = _filled(Y)
    forces = torch.empty_like(places)
    _launch(_attract, _attract_any, places, (indptr, columns, weights), dof, forces)
    return forces[:, : Y.shape[1]].contiguous()


def cross_entropy(Y: Tensor, indptr: Tensor, columns: Tensor, weights: Tensor, dof: float) -> float:
    """C = -sum p log w of the places Y (n, d), p as CSR."""
    sums = torch.empty(len(Y), dtype=torch.float64, device=Y.device)
    _launch(_cross, _cross_any, _filled(Y), (indptr, columns, weights), dof, sums)
    return dof * float(sums.sum())  # the one scalar the contract returns


def reorder_graph(
    order: Tensor, indptr: Tensor, columns: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The symmetric graph whose vertex r is vertex ``order[r]`` of this one; rows sorted.

    ``order`` (n,) holds every vertex once; the places to go with it are ``Y[order]``.
    """
    n, order = len(order), order.long()
    vertices = torch.arange(n, device=order.device)
    rank = torch.empty_like(vertices)
    rank[order] = vertices
    lengths = indptr.diff()
    starts = torch.zeros_like(indptr)
    torch.cumsum(lengths[order], 0, out=starts[1:])
    # Row and column in one number: one sort puts the edges where they belong.
    edges = torch.repeat_interleave(rank, lengths, output_size=len(columns)) * n
    edges += rank[columns.long()]
    edges, carried = edges.sort(stable=True)
    return starts, edges.remainder_(n).int(), weights[carried]
