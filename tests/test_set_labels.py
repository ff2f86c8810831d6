"""What labels mean: numbers and names against the model's classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
from fastxai.errors import FastxaiWarning, InvalidInputError
from fastxai.image_sets.labels import check_labels, class_of, classes_of, plain

NAMES = ["cat", "Polar Bear", "crane", "crane", "maillot", "Maillot", "10"]


@pytest.mark.parametrize(
    ("label", "names", "expected"),
    [
        (1, NAMES, 1),
        (1, None, 1),
        (np.int64(3), NAMES, 3),
        (-1, NAMES, -1),
        (None, NAMES, -1),
        ("cat", NAMES, 0),
        ("CAT", NAMES, 0),
        ("polar_bear", NAMES, 1),
        (" polar  bear ", NAMES, 1),
        ("dog", NAMES, -1),
        ("crane", NAMES, -1),
        ("maillot", NAMES, 4),
        ("Maillot", NAMES, 5),
        ("MAILLOT", NAMES, -1),
        ("10", NAMES, 6),
        ("2", NAMES, 2),
        ("2", None, 2),
        ("-2", NAMES, -1),
        ("2.0", NAMES, 2),
        ("²", NAMES, -1),
        ("cat", None, -1),
        ("", NAMES, -1),
    ],
)
def test_the_class_of_a_label(label: Any, names: Any, expected: int) -> None:
    assert class_of(label, names) == expected


@pytest.mark.parametrize(("label", "expected"), [("1.0", 1), ("3.", 3), ("1.5", -1), ("²", -1)])
def test_numbers_as_columns_with_gaps_are_written(label: str, expected: int) -> None:
    assert class_of(label, None) == expected


def test_the_classes_of_many_labels() -> None:
    labels = ["cat", None, 3, "cat", "3", "dog"]
    assert classes_of(labels, NAMES) == [class_of(label, NAMES) for label in labels]
    assert classes_of([1, "x"], None) == [1, -1]


@pytest.mark.parametrize(
    "labels",
    [[], [None, None], [0, 6, -1], ["cat", "POLAR BEAR", None, 3], ["0", "10"]],
    ids=["none", "unknown", "numbers", "names", "numbers as text"],
)
def test_labels_that_match(labels: list[Any]) -> None:
    check_labels(labels, NAMES)
    check_labels(labels, NAMES, 7)


@pytest.mark.parametrize(
    ("labels", "n_classes", "message"),
    [
        (["cat", "cta", "cta", "dog"], None, r"2 names of 3 images are none of the 7 classes"),
        (["cta"], None, r"'cta' \(near it: cat\)"),
        (["POLAR BEAT"], None, r"\(near it: Polar Bear\)"),
        (["crane"], None, "'crane' names the classes 2, 3: give the number"),
        ([f"dog {i}" for i in range(9)], None, "and 4 more"),
        ([0, 7, 7], None, r"2 images have a class that is not there \(7\).*0 to 6"),
        (["7"], None, "not there"),
        ([0, -2], None, r"\(-2\)"),
        ([4], 4, "0 to 3"),
    ],
)
def test_labels_that_do_not_match(labels: list[Any], n_classes: int | None, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        check_labels(labels, NAMES, n_classes)


def test_names_without_classes_to_compare_with_are_kept_with_a_warning() -> None:
    with pytest.warns(FastxaiWarning, match=r"labels are names \(cat, dog\).*give names="):
        check_labels(["cat", "dog", "cat", None, "3"], None)


def test_numbers_need_no_names() -> None:
    check_labels([0, 5, None, "7"], None)
    with pytest.raises(InvalidInputError, match="0 to 4"):
        check_labels([0, 5], None, 5)


def test_labels_become_plain() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, None, 3.0], "b": ["x", None, ""]})
    assert plain(frame["a"], "labels") == [1, None, 3]
    assert plain(frame["b"], "labels") == ["x", None, None]
    assert plain(frame["b"].astype("category"), "labels") == ["x", None, None]
    assert plain(frame["a"].astype("Int64"), "labels") == [1, None, 3]
    assert plain([np.int8(1), np.str_("y"), True, np.nan], "labels") == [1, "y", 1, None]
    assert plain(["caf\udce9"], "labels") == ["caf\\udce9"]
    assert all(type(v) in (int, str) for v in plain([np.int8(1), np.str_("y"), True], "labels"))


@pytest.mark.parametrize("value", [0.5, b"x", [1], {"a": 1}])
def test_what_is_no_label_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"labels\[1\] is"):
        plain([0, value], "labels")
