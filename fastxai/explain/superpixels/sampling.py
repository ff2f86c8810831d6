"""Which segments are left in each masked image, and what each mask counts."""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Shown = NDArray[np.bool_]
_ALWAYS = -1
_MOST_BITS = 62  # of segments whose masks could ever be counted


class Masks(NamedTuple):
    """The masks of one image.

    Attributes
    ----------
    shown : ndarray of bool, (n, segments)
        What is left of the image; the first row is all of it.
    weights : ndarray of float64, (n,)
        Of the regression.
    pairs : ndarray of int64, (n,)
        Masks with the same number were drawn together; -1 were not drawn by chance.
    """

    shown: Shown
    weights: NDArray[np.float64]
    pairs: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def exact(self) -> bool:
        """Whether nothing was left to chance."""
        return bool((self.pairs == _ALWAYS).all())


def lime_masks(n: int, segments: int, seed: int, kernel_width: float) -> Masks:
    """The image, and n - 1 masks in which each segment is left with probability 1/2.

        w = exp(-d^2 / (2 width^2)),   d = 1 - cos(mask, all ones) = 1 - sqrt(left / segments)

    (Ribeiro, Singh and Guestrin 2016, section 3.3 and 3.4, as ``lime_image`` has it: its kernel
    is the root of exp(-d^2 / width^2), and a mask that leaves nothing is at a distance of 1).
    """
    shown = np.random.default_rng(seed).integers(0, 2, (n, segments), np.uint8).astype(bool)
    shown[0] = True
    away = 1 - np.sqrt(shown.sum(1) / segments)
    pairs = np.arange(n) - 1
    return Masks(shown, np.exp(-0.5 * (away / kernel_width) ** 2), pairs)


def shapley_masks(n: int, segments: int, seed: int) -> Masks:
    """All, nothing, and at most n - 2 masks between them, by the Shapley kernel.

        the share of masks that leave s of m segments  ~  1 / (s (m - s)),   0 < s < m

    (Lundberg and Lee 2017, theorem 2: the kernel (m - 1) / (C(m, s) s (m - s)) summed over the
    C(m, s) masks of a size).  Sizes are written out whole, s with m - s, from the ends on, while
    their share of the masks suffices for it; of the rest a size is drawn by its share, a mask by
    chance, and its opposite with it (Covert and Lee 2021, section 4).  Both ends weigh nothing
    here: they are conditions.
    """
    ends = np.array([np.ones(segments, bool), np.zeros(segments, bool)])
    room = n - 2
    if segments < _MOST_BITS and 2**segments - 2 <= room:
        between, weights = _all_between(segments)
        drawn = np.zeros(0, np.int64)
    else:
        between, weights, drawn = _some_between(room, segments, seed)
    pairs = np.full(2 + len(between), _ALWAYS, np.int64)
    if len(drawn):
        pairs[-len(drawn) :] = drawn
    return Masks(np.concatenate([ends, between]), np.concatenate([[0, 0], weights]), pairs)


def _shares(segments: int) -> NDArray[np.float64]:
    """The share of each size 1 .. segments - 1."""
    sizes = np.arange(1, segments)
    kernel = 1 / (sizes * (segments - sizes))
    return np.asarray(kernel / kernel.sum())


def _all_between(segments: int) -> tuple[Shown, NDArray[np.float64]]:
    """Every mask but all and nothing."""
    codes = np.arange(1, 2**segments - 1)[:, None]
    shown = (codes >> np.arange(segments)) & 1 == 1
    count = np.array([math.comb(segments, size) for size in range(1, segments)], np.float64)
    return shown, (_shares(segments) / count)[shown.sum(1) - 1] if segments > 1 else np.zeros(0)


def _some_between(
    room: int, segments: int, seed: int
) -> tuple[Shown, NDArray[np.float64], NDArray[np.int64]]:
    """Small and large masks written out, the others drawn in pairs; the pairs of those drawn."""
    shares = _shares(segments)
    sizes = np.arange(1, segments // 2 + 1)
    # Of a size and its opposite together; a half has no other.
    mass = np.where(2 * sizes == segments, 1, 2) * shares[sizes - 1]
    blocks: list[Shown] = []
    weights: list[NDArray[np.float64]] = []
    whole = 0  # sizes written out
    for size, share in zip(sizes.tolist(), mass.tolist(), strict=True):
        both = 2 * size < segments
        count = (1 + both) * math.comb(segments, size)
        if count > room * share / mass[whole:].sum():
            break
        rows = _of_size(segments, size)
        blocks += [rows, ~rows] if both else [rows]
        weights.append(np.full(count, share / count))
        room, whole = room - count, whole + 1
    pairs = room // 2 if whole < len(sizes) else 0
    rows = _drawn(pairs, segments, sizes[whole:], mass[whole:], seed)
    left = mass[whole:].sum()
    blocks.append(np.stack([rows, ~rows], 1).reshape(-1, segments))
    weights.append(np.full(2 * pairs, left / max(2 * pairs, 1)))
    return np.concatenate(blocks), np.concatenate(weights), np.repeat(np.arange(pairs), 2)


def _of_size(segments: int, size: int) -> Shown:
    """All masks that leave so many segments."""
    rows = np.zeros((math.comb(segments, size), segments), bool)
    chosen = np.array(list(combinations(range(segments), size)))
    np.put_along_axis(rows, chosen, True, axis=1)
    return rows


def _drawn(
    n: int, segments: int, sizes: NDArray[np.int64], mass: NDArray[np.float64], seed: int
) -> Shown:
    """Masks of sizes drawn by their share."""
    random = np.random.default_rng(seed)
    if n == 0:
        return np.zeros((0, segments), bool)
    left = random.choice(sizes, n, p=mass / mass.sum())
    order = random.random((n, segments)).argsort(1, kind="stable").argsort(1, kind="stable")
    return np.asarray(order < left[:, None])
