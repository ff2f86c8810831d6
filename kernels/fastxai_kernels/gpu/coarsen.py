"""A graph with fewer vertices: neighbourhoods become one vertex, their edges are added up.

    W' = P^T W P,    P_ic = 1 where vertex i belongs to aggregate c

(the first, unsmoothed step of aggregation multigrid: Vanek, Mandel and Brezina 1996).  The
aggregates are those of a greedy pass in the order of the vertices, found as by Blelloch,
Fineman and Shun (2012): in a round every vertex decides that waits for no lower one, and the
random order of most data leaves few rounds.  Sums: edges are sorted by the pair of aggregates
they join, and that sort, of 16 bytes an edge and pass, is the limit.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._ragged import row_sums
from ._triton import ceil_div, kernel

# A round takes as long as this many vertices in turn: one that decides fewer is the last.
_WORTH = 64
_TURNS = 1 << 16  # vertices a launch decides in turn
_TILE = {"ROWS": 16, "EDGES": 32}


@triton.jit
def _listed(indptr, listed, rows, ROWS: tl.constexpr):
    """Vertices of a list, where their edges begin, and how many they have."""
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = r < rows
    i = tl.load(listed + r, mask=inside, other=0)
    first = tl.load(indptr + i, mask=inside, other=0)
    length = (tl.load(indptr + i + 1, mask=inside, other=0) - first).to(tl.int32)
    return r, i, first, length, inside


@kernel("indptr:*i64 indices:*i32 listed:*i32 lowest:*i32 rows:i32 most:i32", [_TILE])
def _claim(indptr, indices, listed, lowest, rows, most, ROWS: tl.constexpr, EDGES: tl.constexpr):
    """The lowest undecided vertex that would take each vertex into its aggregate."""
    _, i, first, length, inside = _listed(indptr, listed, rows, ROWS)
    length = tl.minimum(length, most - 1)
    lane = tl.arange(0, EDGES)
    who = i[:, None] + tl.zeros((ROWS, EDGES), tl.int32)
    tl.atomic_min(lowest + i, i, mask=inside)
    for e in range(0, tl.max(length), EDGES):
        here = (e + lane)[None, :] < length[:, None]
        at = first[:, None] + (e + lane)[None, :]
        tl.atomic_min(lowest + tl.load(indices + at, mask=here, other=0), who, mask=here)


@kernel(
    "indptr:*i64 indices:*i32 listed:*i32 lowest:*i32 founder:*i32 verdict:*i8 rows:i32 nobody:i32",
    [_TILE],
)
def _judge(
    indptr, indices, listed, lowest, founder, verdict, rows, nobody,
    ROWS: tl.constexpr, EDGES: tl.constexpr,
):  # fmt: skip
    """Who is covered (0), waits (1) or founds (2); writes nothing that it reads."""
    r, i, first, length, inside = _listed(indptr, listed, rows, ROWS)
    lane = tl.arange(0, EDGES)
    taken = tl.load(founder + i, mask=inside, other=-1)
    wanted = tl.load(lowest + i, mask=inside, other=0)
    e = 0
    longest = tl.max(tl.where(taken < i, 0, length))
    while e < longest:
        here = (e + lane)[None, :] < length[:, None]
        at = first[:, None] + (e + lane)[None, :]
        j = tl.load(indices + at, mask=here, other=0)
        by = tl.load(founder + j, mask=here, other=nobody)
        want = tl.load(lowest + j, mask=here, other=nobody)
        taken = tl.minimum(taken, tl.min(by, axis=1))
        wanted = tl.minimum(wanted, tl.min(want, axis=1))
        longest = tl.max(tl.where(taken < i, 0, length))  # the covered need not look further
        e += EDGES
    found = tl.where(taken < i, 0, tl.where(wanted < i, 1, 2))
    tl.store(verdict + r, found.to(tl.int8), mask=inside)


@kernel("indptr:*i64 indices:*i32 listed:*i32 verdict:*i8 founder:*i32 rows:i32 most:i32", [_TILE])
def _found(
    indptr, indices, listed, verdict, founder, rows, most, ROWS: tl.constexpr, EDGES: tl.constexpr
):
    """Founders take their members; no two take the same."""
    r, i, first, length, inside = _listed(indptr, listed, rows, ROWS)
    founds = inside & (tl.load(verdict + r, mask=inside, other=0) == 2)
    length = tl.where(founds, tl.minimum(length, most - 1), 0)
    lane = tl.arange(0, EDGES)
    who = i[:, None] + tl.zeros((ROWS, EDGES), tl.int32)
    tl.store(founder + i, i, mask=founds)
    for e in range(0, tl.max(length), EDGES):
        here = (e + lane)[None, :] < length[:, None]
        at = first[:, None] + (e + lane)[None, :]
        tl.store(founder + tl.load(indices + at, mask=here, other=0), who, mask=here)


@kernel(
    "indptr:*i64 indices:*i32 listed:*i32 founder:*i32 start:i32 stop:i32 most:i32 nobody:i32",
    [{"EDGES": 32, "num_warps": 1}],
)
def _found_in_turn(
    indptr, indices, listed, founder, start, stop, most, nobody, EDGES: tl.constexpr
):
    """One program, one vertex after another."""
    lane = tl.arange(0, EDGES)
    for k in range(start, stop):
        i = tl.load(listed + k)
        first = tl.load(indptr + i)
        length = (tl.load(indptr + i + 1) - first).to(tl.int32)
        taken = tl.load(founder + i)
        e = 0
        while (e < length) & (taken >= i):
            j = tl.load(indices + first + e + lane, mask=e + lane < length, other=0)
            by = tl.load(founder + j, mask=e + lane < length, other=nobody)
            taken = tl.minimum(taken, tl.min(by, axis=0))
            e += EDGES
        tl.debug_barrier()  # all have read
        length = tl.where(taken >= i, tl.minimum(length, most - 1), 0)
        tl.store(founder + i, i, mask=taken >= i)
        for e in range(0, length, EDGES):
            j = tl.load(indices + first + e + lane, mask=e + lane < length, other=0)
            tl.store(founder + j, tl.zeros_like(j) + i, mask=e + lane < length)
        tl.debug_barrier()  # and see what is written


@kernel(
    "indptr:*i64 indices:*i32 weights:*fp32 listed:*i32 founder:*i32 parent:*i32 rows:i32 "
    "nobody:i32",
    [_TILE],
)
def _follow(
    indptr, indices, weights, listed, founder, parent, rows, nobody,
    ROWS: tl.constexpr, EDGES: tl.constexpr,
):  # fmt: skip
    """The strongest neighbour that is in an aggregate, or will be before a vertex's turn."""
    _, i, first, length, inside = _listed(indptr, listed, rows, ROWS)
    lane = tl.arange(0, EDGES)
    best = tl.full((ROWS,), -float("inf"), tl.float32)
    to = i
    for e in range(0, tl.max(length), EDGES):
        here = (e + lane)[None, :] < length[:, None]
        at = first[:, None] + (e + lane)[None, :]
        j = tl.load(indices + at, mask=here, other=0)
        by = tl.load(founder + j, mask=here, other=nobody)
        here = here & ((by < nobody) | (j < i[:, None]))
        w = tl.where(here, tl.load(weights + at, mask=here, other=0.0), -float("inf"))
        strongest, where = tl.max(w, axis=1, return_indices=True)
        there = tl.load(indices + first + e + where, mask=strongest > best, other=0)
        to = tl.where(strongest > best, there, to)
        best = tl.maximum(best, strongest)
    tl.store(parent + i, to, mask=inside)


def aggregate(indptr: Tensor, indices: Tensor, weights: Tensor, most: int) -> tuple[Tensor, int]:
    """The aggregate of each vertex, and how many there are.

    In order, a vertex that no aggregate touches yet founds one with its neighbours, at most
    ``most`` members; what is left joins the aggregate of its strongest neighbour in one, or
    stays alone.
    """
    founder = _founders(indptr, indices, most)
    n = len(founder)
    left = torch.nonzero(founder == n)[:, 0].to(torch.int32)  # a sync: the size of the grid
    # Each of these is covered, thus beside a member: it joins at its turn and stays with the
    # parent that it has in the end, whoever decides first.
    parent = founder.clone()
    grid = (ceil_div(len(left), _TILE["ROWS"]),)
    _follow.launch(grid, indptr, indices, weights, left, founder, parent, len(left), n, **_TILE)
    while not torch.equal(further := parent.index_select(0, parent), parent):
        parent = further
    founds = founder == torch.arange(n, dtype=torch.int32, device=founder.device)
    number = (founds.cumsum(0) - 1).to(torch.int32)
    return number.index_select(0, parent), int(founds.sum())  # the contract's number


def _founders(indptr: Tensor, indices: Tensor, most: int) -> Tensor:
    """Whose aggregate takes each vertex (no two take the same), or n."""
    n, device = len(indptr) - 1, indptr.device
    founder = torch.full((n,), n, dtype=torch.int32, device=device)
    lowest = torch.empty_like(founder)
    left = torch.arange(n, dtype=torch.int32, device=device)
    decided = n
    while len(left) and decided >= _WORTH:
        grid, size = (ceil_div(len(left), _TILE["ROWS"]),), len(left)
        lowest.fill_(n)
        verdict = torch.empty(size, dtype=torch.int8, device=device)
        _claim.launch(grid, indptr, indices, left, lowest, size, most, **_TILE)
        _judge.launch(grid, indptr, indices, left, lowest, founder, verdict, size, n, **_TILE)
        _found.launch(grid, indptr, indices, left, verdict, founder, size, most, **_TILE)
        left = left[verdict == 1]  # a sync: how many are left
        decided = size - len(left)
    for start in range(0, len(left), _TURNS):
        stop = min(start + _TURNS, len(left))
        edges = (indptr, indices, left, founder)
        _found_in_turn.launch((1,), *edges, start, stop, most, n, EDGES=_TILE["EDGES"])
    return founder


def coarsen(
    indptr: Tensor, indices: Tensor, weights: Tensor, owner: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """P^T W P as CSR, with P_ic = 1 where vertex i belongs to aggregate c."""
    whose = torch.repeat_interleave(owner, indptr.diff(), output_size=len(indices))
    pairs = whose.to(torch.int64) * count + owner.index_select(0, indices)
    pairs, order = torch.sort(pairs, stable=True)  # sums in the order of the edges
    pairs, sizes = torch.unique_consecutive(pairs, return_counts=True)
    starts = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))
    sums = row_sums(starts, weights.index_select(0, order)).to(torch.float32)
    rows = torch.arange(count + 1, device=owner.device) * count
    return torch.searchsorted(pairs, rows), (pairs % count).to(torch.int32), sums
