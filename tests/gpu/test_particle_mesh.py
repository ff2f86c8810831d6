"""The GPU's repulsion on a mesh against the exact sums, and against the CPU's mesh."""

from __future__ import annotations

import math
from importlib import import_module

import numpy as np
import pytest
import torch

from fastxai_kernels import cpu, reference
from fastxai_kernels.gpu import _mesh
from fastxai_kernels.gpu._mesh_kernels import PIECE
from fastxai_kernels.gpu._mesh_response import padded, response
from fastxai_kernels.gpu.particle_mesh import (
    evaluate_mesh,
    mesh_potential,
    mesh_size,
    mesh_spacing,
    particle_mesh,
)


def clusters(n=91, centres=9, seed=0):
    random = np.random.default_rng(seed)
    middle = random.normal(0, 9, (centres, 2))[random.integers(0, centres, n)]
    return middle + random.normal(0, 1, (n, 2))


def uniform(n=91, extent=20.0, seed=0):
    return np.random.default_rng(seed).uniform(-extent / 2, extent / 2, (n, 2))


LAYOUTS = {
    "clusters": clusters(),
    "uniform": uniform(),
    "dense": uniform(extent=4.0),
    "few and far": uniform(n=17, extent=30.0),
    "tiny": uniform(n=PIECE + 30, extent=1e-4),
    "tiny with one far": np.concatenate([uniform(extent=1e-4), [[10.0, 0.0]]]),
    "copies": np.repeat(uniform(n=7, extent=9.0), 20, axis=0),
    "line": uniform() * [1.0, 0.0],
    "1-D": uniform()[:, :1],
    "two": np.array([[0.0, 0.0], [3.0, 4.0]]),
    "far from the origin": clusters(n=50) + 3000.0,
}
LAYOUTS = {name: points.astype(np.float32) for name, points in LAYOUTS.items()}


def relative_error(found, exact):
    return math.sqrt(np.square(found - exact).sum() / np.square(exact).sum())


def on_gpu(Y, dof, spacing):
    forces, z = particle_mesh(torch.from_numpy(Y), dof, spacing)
    assert forces.dtype == torch.float32
    assert forces.is_contiguous()
    assert isinstance(z, float)
    return forces.numpy(), z


def coarse(Y, cells=24):
    """A spacing that is bearable for the interpreter."""
    return max(float(np.ptp(Y, axis=0).max()), 1.0) / cells


CASES = [(name, 1.0) for name in LAYOUTS] + [("uniform", 0.5), ("tiny", 2.0)]


@pytest.mark.parametrize(("name", "dof"), CASES)
def test_a_mesh_gives_what_it_gives_on_the_cpu(name, dof):
    Y = LAYOUTS[name]
    spacing = coarse(Y)
    forces, z = on_gpu(Y, dof, spacing)
    expected, expected_z = cpu.particle_mesh(Y, dof, spacing)
    assert relative_error(forces, expected) < (3e-3 if "one far" in name else 1e-4)
    assert z == pytest.approx(expected_z, rel=1e-5)
    assert mesh_size(torch.from_numpy(Y), spacing) == cpu.mesh_size(Y, spacing)


@pytest.mark.parametrize("name", ["dense", "tiny", "1-D", "two"])
def test_forces_are_within_the_tolerance_of_the_spacing(name):
    Y = LAYOUTS[name]
    spacing = mesh_spacing(torch.from_numpy(Y), 1.0, 0.01)
    assert spacing == pytest.approx(cpu.mesh_spacing(Y, 1.0, 0.01), rel=0.05)
    forces, z = on_gpu(Y, 1.0, spacing)
    exact, exact_z = reference.particle_mesh(Y, 1.0, spacing)
    assert relative_error(forces, exact) <= 0.01
    assert z == pytest.approx(exact_z, rel=2e-3)


@pytest.mark.parametrize("tolerance", [0.1, 1e-3])
def test_the_tolerance_may_be_chosen(tolerance):
    Y = LAYOUTS["dense"]
    forces, _ = on_gpu(Y, 1.0, mesh_spacing(torch.from_numpy(Y), 1.0, tolerance, 0.3))
    assert relative_error(forces, reference.particle_mesh(Y, 1.0, 1.0)[0]) <= tolerance


def test_errors_of_many_points_are_measured_by_a_finer_mesh(monkeypatch):
    monkeypatch.setattr(import_module("fastxai_kernels.gpu.particle_mesh"), "EXACT", 10)
    Y = LAYOUTS["dense"][:40]
    forces, _ = on_gpu(Y, 1.0, mesh_spacing(torch.from_numpy(Y), 1.0, 0.01, 0.1))
    assert relative_error(forces, reference.particle_mesh(Y, 1.0, 1.0)[0]) <= 0.01


@pytest.mark.parametrize("far", [1e6, 1e30])
def test_a_wide_layout_shows_in_the_size_and_costs_nothing(far):
    Y = torch.from_numpy(np.concatenate([uniform(), [[far, 0.0]]]).astype(np.float32))
    assert mesh_size(Y, mesh_spacing(Y, 1.0, 0.01)) > 1e8


@pytest.mark.parametrize("n", [1, 150])
def test_points_all_at_one_place(n):
    Y = np.full((n, 2), 7.0, np.float32)
    forces, z = on_gpu(Y, 1.0, mesh_spacing(torch.from_numpy(Y), 1.0, 0.01))
    np.testing.assert_allclose(forces, 0, atol=1e-6)
    assert z == pytest.approx(n * (n - 1), rel=1e-9, abs=1e-6)


def test_no_points():
    forces, z = on_gpu(np.empty((0, 2), np.float32), 1.0, 0.5)
    assert forces.shape == (0, 2)
    assert z == 0


@pytest.mark.parametrize("spread", [0.3, 1e-3], ids=["cells of some points", "pieces of one cell"])
@pytest.mark.parametrize("n", [2, PIECE + 1, 2 * PIECE + 5])
def test_all_mass_is_spread(n, spread):
    points = torch.from_numpy(uniform(n=n, extent=spread).astype(np.float32))
    box = _mesh.box_around(_mesh.limits(points), 0.05)
    mesh, filed = _mesh._spread(points, box, _mesh.place_of(box.corner, box.spacing))
    assert mesh.sum() == pytest.approx(n, rel=1e-6)
    assert torch.equal(filed.order.sort().values, torch.arange(n))
    # The centre of mass: a spline leaves it where it is, 2 nodes on.
    u = (points.double() - box.corner) / box.spacing
    for axis in (0, 1):
        nodes = torch.arange(mesh.shape[axis])
        centre = (mesh.double().sum(1 - axis) * nodes).sum() / n
        assert float(centre) == pytest.approx(float(u[:, axis].mean()) + 2.0, rel=1e-5)


@pytest.mark.parametrize("dof", [0.5, 1.0])
def test_the_response_is_that_of_the_cpu(dof):
    from fastxai_kernels.cpu._mesh_response import response as expected_response

    rows, columns = padded(70), padded(33)
    found = response(rows, columns, 0.3, dof, True, torch.device("cpu"))
    expected = expected_response(rows, columns, 0.3, dof, True)
    half = rows // 2 + 1
    np.testing.assert_allclose(found.waves[:half], expected.waves, rtol=1e-7, atol=1e-9)
    mirrored = found.waves[half:].flip(0)
    np.testing.assert_allclose(mirrored, expected.waves[1:-1], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.own, expected.own, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["clusters", "tiny", "1-D"])
def test_new_points_within_the_tolerance(name):
    Y = LAYOUTS[name]
    points = Y[::7] + np.random.default_rng(1).normal(0, 0.3, Y[::7].shape).astype(np.float32)
    spacing = coarse(Y) if name == "tiny" else 0.4
    potential = mesh_potential(torch.from_numpy(Y), 1.0, spacing)
    forces, sums = evaluate_mesh(potential, torch.from_numpy(points))
    expected, expected_sums = cpu.evaluate_mesh(cpu.mesh_potential(Y, 1.0, spacing), points)
    assert sums.numpy().dtype == expected_sums.dtype
    np.testing.assert_allclose(forces, expected, atol=1e-4 * np.abs(expected).max(), rtol=1e-3)
    exact, exact_sums = reference.evaluate_mesh(reference.mesh_potential(Y, 1.0, 1.0), points)
    assert relative_error(forces.numpy(), exact) <= 0.015
    np.testing.assert_allclose(sums, exact_sums, rtol=0.01, atol=0.02)


def test_points_beyond_the_mesh_get_the_exact_sums():
    Y = LAYOUTS["uniform"]
    points = np.array([[500.0, 0.0], [-1e4, 3e4], [1e9, 1e9]], np.float32)
    potential = mesh_potential(torch.from_numpy(Y), 1.0, 1.0)
    forces, sums = evaluate_mesh(potential, torch.from_numpy(points))
    exact, exact_sums = reference.evaluate_mesh(reference.mesh_potential(Y, 1.0, 0.5), points)
    np.testing.assert_allclose(forces, exact, rtol=1e-4)
    np.testing.assert_allclose(sums, exact_sums, rtol=1e-4)


def test_a_point_does_not_depend_on_its_batch():
    points = np.concatenate([uniform(n=150, extent=30.0), [[900.0, 0.0]]]).astype(np.float32)
    points = torch.from_numpy(points)
    potential = mesh_potential(torch.from_numpy(LAYOUTS["uniform"]), 1.0, 0.8)
    forces, sums = evaluate_mesh(potential, points)
    for part in (slice(0, 1), slice(3, 20), slice(100, 151), slice(151, 151)):
        some_forces, some_sums = evaluate_mesh(potential, points[part].contiguous())
        assert torch.equal(some_forces, forces[part])
        assert torch.equal(some_sums, sums[part])


def test_three_dimensions_are_for_the_tree():
    Y = torch.zeros(4, 3)
    for function, rest in (
        (particle_mesh, (1.0, 0.5)),
        (mesh_potential, (1.0, 0.5)),
        (mesh_spacing, (1.0, 0.01)),
        (mesh_size, (0.5,)),
    ):
        with pytest.raises(ValueError, match="barnes_hut"):
            function(Y, *rest)


@pytest.mark.parametrize("name", ["clusters", "tiny"])
def test_the_same_bits_again_and_inputs_left_as_they_were(name):
    Y = torch.from_numpy(LAYOUTS[name].copy())

    def everything():
        response.cache_clear()
        spacing = coarse(LAYOUTS[name])
        forces, z = particle_mesh(Y, 1.0, spacing)
        return forces, torch.tensor(z), *evaluate_mesh(mesh_potential(Y, 1.0, spacing), Y)

    for one, other in zip(everything(), everything(), strict=True):
        assert torch.equal(one, other)
    assert np.array_equal(Y, LAYOUTS[name])
