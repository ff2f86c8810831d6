"""Batches that do not fit are halved, and what failed is let go."""

from __future__ import annotations

import weakref
from typing import Any

import networks
import pytest
import torch
from doing import Doing

import fastxai
from fastxai.explain.halving import Batches
from fastxai.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


@pytest.fixture
def images() -> torch.Tensor:
    found: torch.Tensor = networks.images(networks.plain_cnn)
    return found


def small(most: int, seen: list[int]) -> Doing:
    """A plain CNN whose memory holds a few images."""

    def does(module: Any, x: torch.Tensor) -> Any:
        seen.append(len(x))
        if len(x) > most:
            raise MemoryError("too many")
        return module.net(x)

    return Doing(does)


MEMORY: Any = {
    "several methods": lambda model, x: fastxai.explain(model, x, "saliency, rise")["rise"].maps,
    "samples": lambda model, x: fastxai.Saliency(model, kind="smoothgrad", n_samples=5)(x, 1),
    "way": lambda model, x: fastxai.Saliency(model, kind="integrated_gradients", n_samples=5)(x, 1),
    "projection": lambda model, x: fastxai.DeconvNet(model).project(x, "net.features").maps,
    "views": lambda model, x: fastxai.Occlusion(model, window=12).views(x, 1, "net.features")[2],
}  # fmt: skip


@pytest.mark.parametrize("does", MEMORY.values(), ids=MEMORY)
def test_batches_are_halved_until_they_fit(does: Any, images: torch.Tensor) -> None:
    seen: list[int] = []
    many = torch.cat([images, images + 0.1, images * 0.5])
    whole, parts = does(small(1000, []), many), does(small(3, seen), many)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)
    assert max(seen) > 3
    with pytest.raises(MemoryError, match="too many"):
        does(small(0, []), many)


def test_the_graph_of_a_batch_that_did_not_fit_is_gone_before_the_next() -> None:
    kept: list[Any] = []

    class Large:
        """What the work had made."""

    def work(first: int, last: int) -> int:
        alive = [one() for one in kept if one() is not None]
        assert not alive
        large = Large()
        kept.append(weakref.ref(large))
        if last - first > 2:
            raise MemoryError
        return last - first

    batches = Batches(9, 8)
    assert batches.run(work, Progress(), "work") == [2, 2, 2, 2, 1]
    assert batches.halved and batches.size == 2
