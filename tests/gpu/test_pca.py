"""`PCA(device="cuda")` against that of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastxai import PCA
from fastxai.errors import InvalidInputError

random = np.random.default_rng(0)
X = (random.normal(size=(90, 20)) @ random.normal(size=(20, 20))).astype(np.float32)


@pytest.mark.parametrize(
    ("points", "components", "solver"),
    [
        pytest.param(X, 3, "auto", id="covariance"),
        pytest.param(X[:12], None, "auto", id="fewer rows than features"),
        pytest.param(X, 0.9, "auto", id="share of the variance"),
        pytest.param(X, 3, "randomized", id="randomised"),
        pytest.param(X.astype(np.float64), 3, "auto", id="float64"),
        pytest.param((100 * X).astype(np.int32), 3, "auto", id="integers"),
    ],
)
def test_as_on_the_cpu(points, components, solver) -> None:
    gpu, cpu = (PCA(components, solver=solver, device=device) for device in ("cuda", "cpu"))
    found, true = gpu.fit_transform(points), cpu.fit_transform(points)
    assert gpu.device_ == "cuda:0"
    assert (found.dtype, gpu.solver_) == (true.dtype, cpu.solver_)
    scale = np.abs(true).max()
    used = cpu.explained_variance_ > 1e-6 * cpu.explained_variance_[0]
    assert np.allclose(
        gpu.explained_variance_, cpu.explained_variance_, rtol=1e-3, atol=1e-6 * scale
    )
    assert np.abs(found - true)[:, used].max() < 2e-3 * scale
    assert np.allclose(gpu.components_ @ gpu.components_.T, np.eye(len(gpu.components_)), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_tensors_come_back_as_tensors(dtype) -> None:
    points = torch.from_numpy(X).to(dtype)
    model = PCA(2, device="cuda").fit(points)
    places = model.transform(points)
    assert places.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert isinstance(model.inverse_transform(places), torch.Tensor)
    assert isinstance(model.components_, np.ndarray)


def test_a_memory_map_is_read_block_by_block(tmp_path, monkeypatch) -> None:
    from fastxai.embed.cuda import pca

    monkeypatch.setattr(pca, "_ELEMENTS", 1280)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert np.allclose(
        PCA(2, device="cuda").fit_transform(mapped),
        PCA(2, device="cpu").fit_transform(X),
        atol=1e-3,
    )


def test_bad_tensors_are_refused() -> None:
    bad = torch.from_numpy(X.copy())
    bad[4, 1] = torch.nan
    with pytest.raises(InvalidInputError, match="NaN at row 4, column 1"):
        PCA(device="cuda").fit(bad)
