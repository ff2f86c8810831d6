"""Superpixels: compact pieces of an image whose pixels are of like colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Segments = NDArray[np.int32]
_ITERATIONS = 10  # Achanta et al.: beyond them little moves
_BLUR = 0.05  # of a step: grain and fine texture tear segments apart
_LEAST = 4  # segments smaller than this part of the mean join a neighbour


def cells_of(size: Sequence[int], n_segments: int) -> list[int]:
    """Cells along each axis of a grid of at most ``n_segments`` nearly square cells."""
    step = (math.prod(size) / n_segments) ** (1 / len(size))
    cells = [min(pixels, max(1, round(pixels / step))) for pixels in size]
    while math.prod(cells) > n_segments:
        widths = [p / c if c > 1 else math.inf for p, c in zip(size, cells, strict=True)]
        cells[widths.index(min(widths))] -= 1
    return cells


def grid(size: Sequence[int], n_segments: int) -> Segments:
    """Numbers (*size) of the cells of a plain grid, at most ``n_segments``."""
    numbers = np.zeros(tuple(size), np.int32)
    for axis, (pixels, cells) in enumerate(zip(size, cells_of(size, n_segments), strict=True)):
        along = np.arange(pixels) * cells // pixels
        numbers = numbers * cells + along.reshape(-1, *[1] * (len(size) - 1 - axis))
    return numbers.astype(np.int32)


def slic(image: NDArray[Any], n_segments: int, compactness: float = 0.5) -> Segments:
    """Numbers (*size) from 0 of at most ``n_segments`` segments of an image (c, *size).

        minimise over segments k   |colour - colour_k|^2 / spread^2
                                   + compactness^2 |place - place_k|^2 / step^2

    k-means near a grid of seeds: of a pixel only those are asked whose windows of two steps
    reach it (Achanta et al. 2012, "SLIC superpixels compared to state-of-the-art superpixel
    methods").  Colours are any number of channels, in units of their own spread, as images made
    ready for a model have no Lab.  Nothing is drawn at random.  What of a segment is cut off from
    its largest part, and segments that are too small, go to those beside them.
    """
    size = image.shape[1:]
    cells = cells_of(size, n_segments)
    numbers = grid(size, n_segments)
    step = (math.prod(size) / math.prod(cells)) ** (1 / len(size))
    features = _features(image, compactness / step, _BLUR * step)
    for _ in range(_ITERATIONS):
        before = numbers
        numbers = _nearest(features, _means(features, numbers), numbers, step, compactness)
        if np.array_equal(numbers, before):
            break
    return _connected(numbers)


def _features(image: NDArray[Any], per_pixel: float, blur: float) -> NDArray[np.float64]:
    """Colours and places of the pixels, (c + axes, *size), in units of what they may differ by."""
    size = image.shape[1:]
    colours = np.nan_to_num(image.astype(np.float64), posinf=0.0, neginf=0.0)
    colours = colours - colours.reshape(len(colours), -1).mean(1).reshape(-1, *[1] * len(size))
    spread = math.sqrt(float(np.square(colours).sum(0).mean()))
    if spread > 0:
        colours = ndimage.gaussian_filter(colours, (0, *[blur] * len(size))) / spread
    return np.concatenate([colours, np.indices(size, np.float64) * per_pixel])


def _means(features: NDArray[np.float64], numbers: Segments) -> NDArray[np.float64]:
    """(segments, features); of segments without a pixel NaN."""
    flat, most = numbers.ravel(), int(numbers.max()) + 1
    count = np.bincount(flat, minlength=most).astype(np.float64)
    count[count == 0] = np.nan
    sums = [np.bincount(flat, feature.ravel(), most) for feature in features]
    return np.stack(sums, 1) / count[:, None]


def _nearest(
    features: NDArray[np.float64],
    means: NDArray[np.float64],
    numbers: Segments,
    step: float,
    compactness: float,
) -> Segments:
    """Each pixel's nearest segment among those near it; where there is none, the one it had."""
    size, found = numbers.shape, numbers.copy()
    away = np.full(size, np.inf)
    for k, mean in enumerate(means):
        if np.isnan(mean[0]):
            continue
        centre = mean[-len(size) :] * (step / compactness)
        window = tuple(
            slice(max(0, math.floor(at - step)), math.ceil(at + step) + 1) for at in centre
        )
        # One feature at a time: a sum along an axis would be added up in another order.
        distance = np.zeros(away[window].shape)
        for feature, value in zip(features, mean, strict=True):
            distance += np.square(feature[window] - value)
        nearer = distance < away[window]
        away[window][nearer] = distance[nearer]
        found[window][nearer] = k
    return found


def _connected(numbers: Segments) -> Segments:
    """Segments of one piece each, numbered in the order in which a reader meets them."""
    ids, inverse = np.unique(numbers, return_inverse=True)
    numbers = inverse.reshape(numbers.shape).astype(np.int32)
    kept = np.full(numbers.shape, -1, np.int32)
    least = numbers.size / (_LEAST * len(ids))
    for k, place in enumerate(ndimage.find_objects(numbers + 1)):
        pieces, count = ndimage.label(numbers[place] == k)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        if sizes.max() >= least:
            kept[place][pieces == 1 + sizes.argmax()] = k
    # Where all pieces are too small, as of noise, the image is one segment.
    grown = _grown(kept) if (kept >= 0).any() else np.zeros_like(kept)
    _, first, inverse = np.unique(grown, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse].reshape(numbers.shape)


def _grown(numbers: Segments) -> Segments:
    """Pixels of no segment (-1) joined to one beside them, pixel by pixel: pieces stay whole."""
    while (numbers < 0).any():
        before = numbers.copy()
        for axis in range(numbers.ndim):
            ahead, behind = np.moveaxis(numbers, axis, 0), np.moveaxis(before, axis, 0)
            for to, of in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None))):
                free = (ahead[to] < 0) & (behind[of] >= 0)
                ahead[to][free] = behind[of][free]
    return numbers
