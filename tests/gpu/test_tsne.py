"""`TSNE(device="cuda")` from end to end, through the kernels of the GPU."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from fastxai import TSNE, neighbors
from fastxai.errors import DivergedError, InvalidInputError

from .test_umap import X
from .traffic import counted

X = X[:90]
GRAPH = neighbors(X, 24, device="cpu")
SEARCHED = {"perplexity": 8.0, "max_iter": 4, "early_exaggeration_iter": 2}
SHORT = {**SEARCHED, "neighbors": GRAPH}


@pytest.fixture(scope="module")
def fitted() -> TSNE:
    return TSNE(device="cuda", **SHORT).fit(X)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


def test_the_embedding_is_near_that_of_the_cpu(fitted: TSNE) -> None:
    cpu = TSNE(device="cpu", **SHORT).fit(X)
    assert (fitted.device_, fitted.n_iter_, fitted.method_) == ("cuda:0", 4, cpu.method_)
    assert relative(fitted.embedding_, cpu.embedding_) < 1e-3
    assert abs(fitted.kl_divergence_ - cpu.kl_divergence_) < 1e-4


@pytest.mark.parametrize("method", ["barnes_hut", "particle_mesh"])
def test_methods(method: str) -> None:
    options = {**SHORT, "method": method, "init": 10 * np.tanh(X[:, :2])}
    gpu, cpu = (TSNE(device=device, **options).fit_transform(X) for device in ("cuda", "cpu"))
    assert relative(gpu, cpu) < 0.02


def test_three_dimensions() -> None:
    options = {**SHORT, "n_components": 3, "method": "barnes_hut"}
    gpu, cpu = (TSNE(device=device, **options).fit_transform(X) for device in ("cuda", "cpu"))
    assert relative(gpu, cpu) < 0.02


def test_the_same_bits_twice(fitted: TSNE) -> None:
    assert np.array_equal(TSNE(device="cuda", **SHORT).fit_transform(X), fitted.embedding_)


def test_from_the_search_on(fitted: TSNE) -> None:
    assert relative(TSNE(device="cuda", **SEARCHED).fit_transform(X), fitted.embedding_) < 1e-3


@pytest.mark.parametrize("init", ["random", "spectral"])
def test_starts(init: str) -> None:
    # A strip, whose smoothest functions are not each other's equals.
    strip = np.random.default_rng(0).uniform(0, (4, 1), (90, 2)).astype(np.float32)
    options = {**SHORT, "neighbors": neighbors(strip, 24, device="cpu")}
    gpu, cpu = (
        TSNE(device=device, init=init, **options).fit_transform(strip) for device in ("cuda", "cpu")
    )
    assert relative(gpu, cpu) < 0.02


def test_a_tensor_comes_back_and_crosses_no_bus(monkeypatch) -> None:
    points = torch.from_numpy(X)
    with counted(monkeypatch) as traffic:
        embedding = TSNE(device="cuda", **SEARCHED).fit_transform(points)
    assert isinstance(embedding, torch.Tensor)
    assert traffic.large("down") == []
    assert sum(c.bytes for c in traffic.large("up")) <= 4 * len(X) * 2


def test_new_rows_lie_among_their_neighbours(fitted: TSNE) -> None:
    rows = X[:6] + np.float32(0.01)
    places = fitted.transform(rows)
    assert np.isfinite(places).all()
    assert np.array_equal(fitted.transform(X[5:9]), fitted.embedding_[5:9])


def test_pca_first_stays_on_the_device(monkeypatch) -> None:
    points = torch.from_numpy(X)
    with counted(monkeypatch) as traffic:
        model = TSNE(device="cuda", pca_components=5, **SEARCHED).fit(points)
    assert max((c.bytes for c in traffic.large("down")), default=0) <= 8 * 5 * X.shape[1]
    assert model.pca_.n_components_ == 5
    assert np.isfinite(np.asarray(model.transform(points[:3] + 0.01))).all()


def test_callbacks_hear_arrays_of_the_host() -> None:
    heard = []
    TSNE(
        device="cuda", callbacks=lambda i, kl, Y: heard.append((i, kl, Y)),
        callbacks_every_iters=2, **SHORT,
    ).fit(X)  # fmt: skip
    assert [i for i, _, _ in heard] == [2, 4]
    assert all(isinstance(Y, np.ndarray) and Y.shape == (len(X), 2) for _, _, Y in heard)


def test_a_pickle_holds_arrays_of_the_host() -> None:
    model = TSNE(device="cuda", **SHORT).fit(torch.from_numpy(X))
    loaded = pickle.loads(pickle.dumps(model)).set_params(device="cpu")
    assert isinstance(loaded.embedding_, np.ndarray)
    assert np.isfinite(loaded.transform(X[:3] + np.float32(0.01))).all()


def test_steps_beyond_the_numbers_are_told() -> None:
    with pytest.raises(DivergedError):
        TSNE(device="cuda", learning_rate=1e38, max_step_norm=None, **SHORT).fit(X)


def test_a_perplexity_beyond_the_points_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="perplexity"):
        TSNE(device="cuda", perplexity=50).fit(X[:40])
