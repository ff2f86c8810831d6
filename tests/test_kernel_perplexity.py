"""The kernels of t-SNE's affinities against their reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads

cpu = select("cpu")
reference = select("reference")


def sorted_distances(n=100, k=40, seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    return np.sort(random.gamma(2.0, scale, (n, k)), axis=1).astype(np.float32)


# Squared distances of a photograph's neighbours, beyond the nearest: on them Newton's steps go
# back and forth between the flat ends of the entropy.
FLAT_ENDS = """
0 52 116 151 213 264 387 398 464 500 554 605 622 637 718 719 730 746 747 839 867 880 909 917
958 973 977 980 982 987 1000 1008 1016 1019 1043 1052 1081 1084 1116 1149 1150 1155 1165
1175 1186 1190 1205 1213 1216 1217 1220 1230 1240 1244 1246 1247 1250 1253 1257 1260 1269
1271 1273 1273 1273 1274 1283 1307 1309 1311 1317 1318 1330 1337 1339 1346 1350 1353 1363
1364 1370 1377 1380 1392 1392 1402 1411 1413 1414 1418
"""


def changed(change, **options):
    distances = sorted_distances(**options)
    change(distances)
    distances.sort(axis=1)
    return distances


def _infinite(d):
    d[:20, 30:] = np.inf
    d[20:40, 4:] = np.inf
    d[40:60, 1:] = np.inf
    d[60:80] = np.inf


def _copies(d):
    d[:20, :3] = 0
    d[20:40, :10] = 0
    d[40:60] = 0
    d[60:80, :10] = d[60:80, :1]


def _nearly_equal(d):
    d[:] = np.float32(100.0)
    d[:, 20:] = np.nextafter(np.float32(100.0), np.float32(200.0))


def _many_scales(d):
    d[:] = np.logspace(-15, 15, d.shape[1], dtype=np.float32)


DISTANCES = {
    "random": sorted_distances(),
    "one neighbour": sorted_distances(k=1),
    "two neighbours": sorted_distances(k=2),
    "many neighbours": sorted_distances(n=20, k=500),
    "tiny": sorted_distances(scale=1e-15),
    "huge": sorted_distances(scale=1e15),
    "tiniest": sorted_distances(scale=1e-38),
    "hugest": sorted_distances(scale=1e37),
    "copies": changed(_copies),
    "all copies": np.zeros((20, 14), np.float32),
    "infinite": changed(_infinite),
    "all infinite": np.full((5, 14), np.inf, np.float32),
    "all equal": np.full((20, 14), 3.0, np.float32),
    "nearly equal": changed(_nearly_equal),
    "many scales": changed(_many_scales, n=3),
    "no neighbours": np.empty((5, 0), np.float32),
    "flat ends": np.sqrt([list(map(float, FLAT_ENDS.split()))]).astype(np.float32),
    "one far": changed(lambda d: np.multiply(d[:, -1], 1e12, out=d[:, -1])),
    "one near": changed(lambda d: np.multiply(d[:, 0], 1e-12, out=d[:, 0])),
}
PERPLEXITIES = {
    "1": [1.0],
    "1.5": [1.5],
    "3": [3.0],
    "10": [10.0],
    "14": [14.0],
    "30": [30.0],
    "39.9": [39.9],
    "several": [2.0, 5.0, 13.0],
}


def perplexity_of(affinities):
    p = affinities.astype(np.float64)
    return np.exp(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1))


@pytest.mark.parametrize("perplexities", PERPLEXITIES.values(), ids=PERPLEXITIES.keys())
@pytest.mark.parametrize("distances", DISTANCES.values(), ids=DISTANCES.keys())
def test_conditional_affinities_are_those_of_the_reference(distances, perplexities):
    found = cpu.conditional_affinities(distances, perplexities)
    expected = reference.conditional_affinities(distances, perplexities)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["random", "many neighbours", "tiny", "huge", "one far"])
@pytest.mark.parametrize("perplexity", [1.5, 5.0, 30.0])
def test_every_row_has_the_perplexity_asked_for(name, perplexity):
    found = cpu.conditional_affinities(DISTANCES[name], [perplexity])
    np.testing.assert_allclose(np.log(perplexity_of(found)), np.log(perplexity), atol=1e-5)


def test_infinite_neighbours_count_for_nothing():
    found = cpu.conditional_affinities(DISTANCES["infinite"], [10.0])
    np.testing.assert_array_equal(found[:20, 30:], 0)
    np.testing.assert_allclose(found[20:40, :4], 0.25)
    np.testing.assert_array_equal(found[40:60, 0], 1)
    np.testing.assert_array_equal(found[60:80], 0)


def test_more_copies_than_the_perplexity_share_a_row():
    found = cpu.conditional_affinities(DISTANCES["copies"], [5.0])
    np.testing.assert_allclose(found[20:40], [[0.1] * 10 + [0.0] * 30] * 20)
    np.testing.assert_allclose(found[40:60], 1 / 40)


def test_several_perplexities_give_the_mean_of_their_rows():
    distances = sorted_distances()
    found = cpu.conditional_affinities(distances, [3.0, 20.0])
    rows = [cpu.conditional_affinities(distances, [perplexity]) for perplexity in (3.0, 20.0)]
    np.testing.assert_allclose(found, np.mean(rows, axis=0), rtol=1e-5, atol=1e-9)


def test_a_row_does_not_depend_on_its_batch():
    distances = sorted_distances(n=3000)
    found = cpu.conditional_affinities(distances, [10.0])
    for i in (0, 1, 1500, 2999):
        alone = cpu.conditional_affinities(distances[i : i + 1].copy(), [10.0])
        assert np.array_equal(alone[0], found[i])


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 8), st.integers(1, 40)),
        elements=st.floats(0, np.float32(1e18), width=32) | st.just(np.inf),
    ),
    st.floats(1, 50),
)
def test_anything_gives_rows_that_sum_to_one(distances, perplexity):
    distances.sort(axis=1)
    found = cpu.conditional_affinities(distances, [perplexity])
    there = np.isfinite(distances).any(axis=1)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1, dtype=np.float64), there, atol=1e-5)
    assert (np.diff(found, axis=1) <= 1e-6).all()  # the nearer, the more


def random_lists(n=150, k=8, seed=0):
    random = np.random.default_rng(seed)
    steps = np.cumsum(random.integers(1, (n - 1) // k + 1, (n, k)), axis=1)
    steps = random.permuted(steps, axis=1)
    indices = ((np.arange(n)[:, None] + steps) % n).astype(np.int32)
    return indices, random.random((n, k)).astype(np.float32)


def _some_missing():
    indices, affinities = random_lists()
    indices[:30, 4:] = -1
    affinities[20:50, 5:] = 0
    affinities[50:60] = 1e-38
    return indices, affinities


LISTS = {
    "random": random_lists(),
    "everybody": random_lists(n=9, k=8),
    "hub": (np.where(np.arange(60) == 7, 3, 7).astype(np.int32)[:, None], np.ones((60, 1), "f4")),
    "no entries": (np.full((6, 3), -1, np.int32), np.zeros((6, 3), np.float32)),
    "no neighbours": (np.empty((6, 0), np.int32), np.empty((6, 0), np.float32)),
    "some missing": _some_missing(),
    "many": random_lists(n=9000, k=5),
}


@pytest.mark.parametrize("lists", LISTS.values(), ids=LISTS.keys())
def test_joint_affinities_are_those_of_the_reference(lists):
    found, expected = cpu.joint_affinities(*lists), reference.joint_affinities(*lists)
    assert [array.dtype for array in found] == [np.int64, np.int32, np.float32]
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-6, atol=1e-38)


@pytest.mark.parametrize("name", ["random", "everybody", "hub", "some missing", "many"])
def test_joint_affinities_are_a_symmetric_distribution(name):
    from scipy import sparse

    indptr, columns, weights = cpu.joint_affinities(*LISTS[name])
    n = len(indptr) - 1
    p = sparse.csr_array((weights, columns, indptr), (n, n))
    assert (weights > 0).all()
    assert abs(p - p.T).max() == 0
    np.testing.assert_allclose(weights.sum(dtype=np.float64), 1.0, rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_number_of_threads_changes_no_bit(count):
    distances = sorted_distances(n=20000, k=5)
    indices, _ = random_lists(n=20000, k=5)

    def graph():
        return cpu.joint_affinities(indices, cpu.conditional_affinities(distances, [2.5]))

    expected = graph()
    with threads(count):
        found = graph()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
