"""The GPU's kernels of prototypes and criticisms against their reference."""

import numpy as np
import pytest
import torch

import fastxai
from fastxai_kernels import reference
from fastxai_kernels.gpu import prototypes


def points(n, d, seed=1, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, (n, d)).astype(np.float32)


def clusters(n, d):
    return (points(n, d, scale=0.05) + 30 * (np.arange(n) % 3)[:, None]).astype(np.float32)


POINTS = {
    "random": (points(70, 5), 0.1),
    "four features": (points(45, 4), 0.2),
    "many features": (points(40, 131), 0.005),
    "a narrow kernel": (points(50, 3), 1e4),
    "a wide kernel": (points(50, 3), 1e-4),
    "tight clusters far apart": (clusters(60, 3), 40.0),
    "copies": (np.repeat(points(9, 2), 5, axis=0), 0.5),
    "one place": (np.ones((20, 2), np.float32), 1.0),
    "more than a block": (points(150, 2), 0.5),
    "one point": (points(1, 3), 1.0),
}
CASES = pytest.mark.parametrize(("X", "gamma"), POINTS.values(), ids=POINTS.keys())


def tensors(X):
    return torch.from_numpy(X), torch.from_numpy(X.mean(axis=0))


@CASES
def test_sums_are_those_of_the_reference(X, gamma):
    there, centre = tensors(X)
    n = len(X)
    for bounds in ((0, n, 0, n), (0, 1, 0, n), (n // 3, n, n // 4, n // 2 + 1)):
        found = prototypes.kernel_sums(there, centre, gamma, *bounds)
        expected = reference.kernel_sums(X, X.mean(axis=0), gamma, *bounds)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == torch.float64
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=2e-5, atol=2e-5)


def test_columns_of_several_tiles_are_those_of_one(monkeypatch):
    there, centre = tensors(points(100, 5))
    whole = prototypes.kernel_sums(there, centre, 0.1, 0, 20, 3, 100)
    monkeypatch.setattr(prototypes, "_PAIRS", 20 * 32)
    parts = prototypes.kernel_sums(there, centre, 0.1, 0, 20, 3, 100)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)


def choose(kernels, X, gamma, means, n_prototypes, n_criticisms, zeros, ones, factors):
    chosen, criticisms, sums, left = [], [], zeros, ones
    for _ in range(n_prototypes):
        chosen.append(kernels.next_prototype(X, gamma, means, chosen, sums))
    f = kernels.witness(X, gamma, means, chosen, sums)
    for _ in range(n_criticisms):
        given = (f, chosen, criticisms, factors, left)
        criticisms.append(kernels.next_criticism(X, gamma, *given))
        if criticisms[-1] < 0:
            break
    return chosen, criticisms, np.asarray(f), np.asarray(left)


@pytest.mark.parametrize("name", ["random", "four features", "many features", "copies"])
def test_choices_are_those_of_the_reference(name):
    X, gamma = POINTS[name]
    n = len(X)
    means = reference.kernel_sums(X, X.mean(axis=0), gamma, 0, n, 0, n)[0] / n
    given = (np.zeros(n), np.ones(n), np.zeros((n, 5)))
    expected = choose(reference, X, gamma, means, 4, 5, *given)
    given = (torch.zeros(n).double(), torch.ones(n).double(), torch.zeros(n, 5).double())
    found = choose(prototypes, torch.from_numpy(X), gamma, torch.from_numpy(means), 4, 5, *given)
    assert found[:2] == expected[:2]
    np.testing.assert_allclose(found[2], expected[2], atol=1e-6)


def test_the_lowest_of_equals_is_chosen_and_copies_are_no_criticisms():
    X, gamma = torch.ones(6, 2), 1.0
    means, sums = torch.ones(6).double(), torch.zeros(6).double()
    assert prototypes.next_prototype(X, gamma, means, [], sums) == 0
    assert prototypes.next_prototype(X, gamma, means, [0], sums) == 1
    f = prototypes.witness(X, gamma, means, [0, 1], sums)
    factors, left = torch.zeros(6, 2).double(), torch.ones(6).double()
    assert prototypes.next_criticism(X, gamma, f, [0, 1], [], factors, left) == 2
    assert prototypes.next_criticism(X, gamma, f, [0, 1], [2], factors, left) == -1


def test_two_runs_give_the_same_bits_and_the_input_stays_as_it_is():
    there, centre = tensors(points(90, 7))
    before = there.clone()
    first = prototypes.kernel_sums(there, centre, 0.2, 0, 60, 10, 90)
    again = prototypes.kernel_sums(there, centre, 0.2, 0, 60, 10, 90)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(there, before)


def test_the_choice_is_that_of_the_cpu():
    X = np.concatenate([points(90, 4), points(10, 4)])
    labels = np.arange(100) % 2
    for given in ({}, {"labels": labels}):
        expected = fastxai.prototypes(X, 4, 3, device="cpu", **given)
        found = fastxai.prototypes(X, 4, 3, device="cuda", **given)
        assert np.array_equal(found.indices, expected.indices)
        assert np.array_equal(found.criticisms, expected.criticisms)
        assert isinstance(found.witness, np.ndarray)
        np.testing.assert_allclose(found.witness, expected.witness, atol=1e-6)
        np.testing.assert_allclose(found.mmd2, expected.mmd2, atol=1e-6)
