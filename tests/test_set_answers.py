"""Answers, labels and settings that are not as they should be are found, and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_sets import CLASSES, images, small_net
from torch import nn

import fastxai
from fastxai.errors import FastxaiWarning, InvalidInputError, NotEnoughMemoryError
from fastxai.image_sets.settings import described, identity


class Sometimes(nn.Module):
    """Answers NaN for images whose first pixel is above 0.9."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small_net()

    def forward(self, x: Any) -> Any:
        answer = self.net(x)
        return torch.where(x[:, :1, 0, 0] > 0.9, torch.nan, answer)


class Items(torch.utils.data.Dataset):  # type: ignore[misc]
    """Images and labels."""

    def __init__(self, labels: list[Any], seed: int = 0) -> None:
        self.labels, self.images = labels, torch.from_numpy(images(len(labels), seed))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> Any:
        return self.images[i], self.labels[i]


def explained(out: Path, model: Any = None, source: Any = None, **options: Any) -> Any:
    given: dict[str, Any] = {"methods": "gradcam", "batch_size": 4, **options}
    source = images(8) if source is None else source
    return fastxai.explain_dataset(model or small_net(), source, out=out, **given)


def test_an_answer_of_nan_is_a_failure_and_not_class_0(tmp_path: Path) -> None:
    data = images(8)
    data[:, 0, 0, 0] = [0, 1, 0, 0, 1, 0, 0, 0]
    results = explained(tmp_path / "run", Sometimes(), data, labels=[0] * 8)
    failed = results.table["status"] == "failed"
    assert failed.index[failed].tolist() == [1, 4]
    assert results.table.loc[1, "reason"] == "the network's answer is not finite"
    assert results.table.loc[[1, 4], ["predicted", "correct"]].isna().all(axis=None)


def test_maps_beside_an_answer_of_nan_are_as_ever(tmp_path: Path) -> None:
    data = images(4)
    data[:, 0, 0, 0] = [0, 1, 0, 0]
    results = explained(tmp_path / "run", Sometimes(), data)
    expected = fastxai.explain(Sometimes(), data[[0, 2, 3]], "gradcam")["gradcam"].maps
    np.testing.assert_allclose(results.take([0, 2, 3]), expected, 1e-5, 1e-7)


@pytest.mark.parametrize("label", [9, 4, torch.tensor(9)], ids=repr)
def test_a_label_of_no_class_that_an_item_brings_is_no_label(tmp_path: Path, label: Any) -> None:
    results = explained(tmp_path / "run", source=Items([0, label, 2, 3]))
    assert results.table["label_class"].isna().tolist() == [False, True, False, False]
    assert results.table["correct"].isna().tolist() == [False, True, False, False]


def test_where_the_true_class_is_explained_it_fails(tmp_path: Path) -> None:
    results = explained(tmp_path / "run", source=Items([0, 9, 2, 3]), target="label")
    assert "the label 9 is none of the classes" in results.table.loc[1, "reason"]
    assert results.table["status"].tolist() == ["ok", "failed", "ok", "ok"]


def test_whole_floats_of_items_are_classes(tmp_path: Path) -> None:
    results = explained(tmp_path / "run", source=Items([torch.tensor(3.0), 1.0, 0, 2]))
    assert results.table["label_class"].tolist() == [3, 1, 0, 2]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (nn.Conv2d(3, 3, 3, dilation=1), nn.Conv2d(3, 3, 3, dilation=2)),
        (nn.LeakyReLU(0.01), nn.LeakyReLU(0.02)),
        (nn.Sequential(nn.ReLU(), nn.GELU()), nn.Sequential(nn.GELU(), nn.ReLU())),
    ],
    ids=["dilation", "slope", "order"],
)
def test_a_network_is_told_from_another_with_the_same_weights(before: Any, after: Any) -> None:
    after.load_state_dict(before.state_dict())
    assert identity(before, None) != identity(after, None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda x: x + 1, lambda x: x + 2),
        (np.arange(3), np.arange(3) + 1),
        (torch.zeros(2), torch.zeros(3)),
    ],
    ids=["functions", "arrays", "tensors"],
)
def test_an_option_is_told_from_another(before: Any, after: Any) -> None:
    assert described(before) != described(after)
    assert described(before) == described(before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"target": [0, 1, 2, 3] * 2}, {"target": [3, 2, 1, 0] * 2}),
        ({"target": np.array([0, 1] * 4, object)}, {"target": np.array([1, 0] * 4, object)}),
        ({"source": images(8)}, {"source": np.roll(images(8), 1, axis=0)}),
        ({"source": Items([0] * 8)}, {"source": Items([0] * 8, seed=1)}),
        ({"labels": [0] * 8}, {"labels": [1] * 8}),
        ({"groups": ["a"] * 8}, {"groups": ["b"] * 8}),
    ],
    ids=["targets", "objects", "array", "dataset", "labels", "groups"],
)
def test_a_run_does_not_continue_with_other_things(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    explained(tmp_path / "run", **before)
    with pytest.raises(InvalidInputError, match="other settings"):
        explained(tmp_path / "run", **after)


def test_what_differs_is_said_in_words(tmp_path: Path) -> None:
    explained(tmp_path / "run", groups=["a"] * 8)
    with pytest.raises(InvalidInputError, match="the groups differ"):
        explained(tmp_path / "run", groups=["b"] * 8)


def test_a_run_without_its_manifest_begins_anew(tmp_path: Path) -> None:
    explained(tmp_path / "run")
    (tmp_path / "run" / "manifest.json").unlink()
    results = explained(tmp_path / "run", small_net(1))
    assert np.isfinite(results.take(range(8))).all()


def test_an_image_that_does_not_fit_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastxai.image_sets import chunk

    original = chunk.explained

    def scarce(job: Any, model: Any, given: Any, batch: Any, size: int) -> Any:
        if batch.first == 4 and len(given) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return original(job, model, given, batch, size)

    monkeypatch.setattr(chunk, "explained", scarce)
    with pytest.raises(NotEnoughMemoryError, match="images 4 to 7"):
        explained(tmp_path / "run")


def test_preprocess_that_is_not_used_is_told(tmp_path: Path) -> None:
    from fastxai.explain.networks.photos import Preprocess

    with pytest.warns(FastxaiWarning, match="preprocess= is not used"):
        explained(tmp_path / "run", preprocess=Preprocess((16, 16)))


def test_rows_by_truth_values_of_the_table(tmp_path: Path) -> None:
    results = explained(tmp_path / "run", labels=[0, 1, None, 3, 0, 1, 2, 3], names=CLASSES)
    wrong = results.table["correct"] == False  # noqa: E712
    assert results.take(wrong).shape[0] == int(wrong.sum())


@pytest.mark.parametrize(
    ("rows", "said"),
    [([True] * 5, "5 truth values for 8"), ([0.7], "0.7"), (["a"], "'a'"), ([-1, 2], "-1 is none")],
    ids=["too few", "fractions", "words", "negative"],
)
def test_rows_that_mean_nothing_are_refused(tmp_path: Path, rows: Any, said: str) -> None:
    results = explained(tmp_path / "run")
    with pytest.raises(InvalidInputError, match=said):
        results.take(rows)


def test_results_opened_early_see_what_was_done_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastxai.image_sets import run as module

    original = module._batches

    def one(*args: Any) -> Any:
        yield next(iter(original(*args)))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "_batches", one)
        with pytest.raises(KeyboardInterrupt):
            explained(tmp_path / "run", dtype="float16")
    early = fastxai.open_results(tmp_path / "run")
    assert early.done == 4
    explained(tmp_path / "run", dtype="float16")
    assert np.isfinite(early.take([7])).all()
