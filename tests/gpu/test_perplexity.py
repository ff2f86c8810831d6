"""The kernels of t-SNE's affinities in the interpreter, against their reference."""

import inspect

import numpy as np
import pytest
import torch
from scipy import sparse

from fastxai_kernels import reference
from fastxai_kernels.gpu import _edges, perplexity

from .test_fuzzy_set import LISTS


def sorted_distances(n=8, k=40, seed=0, scale=1.0):
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
    d[:2, 30:] = np.inf
    d[2:4, 4:] = np.inf
    d[4:6, 1:] = np.inf
    d[6:8] = np.inf


def _copies(d):
    d[:2, :3] = 0
    d[2:4, :10] = 0
    d[4:6] = 0
    d[6:8, :10] = d[6:8, :1]


def _nearly_equal(d):
    d[:] = np.float32(100.0)
    d[:, 20:] = np.nextafter(np.float32(100.0), np.float32(200.0))


def _many_scales(d):
    d[:] = np.logspace(-15, 15, d.shape[1], dtype=np.float32)


DISTANCES = {
    "random": sorted_distances(n=9),
    "one row": sorted_distances(n=1, k=90),
    "one neighbour": sorted_distances(k=1),
    "two neighbours": sorted_distances(k=2),
    "thirty": sorted_distances(n=9, k=30),
    "many neighbours": sorted_distances(n=3, k=300),
    "more than a block": sorted_distances(n=1, k=1100),
    "tiny": sorted_distances(scale=1e-15),
    "huge": sorted_distances(scale=1e15),
    "tiniest": sorted_distances(scale=1e-38),
    "hugest": sorted_distances(scale=1e37),
    "copies": changed(_copies),
    "all copies": np.zeros((5, 14), np.float32),
    "infinite": changed(_infinite),
    "all infinite": np.full((5, 14), np.inf, np.float32),
    "all equal": np.full((5, 14), 3.0, np.float32),
    "nearly equal": changed(_nearly_equal, n=1),
    "many scales": changed(_many_scales, n=1),
    "no neighbours": np.empty((5, 0), np.float32),
    "no rows": np.empty((0, 3), np.float32),
    "flat ends": np.sqrt([list(map(float, FLAT_ENDS.split()))]).astype(np.float32),
    "one far": changed(lambda d: np.multiply(d[:, -1], 1e12, out=d[:, -1])),
    "one near": changed(lambda d: np.multiply(d[:, 0], 1e-12, out=d[:, 0])),
}
WIDE = ["copies", "infinite", "nearly equal", "flat ends"]


def conditional(distances, perplexities):
    return perplexity.conditional_affinities(torch.from_numpy(distances), perplexities)


def agrees(distances, perplexities):
    found = conditional(distances, perplexities)
    expected = reference.conditional_affinities(distances, perplexities)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_the_signatures_are_those_of_the_reference():
    for name in ("conditional_affinities", "joint_affinities"):
        ours, theirs = getattr(perplexity, name), getattr(reference, name)
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(theirs).parameters
        )


@pytest.mark.parametrize("wanted", [1.5, 10.0])
@pytest.mark.parametrize("distances", DISTANCES.values(), ids=DISTANCES.keys())
def test_conditional_affinities_are_those_of_the_reference(distances, wanted):
    agrees(distances, [wanted])


@pytest.mark.parametrize("wanted", [1.0, 30.0, 39.9, 1e12])
@pytest.mark.parametrize("name", WIDE)
def test_every_perplexity_is_met_or_out_of_reach(name, wanted):
    agrees(DISTANCES[name], [wanted])


@pytest.mark.parametrize("name", ["infinite", "copies", "no neighbours"])
def test_several_perplexities_give_the_mean_of_their_rows(name):
    agrees(DISTANCES[name], [2.0, 13.0])


@pytest.mark.parametrize("name", ["thirty", "tiny", "huge", "one far"])
@pytest.mark.parametrize("wanted", [5.0, 28.0])
def test_every_row_has_the_perplexity_asked_for(name, wanted):
    p = conditional(DISTANCES[name], [wanted]).double()
    entropy = -torch.special.xlogy(p, p).sum(1)
    np.testing.assert_allclose(entropy, np.log(wanted), atol=1e-5)
    np.testing.assert_allclose(p.sum(1), 1.0, atol=1e-6)


@pytest.mark.parametrize("slice_", [1 << 28, 300], ids=["at once", "in slices"])
@pytest.mark.parametrize("lists", LISTS.values(), ids=LISTS.keys())
def test_joint_affinities_are_those_of_the_reference(lists, slice_, monkeypatch):
    monkeypatch.setattr(_edges, "_MOST", slice_)
    indptr, columns, weights = perplexity.joint_affinities(*map(torch.from_numpy, lists))
    expected = reference.joint_affinities(*lists)
    assert [p.dtype for p in (indptr, columns, weights)] == [
        torch.int64,
        torch.int32,
        torch.float32,
    ]
    assert np.array_equal(indptr, expected[0])
    assert np.array_equal(columns, expected[1])
    np.testing.assert_allclose(weights, expected[2], rtol=1e-6, atol=1e-38)
    n = len(indptr) - 1
    p = sparse.csr_array((weights, columns, indptr), (n, n))
    assert abs(p - p.T).sum() == 0
    np.testing.assert_allclose(weights.double().sum(), float(len(weights) > 0), rtol=1e-6)


def test_the_same_input_gives_the_same_bits_and_is_left_unchanged():
    distances = DISTANCES["infinite"].copy()
    indices = (np.arange(8)[:, None] + np.arange(1, 8)).astype(np.int32) % 8

    def graph():
        affinities = conditional(distances, [3.0])
        some = affinities[:, :7].contiguous()
        before = some.clone()
        found = perplexity.joint_affinities(torch.from_numpy(indices), some)
        assert torch.equal(before, some)
        return affinities, *found

    assert all(torch.equal(a, b) for a, b in zip(graph(), graph(), strict=True))
    assert np.array_equal(distances, DISTANCES["infinite"])
