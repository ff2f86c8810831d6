"""The steps of `prototypes`: all pairs once, then point after point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._warn import warn
from ..devices import is_tensor, namespace, to_host

if TYPE_CHECKING:
    from ..progress import Advance
    from .prototypes_input import Data

ROWS, _ROWS_THERE = 512, 2048  # of a rectangle of pairs; on a GPU
_WORK, _WORK_THERE = 2**35, 2**37  # products of a call: some 0.2 s on two cores
_FEWEST = 1024  # columns of a call


class Found(NamedTuple):
    """Rows of one class that were chosen, and its witness."""

    prototypes: list[int]
    criticisms: list[int]
    mmd2: list[float]
    witness: NDArray[np.float64]


def choose(
    kernels: Any,
    data: Data,
    rows: NDArray[np.int64] | None,
    name: str,
    gamma: float,
    n_prototypes: int,
    n_criticisms: int,
    advance: Advance,
) -> Found:
    """Prototypes and criticisms of one class, by their places in it."""
    X = data.take(rows)
    n = len(X)
    means = _means(kernels, X, gamma, advance)
    wanted = _reduced("n_prototypes", n_prototypes, n, name, "points")
    sums = namespace(X).zeros_like(means)
    chosen: list[int] = []
    losses: list[float] = []
    whole, near, among = float(means.mean()), 0.0, 0.0
    for m in range(1, wanted + 1):
        point = kernels.next_prototype(X, gamma, means, chosen, sums)
        chosen.append(point)
        near += float(means[point])
        among += 2.0 * float(sums[point]) + 1.0
        losses.append(max(whole - 2.0 * near / m + among / m**2, 0.0))
    witness = kernels.witness(X, gamma, means, chosen, sums)
    wanted = _reduced(
        "n_criticisms", n_criticisms, n - wanted, name, "points that are no prototype"
    )
    criticisms = _criticise(kernels, X, gamma, witness, chosen, wanted)
    if len(criticisms) < wanted:
        warn(
            f"n_criticisms={n_criticisms}: {len(criticisms)} are given{name}; by this kernel all "
            "other points are copies of these (if they are none, gamma is too small)"
        )
    return Found(chosen, criticisms, losses, np.asarray(to_host(witness)))


def _means(kernels: Any, X: Any, gamma: float, advance: Advance) -> Any:
    """Mean kernel value of each point with all; bit by bit the same for copies."""
    n, d = X.shape
    np_ = namespace(X)
    place = {"device": X.device} if is_tensor(X) else {}
    sums = np_.zeros(n, dtype=np_.float64, **place)
    centre = _centre(X)
    height, work = (_ROWS_THERE, _WORK_THERE) if is_tensor(X) else (ROWS, _WORK)
    width = max(_FEWEST, work // (height * d) // height * height)
    for start in range(0, n, height):
        stop = min(start + height, n)
        rows, _ = kernels.kernel_sums(X, centre, gamma, start, stop, start, stop)
        sums[start:stop] += rows
        advance((stop - start) ** 2 / 2)
        for first in range(stop, n, width):
            last = min(first + width, n)
            rows, columns = kernels.kernel_sums(X, centre, gamma, start, stop, first, last)
            sums[start:stop] += rows
            sums[first:last] += columns
            advance((stop - start) * (last - first))
    sums /= n
    return sums[_first_copies(kernels, X)]


def _centre(X: Any) -> Any:
    """The mean of some rows."""
    some = X[:: max(1, len(X) // 1024)]
    if is_tensor(X):
        return some.double().mean(dim=0).float()
    return some.mean(axis=0, dtype=np.float64).astype(np.float32)


def _first_copies(kernels: Any, X: Any) -> Any:
    """For each row the lowest row that equals it."""
    if is_tensor(X):
        from ..embed.cuda.copies import find_copies as find_copies_there

        there = find_copies_there(kernels, X)
        return there.firsts[there.group]
    from ..embed.copies import find_copies, hash_rows

    copies = find_copies(X, hash_rows(kernels, X))
    return copies.firsts[copies.group]


def _criticise(
    kernels: Any, X: Any, gamma: float, witness: Any, chosen: list[int], wanted: int
) -> list[int]:
    np_ = namespace(X)
    place = {"device": X.device} if is_tensor(X) else {}
    factors = np_.zeros((len(X), wanted), dtype=np_.float64, **place)
    left = np_.ones_like(witness)
    criticisms: list[int] = []
    while len(criticisms) < wanted:
        point = kernels.next_criticism(X, gamma, witness, chosen, criticisms, factors, left)
        if point < 0:
            break
        criticisms.append(point)
    return criticisms


def _reduced(name: str, wanted: int, there: int, of: str, what: str) -> int:
    if wanted > there:
        warn(f"{name}={wanted} is more than there are {what}{of}: reduced to {there}")
    return min(wanted, there)
