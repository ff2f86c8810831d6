"""The kernels of t-SNE's repulsion among all pairs against their reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")


def places(n, d, seed=1, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, (n, d)).astype(np.float32)


def clusters(n, d):
    return (places(n, d, scale=0.1) + 30 * (np.arange(n) % 4)[:, None]).astype(np.float32)


PLACES = {
    "random": places(300, 2, scale=10),
    "clusters": clusters(300, 2),
    "tiny": places(300, 2, scale=1e-6),
    "far apart": places(300, 2, scale=1e6),
    "one place": np.ones((300, 2), np.float32),
    "copies": np.repeat(places(30, 2), 10, axis=0),
    "collinear": np.linspace(-5, 5, 600, dtype=np.float32).reshape(300, 2),
    "1-D": places(300, 1, scale=3),
    "3-D": places(301, 3, scale=3),
    "5-D": places(302, 5, scale=3),
    "two points": places(2, 2),
    "two points far apart": np.array([[0, 0], [1e6, 1e6]], np.float32),
    "one point": places(1, 2),
    "a whole block": places(16, 2),
    "more than a span": places(2100, 2),
}
DOFS = [0.5, 1.0, 2.0]


@pytest.mark.parametrize("dof", DOFS)
@pytest.mark.parametrize("Y", PLACES.values(), ids=PLACES.keys())
def test_the_repulsion_is_that_of_the_reference(Y, dof):
    forces, Z = cpu.exact_repulsion(Y, dof)
    expected, expected_Z = reference.exact_repulsion(Y, dof)
    assert forces.dtype == np.float32
    assert isinstance(Z, float)
    np.testing.assert_allclose(Z, expected_Z, rtol=1e-5)
    size = np.abs(expected).max()
    np.testing.assert_allclose(forces, expected, rtol=1e-5, atol=2e-6 * size)


@pytest.mark.parametrize("dof", DOFS)
@pytest.mark.parametrize("Y", PLACES.values(), ids=PLACES.keys())
def test_the_repulsion_of_other_points_is_that_of_the_reference(Y, dof):
    points = places(37, Y.shape[1], seed=3, scale=2.0)
    points[0] = Y[0]
    forces, sums = cpu.exact_repulsion_at(points, Y, dof)
    expected, expected_sums = reference.exact_repulsion_at(points, Y, dof)
    assert (forces.dtype, sums.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(sums, expected_sums, rtol=1e-5)
    size = np.abs(expected).max()
    np.testing.assert_allclose(forces, expected, rtol=1e-5, atol=2e-6 * size)


@pytest.mark.parametrize("name", ["random", "clusters", "far apart", "copies", "3-D"])
def test_repulsions_balance(name):
    forces, _ = cpu.exact_repulsion(PLACES[name], 1.0)
    assert np.abs(forces.sum(axis=0, dtype=np.float64)).max() < 1e-5 * np.abs(forces).sum()


def test_others_at_the_same_place_count_one():
    forces, Z = cpu.exact_repulsion(np.full((50, 2), 3.0, np.float32), 1.0)
    assert Z == 50 * 49
    assert (forces == 0).all()


def test_one_point_feels_nothing():
    forces, Z = cpu.exact_repulsion(places(1, 2), 1.0)
    assert Z == 0
    assert np.array_equal(forces, [[0, 0]])


@pytest.mark.parametrize("dof", DOFS)
@pytest.mark.parametrize("name", ["random", "1-D", "3-D", "5-D"])
def test_a_point_does_not_depend_on_its_batch(name, dof):
    Y = PLACES[name]
    points = places(50, Y.shape[1], seed=3, scale=2.0)
    forces, sums = cpu.exact_repulsion_at(points, Y, dof)
    for first, last in ((0, 1), (3, 8), (17, 50), (49, 50)):
        some, some_sums = cpu.exact_repulsion_at(points[first:last].copy(), Y, dof)
        assert np.array_equal(some, forces[first:last])
        assert np.array_equal(some_sums, sums[first:last])


def test_no_points_feel_nothing():
    forces, sums = cpu.exact_repulsion_at(np.empty((0, 2), np.float32), places(5, 2), 1.0)
    assert forces.shape == (0, 2)
    assert sums.shape == (0,)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 40), st.integers(1, 4)),
        elements=st.floats(-1e4, 1e4, width=32),
    ),
    st.floats(0.25, 8),
)
def test_any_places_give_the_sums_of_the_reference(Y, dof):
    forces, Z = cpu.exact_repulsion(Y, dof)
    expected, expected_Z = reference.exact_repulsion(Y, dof)
    np.testing.assert_allclose(Z, expected_Z, rtol=1e-4, atol=1e-36)
    size = np.abs(expected).max() + 1e-30  # below lie float32's last numbers
    np.testing.assert_allclose(forces, expected, rtol=1e-4, atol=1e-5 * size)


@pytest.mark.parametrize("dof", DOFS)
@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_number_of_threads_changes_no_bit(count, dof):
    Y = places(3001, 2, scale=5)
    expected_forces, expected_Z = cpu.exact_repulsion(Y, dof)
    with threads(count):
        forces, Z = cpu.exact_repulsion(Y, dof)
    assert expected_Z == Z
    assert np.array_equal(forces, expected_forces)
