"""The figures of a map, against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastxai.image_sets.blocks import scales
from fastxai.image_sets.statistics import by_pixel, figures


def centre_and_area(map: Any) -> tuple[float, float, float]:
    """By sorting, in float64."""
    evidence = np.maximum(np.asarray(map, np.float64), 0)
    y, x = np.indices(map.shape) + 0.5
    total = evidence.sum()
    ordered = np.sort(evidence.ravel())[::-1].cumsum()
    k = np.searchsorted(ordered, total / 2)
    before = ordered[k - 1] if k else 0.0
    area = (k + (total / 2 - before) / (ordered[k] - before)) / map.size
    return (
        (evidence * x).sum() / total / map.shape[1],
        (evidence * y).sum() / total / len(map),
        area,
    )


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40))
def test_centre_and_area_are_those_of_the_definition(seed: int, high: int, wide: int) -> None:
    map = np.random.default_rng(seed).normal(size=(high, wide)).astype(np.float32)
    map[0, 0] = 2.0
    found = figures(map[None, None])
    x, y, area = centre_and_area(map)
    np.testing.assert_allclose([found.x[0, 0], found.y[0, 0]], [x, y], 1e-5)
    # A level is a 512th of the largest value: within it areas are interpolated.
    assert abs(found.area[0, 0] - area) <= 2 / map.size + 0.01


@pytest.mark.parametrize(
    ("map", "x", "y", "area"),
    [
        (np.eye(1, 4, 2), 0.625, 0.5, 0.125),
        (np.ones((8, 8)), 0.5, 0.5, 0.5),
        (np.array([[0.0, 0, 0, 5], [-9, -9, -9, -9]]), 0.875, 0.25, 0.0625),
    ],
    ids=["one pixel", "constant", "negative values are no evidence"],
)
def test_figures_of_plain_maps(map: Any, x: float, y: float, area: float) -> None:
    found = figures(map[None, None].astype(np.float32))
    np.testing.assert_allclose([found.x[0, 0], found.y[0, 0], found.area[0, 0]], [x, y, area], 1e-6)


@pytest.mark.parametrize(
    "map", [np.zeros((4, 4)), -np.ones((4, 4)), np.full((4, 4), np.nan)], ids=["0", "-1", "nan"]
)
def test_without_positive_evidence_there_is_no_place(map: Any) -> None:
    found = figures(map[None, None].astype(np.float32))
    assert np.isnan([found.x, found.y, found.peak_x, found.peak_y, found.area]).all()


def test_the_peak_is_the_middle_of_the_largest_pixel() -> None:
    map = np.zeros((1, 1, 4, 8), np.float32)
    map[0, 0, 1, 6] = 3
    found = figures(map)
    assert (found.peak_x[0, 0], found.peak_y[0, 0]) == (6.5 / 8, 1.5 / 4)


@pytest.mark.parametrize("shape", [(9,), (5, 6), (3, 4, 5)], ids=["1-D", "2-D", "3-D"])
def test_maps_of_any_number_of_axes_have_figures(shape: tuple[int, ...]) -> None:
    maps = np.random.default_rng(0).random((2, 3, *shape)).astype(np.float32)
    assert figures(maps).area.shape == (2, 3)
    assert np.isfinite(figures(maps).y).all() == (len(shape) > 1)


def test_magnitudes_of_channels_are_added_up() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 1, 3, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(by_pixel(maps, 2), np.abs(maps).sum(2))


@pytest.mark.parametrize("largest", [1e-40, 1e-36, 1e-20, 1e30])
def test_maps_of_any_size_have_the_same_figures(largest: float) -> None:
    map = np.random.default_rng(0).random((1, 1, 9, 9)).astype(np.float32)
    expected, found = figures(map), figures(map * np.float32(largest))
    np.testing.assert_allclose(found.area, expected.area, atol=0.02)


@pytest.mark.parametrize("largest", [1e-30, 3e-7, 0.5, 1.0, 1.5, 7e4, 1e30])
def test_scales_bring_maps_into_the_range_where_float16_is_finest(largest: float) -> None:
    maps = np.array([[[largest, -largest / 3, 0.0]]], np.float32)
    scale = scales(maps)
    assert 0.5 < np.abs(maps / scale).max() <= 1
    back = (maps / scale).astype(np.float16).astype(np.float32) * scale
    np.testing.assert_allclose(back, maps, 2**-10)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_scales_of_maps_without_a_largest_value_are_one(value: float) -> None:
    assert scales(np.full((1, 1, 4), value, np.float32)).item() == 1
