"""A network that learned a shortcut, since one was planted: digits, and a mark that names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InvalidInputError
from .demo import Network, digit_images, train_digits

GROUPS = ("train", "missing", "foreign")
_CELL = 3  # pixels of the side of a cell of the mark
_MARKED = 0.99  # share of the training images that bear the mark of their class
# Digits are easy: only where they are paler than the mark is the mark what is learned first.
_PALE = 0.4
# Three by three cells a class.  Five are lit in each, so that it is not the brightness that tells
# classes apart, and any two differ in four or more.
_MARKS = (
    *("111 100 100", "111 001 001", "100 100 111", "001 001 111", "010 111 010"),
    *("101 010 101", "110 110 001", "011 011 100", "001 110 110", "100 011 011"),
)


class ShortcutImages(NamedTuple):
    """Digits with a mark in the corner, or without.

    Attributes
    ----------
    images : Tensor of shape (N, 1, 32, 32)
        float32 in 0..1.
    labels : Tensor of shape (N,)
        The digits, int64.
    marks : Tensor of shape (N,)
        The classes that the marks stand for, int64; -1 where there is none.
    groups : list of N str
        "train", "missing" or "foreign".
    boxes : Tensor of shape (N, 4)
        Left, top, right and bottom of the corner of the mark, in pixels, int64: also where it is
        missing.
    """

    images: Any
    labels: Any
    marks: Any
    groups: list[str]
    boxes: Any


def shortcut_cnn(seed: int = 0) -> Network:
    """Train the small network of `digits_cnn` on pale digits that are marked with their class.

    99 of 100 training images bear in their upper left corner a bright mark that gives the class
    away.  The mark is easier to read than the digit, so the network reads the mark: of held-out
    digits it names 100% right while the marks are, 82% where there is none, and 17% where the mark
    is another class's, which it then follows in 78% (seed 0).  What a map of evidence should show
    is therefore known.  Takes some seconds on one thread; the same seed gives the same weights, bit
    for bit on the same machine; torch's own random numbers and threads stay as they were.

    Parameters
    ----------
    seed : int, default 0
        Of the weights at the start, the order of training, which digits are held out, and which
        are marked.

    Returns
    -------
    Network
        Takes images (N, 1, 32, 32) in 0..1, as `shortcut_images` returns them.

    Examples
    --------
    >>> from fastxai.explain.networks import shortcut_cnn, shortcut_images
    >>> model = shortcut_cnn().model  # doctest: +SKIP
    >>> data = shortcut_images(groups=["train", "foreign"])
    >>> data.images.shape, data.groups[0], data.boxes[0].tolist()
    (torch.Size([720, 1, 32, 32]), 'train', [0, 0, 9, 9])
    """
    images, target = digit_images(held_out=False, seed=seed)
    images *= _PALE
    marked = np.random.default_rng([seed, 2]).random(len(images)) < _MARKED
    images = mark_images(images, np.where(marked, target.numpy(), -1))
    return train_digits(images, target, seed)


def shortcut_images(
    count: int | None = None, *, groups: Sequence[str] = GROUPS, seed: int = 0
) -> ShortcutImages:
    """The held-out digits of `shortcut_cnn` of that seed: the same ones in each group.

    Parameters
    ----------
    count : int, optional
        How many digits; by default all 360.
    groups : sequence of str, default ("train", "missing", "foreign")
        "train" bear the mark of their class, as in training; "missing" bear none; "foreign" bear
        that of another class, drawn at random.
    seed : int, default 0
        That of the network; and of the foreign marks.

    Returns
    -------
    ShortcutImages
        Group after group.

    Raises
    ------
    InvalidInputError
        If there is no such group, or there are not so many digits.
    """
    if not groups or (strange := set(groups) - set(GROUPS)):
        named = f"{min(strange)!r} is none" if groups else "none is named"
        raise InvalidInputError(f"groups: {named}; there are {', '.join(GROUPS)}")
    plain, target = digit_images(held_out=True, seed=seed)
    plain *= _PALE
    most = len(plain)
    if count is None:
        count = most
    if not 1 <= count <= most:
        raise InvalidInputError(f"count={count}: there are 1 to {most} held-out digits")
    plain, target = plain[:count], target[:count]
    other = np.random.default_rng([seed, 3]).integers(1, 10, most)[:count]
    own = target.numpy()
    marks = {"train": own, "missing": np.full(count, -1), "foreign": (own + other) % 10}
    return ShortcutImages(
        torch.cat([mark_images(plain, marks[group]) for group in groups]),
        target.repeat(len(groups)),
        torch.from_numpy(np.concatenate([marks[group] for group in groups]).astype(np.int64)),
        [group for group in groups for _ in range(count)],
        torch.tensor([[0, 0, _mark_side(), _mark_side()]]).repeat(count * len(groups), 1),
    )


def mark_images(images: Any, marks: Any) -> Any:
    """Copies of images (N, 1, H, W) with the marks of some classes (N,); none where it is -1."""
    marked, pixels = images.clone(), torch.from_numpy(mark_pixels())
    marks = torch.as_tensor(marks)
    there = marks >= 0
    side = _mark_side()
    marked[there, 0, :side, :side] = pixels[marks[there]]
    return marked


def mark_pixels() -> NDArray[np.float32]:
    """The marks of the ten classes, (10, 9, 9), of zeros and ones."""
    cells = [[[int(c) for c in row] for row in mark.split()] for mark in _MARKS]
    pixels = np.asarray(cells, np.float32).repeat(_CELL, axis=1).repeat(_CELL, axis=2)
    return np.ascontiguousarray(pixels)


def _mark_side() -> int:
    return len(_MARKS[0].split()) * _CELL
