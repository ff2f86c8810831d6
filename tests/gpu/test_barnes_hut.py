"""The GPU's Barnes-Hut repulsion against the exact sums."""

from importlib import import_module

import numpy as np
import pytest
import torch

from fastxai_kernels import reference
from fastxai_kernels.gpu import _tree
from fastxai_kernels.gpu._morton import LEAF

barnes_hut = import_module("fastxai_kernels.gpu.barnes_hut")


def normal(n, d=2, scale=5.0, seed=0):
    return np.random.default_rng(seed).normal(0, scale, (n, d)).astype(np.float32)


def stacked(*parts):
    return np.vstack(parts).astype(np.float32)


CASES = {
    "1-D": normal(37, d=1),
    "2-D": normal(70),
    "3-D": normal(45, d=3),
    "tinier": normal(40, scale=1e-20),
    "huge": normal(40, scale=1e6),
    "far from zero": 1e6 + normal(40),
    "outliers": stacked(1e3 * normal(5), normal(40, scale=1.0, seed=1)),
    "near copies in one leaf": stacked(1e6 * np.eye(2), normal(50, scale=1e-4)),
    "two deep clusters": stacked(normal(40, scale=1e-6), 10 + normal(35, scale=1e-6)),
    "copies": np.repeat(normal(3), 33, axis=0),
    "all the same": np.full((40, 3), 2.5, np.float32),
    "three points": normal(3, d=3),
    "two points": normal(2),
    "one point": normal(1),
    "no points": normal(0),
}
DOFS = dict.fromkeys(CASES, 1.0) | {"3-D": 0.5, "1-D": 3.0, "outliers": 0.5}


def error(found, exact):
    """RMS of the error over the RMS of the exact values; exact zeros must be found."""
    scale = np.sqrt((np.float64(exact) ** 2).sum())
    return np.sqrt(((found.numpy() - exact) ** 2).sum()) / max(scale, 1e-30)


@pytest.mark.parametrize("name", CASES)
def test_at_angle_0_it_is_the_exact_sum(name):
    Y, dof = CASES[name], DOFS[name]
    forces, Z = barnes_hut.barnes_hut(torch.from_numpy(Y), dof, 0.0)
    exact, exact_Z = reference.barnes_hut(Y, dof, 0.0)
    assert (forces.dtype, forces.shape) == (torch.float32, Y.shape)
    assert isinstance(Z, float)
    assert error(forces, exact) < 5e-6
    assert pytest.approx(exact_Z, rel=5e-6) == Z


@pytest.mark.parametrize(("d", "dof"), [(2, 1.0), (3, 0.5)])
def test_errors_at_the_usual_angle_are_small(d, dof):
    n = 150 // d
    Y = stacked(normal(n, d=d), 12 + normal(45, d=d, scale=0.5, seed=2))
    forces, Z = barnes_hut.barnes_hut(torch.from_numpy(Y), dof, 0.5)
    exact, exact_Z = reference.barnes_hut(Y, dof, 0.5)
    assert 0 < error(forces, exact) < 0.01
    assert pytest.approx(exact_Z, rel=5e-3) == Z


def test_many_copies_act_by_their_number():
    Y = stacked(np.repeat(normal(2), 1000, axis=0), normal(9, seed=4))
    points = stacked(Y[:1], Y[1500:1501], normal(3, seed=3))
    tree = barnes_hut.fixed_tree(torch.from_numpy(Y), 1.0)
    forces, sums = barnes_hut.evaluate_tree(tree, torch.from_numpy(points), 0.0)
    exact, exact_sums = reference.exact_repulsion_at(points, Y, 1.0)
    assert error(forces, exact) < 1e-6
    np.testing.assert_allclose(sums.numpy(), exact_sums, rtol=1e-6)


@pytest.mark.parametrize(("name", "dof"), [("2-D", 0.5), ("3-D", 1.0), ("1-D", 1.0)])
def test_other_points_at_angle_0_receive_the_exact_sum(name, dof):
    Y = CASES[name]
    others = stacked(Y[:5] + 0.1, normal(9, d=Y.shape[1], scale=20.0, seed=5), Y[:2])
    tree = barnes_hut.fixed_tree(torch.from_numpy(Y), dof)
    forces, sums = barnes_hut.evaluate_tree(tree, torch.from_numpy(others), 0.0)
    exact, exact_sums = reference.exact_repulsion_at(others, Y, dof)
    assert (forces.dtype, sums.dtype) == (torch.float32, torch.float64)
    assert error(forces, exact) < 1e-5
    np.testing.assert_allclose(sums.numpy(), exact_sums, rtol=1e-5)


def test_other_points_at_the_usual_angle_receive_the_same_bits_in_any_batch():
    Y, others = torch.from_numpy(normal(150)), torch.from_numpy(normal(40, scale=8.0, seed=5))
    tree = barnes_hut.fixed_tree(Y, 1.0)
    before = others.clone()
    forces, sums = barnes_hut.evaluate_tree(tree, others, 0.5)
    exact, exact_sums = reference.exact_repulsion_at(others.numpy(), Y.numpy(), 1.0)
    assert error(forces, exact) < 0.02
    np.testing.assert_allclose(sums.numpy(), exact_sums, rtol=0.05)
    assert torch.equal(others, before)
    some = torch.arange(39, 0, -5)
    found = barnes_hut.evaluate_tree(tree, others[some], 0.5)
    assert torch.equal(found[0], forces[some])
    assert torch.equal(found[1], sums[some])


def test_two_runs_give_the_same_bits_and_the_input_stays_as_it_is():
    Y = torch.from_numpy(normal(45))
    before = Y.clone()
    forces, Z = barnes_hut.barnes_hut(Y, 1.0, 0.8)
    again, again_Z = barnes_hut.barnes_hut(Y, 1.0, 0.8)
    assert torch.equal(forces, again)
    assert again_Z == Z
    assert torch.equal(Y, before)


@pytest.mark.parametrize("d", [2, 3])
def test_the_cells_of_a_tree_are_nested_runs_with_the_moments_of_their_points(d):
    Y = stacked(normal(40, d=d), np.repeat(normal(1, d=d), 40, axis=0), 1e-5 * normal(50, d=d))
    tree = _tree.build(torch.from_numpy(Y), 1.0)
    points = Y[tree.order.numpy()].astype(np.float64)
    assert np.array_equal(tree.points.numpy().T, points)
    words = tree.cells.view(torch.int32).numpy()
    floats = words.view(np.float32)
    begin, end, beyond = words[:, 0], words[:, 1], words[:, 2]
    leaf = beyond == np.arange(len(words)) + 1
    assert (begin[0], end[0], beyond[0]) == (0, len(Y), len(words))
    assert np.array_equal(np.append(begin[leaf], len(Y))[1:], end[leaf])
    large = end[leaf] - begin[leaf] > LEAF
    assert large.sum() == 1
    for cell in range(len(words)):
        inside = points[begin[cell] : end[cell]]
        if not leaf[cell]:
            child, at = cell + 1, begin[cell]
            assert len(inside) > LEAF
            while child < beyond[cell]:
                assert begin[child] == at
                child, at = beyond[child], end[child]
            assert (child, at) == (beyond[cell], end[cell])
        mean = floats[cell, 4 : 4 + d].astype(np.float64) + floats[cell, 4 + d : 4 + 2 * d]
        np.testing.assert_allclose(mean, inside.mean(axis=0), rtol=1e-9, atol=1e-12)
        apart = inside - inside.mean(axis=0)
        second = (4.0 * apart.T @ apart)[np.tril_indices(d)]
        found = floats[cell, 4 + 2 * d :][: len(second)]
        np.testing.assert_allclose(found, second, rtol=1e-5, atol=1e-6 * np.abs(second).max())
        side = np.ptp(inside, axis=0).max()
        assert pytest.approx(0.5 * side**2, rel=1e-6) == floats[cell, 3]
