"""Repulsion on a mesh against the exact sums: the error is bounded where it says so."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastxai_kernels import select
from fastxai_kernels.cpu._mesh_points import SLOPES, WEIGHTS
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")


def clusters(n=2200, centres=20, seed=0):
    random = np.random.default_rng(seed)
    middle = random.normal(0, 40, (centres, 2))[random.integers(0, centres, n)]
    return middle + random.normal(0, 1, (n, 2))


def uniform(n=2200, extent=60.0, seed=0):
    return np.random.default_rng(seed).uniform(-extent / 2, extent / 2, (n, 2))


def outliers(n=2200, seed=0):
    random = np.random.default_rng(seed)
    return np.concatenate([random.normal(0, 3, (n, 2)), random.uniform(-100, 100, (60, 2))])


def spirals(n=2200, seed=0):
    """Filaments of even density with gaps between them, as real layouts have."""
    random = np.random.default_rng(seed)
    turn = np.sqrt(random.uniform(0.5, 12, n))
    arm = random.integers(0, 5, n) * 2 * math.pi / 5
    spiral = np.stack([np.cos(4 * turn + arm), np.sin(4 * turn + arm)], axis=1)
    return 12 * turn[:, None] * spiral + random.normal(0, 0.7, (n, 2))


LAYOUTS = {
    "clusters": clusters(),
    "uniform": uniform(),
    "dense": uniform(extent=8.0),
    "outliers": outliers(),
    "few and far": uniform(n=60, extent=200.0),
    "spirals": spirals(),
    "tiny": uniform(extent=1e-4),
    "tiny with one far": np.concatenate([uniform(extent=1e-4), [[10.0, 0.0]]]),
    "copies": np.repeat(uniform(n=60, extent=40.0), 50, axis=0),
    "lattice": np.stack(np.meshgrid(*[np.arange(0, 25.0, 0.5)] * 2), axis=-1).reshape(-1, 2),
    "line": uniform() * [1.0, 0.0],
    "two": np.array([[0.0, 0.0], [3.0, 4.0]]),
    "far from the origin": clusters() + 3000.0,
}
LAYOUTS = {name: points.astype(np.float32) for name, points in LAYOUTS.items()}


def relative_error(found, exact):
    return math.sqrt(np.square(found - exact).sum() / np.square(exact).sum())


@pytest.mark.parametrize("dof", [0.5, 2.0])
@pytest.mark.parametrize("name", ["clusters", "few and far", "tiny", "copies", "two"])
def test_forces_are_within_the_tolerance_for_other_kernels(name, dof):
    Y = LAYOUTS[name]
    forces, z = cpu.particle_mesh(Y, dof, cpu.mesh_spacing(Y, dof, 0.01))
    exact, exact_z = reference.particle_mesh(Y, dof, 1.0)
    assert relative_error(forces, exact) <= 0.01
    assert z == pytest.approx(exact_z, rel=2e-3)


@pytest.mark.parametrize("Y", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_forces_are_within_the_tolerance_of_the_spacing(Y):
    forces, z = cpu.particle_mesh(Y, 1.0, cpu.mesh_spacing(Y, 1.0, 0.01))
    exact, exact_z = reference.particle_mesh(Y, 1.0, 1.0)
    assert relative_error(forces, exact) <= 0.01
    assert z == pytest.approx(exact_z, rel=2e-3)


@pytest.mark.parametrize("tolerance", [0.1, 0.003, 1e-4])
@pytest.mark.parametrize("name", ["clusters", "outliers", "spirals"])
def test_the_tolerance_may_be_chosen(name, tolerance):
    Y = LAYOUTS[name]
    forces, _ = cpu.particle_mesh(Y, 1.0, cpu.mesh_spacing(Y, 1.0, tolerance))
    exact, _ = reference.particle_mesh(Y, 1.0, 1.0)
    assert relative_error(forces, exact) <= tolerance


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-2, 1.7),
    st.floats(-2, 1),
    st.sampled_from([0.6, 1.0, 3.0]),
    st.sampled_from([0.02, 0.5, 3.0]),
)
def test_any_layout_is_within_the_tolerance(seed, extent, width, dof, guess):
    random = np.random.default_rng(seed)
    centres = random.standard_t(2, (random.integers(1, 40), 2)) * 10**extent
    centres = np.clip(centres, -200, 200)
    Y = centres[random.integers(0, len(centres), 2100)] + random.normal(0, 10**width, (2100, 2))
    Y = Y.astype(np.float32)
    forces, _ = cpu.particle_mesh(Y, dof, cpu.mesh_spacing(Y, dof, 0.01, guess))
    assert relative_error(forces, cpu.exact_repulsion(Y, dof)[0]) <= 0.01


@pytest.fixture(scope="module")
def some_layout():
    Y = spirals(n=300).astype(np.float32)
    return Y, reference.mesh_spacing(Y, 1.0, 0.01)


@pytest.mark.parametrize("guess", [0.05, 0.5, 3.0])
def test_the_spacing_is_about_as_wide_as_it_can_be(some_layout, guess):
    Y, widest = some_layout
    assert widest / 1.3 <= cpu.mesh_spacing(Y, 1.0, 0.01, guess) <= widest * 1.001


def test_a_finer_mesh_has_less_error():
    Y = LAYOUTS["clusters"]
    exact, _ = reference.particle_mesh(Y, 1.0, 1.0)
    errors = [relative_error(cpu.particle_mesh(Y, 1.0, h)[0], exact) for h in (1.0, 0.6, 0.36)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0])
def test_a_point_does_not_feel_itself(dof):
    random = np.random.default_rng(0)
    for place in random.uniform(-1, 1, (20, 1, 2)).astype(np.float32):
        # A second point, so far away that the mesh is what the first one stands on.
        Y = np.concatenate([place, [[40.0, 40.0]]]).astype(np.float32)
        forces, z = cpu.particle_mesh(Y, dof, 0.5)
        exact, exact_z = reference.particle_mesh(Y, dof, 0.5)
        np.testing.assert_allclose(forces, exact, atol=3e-4)
        assert z == pytest.approx(exact_z, abs=3e-4)


def test_one_point():
    forces, z = cpu.particle_mesh(np.array([[3.0, -2.0]], np.float32), 1.0, 0.5)
    np.testing.assert_allclose(forces, 0, atol=1e-4)
    assert z == pytest.approx(0, abs=1e-4)


def test_no_points():
    forces, z = cpu.particle_mesh(np.empty((0, 2), np.float32), 1.0, 0.5)
    assert forces.shape == (0, 2)
    assert z == 0


def test_points_all_at_one_place():
    Y = np.full((500, 2), 7.0, np.float32)
    forces, z = cpu.particle_mesh(Y, 1.0, cpu.mesh_spacing(Y, 1.0, 0.01))
    np.testing.assert_allclose(forces, 0, atol=1e-6)
    assert z == pytest.approx(500 * 499, rel=1e-9)


def test_forces_sum_to_zero():
    Y = LAYOUTS["clusters"]
    forces, _ = cpu.particle_mesh(Y, 1.0, 0.4)
    assert np.abs(forces.sum(axis=0, dtype=float)).max() < 1e-4 * np.abs(forces).sum()


@pytest.mark.parametrize("dof", [0.5, 1.0])
def test_one_dimension(dof):
    Y = LAYOUTS["line"][:, :1].copy()
    spacing = cpu.mesh_spacing(Y, dof, 0.01)
    forces, z = cpu.particle_mesh(Y, dof, spacing)
    exact, exact_z = reference.particle_mesh(Y, dof, spacing)
    assert forces.shape == Y.shape
    assert relative_error(forces, exact) <= 0.01
    assert z == pytest.approx(exact_z, rel=1e-3)


@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_three_dimensions_are_for_the_tree(kernels):
    Y = np.zeros((4, 3), np.float32)
    for function, rest in (
        (kernels.particle_mesh, (1.0, 0.5)),
        (kernels.mesh_potential, (1.0, 0.5)),
        (kernels.mesh_spacing, (1.0, 0.01)),
        (kernels.mesh_size, (0.5,)),
    ):
        with pytest.raises(ValueError, match="barnes_hut"):
            function(Y, *rest)


@pytest.mark.parametrize("far", [1e6, 1e30])
def test_a_wide_layout_shows_in_the_size_and_costs_nothing(far):
    Y = np.concatenate([uniform(), [[far, 0.0]]]).astype(np.float32)
    spacing = cpu.mesh_spacing(Y, 1.0, 0.01)
    assert cpu.mesh_size(Y, spacing) > 1e8


def test_the_size_grows_with_the_square():
    Y = LAYOUTS["uniform"]
    assert cpu.mesh_size(Y, 0.1) == pytest.approx((2 * 60 / 0.1) ** 2, rel=0.2)


@pytest.mark.parametrize("dof", [1.0, 2.0])
@pytest.mark.parametrize("name", ["clusters", "outliers", "tiny", "copies"])
def test_new_points_within_the_tolerance(name, dof):
    Y = LAYOUTS[name]
    points = Y[::7] + np.random.default_rng(1).normal(0, 0.3, Y[::7].shape).astype(np.float32)
    spacing = cpu.mesh_spacing(Y, dof, 0.01)
    forces, sums = cpu.evaluate_mesh(cpu.mesh_potential(Y, dof, spacing), points)
    exact, exact_sums = reference.evaluate_mesh(reference.mesh_potential(Y, dof, spacing), points)
    assert relative_error(forces, exact) <= 0.015
    np.testing.assert_allclose(sums, exact_sums, rtol=0.01, atol=0.02)


def test_points_beyond_the_mesh_get_the_exact_sums():
    Y = LAYOUTS["clusters"]
    points = np.array([[500.0, 0.0], [-1e4, 3e4], [1e9, 1e9]], np.float32)
    forces, sums = cpu.evaluate_mesh(cpu.mesh_potential(Y, 1.0, 0.5), points)
    exact, exact_sums = reference.evaluate_mesh(reference.mesh_potential(Y, 1.0, 0.5), points)
    np.testing.assert_allclose(forces, exact, rtol=1e-4)
    np.testing.assert_allclose(sums, exact_sums, rtol=1e-4)


def test_a_point_does_not_depend_on_its_batch():
    Y = LAYOUTS["clusters"]
    points = np.concatenate([uniform(n=700, extent=90.0), [[900.0, 0.0]]]).astype(np.float32)
    potential = cpu.mesh_potential(Y, 1.0, 0.5)
    forces, sums = cpu.evaluate_mesh(potential, points)
    for part in (slice(0, 1), slice(3, 20), slice(300, 701), slice(700, 701)):
        some_forces, some_sums = cpu.evaluate_mesh(potential, points[part])
        assert np.array_equal(some_forces, forces[part])
        assert np.array_equal(some_sums, sums[part])


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("extent", [1e-3, 8.0, 120.0])
def test_the_number_of_threads_changes_no_bit(count, extent):
    Y = uniform(n=20_000, extent=extent).astype(np.float32)
    points = uniform(n=900, extent=extent, seed=1).astype(np.float32)

    def results():
        spacing = cpu.mesh_spacing(Y, 1.0, 0.01)
        forces, z = cpu.particle_mesh(Y, 1.0, spacing)
        return spacing, forces, z, *cpu.evaluate_mesh(cpu.mesh_potential(Y, 1.0, spacing), points)

    expected = results()
    with threads(count):
        found = results()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 30), st.just(2)),
        elements=st.floats(-20, 20, width=32),
    ),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_any_points(Y, dof):
    spacing = 0.2 * min(1.0, math.sqrt(dof))
    forces, z = cpu.particle_mesh(Y, dof, spacing)
    exact, exact_z = reference.particle_mesh(Y, dof, spacing)
    np.testing.assert_allclose(forces, exact, atol=2e-4 * len(Y))
    assert z == pytest.approx(exact_z, rel=3e-4, abs=1e-4)


@pytest.mark.parametrize("t", [0.0, 0.25, 0.999])
def test_the_splines_weights_sum_to_one_and_slopes_to_zero(t):
    powers = t ** np.arange(6)
    assert (powers @ np.array(WEIGHTS)).sum() == pytest.approx(1)
    assert (powers[:5] @ np.array(SLOPES)).sum() == pytest.approx(0, abs=1e-12)
    assert (powers @ np.array(WEIGHTS)) @ (np.arange(8) - 2) == pytest.approx(t)
