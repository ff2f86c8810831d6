"""Images with windows or segments covered, and the map of what windows' scores say of each pixel.

    x_b = x with the baseline inside window b, or in the segments that b does not show
    M_p = mean of s_w over the windows w that cover p      (Zeiler and Fergus 2014, section 4.1)

A batch is written once, straight into its buffer, in the buffer's order of memory: 4 bytes a
number written to HBM, which is the limit; the few images it is made of, and their segments, are
read from the L2 cache.  A program of a map holds a block of pixels and walks the windows in their
order, a block of them at a time, of which those that lie elsewhere are passed over: no atomics,
and sums in float64, whose additions (pixels times the windows that cover some of the block) are
the limit.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._triton import ceil_div, kernel

_TILES = {False: {"LINES": 8, "LANES": 256}, True: {"LINES": 64, "LANES": 32}}  # by narrowness


@triton.jit
def _span(windows, k, axes, axis):
    """First pixel of windows k and the one after the last, along an axis: 1 is the last.

    An axis that images have not is one pixel long.
    """
    at = windows + (k * axes + (axes - axis)) * 2
    there = k * 0 + axes >= axis  # shaped as k
    return tl.load(at, mask=there, other=0), tl.load(at + 1, mask=there, other=1)


@kernel(
    "images:*fp32 baseline:*fp32 rows:*i32 windows:*i32 out:*fp32 "
    "axes:i32 lines:i32 height:i32 slices:i32 steps:i32 inner:i32",
    [{**tile, "STEP": step} for tile in _TILES.values() for step in (1, 4)],
)
def _cover(images, baseline, rows, windows, out, axes, lines, height, slices, steps, inner,
           LINES: tl.constexpr, LANES: tl.constexpr, STEP: tl.constexpr):  # fmt: skip
    """Some lines of one image; in a line ``inner`` numbers belong to a pixel."""
    width = steps * STEP  # numbers of a line: whole steps keep it aligned to 16 bytes
    blocks = tl.cdiv(lines, LINES)
    b = tl.program_id(0) // blocks
    line = (tl.program_id(0) % blocks) * LINES + tl.arange(0, LINES)
    column = tl.program_id(1) * LANES + tl.arange(0, LANES)
    there = (line < lines)[:, None] & (column < width)[None, :]
    z_first, z_stop = _span(windows, b, axes, 3)
    y_first, y_stop = _span(windows, b, axes, 2)
    x_first, x_stop = _span(windows, b, axes, 1)
    y, z = line % height, (line // height) % slices
    across = (y >= y_first) & (y < y_stop) & (z >= z_first) & (z < z_stop)
    along = (column >= x_first * inner) & (column < x_stop * inner)
    inside = across[:, None] & along[None, :] & there
    row = tl.load(rows + b).to(tl.int64)
    at = (row * lines + line)[:, None] * width + column[None, :]
    to = (b.to(tl.int64) * lines + line)[:, None] * width + column[None, :]
    value = tl.load(images + at, mask=there, other=0.0)
    cover = tl.load(baseline + at, mask=inside, other=0.0)
    tl.store(out + to, tl.where(inside, cover, value), mask=there)


def _in_memory(values: Tensor, last: bool) -> Tensor:
    """Contiguous, the channels last if asked; copied only where it lies otherwise."""
    return (values.movedim(1, -1) if last else values).contiguous()


def occlude(images: Tensor, baseline: Tensor, rows: Tensor, windows: Tensor, out: Tensor) -> None:
    """Write into out (b, c, *s): image ``rows[b]``, and its baseline within ``windows[b]``.

    ``images`` and ``baseline`` are (n, c, *s) with one to three axes s, ``windows`` (b, axes, 2)
    are first pixels and those after the last.  ``out`` may lie with the channels last.
    """
    last = not out.is_contiguous()
    channels, size = out.shape[1], (1, 1, *out.shape[2:])[-3:]
    inner = channels if last else 1
    lines, width = (1 if last else channels) * size[0] * size[1], size[2] * inner
    tile, step = _TILES[width <= 128], 1 if width % 4 else 4
    _cover.launch(
        (len(out) * ceil_div(lines, tile["LINES"]), ceil_div(width, tile["LANES"])),
        _in_memory(images, last), _in_memory(baseline, last), rows.contiguous(),
        windows.contiguous(), out, out.ndim - 2, lines, size[1], size[0], width // step, inner,
        **tile, STEP=step,
    )  # fmt: skip


@kernel(
    "images:*fp32 baseline:*fp32 segments:*i32 rows:*i32 shown:*i8 out:*fp32 "
    "steps:i32 pixels:i32 inner:i32 count:i32",
    [{"NUMBERS": 1024, "STEP": step} for step in (1, 4)],
)
def _show(images, baseline, segments, rows, shown, out, steps, pixels, inner, count,
          NUMBERS: tl.constexpr, STEP: tl.constexpr):  # fmt: skip
    """Some numbers of one image, of which ``inner`` side by side belong to a pixel."""
    numbers = steps * STEP  # of an image: whole steps keep it aligned to 16 bytes
    blocks = tl.cdiv(numbers, NUMBERS)
    b = tl.program_id(0) // blocks
    i = (tl.program_id(0) % blocks) * NUMBERS + tl.arange(0, NUMBERS)
    there = i < numbers
    row = tl.load(rows + b).to(tl.int64)
    segment = tl.load(segments + row * pixels + (i // inner) % pixels, mask=there, other=0)
    whole = tl.load(shown + b.to(tl.int64) * count + segment, mask=there, other=0) != 0
    # Both are read: loads of only what is needed would be of 4 bytes instead of 16.
    value = tl.load(images + row * numbers + i, mask=there, other=0.0)
    cover = tl.load(baseline + row * numbers + i, mask=there, other=0.0)
    tl.store(out + b.to(tl.int64) * numbers + i, tl.where(whole, value, cover), mask=there)


def occlude_segments(
    images: Tensor, baseline: Tensor, segments: Tensor, rows: Tensor, shown: Tensor, out: Tensor
) -> None:
    """Write into out (b, c, *s): image ``rows[b]``, and its baseline where it is not shown.

    ``images`` and ``baseline`` are (n, c, *s) with one to three axes s, ``segments`` (n, *s) are
    numbers of segments, and ``shown`` (b, number of segments) tells which are left as they are
    (Ribeiro, Singh and Guestrin 2016, section 3.3).  ``out`` may lie with the channels last.
    """
    last = not out.is_contiguous()
    inner, numbers = out.shape[1] if last else 1, math.prod(out.shape[1:])
    step = 1 if numbers % 4 else 4
    _show.launch(
        (len(out) * ceil_div(numbers, 1024),),
        _in_memory(images, last), _in_memory(baseline, last), segments.contiguous(),
        rows.contiguous(), shown.contiguous().view(torch.int8), out, numbers // step,
        segments[0].numel(), inner, shown.shape[1], NUMBERS=1024, STEP=step,
    )  # fmt: skip


@kernel(
    "scores:*fp64 windows:*i32 maps:*fp32 n:i32 count:i32 axes:i32 pixels:i32 height:i32 width:i32",
    [{"MAPS": 4, "PIXELS": 256, "WINDOWS": 64}],
)
def _average(scores, windows, maps, n, count, axes, pixels, height, width, MAPS: tl.constexpr,
             PIXELS: tl.constexpr, WINDOWS: tl.constexpr):  # fmt: skip
    """A block of pixels of some maps."""
    begin = tl.program_id(0) * PIXELS
    p = begin + tl.arange(0, PIXELS)
    x, y, z = p % width, (p // width) % height, p // width // height
    m = tl.program_id(1) * MAPS + tl.arange(0, MAPS)
    mine = scores + m.to(tl.int64) * count
    total = tl.zeros((MAPS, PIXELS), tl.float64)
    covering = tl.zeros((PIXELS,), tl.int32)
    for start in range(0, count, WINDOWS):
        k = tl.minimum(start + tl.arange(0, WINDOWS), count - 1)
        z_first, z_stop = _span(windows, k, axes, 3)
        y_first, y_stop = _span(windows, k, axes, 2)
        x_first, x_stop = _span(windows, k, axes, 1)
        # By their first and last pixels: most windows elsewhere lie before or after the block.
        first = (z_first * height + y_first) * width + x_first
        last = ((z_stop - 1) * height + y_stop - 1) * width + x_stop - 1
        near = (first < begin + PIXELS) & (last >= begin)
        if tl.max(near.to(tl.int32), axis=0) > 0:
            for w in range(start, tl.minimum(start + WINDOWS, count)):
                z0, z1 = _span(windows, w, axes, 3)
                y0, y1 = _span(windows, w, axes, 2)
                x0, x1 = _span(windows, w, axes, 1)
                inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1) & (z >= z0) & (z < z1)
                value = tl.load(mine + w, mask=m < n, other=0.0)
                value = tl.where(tl.abs(value) < float("inf"), value, float("nan"))
                total += tl.where(inside[None, :], value[:, None], 0.0)
                covering += inside.to(tl.int32)
    mean = total / tl.maximum(covering, 1)[None, :]
    mean = tl.where((covering > 0)[None, :], mean, float("nan"))
    to = maps + m.to(tl.int64)[:, None] * pixels + p[None, :]
    tl.store(to, mean.to(tl.float32), mask=(m < n)[:, None] & (p < pixels)[None, :])


def occlusion_map(scores: Tensor, windows: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (n, *size): each pixel's mean of the scores (n, w) of the ``windows`` that cover it.

    NaN where no window does, and where one has a score that is not finite.
    """
    n, count = scores.shape
    shape = tuple(int(pixels) for pixels in size)
    height, width = (1, *shape)[-2:]
    pixels = math.prod(shape)
    maps = torch.empty((n, *shape), dtype=torch.float32, device=scores.device)
    _average.launch(
        (ceil_div(pixels, 256), ceil_div(n, 4)), scores.to(torch.float64).contiguous(),
        windows.contiguous(), maps, n, count, len(shape), pixels, height, width,
        MAPS=4, PIXELS=256, WINDOWS=64,
    )  # fmt: skip
    return maps
