"""Supervision's kernels in the interpreter, against their reference."""

import inspect

import numpy as np
import pytest
import torch

from fastxai_kernels import reference
from fastxai_kernels.gpu import supervision

from .test_fuzzy_set import LISTS, random_lists

NAMES = ("class_intersection", "graph_intersection", "restore_connectivity")


def united(lists):
    indptr, columns, weights = reference.fuzzy_union(*lists, 1.0)
    return indptr, columns, weights.astype(np.float32)


def _star(n=300):
    """A row of several blocks; the others have one entry."""
    to = np.where(np.arange(n) == 7, 3, 7).astype(np.int32)[:, None]
    return to, np.random.default_rng(0).random((n, 1)).astype(np.float32)


GRAPHS = {name: united(lists) for name, lists in LISTS.items()} | {"star": united(_star())}


def tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]


@pytest.fixture(params=GRAPHS.values(), ids=GRAPHS.keys())
def graph(request):
    return request.param


def test_the_signatures_are_those_of_the_reference():
    for name in NAMES:
        ours, theirs = getattr(supervision, name), getattr(reference, name)
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(theirs).parameters
        )


def test_classes_weaken_the_edges_between_them(graph):
    labels = (np.arange(len(graph[0]) - 1) % 4 - 1).astype(np.int32)
    found = supervision.class_intersection(*tensors(*graph, labels), 1.0, 5.0)
    expected = reference.class_intersection(*graph, labels, 1.0, 5.0)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-43)


def intersected(graph, target, mix, known):
    found = supervision.graph_intersection(*tensors(*graph, *target, known), 1.0, mix)
    expected = reference.graph_intersection(*graph, *target, known, 1.0, mix)
    assert [part.dtype for part in found] == [torch.int64, torch.int32, torch.float32]
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("mix", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_the_intersection_of_two_graphs_is_that_of_the_reference(graph, mix):
    n = len(graph[0]) - 1
    k = min(5, n - 1)
    target = united(random_lists(n=n, k=k, seed=3)) if k else graph
    intersected(graph, target, mix, np.arange(n) % 5 != 2)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("swap", [True, False])
def test_a_graph_meets_one_without_edges(known, swap):
    empty = np.zeros(151, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)
    both = (empty, GRAPHS["random"]) if swap else (GRAPHS["random"], empty)
    intersected(*both, 0.3, np.full(150, known))


def test_connectivity_is_restored(graph):
    found = supervision.restore_connectivity(*tensors(*graph))
    expected = reference.restore_connectivity(*graph)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    largest = np.zeros(len(graph[0]) - 1)
    np.maximum.at(largest, np.repeat(np.arange(len(largest)), np.diff(graph[0])), found.numpy())
    np.testing.assert_allclose(largest[np.diff(graph[0]) > 0], 1.0, rtol=1e-6)


def test_connectivity_is_restored_where_rows_differ():
    indptr, columns, weights = GRAPHS["random"]
    weights = np.random.default_rng(1).random(len(weights)).astype(np.float32)
    weights[indptr[3] : indptr[5]] = 0  # as exp(-far) may leave them
    found = supervision.restore_connectivity(*tensors(indptr, columns, weights))
    expected = reference.restore_connectivity(indptr, columns, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_the_same_input_gives_the_same_bits_and_is_left_unchanged():
    first, second = tensors(*GRAPHS["random"]), tensors(*united(random_lists(seed=3)))
    given = [*first, *second, torch.ones(150, dtype=torch.bool)]
    before = [part.clone() for part in given]

    def made():
        intersection = supervision.graph_intersection(*given, 1.0, 0.4)
        return *intersection, supervision.restore_connectivity(*first)

    assert all(torch.equal(a, b) for a, b in zip(made(), made(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, given, strict=True))
