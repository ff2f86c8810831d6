"""Barnes-Hut repulsion against the exact sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import _barnes_hut_tsne

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")


def normal(n=600, d=2, scale=5.0, seed=0):
    return np.random.default_rng(seed).normal(0, scale, (n, d)).astype(np.float32)


def stacked(*parts):
    return np.vstack(parts).astype(np.float32)


def digits(d):
    """Something like a layout of real data: ten clusters and what lies between them."""
    return PCA(d, random_state=0).fit_transform(load_digits().data[:900]).astype(np.float32)


def points(d):
    uniform = np.random.default_rng(1).uniform(-100, 100, (40, d))
    return {
        "clusters": digits(d),
        "normal": normal(d=d),
        "tiny": normal(d=d, scale=1e-4),
        "tinier": normal(d=d, scale=1e-20),
        "huge": normal(d=d, scale=1e6),
        "far from zero": 1e6 + normal(d=d),
        "outliers": stacked(uniform, normal(d=d, scale=1.0)),
        "dense core far out": stacked(1e6 * uniform[:3], normal(d=d, scale=1e-3)),
        "two deep clusters": stacked(normal(d=d, scale=1e-6), 10 + normal(d=d, scale=1e-6)),
        "all scales": normal(d=d) * 10.0 ** np.linspace(-20, 5, 600, dtype=np.float32)[:, None],
        "copies": np.repeat(normal(n=7, d=d), 90, axis=0),
        "all the same": np.full((300, d), 2.5, np.float32),
        "on a line": np.outer(normal(d=1), np.arange(1, d + 1)).astype(np.float32),
        "three points": normal(n=3, d=d),
        "three far points": normal(n=3, d=d, scale=1e6),
        "two points": normal(n=2, d=d),
        "one point": normal(n=1, d=d),
    }


CASES = {f"{d}-D {name}": Y for d in (1, 2, 3) for name, Y in points(d).items()}
every_case = pytest.mark.parametrize("Y", CASES.values(), ids=CASES.keys())


def error(found, exact):
    """RMS of the error over the RMS of the exact values; exact zeros must be found."""
    scale = np.sqrt((np.float64(exact) ** 2).sum())
    return np.sqrt(((found - exact) ** 2).sum()) / max(scale, 1e-30)


@pytest.mark.parametrize("dof", [0.5, 1.0, 3.0])
@every_case
def test_at_angle_0_it_is_the_exact_sum(Y, dof):
    forces, Z = cpu.barnes_hut(Y, dof, 0.0)
    exact, exact_Z = reference.barnes_hut(Y, dof, 0.0)
    assert forces.dtype == np.float32
    assert error(forces, exact) < 5e-6
    assert pytest.approx(exact_Z, rel=5e-6) == Z


@pytest.mark.parametrize("dof", [0.5, 1.0])
@pytest.mark.parametrize("name", CASES)
def test_errors_at_the_usual_angle_are_small(name, dof):
    Y = CASES[name]
    forces, Z = cpu.barnes_hut(Y, dof, 0.5)
    exact, exact_Z = reference.barnes_hut(Y, dof, 0.5)
    # On a line all of a cell lies at its ends.
    assert error(forces, exact) < (0.05 if "1-D" in name or "line" in name else 0.01)
    assert pytest.approx(exact_Z, rel=5e-3) == Z


@pytest.mark.parametrize("d", [1, 2, 3])
def test_it_is_no_less_accurate_than_scikit_learn_at_the_same_angle(d):
    Y = np.vstack([digits(d), normal(n=2000, d=d, scale=9.0)])
    n = len(Y)
    theirs = np.zeros_like(Y)
    # Affinities of 0 between the first and the last, the second and the last but one, ..
    zeros, others, starts = np.zeros(n, np.float32), np.arange(n)[::-1].copy(), np.arange(n + 1)
    _barnes_hut_tsne.gradient(zeros, Y, others, starts, theirs, 0.5, d, 0, dof=1, num_threads=1)
    exact, _ = reference.barnes_hut(Y, 1.0, 0.5)
    ours, _ = cpu.barnes_hut(Y, 1.0, 0.5)
    theirs /= (theirs * exact).sum() / (exact**2).sum()  # they divide by Z
    assert error(ours, exact) < 0.7 * error(theirs, exact)
    size = np.linalg.norm(exact, axis=1)
    ours, theirs = (np.linalg.norm(f - exact, axis=1) / size for f in (ours, theirs))
    assert np.quantile(ours, 0.99) < 0.7 * np.quantile(theirs, 0.99)


@pytest.mark.parametrize("d", [2, 3])
def test_the_error_falls_with_the_cube_of_the_angle(d):
    Y = digits(d)
    exact, _ = reference.barnes_hut(Y, 1.0, 0.0)
    coarse, fine = (error(cpu.barnes_hut(Y, 1.0, angle)[0], exact) for angle in (0.8, 0.2))
    assert fine < coarse / 4**2


@pytest.mark.parametrize("d", [1, 2, 3])
def test_copies_act_by_their_number_and_leave_each_other_alone(d):
    Y = np.repeat(normal(n=2, d=d), 30_000, axis=0)
    forces, Z = cpu.barnes_hut(Y, 1.0, 0.0)
    apart = np.float64(Y[0]) - np.float64(Y[-1])
    v = 1.0 / (1.0 + (apart**2).sum())
    np.testing.assert_allclose(forces[0], 30_000 * v**2 * apart, rtol=1e-6)
    np.testing.assert_allclose(forces[-1], -30_000 * v**2 * apart, rtol=1e-6)
    assert pytest.approx(60_000 * (29_999 + 30_000 * v), rel=1e-6) == Z


@pytest.mark.parametrize("d", [2, 3])
def test_a_layout_of_nearly_one_place_is_one_place(d):
    Y = normal(n=20_000, d=d, scale=1e-5)
    forces, Z = cpu.barnes_hut(Y, 1.0, 0.5)
    centred = np.float64(Y) - np.float64(Y).mean(axis=0)
    np.testing.assert_allclose(forces, 20_000 * centred, rtol=1e-4, atol=1e-6)
    assert pytest.approx(20_000 * 19_999, rel=1e-6) == Z


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 70), st.integers(1, 3)),
        elements=st.floats(-1000, 1000, width=32) | st.sampled_from([0.0, 1.0, 1e6, -1e6]),
    ),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_any_points_at_angle_0(Y, dof):
    forces, Z = cpu.barnes_hut(Y, dof, 0.0)
    exact, exact_Z = reference.barnes_hut(Y, dof, 0.0)
    # Forces that cancel: the error is held against the sum of their absolute values.
    np.testing.assert_allclose(forces, exact, rtol=1e-4, atol=1e-5 * len(Y))
    assert pytest.approx(exact_Z, rel=1e-5, abs=1e-30) == Z


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 300), st.integers(1, 3)),
        elements=st.floats(-1e6, 1e6, width=32),
        fill=st.just(0.0),
    ),
    st.floats(0, 1),
)
def test_any_points_at_any_angle_give_numbers(Y, angle):
    forces, Z = cpu.barnes_hut(Y, 1.0, angle)
    assert np.isfinite(forces).all()
    assert 0 <= Z <= len(Y) * (len(Y) - 1) * 1.01


@pytest.mark.parametrize("dof", [0.5, 1.0, 3.0])
@every_case
def test_other_points_at_angle_0_receive_the_exact_sum(Y, dof):
    d = Y.shape[1]
    others = stacked(Y[:9] + 0.1, normal(n=28, d=d, scale=20.0, seed=5), Y[:3])
    forces, sums = cpu.evaluate_tree(cpu.fixed_tree(Y, dof), others, 0.0)
    exact, exact_sums = reference.evaluate_tree(reference.fixed_tree(Y, dof), others, 0.0)
    assert error(forces, exact) < 1e-5
    np.testing.assert_allclose(sums, exact_sums, rtol=1e-5)


@pytest.mark.parametrize("d", [2, 3])
def test_other_points_at_the_usual_angle(d):
    Y, others = digits(d), normal(n=100, d=d, scale=20.0, seed=5)
    forces, sums = cpu.evaluate_tree(cpu.fixed_tree(Y, 1.0), others, 0.5)
    exact, exact_sums = reference.evaluate_tree(reference.fixed_tree(Y, 1.0), others, 0.5)
    assert error(forces, exact) < 0.02
    np.testing.assert_allclose(sums, exact_sums, rtol=0.05)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_point_receives_the_same_bits_in_any_batch(d):
    Y, others = normal(n=5000, d=d), normal(n=333, d=d, scale=8.0, seed=5)
    forces, sums = cpu.evaluate_tree(cpu.fixed_tree(Y, 1.0), others, 0.5)
    for rows in (slice(0, 1), slice(100, 117), slice(None, None, -3)):
        found = cpu.evaluate_tree(cpu.fixed_tree(Y, 1.0), np.ascontiguousarray(others[rows]), 0.5)
        assert np.array_equal(found[0], forces[rows])
        assert np.array_equal(found[1], sums[rows])


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("d", [2, 3])
def test_the_number_of_threads_changes_no_bit(d, count):
    Y = np.vstack([normal(n=40_000, d=d), np.repeat(normal(n=1, d=d), 500, axis=0)])
    expected = (
        *cpu.barnes_hut(Y, 1.0, 0.5),
        *cpu.evaluate_tree(cpu.fixed_tree(Y, 1.0), Y[:999], 0.5),
    )
    with threads(count):
        found = (
            *cpu.barnes_hut(Y, 1.0, 0.5),
            *cpu.evaluate_tree(cpu.fixed_tree(Y, 1.0), Y[:999], 0.5),
        )
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_input_stays_as_it_is():
    Y = normal()
    Y.setflags(write=False)
    before = Y.copy()
    cpu.barnes_hut(Y, 1.0, 0.5)
    cpu.evaluate_tree(cpu.fixed_tree(Y, 1.0), Y, 0.5)
    assert np.array_equal(Y, before)
