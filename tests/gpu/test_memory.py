"""A device's memory is asked before hours of work."""

from __future__ import annotations

import numpy as np
import pytest

import fastxai
from fastxai.devices import choose_device
from fastxai.embed.cuda import memory
from fastxai.embed.cuda.memory import layout_bytes, require_device_memory, search_bytes
from fastxai.errors import InvalidInputError, NotEnoughMemoryError

X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)


@pytest.fixture
def little(monkeypatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2**20)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: fastxai.UMAP(device="cuda"), id="UMAP"),
        pytest.param(lambda: fastxai.TSNE(device="cuda", perplexity=5), id="t-SNE"),
    ],
)
def test_too_little_is_refused_with_figures(little: None, make) -> None:
    with pytest.raises(NotEnoughMemoryError, match=r"GiB on cuda:0, and 0\.0 GiB.*device='cpu'"):
        make().fit(X)


def test_points_that_do_not_fit_are_refused_before_they_are_sent(monkeypatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    with pytest.raises(NotEnoughMemoryError, match="a copy of 60 x 5 points"):
        fastxai.neighbors(X, 5, device="cuda")


def test_more_components_than_a_layout_holds_are_refused_at_once() -> None:
    with pytest.raises(InvalidInputError, match=r"n_components=33.*at most 32"):
        fastxai.UMAP(n_components=33, device="cuda").fit(X)


def test_what_fits_is_let_through(little: None) -> None:
    require_device_memory(choose_device("cuda"), 2**19, "half of it")


def test_estimates_grow_with_what_is_asked() -> None:
    assert search_bytes(10**6, 50, 15, "euclidean") < search_bytes(10**6, 50, 90, "euclidean")
    assert search_bytes(10**6, 50, 15, "euclidean") < search_bytes(10**7, 50, 15, "euclidean")
    assert layout_bytes(10**6, 15) < 4 * 2**30


def test_the_interpreter_has_no_memory_of_its_own() -> None:
    assert memory.free_bytes(choose_device("cuda")) is None
