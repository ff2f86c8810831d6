"""k nearest neighbours by Euclidean distance, by all pairs.

    d(x, y)^2 = sum_j (x_j - y_j)^2

Pairs are compared by |y|^2 - 2 xy about a centre close to the points, a tile of products at a
time, and kept with a margin; what is returned was ranked by direct differences, ties by the
lower index.

The limit: 2 m n d flops of float32 products, and 8 m n bytes to write and read the tiles.
Lists live in registers up to 504 neighbours; more are selected by torch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import _nearest
from ._nearest import LISTS
from ._precision import products
from ._triton import ceil_div

_QUERIES = 4096  # that share a pass over the data
_PAIRS, _SORTED_PAIRS = 2**26, 2**23  # in a tile of products: 256 MB; of whole numbers: 64 MB
_NUMBERS = 2**26  # in the data of a tile
_MARGIN = 8
_DOUBT = 1e-3  # squared distances this small beside those from the centre are noisy
_ALIGN = 16
_EMPTY = -(2**63)  # its index is -1


def nearest(queries: Tensor, data: Tensor, n_neighbors: int, skip: Tensor) -> tuple[Tensor, Tensor]:
    """The ``n_neighbors`` rows of ``data`` (n, d) nearest to each of ``queries`` (m, d).

    ``skip`` (m,) names the row of data that is left out for a query, -1 for none.  Returns
    indices and distances (m, k), sorted; -1 and infinity where there are too few rows.
    """
    m = len(queries)
    centre = _centre(data)
    norms = _squares(data, centre)
    indices = torch.empty((m, n_neighbors), dtype=torch.int32, device=data.device)
    squares = torch.empty((m, n_neighbors), dtype=torch.float32, device=data.device)
    known = (queries, data, skip, indices, squares)
    with products():
        for start in range(0, m, _QUERIES):
            _search(slice(start, start + _QUERIES), *known, norms, centre)
    # A query much nearer to its neighbours than to the centre is compared with all rows by
    # direct differences: its candidates were found by differences of much larger numbers.
    far = squares[:, -1]
    doubtful = (far > 0) & (far < _DOUBT * _squares(queries, centre)[:m])
    rows = doubtful.nonzero()[:, 0]  # their number comes to the host
    for start in range(0, len(rows), _QUERIES):
        _search(rows[start : start + _QUERIES], *known, torch.zeros_like(norms), None)
    return indices, squares.sqrt_()


def nearest_screened(
    queries: Tensor,
    data: Tensor,
    coarse_queries: Tensor,
    coarse: Tensor,
    limits: Tensor,
    n_neighbors: int,
    skip: Tensor,
) -> tuple[Tensor, Tensor]:
    """As `nearest`, for data of which something coarser is known.

    ``coarse_queries`` (m, c) and ``coarse`` (n, c) are points whose distances are at most
    those of queries and data; ``limits`` (m,) squared distances that at least
    ``n_neighbors`` rows of data do not exceed.  Full products cost less here than branches
    and gathers would save, so that neither is read.
    """
    return nearest(queries, data, n_neighbors, skip)


def _search(
    some: Tensor | slice,
    queries: Tensor,
    data: Tensor,
    skip: Tensor,
    indices: Tensor,
    squares: Tensor,
    norms: Tensor,
    centre: Tensor | None,
) -> None:
    """Write the neighbours of some queries, found by products about the centre, if there is one."""
    x, k = queries[some], indices.shape[1]
    lists = _candidates(x, data, skip[some], norms, centre, k + _MARGIN)
    m, length = lists.shape
    parts, blocks = _blocks(data.shape[1])
    _nearest.measure.launch((m, ceil_div(length, 16)), x, data, lists, parts, length, **blocks)
    # Keys differ, so that the largest ones are the same whatever the order of selection.
    keys = ~torch.topk(lists, k).values
    index = ((keys << 32) >> 32).to(torch.int32)
    indices[some] = index
    square = (keys >> 32).to(torch.int32).view(torch.float32)
    squares[some] = square.masked_fill(index < 0, float("inf"))


def _candidates(
    x: Tensor, data: Tensor, skip: Tensor, norms: Tensor, centre: Tensor | None, needed: int
) -> Tensor:
    """Keys of at least ``needed`` candidates of each query."""
    m, (n, d) = len(x), data.shape
    length = min((one for one in LISTS if one >= needed), default=needed)
    lists = torch.full((m, length), _EMPTY, dtype=torch.int64, device=data.device)
    pairs = _PAIRS if length in LISTS else _SORTED_PAIRS
    width = max(_ALIGN, min(pairs // m, _NUMBERS // max(1, d), n + _ALIGN - 1) // _ALIGN * _ALIGN)
    tile = torch.empty(m * width, dtype=torch.float32, device=data.device)
    left = x.T.contiguous() if centre is None else (x - centre).mul_(-2.0)
    for first in range(0, n, width):
        rows = data[first : first + width]
        count, stride = len(rows), ceil_div(len(rows), _ALIGN) * _ALIGN
        whole = tile[: m * stride].view(m, stride)
        if centre is None:
            right = data.new_zeros((d, stride))
            right[:, :count] = rows.T
            grid = (ceil_div(stride, 128), ceil_div(m, 32))
            _nearest.direct.launch(grid, left, right, whole, m, count, d, ROWS=32, COLUMNS=128)
        else:
            torch.mm(left, (rows - centre).T, out=whole[:, :count])
        if length in LISTS:
            given = (whole, norms, skip, lists, first // _ALIGN, count)
            _nearest.select.launch((m,), *given, **LISTS[length])
        else:
            lists = _selected(whole[:, :count] + norms[first : first + count], skip, lists, first)
    return lists


def _selected(squares: Tensor, skip: Tensor, lists: Tensor, first: int) -> Tensor:
    """As `_nearest.select`, for lists of any length."""
    bits = squares.nan_to_num(nan=float("inf"), posinf=float("inf"), neginf=-float("inf"))
    bits = bits.view(torch.int32)
    scores = ~(bits ^ ((bits >> 31) & 0x7FFFFFFF))
    index = torch.arange(first, first + squares.shape[1], device=squares.device)
    keys = (scores.to(torch.int64) << 32) | (2**32 - 1 - index)
    keys.masked_fill_(index == skip[:, None], _EMPTY)
    return torch.topk(torch.cat([lists, keys], dim=1), lists.shape[1]).values


def _squares(rows: Tensor, centre: Tensor) -> Tensor:
    """|y - centre|^2 of each row, and room up to a multiple of 16."""
    n, d = rows.shape
    norms = rows.new_zeros(ceil_div(n, _ALIGN) * _ALIGN)
    parts, blocks = _blocks(d)
    _nearest.norms.launch((ceil_div(n, 16),), rows, centre, norms, n, parts, **blocks)
    return norms


def _blocks(d: int) -> tuple[int, dict[str, int]]:
    """Of how many aligned parts a row consists, and the constants of a kernel that reads rows."""
    align = 4 if d % 4 == 0 else 1
    return d // align, {"ALIGN": align, "ROWS": 16, "BLOCK": 64}


def _centre(data: Tensor) -> Tensor:
    some = data[:: max(1, len(data) // 1024)]
    return some.to(torch.float64).mean(dim=0).to(torch.float32)
