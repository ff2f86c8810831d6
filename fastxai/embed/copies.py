"""Exact copies: found by hashing, searched once, given back to every copy."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .spaces import is_sparse

# Below both of these a search copes with the copies as they are.
_FEW_COPIES = 0.02
_SMALL_GROUP = 100
_ROWS = 65536


class Copies(NamedTuple):
    """Groups of equal rows, numbered by their lowest row.

    Attributes
    ----------
    group : ndarray of shape (n,), int32
        The group of each row.
    members : ndarray of shape (n,), int32
        All rows, group by group, ascending within each.
    starts : ndarray of shape (n_groups + 1,), int64
        Where the members of each group begin.
    """

    group: NDArray[np.int32]
    members: NDArray[np.int32]
    starts: NDArray[np.int64]

    @property
    def firsts(self) -> NDArray[np.int32]:
        """The lowest row of each group."""
        return self.members[self.starts[:-1]]

    @property
    def matter(self) -> bool:
        """True if there are enough copies to disturb a search."""
        n, groups = len(self.members), len(self.starts) - 1
        largest = int(np.diff(self.starts).max()) if groups else 0
        return groups < (1 - _FEW_COPIES) * n or largest > _SMALL_GROUP


def hash_rows(kernels: Any, points: Any) -> NDArray[np.uint64]:
    """A hash of each row, dense or sparse; equal rows have equal hashes."""
    if not is_sparse(points):
        hashes: NDArray[np.uint64] = kernels.hash_rows(np.asarray(points))
        return hashes
    points = points.tocsr(copy=True)
    points.sum_duplicates()
    points.eliminate_zeros()
    columns, values = points.indices.astype(np.int64), points.data
    digests = [
        hashlib.blake2b(columns[a:b].tobytes() + values[a:b].tobytes(), digest_size=8).digest()
        for a, b in zip(points.indptr[:-1], points.indptr[1:], strict=True)
    ]
    return np.frombuffer(b"".join(digests), np.uint64)


def equal_rows(A: Any, a: NDArray[Any], B: Any, b: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether row ``a[i]`` of A equals row ``b[i]`` of B, dense or sparse."""
    equal = np.empty(len(a), np.bool_)
    for start in range(0, len(a), _ROWS):
        some = slice(start, start + _ROWS)
        if is_sparse(A):
            equal[some] = np.diff((A[a[some]] != B[b[some]]).tocsr().indptr) == 0
        else:
            equal[some] = (A[a[some]] == B[b[some]]).all(axis=1)
    return equal


def find_copies(points: Any, hashes: NDArray[np.uint64]) -> Copies:
    """Group equal rows, given a hash of each (equal rows have equal hashes)."""
    n = points.shape[0]
    order = np.argsort(hashes, kind="stable")
    same = hashes[order[1:]] == hashes[order[:-1]]
    at = np.flatnonzero(same)
    same[at] = equal_rows(points, order[at], points, order[at + 1])
    label = np.empty(n, np.int64)
    label[order] = np.concatenate([[0], np.cumsum(~same)]) if n else []
    # Renumber the groups by their lowest row.
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.int32)
    group = rank[inverse]
    members = np.argsort(group, kind="stable").astype(np.int32)
    starts = np.zeros(len(first) + 1, np.int64)
    np.cumsum(np.bincount(group, minlength=len(first)), out=starts[1:])
    return Copies(group, members, starts)


def give_back(
    copies: Copies, indices: NDArray[np.int32], distances: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Neighbours of all rows from the neighbours of the groups.

    A row's neighbours are its own copies first, at distance 0, then the members of each
    neighbouring group in turn, lowest rows first, until there are ``k``.
    """
    n = len(copies.members)
    groups = len(copies.starts) - 1
    sizes = np.diff(copies.starts)
    # k members of a group, and one more since a row is not its own neighbour, suffice.
    around = np.concatenate([np.arange(groups, dtype=np.int32)[:, None], indices], axis=1)
    away = np.concatenate([np.zeros((groups, 1), np.float32), distances], axis=1)
    present = np.where(around >= 0, np.minimum(sizes[around], k + 1), 0)
    ends = np.cumsum(present, axis=1)
    table = np.full((groups, k + 1), -1, np.int32)
    table_distances = np.full((groups, k + 1), np.inf, np.float32)
    for column in range(k + 1):
        source = (ends <= column).sum(axis=1)
        there = np.flatnonzero(source < around.shape[1])
        which = source[there]
        before = ends[there, which] - present[there, which]
        member = copies.starts[around[there, which]] + column - before
        table[there, column] = copies.members[member]
        table_distances[there, column] = away[there, which]
    rows = np.arange(n, dtype=np.int32)
    mine = table[copies.group]
    myself = mine == rows[:, None]
    # A row beyond the first k + 1 copies of its group does not meet itself: drop the last.
    myself[~myself.any(axis=1), -1] = True
    return (
        mine[~myself].reshape(n, k),
        table_distances[copies.group][~myself].reshape(n, k),
    )
