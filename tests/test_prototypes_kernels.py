"""The kernels of prototypes and criticisms against their reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")


def points(n, d, seed=1, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, (n, d)).astype(np.float32)


def clusters(n, d):
    return (points(n, d, scale=0.05) + 30 * (np.arange(n) % 3)[:, None]).astype(np.float32)


POINTS = {
    "random": (points(120, 5), 0.1),
    "many features": (points(60, 131), 0.005),
    "one feature": (points(90, 1), 1.0),
    "a narrow kernel": (points(50, 3), 1e4),
    "a wide kernel": (points(50, 3), 1e-4),
    "tight clusters far apart": (clusters(90, 3), 40.0),
    "far from the origin": (points(80, 4) + np.float32(1000), 0.2),
    "tiny": (points(50, 3, scale=1e-8), 1e15),
    "copies": (np.repeat(points(30, 2), 4, axis=0), 0.5),
    "a constant column": (points(50, 3) * np.array([1, 0, 1], np.float32), 0.3),
    "one place": (np.ones((20, 2), np.float32), 1.0),
    "more than a tile": (points(700, 3), 0.5),
    "two points": (points(2, 3), 1.0),
    "one point": (points(1, 3), 1.0),
}
CASES = pytest.mark.parametrize(("X", "gamma"), POINTS.values(), ids=POINTS.keys())


def bounds(n):
    return (0, n, 0, n), (0, 1, 0, n), (n // 3, n, n // 4, n // 2 + 1)


@CASES
def test_sums_are_those_of_the_reference(X, gamma):
    centre = X.mean(axis=0)
    for some in bounds(len(X)):
        found = cpu.kernel_sums(X, centre, gamma, *some)
        expected = reference.kernel_sums(X, centre, gamma, *some)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == np.float64
            # 1e-5 is what a kernel value may err by; see _ERROR in the kernel.
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def choose(kernels, X, gamma, n_prototypes, n_criticisms):
    """Prototypes, criticisms, the witness, and what is left of each point."""
    n = len(X)
    means = cpu.kernel_sums(X, X.mean(axis=0), gamma, 0, n, 0, n)[0] / n
    sums = np.zeros(n)
    chosen, criticisms = [], []
    for _ in range(n_prototypes):
        chosen.append(kernels.next_prototype(X, gamma, means, chosen, sums))
    f = kernels.witness(X, gamma, means, chosen, sums)
    factors, left = np.zeros((n, n_criticisms)), np.ones(n)
    for _ in range(n_criticisms):
        criticisms.append(kernels.next_criticism(X, gamma, f, chosen, criticisms, factors, left))
        if criticisms[-1] < 0:
            break
    return chosen, criticisms, f, left


@pytest.mark.parametrize(
    "name", ["random", "many features", "one feature", "tight clusters far apart", "copies", "tiny"]
)
def test_choices_are_those_of_the_reference(name):
    X, gamma = POINTS[name]
    found, expected = choose(cpu, X, gamma, 6, 5), choose(reference, X, gamma, 6, 5)
    assert found[:2] == expected[:2]
    np.testing.assert_allclose(found[2], expected[2], atol=1e-6)


@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_the_lowest_of_equals_is_chosen(kernels):
    X = np.ones((6, 2), np.float32)
    chosen, criticisms, _, _ = choose(kernels, X, 1.0, 3, 1)
    assert chosen == [0, 1, 2]
    assert criticisms == [3]


@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_copies_of_criticisms_are_none(kernels):
    X = np.array([[0, 0], [0, 0], [0, 0], [5, 5], [5, 5]], np.float32)
    chosen, criticisms, _, _ = choose(kernels, X, 1.0, 1, 4)
    assert chosen == [0]
    assert criticisms[2:] == [-1]
    assert {tuple(X[i]) for i in criticisms[:2]} == {(0, 0), (5, 5)}


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_number_of_threads_changes_no_bit(count):
    X = points(3001, 7)
    centre = X.mean(axis=0)
    expected = cpu.kernel_sums(X, centre, 0.1, 0, 500, 0, 3001)
    chosen = choose(cpu, X, 0.1, 2, 2)
    with threads(count):
        found = cpu.kernel_sums(X, centre, 0.1, 0, 500, 0, 3001)
        again = choose(cpu, X, 0.1, 2, 2)
    assert all(map(np.array_equal, found, expected))
    assert all(map(np.array_equal, again, chosen))


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 4)),
        elements=st.floats(-100, 100, width=32),
    ),
    st.floats(1e-6, 100),
)
def test_any_points_give_the_sums_of_the_reference(X, gamma):
    centre = X.mean(axis=0)
    n = len(X)
    found = cpu.kernel_sums(X, centre, gamma, 0, n, 0, n)
    expected = reference.kernel_sums(X, centre, gamma, 0, n, 0, n)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


def loss(K, S):
    return K.mean() - 2 * K[:, S].mean() + K[np.ix_(S, S)].mean()


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(4, 14), st.integers(1, 3)),
        elements=st.floats(-2, 2, width=16),
    ),
    st.floats(0.05, 5),
)
def test_every_choice_is_as_good_as_the_best(X, gamma):
    """Ties of different points are broken by rounding, so that losses are compared."""
    K = np.exp(-gamma * ((X[:, None].astype(np.float64) - X) ** 2).sum(axis=2))
    chosen, criticisms, f, _ = choose(cpu, X, gamma, 3, 1)
    for m in range(1, 4):
        others = set(range(len(X))) - set(chosen[: m - 1])
        best = min(loss(K, [*chosen[: m - 1], i]) for i in others)
        assert loss(K, chosen[:m]) <= best + 1e-6
    rest = sorted(set(range(len(X))) - set(chosen))
    assert abs(f[criticisms[0]]) >= np.abs(f[rest]).max() - 1e-6
