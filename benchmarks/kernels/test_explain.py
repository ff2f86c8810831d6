"""Class activation maps of a batch of ResNet-50, their upsampling, occluded batches and maps."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastxai.explain.black_box.windows import window_table
from fastxai.explain.superpixels.slic import grid
from fastxai_kernels import select

kernels = select("cpu")
_SIZE = (224, 224)
_BATCH = 8


@cache
def layer(channels: int, side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Activations and gradients of a batch."""
    random = np.random.default_rng(0)
    shape = (_BATCH, channels, side, side)
    A = np.maximum(random.standard_normal(shape), 0).astype(np.float32)
    return A, random.standard_normal(shape).astype(np.float32)


def windows() -> NDArray[np.int32]:
    table, _ = window_table(_SIZE, 32, 16)
    return table


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "hirescam", "layercam"])
def test_cam_maps(measure: Any, method: str) -> None:
    A, G = layer(512, 28)
    measure(
        f"{_BATCH}×512×28×28, {method}",
        lambda: kernels.cam_maps(A, G, method),
        moved=2 * A.nbytes,
        operations=4 * A.size,
    )


def test_weighted_sum(measure: Any) -> None:
    A, G = layer(512, 28)
    weights = np.ascontiguousarray(G[:, :, 0, 0])
    measure(
        f"{_BATCH}×512×28×28",
        lambda: kernels.weighted_sum(A, weights),
        moved=A.nbytes,
        operations=2 * A.size,
    )


def test_upsample(measure: Any) -> None:
    coarse = layer(4, 7)[1].reshape(-1, 7, 7)
    measure(
        f"{len(coarse)} maps of 7×7 to 224×224",
        lambda: kernels.upsample(coarse, _SIZE, True),
        moved=coarse.nbytes + len(coarse) * _SIZE[0] * _SIZE[1] * 4,
    )


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_occlude(measure: Any, last: bool) -> None:
    shape = (32, *_SIZE, 3) if last else (32, 3, *_SIZE)
    out = np.ones(shape, np.float32)
    images = np.ones((1, *shape[1:]), np.float32)
    out, images = (np.moveaxis(x, -1, 1) if last else x for x in (out, images))
    rows, table = np.zeros(32, np.int32), windows()[:32]
    measure(
        f"32 images of 3×224×224, channels {'last' if last else 'first'}",
        lambda: kernels.occlude(images, images, rows, table, out),
        moved=images.nbytes + out.nbytes,
    )


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_occlude_segments(measure: Any, last: bool) -> None:
    shape = (32, *_SIZE, 3) if last else (32, 3, *_SIZE)
    out = np.ones(shape, np.float32)
    images = np.ones((1, *shape[1:]), np.float32)
    out, images = (np.moveaxis(x, -1, 1) if last else x for x in (out, images))
    segments = grid(_SIZE, 50)[None]
    shown = np.random.default_rng(0).random((32, 50)) < 0.5
    measure(
        f"32 images of 3×224×224, 50 segments, channels {'last' if last else 'first'}",
        lambda: kernels.occlude_segments(
            images, images, segments, np.zeros(32, np.int32), shown, out
        ),
        moved=images.nbytes + segments.nbytes + out.nbytes,
    )


def test_occlusion_map(measure: Any) -> None:
    table = windows()
    scores = np.random.default_rng(0).standard_normal((_BATCH, len(table)))
    measure(
        f"{_BATCH} maps of 224×224, {len(table)} windows",
        lambda: kernels.occlusion_map(scores, table, _SIZE),
        moved=scores.nbytes + _BATCH * _SIZE[0] * _SIZE[1] * 4,
    )
