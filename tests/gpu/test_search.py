"""The search on a device by cells, which shipped sizes reach from a hundred thousand points on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastxai.embed.cuda import search
from fastxai.embed.cuda.copies import find_copies, give_back
from fastxai.embed.cuda.points import space_of
from fastxai_kernels import reference, select

GPU = select("cuda")


def points(n: int, d: int = 6) -> torch.Tensor:
    random = np.random.default_rng(3)
    centres = random.normal(scale=4, size=(5, d))
    return torch.from_numpy(
        (centres[np.arange(n) % 5] + random.normal(size=(n, d))).astype(np.float32)
    )


def recall(found: torch.Tensor, X: torch.Tensor, k: int) -> float:
    nobody = np.arange(len(X), dtype=np.int32)
    true = reference.nearest(X.numpy(), X.numpy(), k, nobody)[0]
    pairs = zip(found.numpy(), true, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in pairs]))


@pytest.mark.parametrize("promised", [0.9, 1.0])
def test_the_recall_is_what_was_promised(monkeypatch, promised: float) -> None:
    monkeypatch.setattr(search, "_QUICK", 0.0)
    X = points(70)
    found = search.find_neighbors_there(
        GPU, space_of(X, "euclidean"), 4, promised, 0, lambda r: None
    )
    assert found.recall >= promised
    assert recall(found.indices, X, 4) >= promised - 0.03
    assert (found.distances.diff(dim=1) >= 0).all()
    assert (found.indices != torch.arange(len(X))[:, None]).all()


def test_copies_are_searched_once_and_given_back(monkeypatch) -> None:
    monkeypatch.setattr(search, "_QUICK", 0.0)
    X = points(20).repeat(3, 1)
    found = search.find_neighbors_there(GPU, space_of(X, "euclidean"), 4, 0.9, 0, lambda r: None)
    assert (found.distances[:, :2] == 0).all()
    assert (found.indices[:, :2] % 20 == (torch.arange(60) % 20)[:, None]).all()


def test_copies_are_grouped_by_their_lowest_row() -> None:
    X = points(6)[[3, 1, 3, 0, 1, 3]]
    copies = find_copies(GPU, X)
    assert copies.group.tolist() == [0, 1, 0, 2, 1, 0]
    assert copies.members.tolist() == [0, 2, 5, 1, 4, 3]
    assert copies.firsts.tolist() == [0, 1, 3]
    indices, squares = give_back(
        copies,
        torch.tensor([[1], [0], [1]], dtype=torch.int32),
        torch.tensor([[1.0], [1.0], [2.0]]),
        3,
    )
    assert indices.tolist()[0] == [2, 5, 1]
    assert squares[3].tolist() == [2.0, 2.0, torch.inf]


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_numbers_whose_squares_leave_float32(scale: float) -> None:
    X = points(40)
    space = space_of(X * scale, "euclidean")
    found = search.find_neighbors_there(GPU, space, 3, 0.95, 0, lambda r: None)
    true = reference.nearest(X.numpy(), X.numpy(), 3, np.arange(40, dtype=np.int32))
    assert (found.indices.numpy() == true[0]).all()
    assert np.allclose(found.distances.numpy() / scale, true[1], rtol=1e-4)
