"""Labels and groups given beside the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from set_sources import INPUT, as_csv, fill, opened

torch = pytest.importorskip("torch")

from fastxai.errors import FastxaiWarning, InvalidInputError  # noqa: E402
from fastxai.image_sets.sources import read_source  # noqa: E402


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    fill(tmp_path, "photos/cat/1.png", "photos/cat/2.png", "photos/dog/1.png")
    return tmp_path / "photos"


NAMED = ["Dog", "cat", "cow"]


def test_a_folder_is_a_label(animals: Path) -> None:
    source = opened(animals, labels="folder", groups="folder", names=NAMED)
    assert source.labels == source.groups == ["cat", "cat", "dog"]


@pytest.mark.parametrize(
    "labels",
    [
        [1, 1, 0],
        (1, 1.0, 0),
        np.array([1, 1, 0], np.uint8),
        torch.tensor([1, 1, 0]),
        {"cat/1.png": 1, "cat/2.png": 1, "dog/1.png": 0, "cow/1.png": 2},
    ],
    ids=["list", "tuple", "array", "tensor", "mapping"],
)
def test_labels_of_every_form(animals: Path, labels: Any) -> None:
    assert opened(animals, labels=labels, names=NAMED).labels == [1, 1, 0]


@pytest.mark.parametrize("head", ["path,label", "file,labels", "name,kind"])
def test_labels_from_a_file(animals: Path, head: str) -> None:
    rows = "photos/cat/1.png,cat\nphotos/dog/1.png,dog\nphotos/cat/2.png,\nphotos/no.png,cow\n"
    table = as_csv(animals.parent, f"{head}\n{rows}", "labels.csv")
    assert opened(animals, labels=str(table), names=NAMED).labels == ["cat", None, "dog"]


def test_a_mere_name_is_enough_where_it_is_the_only_one(animals: Path) -> None:
    with pytest.warns(FastxaiWarning, match="2 of 3 images have no entry in labels"):
        source = opened(animals, labels={"2.png": 1, "1.png": 0})
    assert source.labels == [None, 1, None]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 1], "2 labels for 3 images"),
        ([1, 1, 3], "1 images have a class that is not there"),
        (["cat", "cat", "dgo"], "1 names of 1 images.*'dgo'.*near it: Dog"),
        ({"x.png": 1}, "none of the 3 images is among the 1 entries"),
        ("kind", "'kind': give 'folder'"),
        ("gone.csv", "no such file"),
        ([1, 1, 0.5], r"labels\[2\] is 0.5"),
        (7, "labels is a int"),
    ],
    ids=["too few", "beyond", "unknown", "no entry", "word", "no file", "half", "number"],
)
def test_labels_that_do_not_match_are_refused(animals: Path, labels: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        opened(animals, labels=labels, names=NAMED)


def test_labels_by_path_need_paths(tmp_path: Path) -> None:
    for labels in ("folder", {"a.png": 1}):
        with pytest.raises(InvalidInputError, match="have no paths"):
            read_source(INPUT, labels=labels)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    with pytest.raises(InvalidInputError, match="no column of the table, whose columns are path"):
        opened(as_csv(tmp_path, "path\na.png\n"), labels="kind")
