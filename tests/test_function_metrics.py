"""Metrics that are functions, and those that only pynndescent has, of few points."""

import numba
import numpy as np
import pytest
from scipy.spatial.distance import cdist

import fastxai
from fastxai import UMAP, InvalidInputError
from fastxai.embed import external

X = np.random.default_rng(0).standard_normal((120, 5)).astype(np.float32)
FAST = {"n_epochs": 10, "n_neighbors": 8}


def city(a, b):
    total = 0.0
    for j in range(a.shape[0]):
        total += abs(a[j] - b[j])
    return total


@pytest.mark.parametrize("function", [city, numba.njit(city)], ids=["plain", "compiled"])
def test_a_function_as_metric(function):
    model = UMAP(metric=function, **FAST).fit(X)
    true = np.sort(cdist(X, X, "cityblock"), axis=1)[:, 1:8]
    np.testing.assert_allclose(model.neighbors_.distances, true, rtol=1e-5)
    assert np.array_equal(model.transform(X), model.embedding_)
    assert np.isfinite(model.transform(X[:5] + 1)).all()


def test_arguments_of_a_function():
    found = fastxai.neighbors(
        X, 5, metric=lambda a, b, p: np.abs(a - b).max() * p, metric_kwds={"p": 2}
    )
    true = np.sort(cdist(X, X, "chebyshev"), axis=1)[:, 1:6] * 2
    np.testing.assert_allclose(found.distances, true, rtol=1e-5)


@pytest.mark.parametrize("metric", ["hamming", "jaccard", "yule", "sqeuclidean"])
def test_few_points_do_without_pynndescents_search(metric, monkeypatch):
    monkeypatch.setattr(external, "_index", None)
    points = X > -0.5
    found = fastxai.neighbors(points, 5, metric=metric)
    given = points.astype(float) if metric in ("hamming", "sqeuclidean") else points
    true = cdist(given, given, metric)
    np.fill_diagonal(true, np.inf)
    np.testing.assert_allclose(found.distances, np.sort(true, axis=1)[:, :5], atol=1e-6)


def test_a_function_for_many_points_must_be_compiled(monkeypatch):
    monkeypatch.setattr(external, "_FEW_CALLS", 100)
    with pytest.raises(InvalidInputError, match=r"metric=.*numba\.njit"):
        UMAP(metric=city, **FAST).fit(X)
