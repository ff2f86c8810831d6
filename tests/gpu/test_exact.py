"""The GPU's kernels of t-SNE's repulsion among all pairs against their reference."""

import numpy as np
import pytest
import torch

from fastxai_kernels import reference
from fastxai_kernels.gpu import exact


def places(n, d, seed=1, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, (n, d)).astype(np.float32)


def clusters(n, d):
    return (places(n, d, scale=0.1) + 30 * (np.arange(n) % 4)[:, None]).astype(np.float32)


PLACES = {
    "random": places(70, 2, scale=10),
    "clusters": clusters(70, 2),
    "tiny": places(65, 2, scale=1e-6),
    "far apart": places(65, 2, scale=1e6),
    "one place": np.ones((50, 2), np.float32),
    "copies": np.repeat(places(9, 2), 7, axis=0),
    "1-D": places(65, 1, scale=3),
    "3-D": places(71, 3, scale=3),
    "4-D": places(33, 4, scale=3),
    "5-D": places(45, 5, scale=3),
    "9-D": places(33, 9, scale=3),
    "two points": places(2, 2),
    "two points far apart": np.array([[0, 0], [1e6, 1e6]], np.float32),
    "one point": places(1, 2),
    "a whole block": places(32, 2),
}
CASES = [(name, dof) for name in PLACES for dof in (0.5, 1.0)] + [("random", 2.0)]


def close(found, expected):
    """Within what sums of float32 allow."""
    size = np.abs(expected).max()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=2e-6 * size)


@pytest.mark.parametrize(("name", "dof"), CASES)
def test_the_repulsion_is_that_of_the_reference(name, dof):
    Y = PLACES[name]
    forces, Z = exact.exact_repulsion(torch.from_numpy(Y), dof)
    expected, expected_Z = reference.exact_repulsion(Y, dof)
    assert forces.dtype == torch.float32
    assert isinstance(Z, float)
    assert pytest.approx(expected_Z, rel=1e-5) == Z
    close(forces, expected)


@pytest.mark.parametrize(("name", "dof"), [*CASES, ("spans", 0.5), ("spans", 1.0)])
def test_the_repulsion_of_other_points_is_that_of_the_reference(name, dof):
    Y = places(1061, 2) if name == "spans" else PLACES[name]
    points = places(9, Y.shape[1], seed=3, scale=2.0)
    points[0] = Y[0]
    forces, sums = exact.exact_repulsion_at(torch.from_numpy(points), torch.from_numpy(Y), dof)
    expected, expected_sums = reference.exact_repulsion_at(points, Y, dof)
    assert (forces.dtype, sums.dtype) == (torch.float32, torch.float64)
    np.testing.assert_allclose(sums.numpy(), expected_sums, rtol=1e-5)
    close(forces, expected)


def test_a_point_is_left_out_by_its_number():
    Y = np.repeat(places(9, 2), 7, axis=0)
    own = np.array([3, -1, 62, 0, 3])
    points = Y[[3, 5, 62, 0, 40]]
    found = exact.exact_repulsion_at(*map(torch.from_numpy, (points, Y)), 1.0, torch.tensor(own))
    expected = reference.exact_repulsion_at(points, Y, 1.0, own)
    close(found[0], expected[0])
    close(found[1], expected[1])


def test_others_at_the_same_place_count_one():
    forces, Z = exact.exact_repulsion(torch.full((50, 2), 3.0), 1.0)
    assert Z == 50 * 49
    assert (forces == 0).all()


@pytest.mark.parametrize(("name", "dof"), [("random", 0.5), ("3-D", 1.0), ("5-D", 1.0)])
def test_a_point_does_not_depend_on_its_batch(name, dof):
    Y = torch.from_numpy(PLACES[name])
    points = torch.from_numpy(places(42, Y.shape[1], seed=3, scale=2.0))
    forces, sums = exact.exact_repulsion_at(points, Y, dof)
    for first, last in ((3, 8), (17, 42)):
        some, some_sums = exact.exact_repulsion_at(points[first:last].clone(), Y, dof)
        assert torch.equal(some, forces[first:last])
        assert torch.equal(some_sums, sums[first:last])


def test_no_points_feel_nothing():
    forces, sums = exact.exact_repulsion_at(torch.empty(0, 2), torch.ones(5, 2), 1.0)
    assert (forces.shape, sums.shape) == ((0, 2), (0,))


def test_two_runs_give_the_same_bits_and_the_input_stays_as_it_is():
    Y = torch.from_numpy(places(100, 3))
    before = Y.clone()
    forces, Z = exact.exact_repulsion(Y, 0.5)
    again, again_Z = exact.exact_repulsion(Y, 0.5)
    assert torch.equal(forces, again)
    assert again_Z == Z
    assert torch.equal(Y, before)
