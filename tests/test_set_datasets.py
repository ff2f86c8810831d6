"""Image sets that are Datasets or DataLoaders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from set_files import NOISE
from set_sources import Items, names_of, opened, tensors

torch = pytest.importorskip("torch")
from torch.utils import data  # noqa: E402

from fastxai.errors import InvalidInputError  # noqa: E402
from fastxai.image_sets.decoding import NOWHERE  # noqa: E402
from fastxai.image_sets.sources import read_source  # noqa: E402


class Endless(data.IterableDataset):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        return iter([])


def test_a_dataset_is_read_by_number() -> None:
    source = read_source(Items(tensors()))
    assert (source.kind, len(source), source.concurrent) == ("dataset", 3, False)
    sample = source.read(2)
    assert (sample.image == 2).all() and sample.label == 2
    assert source.labels == [None] * 3


def test_an_item_that_fails_is_a_reason() -> None:
    items = [*tensors(1), KeyError("b.png"), "odd", (torch.zeros(1, 5, 4), 1), OSError()]
    source = read_source(Items(items))
    source.expect((1, 4, 4))
    reasons = [source.read(i).reason for i in range(5)]
    assert reasons[0] == ""
    assert reasons[1] == "the dataset raised KeyError: 'b.png'"
    assert "a str" in reasons[2]
    assert "(1, 5, 4), and the others have (1, 4, 4)" in reasons[3]
    assert reasons[4] == "the dataset raised OSError:"


def test_ctrl_c_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        read_source(Items([KeyboardInterrupt()])).read(0)


def test_an_item_that_is_too_large_is_a_failure_of_its_own() -> None:
    assert read_source(Items([MemoryError()])).read(0).reason == "does not fit into memory"


def test_labels_given_beside_a_dataset_count_instead_of_its_own() -> None:
    source = read_source(Items(tensors()), labels=[5, None, 7])
    assert source.labels == [5, None, 7] and source.read(1).label is None
    assert read_source(Items(tensors()), labels=False).read(1).label is None


def test_lists_of_images_are_datasets() -> None:
    photos = [Image.fromarray(NOISE)] * 2
    assert opened(photos).read(1).image.shape == (3, 8, 8)
    assert read_source([torch.ones(1, 4, 4)]).read(0).image.shape == (1, 4, 4)


def test_the_files_of_an_image_folder_are_known(tmp_path: Path) -> None:
    dataset = Items(tensors())
    dataset.samples = [(str(tmp_path / f"{i}.png"), i + 1) for i in range(3)]
    source = read_source(dataset)
    assert names_of(source, tmp_path) == ["0.png", "1.png", "2.png"]
    assert source.labels == [1, 2, 3]
    assert source.read(1).image is not None and source.read(1).place == NOWHERE


def test_a_loader_is_its_dataset_in_order() -> None:
    source = read_source(data.DataLoader(Items(tensors()), batch_size=2, num_workers=2))
    assert len(source) == 3 and source.read(1).label == 1
    assert len(read_source(data.DataLoader(Items(tensors()), batch_size=None))) == 3


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (data.DataLoader(Items(tensors()), shuffle=True), "shuffles.*shuffle=False"),
        (data.DataLoader(Items(tensors()), sampler=[2, 0]), "order of its own"),
        (data.DataLoader(Items(tensors()), batch_sampler=[[0, 1], [2]]), "order of its own"),
        (data.DataLoader(Items(tensors()), collate_fn=list), "collate_fn"),
        (data.DataLoader(Endless()), "iterable.*map-style"),
        (Endless(), "iterable.*map-style"),
        (Items([]), "empty"),
        (data.Dataset(), "__len__"),
    ],
    ids=["shuffled", "sampled", "batched", "collated", "endless", "iterable", "empty", "unknown"],
)
def test_other_datasets_are_refused(loader: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_source(loader)


def test_a_data_frame_is_refused_with_the_remedy() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InvalidInputError, match="column of paths as source"):
        opened(pandas.DataFrame({"path": ["a.png"]}))
