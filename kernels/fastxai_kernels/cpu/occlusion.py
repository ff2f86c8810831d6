"""Images with windows or segments covered, and the map of what windows' scores say of each pixel.

    x_b = x with the baseline inside window b, or in the segments that b does not show
    M_p = mean of s_w over the windows w that cover p      (Zeiler and Fergus 2014, section 4.1)

A batch is written once, straight into its buffer.  Of segments a block of pixels is written into
all images of the batch while it, its baseline and its segments are in the cache.  A map takes one
addition a corner of each window, into a table of differences, and one running sum along each axis
(a summed-area table read backwards: Crow 1984).
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, b1, f32, f64, i32, i64, kernel
from ._threads import parallel_for

_PLANES = 2
_PIXELS = 1024  # of a block; its numbers stay in the first cache
_Array = NDArray[np.float32]
_Windows = NDArray[np.int32]


@kernel(
    array_in(f32, 5),
    array_in(f32, 5),
    array_in(i32, 1),
    array_in(i32, 3),
    array_out(f32, 5),
    i64,
    i64,
)
def _cover(images, baseline, rows, windows, out, start, stop):
    """Planes of the batch: those of all slices of all channels of all images."""
    channels, slices, height, width = out.shape[1:]
    for plane in range(start, stop):
        rest, z = divmod(plane, slices)
        b, c = divmod(rest, channels)
        image = images[rows[b], c, z]
        cover = baseline[rows[b], c, z]
        window = windows[b]
        to = out[b, c, z]
        inside = window[0, 0] <= z < window[0, 1]
        for y in range(height):
            first = last = width
            if inside and window[1, 0] <= y < window[1, 1]:
                first, last = window[2, 0], window[2, 1]
            for x in range(first):
                to[y, x] = image[y, x]
            for x in range(first, last):
                to[y, x] = cover[y, x]
            for x in range(last, width):
                to[y, x] = image[y, x]


def _in_three_axes(images: Any, windows: _Windows) -> tuple[Any, _Windows]:
    """As (n, c, *s) with three axes, windows too."""
    axes = images.ndim - 2
    images = images.reshape(*images.shape[:2], *(1,) * (3 - axes), *images.shape[2:])
    return images, _padded(windows)


def _padded(windows: _Windows) -> _Windows:
    padded = np.empty((len(windows), 3, 2), np.int32)
    padded[:, :, 0], padded[:, :, 1] = 0, 1
    padded[:, 3 - windows.shape[1] :] = windows
    return padded


def _channels_inside(images: Any) -> Any:
    """(n, c, *s) as (n, 1, *s, c): one channel whose last axis holds all, interleaved."""
    moved = np.moveaxis(images, 1, -1)
    return np.ascontiguousarray(moved).reshape(len(images), 1, *moved.shape[1:-2], -1)


def occlude(
    images: _Array, baseline: _Array, rows: NDArray[np.int32], windows: _Windows, out: _Array
) -> None:
    """Write into out (b, c, *s): image ``rows[b]``, and its baseline within ``windows[b]``.

    ``images`` and ``baseline`` are (n, c, *s) with one to three axes s, ``windows`` (b, axes, 2)
    are first pixels and those after the last.  ``out`` may lie with the channels last.
    """
    if not out.flags.c_contiguous:
        moved = np.moveaxis(out, 1, -1)
        channels = out.shape[1]
        out = moved.reshape(len(out), 1, *moved.shape[1:-2], -1)
        images, baseline = _channels_inside(images), _channels_inside(baseline)
        windows = windows.copy()
        windows[:, -1] *= channels
    given, padded = _in_three_axes(np.ascontiguousarray(images), windows)
    cover, _ = _in_three_axes(np.ascontiguousarray(baseline), windows)
    to, _ = _in_three_axes(out, windows)
    planes = to.shape[0] * to.shape[1] * to.shape[2]
    parallel_for(_cover, planes, _PLANES, given, cover, rows, padded, to)


@kernel(
    array_in(f32, 3),
    array_in(f32, 3),
    array_in(i32, 2),
    array_in(i32, 1),
    array_in(b1, 2),
    i64,
    array_out(f32, 3),
    i64,
    i64,
)
def _show(images, baseline, segments, rows, shown, inner, out, start, stop):
    """Blocks of pixels of all images of the batch; in a plane ``inner`` numbers are a pixel."""
    planes, pixels = out.shape[1], segments.shape[1]
    ends = np.empty(_PIXELS, np.int64)  # of runs of pixels of one segment, which are copied whole
    for block in range(start, stop):
        first, last = block * _PIXELS, min((block + 1) * _PIXELS, pixels)
        known = -1
        for b in range(out.shape[0]):
            row = rows[b]
            number = segments[row]
            if row != known:
                known, runs = row, 0
                for p in range(first + 1, last):
                    if number[p] != number[p - 1]:
                        ends[runs] = p
                        runs += 1
                ends[runs] = last
            for plane in range(planes):
                to, image, cover = out[b, plane], images[row, plane], baseline[row, plane]
                p = first
                for run in range(runs + 1):
                    end = ends[run]
                    if shown[b, number[p]]:
                        for i in range(p * inner, end * inner):
                            to[i] = image[i]
                    else:
                        for i in range(p * inner, end * inner):
                            to[i] = cover[i]
                    p = end


def occlude_segments(
    images: _Array,
    baseline: _Array,
    segments: NDArray[np.int32],
    rows: NDArray[np.int32],
    shown: NDArray[np.bool_],
    out: _Array,
) -> None:
    """Write into out (b, c, *s): image ``rows[b]``, and its baseline where it is not shown.

    ``images`` and ``baseline`` are (n, c, *s) with one to three axes s, ``segments`` (n, *s) are
    numbers of segments, and ``shown`` (b, number of segments) tells which are left as they are
    (Ribeiro, Singh and Guestrin 2016, section 3.3).  ``out`` may lie with the channels last.
    """
    last = not out.flags.c_contiguous
    inner = out.shape[1] if last else 1

    def in_planes(part: Any) -> Any:
        if last:
            return np.moveaxis(part, 1, -1).reshape(len(part), 1, -1)
        return part.reshape(*part.shape[:2], -1)

    given, cover = (np.ascontiguousarray(in_planes(part)) for part in (images, baseline))
    numbers = segments.reshape(len(segments), -1)
    blocks = -(-numbers.shape[1] // _PIXELS)
    parallel_for(_show, blocks, 1, given, cover, numbers, rows, shown, inner, in_planes(out))


@kernel(array_in(f64, 2), array_in(i32, 3), array_out(f64, 4), i64, i64)
def _sum_windows(scores, windows, sums, start, stop):
    """Sums (n, d, h, w) over the windows that cover each pixel."""
    slices, height, width = sums.shape[1:]
    for n in range(start, stop):
        table = np.zeros((slices + 1, height + 1, width + 1))
        for k in range(windows.shape[0]):
            window = windows[k]
            for i in range(2):
                for j in range(2):
                    sign = 1.0 if i == j else -1.0
                    table[window[0, i], window[1, j], window[2, 0]] += sign * scores[n, k]
                    table[window[0, i], window[1, j], window[2, 1]] -= sign * scores[n, k]
        for z in range(slices):
            for y in range(height):
                if z > 0:
                    for x in range(width + 1):
                        table[z, y, x] += table[z - 1, y, x]
        for z in range(slices):
            for y in range(height):
                total = 0.0
                for x in range(width):
                    # Along the rows last: the columns of this plane must be summed before.
                    if y > 0:
                        table[z, y, x] += table[z, y - 1, x]
                    total += table[z, y, x]
                    sums[n, z, y, x] = total


def occlusion_map(scores: NDArray[Any], windows: _Windows, size: Sequence[int]) -> _Array:
    """Maps (n, *size): each pixel's mean of the scores (n, w) of the ``windows`` that cover it.

    NaN where no window does, and where one has a score that is not finite.
    """
    padded = _padded(windows)
    shape = (1,) * (3 - len(size)) + tuple(size)
    finite = np.isfinite(scores)

    def add_up(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.empty((len(values), *shape))
        parallel_for(_sum_windows, len(values), 1, values, padded, sums)
        return sums

    # Sums of ones are exact.
    count = add_up(np.ones((1, scores.shape[1])))
    maps = add_up(np.where(finite, scores, 0.0).astype(np.float64))
    maps /= np.where(count > 0, count, np.nan)
    if not finite.all():
        maps[add_up((~finite).astype(np.float64)) > 0] = np.nan
    return maps.astype(np.float32).reshape(len(scores), *size)
