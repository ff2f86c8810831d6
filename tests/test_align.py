"""Procrustes: a map turned, mirrored, moved or scaled comes back to where it was."""

import numpy as np
import pytest

import fastxai
from fastxai import align
from fastxai.errors import FastxaiWarning, InvalidInputError


def rng():
    return np.random.default_rng(0)


def orthogonal(c, mirrored):
    rotation = np.linalg.qr(rng().standard_normal((c, c)))[0]
    if (np.linalg.det(rotation) < 0) != mirrored:
        rotation[:, 0] *= -1
    return rotation


def cost(moved, old):
    return ((moved - old) ** 2).sum()


@pytest.mark.parametrize("c", [1, 2, 3, 5])
@pytest.mark.parametrize("mirrored", [False, True], ids=["turned", "mirrored"])
@pytest.mark.parametrize("scale", [1.0, 0.3], ids=["same size", "smaller"])
def test_a_moved_map_comes_back(c, mirrored, scale):
    old = rng().standard_normal((50, c))
    new = scale * (old @ orthogonal(c, mirrored)) + 7
    moved = align(new, old, scaling=scale != 1)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved, old, atol=1e-5)


def test_without_scaling_the_size_stays():
    old = rng().standard_normal((50, 2))
    moved = align(3 * old, old)
    assert np.ptp(moved, axis=0) == pytest.approx(3 * np.ptp(old, axis=0), rel=1e-5)


@pytest.mark.parametrize("scaling", [False, True], ids=["rigid", "scaling"])
def test_no_other_motion_is_closer(scaling):
    old = rng().standard_normal((40, 2))
    new = old @ orthogonal(2, True) * 2 + rng().standard_normal((40, 2)) * 0.5
    best = cost(align(new, old, scaling=scaling), old)
    centred, middle = new - new.mean(axis=0), old.mean(axis=0)
    scales = np.linspace(0.1, 1.5, 15) if scaling else [1.0]
    for angle in np.linspace(0, 2 * np.pi, 60):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        for motion in (turn, turn * [1, -1]):
            assert min(cost(s * centred @ motion + middle, old) for s in scales) >= best - 1e-6


def test_a_map_that_grew_is_aligned_by_its_first_rows():
    grown = rng().standard_normal((30, 2))
    old = (grown @ orthogonal(2, False))[:20]
    np.testing.assert_allclose(align(grown, old)[:20], old, atol=1e-5)


@pytest.mark.parametrize(
    "name", [int, str, lambda i: i + 0.5], ids=["integers", "strings", "floats"]
)
def test_rows_are_matched_by_their_ids(name):
    old = rng().standard_normal((20, 2))
    order = rng().permutation(20)[:15]
    new = np.concatenate([(old @ orthogonal(2, True))[order], [[9.0, 9.0]]])
    new_ids = [name(int(i)) for i in order] + [name(77)]
    old_ids = [name(i) for i in range(20)]
    moved = align(new, old, new_ids=new_ids, old_ids=old_ids)
    np.testing.assert_allclose(moved[:15], old[order], atol=1e-5)


def test_rows_without_a_place_play_no_part_and_get_none():
    old = rng().standard_normal((20, 2))
    new = old @ orthogonal(2, False)
    new[3] = np.nan
    holes = old.copy()
    holes[7, 0] = np.nan
    moved = align(new, holes)
    assert np.isnan(moved[3]).all()
    np.testing.assert_allclose(np.delete(moved, 3, axis=0), np.delete(old, 3, axis=0), atol=1e-5)


def test_the_maps_are_left_as_they_are():
    old, new = rng().standard_normal((2, 20, 2))
    before = old.copy(), new.copy()
    align(new, old)
    assert np.array_equal(old, before[0])
    assert np.array_equal(new, before[1])


@pytest.mark.parametrize("points", [1, 2], ids=["one point", "points on a line"])
def test_an_open_rotation_is_warned_of_and_kept_small(points):
    old = np.array([[0.0, 0.0], [2.0, 0.0]])[:points]
    new = np.concatenate([old, [[1.0, 3.0]]])
    with pytest.warns(FastxaiWarning, match="do not fix the rotation"):
        moved = align(new, old)
    np.testing.assert_allclose(moved, new, atol=1e-5)


OLD = np.arange(8.0).reshape(4, 2) ** 2
BAD = {
    "other dimensions": (np.zeros((4, 3)), {}, "n_components"),
    "one-dimensional": (np.zeros(4), {}, "2D"),
    "three-dimensional": (np.zeros((4, 2, 1)), {}, "2D"),
    "text": ([["a", "b"]], {}, "numbers"),
    "infinite": (np.where(OLD == 9, np.inf, OLD), {}, "inf at row 1, column 1"),
    "no rows": (np.zeros((0, 2)), {}, "share no points"),
    "all NaN": (np.full((4, 2), np.nan), {}, "share no points"),
    "one list of ids": (OLD, {"new_ids": range(4)}, "both"),
    "too few ids": (OLD, {"new_ids": range(3), "old_ids": range(4)}, "new_ids .* 4 rows"),
    "an id twice": (OLD, {"new_ids": range(4), "old_ids": [5, 6, 7, 5]}, "5 twice.* 0 and 3"),
    "no shared ids": (OLD, {"new_ids": "abcd", "old_ids": range(4)}, "each of the 4"),
    "other ids": (OLD, {"new_ids": list("abcd"), "old_ids": range(4)}, "no id in common"),
}


@pytest.mark.parametrize(("new", "ids", "message"), BAD.values(), ids=BAD.keys())
def test_what_can_not_be_aligned_is_refused(new, ids, message):
    with pytest.raises(InvalidInputError, match=message):
        fastxai.align(new, OLD, **ids)
