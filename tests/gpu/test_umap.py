"""`UMAP(device="cuda")` from end to end, through the kernels of the GPU."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import fastxai
from fastxai import UMAP, NeighborGraph, neighbors
from fastxai.errors import FastxaiWarning, InvalidInputError

from .traffic import counted

EPOCHS = {"n_epochs": 3}


def blobs(n: int = 120, d: int = 12, groups: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    label = np.arange(n) % groups
    centres = random.normal(scale=6, size=(groups, d))
    return (centres[label] + random.normal(size=(n, d))).astype(np.float32), label


X, LABEL = blobs()


@pytest.fixture(scope="module")
def graph() -> NeighborGraph:
    return neighbors(X, 14, device="cuda")


@pytest.fixture(scope="module")
def fitted(graph: NeighborGraph) -> UMAP:
    return UMAP(device="cuda", neighbors=graph, **EPOCHS).fit(X)


def test_the_embedding_is_near_that_of_the_cpu(fitted: UMAP) -> None:
    cpu = UMAP(device="cpu", **EPOCHS).fit(X)
    assert (fitted.device_, cpu.device_) == ("cuda:0", "cpu")
    spread = cpu.embedding_.std()
    assert np.abs(fitted.embedding_ - cpu.embedding_).max() < 0.02 * spread
    assert (fitted.neighbors_.indices == cpu.neighbors_.indices).mean() > 0.999
    difference = abs(fitted.graph_ - cpu.graph_).max()
    assert difference < 1e-4


def test_the_same_bits_again_from_the_search_on(fitted: UMAP) -> None:
    again = UMAP(device="cuda", **EPOCHS).fit_transform(X)
    assert np.array_equal(again, fitted.embedding_)


@pytest.mark.parametrize(
    ("give", "kind"),
    [
        pytest.param(lambda X: X, np.ndarray, id="numpy"),
        pytest.param(lambda X: X.astype(np.float64), np.ndarray, id="float64"),
        pytest.param(lambda X: X.tolist(), np.ndarray, id="lists"),
        pytest.param(torch.from_numpy, torch.Tensor, id="tensor"),
        pytest.param(
            lambda X: torch.from_numpy(X).requires_grad_(), torch.Tensor, id="with a graph"
        ),
    ],
)
def test_results_come_as_x_came(fitted: UMAP, graph: NeighborGraph, give, kind) -> None:
    model = UMAP(device="cuda", neighbors=graph, **EPOCHS)
    embedding = model.fit_transform(give(X))
    assert isinstance(embedding, kind)
    assert isinstance(model.embedding_, kind)
    assert np.array_equal(np.asarray(embedding), fitted.embedding_)
    assert isinstance(model.transform(give(X[:3] + np.float32(0))), kind)


def test_a_tensor_crosses_no_bus(monkeypatch) -> None:
    # Scraps that are not connected to the rest are laid out on the host: one group, then.
    points = torch.from_numpy(blobs(groups=1)[0])
    with counted(monkeypatch) as traffic:
        UMAP(device="cuda", **EPOCHS).fit(points)
    # Of so few points the spectral start solves for all eigenvalues, and judges them.
    assert max(c.bytes for c in traffic.large("down")) <= 8 * len(X)
    # The block that the spectral start begins with, and its noise.
    assert sum(c.bytes for c in traffic.large("up")) <= 4 * len(X) * (4 + 2)


def test_an_array_of_the_host_goes_up_once_and_its_map_comes_down_once(monkeypatch) -> None:
    X = blobs(groups=1)[0]
    with counted(monkeypatch) as traffic:
        UMAP(device="cuda", **EPOCHS).fit(X)
    assert [c.bytes for c in traffic.large("up")].count(X.nbytes) == 1
    down = sum(c.bytes for c in traffic.large("down") if c.name == "numpy")
    assert down == 4 * len(X) * 2 + 2 * 8 * len(X)  # the map; eigenvalues and residuals


def test_training_rows_get_their_own_place(fitted: UMAP) -> None:
    assert np.array_equal(fitted.transform(X[5:9]), fitted.embedding_[5:9])


def test_new_rows_lie_among_their_neighbours(fitted: UMAP) -> None:
    rows = X[:6] + np.float32(0.01)
    places = fitted.transform(rows)
    assert np.isfinite(places).all()
    near = fitted.neighbors_.query(rows, 1)[0][:, 0]
    assert (LABEL[near] == LABEL[:6]).all()


def test_equal_rows_share_a_place_with_unique() -> None:
    twice = np.concatenate([X[:30], X[:30]])
    model = UMAP(device="cuda", unique=True, **EPOCHS).fit(twice)
    assert np.array_equal(model.embedding_[:30], model.embedding_[30:])
    assert model.neighbors_.n_points == 30


def test_neighbours_of_the_host_are_taken(fitted: UMAP) -> None:
    host = neighbors(X, 14, device="cpu")
    model = UMAP(device="cuda", neighbors=host, **EPOCHS).fit(X)
    assert np.abs(model.embedding_ - fitted.embedding_).max() < 1e-3


def test_neighbours_of_other_points_are_refused(graph: NeighborGraph) -> None:
    with pytest.raises(InvalidInputError, match="row 0 of X"):
        UMAP(device="cuda", neighbors=graph, **EPOCHS).fit(X + 1)


@pytest.mark.parametrize("init", ["pca", "random", "given"])
def test_starts(graph: NeighborGraph, init: str) -> None:
    start = np.random.default_rng(1).uniform(0, 10, (len(X), 2)).astype(np.float32)
    options = {"init": start if init == "given" else init, "neighbors": graph, **EPOCHS}
    gpu = UMAP(device="cuda", **options).fit_transform(X)
    cpu = UMAP(device="cpu", **options).fit_transform(X)
    assert np.abs(gpu - cpu).max() < 0.02 * cpu.std()


@pytest.mark.parametrize("components", [1, 3])
def test_other_dimensions(graph: NeighborGraph, components: int) -> None:
    options = {"neighbors": graph, "n_epochs": 2}
    embedding = UMAP(n_components=components, device="cuda", **options).fit_transform(X)
    assert embedding.shape == (len(X), components)
    assert np.isfinite(embedding).all()


@pytest.mark.parametrize("target_metric", ["categorical", "euclidean"])
def test_supervision(graph: NeighborGraph, target_metric: str) -> None:
    options = {"neighbors": graph, "target_metric": target_metric, **EPOCHS}
    gpu = UMAP(device="cuda", **options).fit_transform(X, LABEL)
    cpu = UMAP(device="cpu", **options).fit_transform(X, LABEL)
    assert np.abs(gpu - cpu).max() < 0.05 * cpu.std()


@pytest.mark.parametrize("metric", ["cosine", "correlation"])
def test_angles(metric: str) -> None:
    gpu, cpu = (neighbors(X[:50], 5, metric=metric, device=device) for device in ("cuda", "cpu"))
    assert (gpu.indices == cpu.indices).mean() > 0.99
    assert np.allclose(gpu.distances, cpu.distances, atol=1e-6)


def test_other_metrics_are_searched_on_the_host() -> None:
    model = UMAP(metric="manhattan", device="cuda", **EPOCHS).fit(X[:60])
    assert model.device_ == "cuda:0"
    assert np.isfinite(model.embedding_).all()


def test_components_lie_apart() -> None:
    far = np.concatenate([X[:25], X[:25] + 1000])
    embedding = UMAP(n_neighbors=5, device="cuda", **EPOCHS).fit_transform(far)
    assert np.isfinite(embedding).all()


def test_points_without_neighbours_are_nan() -> None:
    far = np.concatenate([X[:50], np.full((1, X.shape[1]), 1e4, np.float32)])
    with pytest.warns(FastxaiWarning, match="1 of 51 points"):
        embedding = UMAP(
            device="cuda", n_neighbors=5, disconnection_distance=500.0, **EPOCHS
        ).fit_transform(far)
    assert np.isnan(embedding[-1]).all()
    assert np.isfinite(embedding[:-1]).all()


@pytest.mark.parametrize(
    ("row", "value", "word"), [(3, np.nan, "NaN at row 3"), (7, np.inf, "inf at row 7")]
)
def test_bad_tensors_are_refused(row: int, value: float, word: str) -> None:
    bad = torch.from_numpy(X.copy())
    bad[row, 2] = value
    with pytest.raises(InvalidInputError, match=word):
        UMAP(device="cuda").fit(bad)


def test_a_pickle_needs_no_gpu(fitted: UMAP, tmp_path) -> None:
    file = tmp_path / "model.pickle"
    file.write_bytes(pickle.dumps(fitted))
    np.save(tmp_path / "rows.npy", X[:4] + np.float32(0.01))
    code = (
        "import pickle, sys, warnings, numpy as np\n"
        "folder = sys.argv[1]\n"
        "model = pickle.load(open(folder + '/model.pickle', 'rb'))\n"
        "assert 'triton' not in sys.modules and 'torch' not in sys.modules\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    places = model.transform(np.load(folder + '/rows.npy'))\n"
        "assert 'used on the CPU' in str(told[0].message)\n"
        "assert np.isfinite(places).all() and places.shape == (4, 2)\n"
        "assert model.graph_.shape == (120, 120)\n"
    )
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_a_loaded_model_goes_on_on_a_gpu(fitted: UMAP) -> None:
    loaded = pickle.loads(pickle.dumps(fitted))
    rows = X[:4] + np.float32(0.01)
    assert np.array_equal(loaded.transform(rows), fitted.transform(rows))


def test_a_graph_of_the_device_pickles_as_a_plain_one(graph: NeighborGraph) -> None:
    loaded = pickle.loads(pickle.dumps(graph))
    assert type(loaded) is NeighborGraph
    assert np.array_equal(loaded.indices, graph.indices)
    assert np.array_equal(loaded.X, X)


def test_verbose_names_the_device(capsys) -> None:
    UMAP(device="cuda", verbose=True, **EPOCHS).fit(X[:60])
    assert "cuda:0" in capsys.readouterr().err


def test_auto_without_a_gpu_is_the_cpu() -> None:
    assert fastxai.PCA().fit(X).device_ == "cpu"
