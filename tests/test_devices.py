"""Where work runs, and in which kind of array its results leave."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastxai
from fastxai.devices import choose_device, giver_for, host_array, is_foreign
from fastxai.errors import InvalidInputError
from fastxai_kernels import _cuda

torch = pytest.importorskip("torch")
X = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)


class Array:
    """An array of some other library, which speaks DLPack and nothing else."""

    def __init__(self, tensor: Any, cuda: int | None = None) -> None:
        self.tensor, self.cuda = tensor, cuda

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0) if self.cuda is None else (2, self.cuda)

    def __dlpack__(self, **options: Any) -> Any:
        return self.tensor.__dlpack__()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.tensor, dtype)


Array.__module__ = "other_arrays.core"


@pytest.fixture(autouse=True)
def library(monkeypatch) -> ModuleType:
    """The library that those arrays are of."""
    module = ModuleType("other_arrays")
    module.from_dlpack = lambda X: Array(torch.from_dlpack(X))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "other_arrays", module)
    return module


@pytest.mark.parametrize(
    "X",
    [
        pytest.param(X, id="numpy"),
        pytest.param(X.tolist(), id="lists"),
        pytest.param(torch.from_numpy(X), id="tensor of the host"),
        pytest.param(Array(torch.from_numpy(X)), id="another library's"),
    ],
)
def test_auto_is_the_cpu_for_what_lies_there(X: Any) -> None:
    assert choose_device("auto", X).name == "cpu"


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_what_lies_on_a_gpu_asks_for_one(device: str) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InvalidInputError, match="CUDA"):
        choose_device(device, Array(torch.from_numpy(X), cuda=0))


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:1", "mps", ""])
def test_other_devices_are_refused_by_name(device: str) -> None:
    with pytest.raises(InvalidInputError, match=repr(device)):
        choose_device(device)


@pytest.mark.parametrize("estimator", ["PCA", "UMAP", "TSNE"])
def test_results_are_of_the_library_that_gave_x(estimator: str) -> None:
    options = {
        "PCA": {},
        "UMAP": {"n_neighbors": 5, "n_epochs": 5},
        "TSNE": {"perplexity": 5, "max_iter": 10, "early_exaggeration_iter": 5},
    }
    make = getattr(fastxai, estimator)
    found = make(**options[estimator]).fit_transform(Array(torch.from_numpy(X)))
    assert isinstance(found, Array)
    same = make(**options[estimator]).fit_transform(X)
    assert np.array_equal(np.asarray(found), same)


def test_a_library_without_from_dlpack_is_refused(library: ModuleType) -> None:
    del library.from_dlpack
    with pytest.raises(InvalidInputError, match="from_dlpack"):
        giver_for(Array(torch.from_numpy(X)))


def test_a_tensor_with_a_graph_is_read() -> None:
    X = torch.ones(3, 2, requires_grad=True)
    assert np.array_equal(np.asarray(host_array(X.detach())), np.ones((3, 2)))
    assert is_foreign(X)
    found = giver_for(X)(np.zeros((3, 2), np.float32))
    assert isinstance(found, torch.Tensor)
    assert not found.requires_grad


def test_a_child_forked_from_a_process_on_cuda_stays_on_the_cpu(monkeypatch) -> None:
    monkeypatch.setattr(_cuda, "missing", lambda: None)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    assert choose_device("auto", X).name == "cpu"
    with pytest.raises(InvalidInputError, match="spawn"):
        choose_device("cuda")


def test_a_triton_that_is_too_old_is_named(monkeypatch) -> None:
    triton = pytest.importorskip("triton")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(triton, "__version__", "3.4.0")
    assert "Triton 3.4.0 is too old" in _cuda.missing.__wrapped__()
    monkeypatch.setattr(triton, "__version__", "3.10.0+git1")
    assert _cuda.missing.__wrapped__() is None
