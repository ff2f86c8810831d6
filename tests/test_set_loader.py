"""Images decoded ahead by threads: in order, few at a time, and nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from set_files import blobs, content, write

torch = pytest.importorskip("torch")
from fastxai.errors import InvalidInputError  # noqa: E402
from fastxai.explain.networks.photos import Preprocess  # noqa: E402
from fastxai.image_sets.decoding import Sample, from_input  # noqa: E402
from fastxai.image_sets.loader import default_workers, prefetch  # noqa: E402
from fastxai.image_sets.sources import Source, read_source  # noqa: E402

BATCHES = [(k, 3 * k, 3 * k + 3) for k in range(7)]


class Counted(Source):
    """Counts what was begun, and does to one image what a test wants."""

    kind = "counted"

    def __init__(self, n: int = 21, at: int = -1, do: Any = None) -> None:
        super().__init__([""] * n, [None] * n, [None] * n)
        self.at, self.do = at, do
        self.begun: list[int] = []
        self.threads: set[int] = set()

    def read(self, i: int) -> Sample:
        self.begun.append(i)
        self.threads.add(threading.get_ident())
        if i == self.at:
            self.do()
        return from_input(np.full((1, 2, 2), i, np.float32))

    def _read(self, i: int) -> Sample:
        raise NotImplementedError

    def _part(self, start: int, stop: int) -> Source:
        raise NotImplementedError

    def _details(self) -> dict[str, Any]:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def values(samples: list[Sample]) -> list[float]:
    return [float(sample.image.max()) for sample in samples if sample.image is not None]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("ahead", [1, 2, 99])
def test_batches_come_in_order(workers: int, ahead: int) -> None:
    with prefetch(Counted(), BATCHES, workers, ahead) as loaded:
        found = [(number, values(samples)) for number, samples in loaded]
    assert found == [(k, [3.0 * k, 3.0 * k + 1, 3.0 * k + 2]) for k in range(7)]


def test_any_batches_may_be_asked_for() -> None:
    with prefetch(Counted(), iter([(5, 15, 18), (2, 6, 7), (3, 9, 9)]), 2) as loaded:
        assert [(k, values(samples)) for k, samples in loaded] == [
            (5, [15, 16, 17]),
            (2, [6]),
            (3, []),
        ]
    with prefetch(Counted(), [], 2) as loaded:
        assert list(loaded) == []


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_no_more_is_read_than_soon_needed(workers: int, ahead: int) -> None:
    source = Counted()
    with prefetch(source, BATCHES, workers, ahead) as loaded:
        for taken, _ in enumerate(loaded, start=1):
            assert max(source.begun) < 3 * (taken + ahead)
    assert sorted(source.begun) == list(range(21))


def test_a_source_that_bears_one_reader_is_read_by_one_in_order() -> None:
    source = Counted()
    source.concurrent = False
    with prefetch(source, BATCHES, 8) as loaded:
        for _ in loaded:
            pass
    assert source.begun == list(range(21)) and len(source.threads) == 1


def _no_memory() -> None:
    raise MemoryError("no room")


@pytest.mark.parametrize("at", [0, 10, 20])
def test_what_reading_raises_comes_out(at: int) -> None:
    source = Counted(at=at, do=_no_memory)
    with pytest.raises(MemoryError, match="no room"), prefetch(source, BATCHES, 3) as loaded:
        for _ in loaded:
            pass


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_leaving_early_ends_the_threads(error: type[BaseException]) -> None:
    source = Counted(300)
    batches = [(k, 3 * k, 3 * k + 3) for k in range(100)]
    with pytest.raises(error), prefetch(source, batches, 3) as loaded:
        next(loaded)
        raise error
    assert len(source.begun) <= 9


def test_batches_that_raise_end_the_threads() -> None:
    def batches() -> Iterator[tuple[int, int, int]]:
        yield from BATCHES[:3]
        raise OSError("disk")

    taken = []
    with pytest.raises(OSError, match="disk"), prefetch(Counted(), batches(), 2) as loaded:
        taken += [number for number, _ in loaded]


def test_the_number_of_threads_changes_nothing(tmp_path: Path) -> None:
    for i in range(12):
        image = blobs(40 + i, 60)
        write(tmp_path / f"{i:02}.jpg", content(image, "JPEG") if i % 5 else b"damaged")
    source = read_source(tmp_path, preprocess=Preprocess((16, 16)))
    found = []
    for workers in (1, 4):
        with prefetch(source, [(0, 0, 5), (1, 5, 12)], workers) as loaded:
            found.append([sample for _, samples in loaded for sample in samples])
    for one, many in zip(*found, strict=True):
        np.testing.assert_equal(one._asdict(), many._asdict())


@pytest.mark.parametrize("given", [{"workers": 0}, {"workers": -1}, {"ahead": 0}])
def test_there_must_be_a_thread(given: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError, match="1 or more"), prefetch(Counted(), [], **given):
        pass


def test_threads_by_default_are_as_many_as_cores() -> None:
    assert 1 <= default_workers() <= 8
