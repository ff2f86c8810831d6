"""`explain_by_example`: which images it lists, how far they are, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
from example_banks import Means, bank_of, dots  # noqa: E402
from small_sets import images, small_net  # noqa: E402

import fastxai  # noqa: E402
from fastxai import FastxaiWarning, FeatureBank, InvalidInputError, explain_by_example  # noqa: E402
from fastxai.examples.nearest import distances_to, nearest  # noqa: E402
from fastxai.explain.networks import Preprocess  # noqa: E402

# Class 0 lies to the right of the diagonal, class 1 above it.
PLACES = [[1, 0], [2, 0], [3, 0], [0, 1], [0, 2], [0, 3], [2, 1]]
LABELS = [0, 0, 0, 1, 1, 1, 1]


@pytest.fixture
def bank(tmp_path: Path) -> FeatureBank:
    return bank_of(PLACES, tmp_path / "bank", labels=LABELS)


def ask(bank: FeatureBank, place: Any, k: int = 2, **options: Any) -> Any:
    return explain_by_example(bank, dots([place])[0], k, **options)


# --- the lists ---------------------------------------------------------------------------


def test_nearest_of_all_with_the_label_and_with_others(bank: FeatureBank) -> None:
    found = ask(bank, [2, 0.25])
    assert found.prediction == found.label == "0"
    assert found.nearest.rows.tolist() == [1, 6]
    assert found.same.rows.tolist() == [1, 0]  # rows 0 and 2 are equally far: the first counts
    assert found.other.rows.tolist() == [6, 3]
    np.testing.assert_allclose(found.nearest.distances, [0.25, 0.75], rtol=1e-6)
    assert found.same.labels == ["0", "0"] and found.other.labels == ["1", "1"]


def test_agreement_is_the_share_among_the_nearest_and_usual_that_of_all(bank: FeatureBank) -> None:
    found = ask(bank, [2, 0.25], 4)
    assert found.nearest.labels == ["0", "1", "0", "0"]
    assert found.agreement == 0.75
    assert found.usual == pytest.approx(3 / 7)
    assert found.median == pytest.approx(np.median(np.hypot(*(np.array(PLACES) - [2, 0.25]).T)))


def test_score_is_that_of_the_network(bank: FeatureBank) -> None:
    found = ask(bank, [2, 0.25])
    assert found.score == pytest.approx(1 / (1 + np.exp(-1.75)), rel=1e-6)


@pytest.mark.parametrize("label", [1, "1"])
def test_another_label_may_be_asked_about(bank: FeatureBank, label: Any) -> None:
    found = ask(bank, [2, 0.25], label=label)
    assert found.prediction == "0" and found.label == "1"
    assert found.same.rows.tolist() == [6, 3]
    assert found.agreement == 0.5


def test_cosine_leaves_lengths_out(bank: FeatureBank) -> None:
    found = ask(bank, [0.2, 0.01], 3, metric="cosine")
    assert set(found.nearest.rows.tolist()) == {0, 1, 2}
    np.testing.assert_allclose(found.nearest.distances, 1 - 0.2 / np.hypot(0.2, 0.01), rtol=1e-3)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_distances_agree_with_those_of_neighbors(metric: str) -> None:
    features = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    features[3] = 0
    graph = fastxai.neighbors(features, 5, metric=metric)
    for row in (0, 3, 17):
        values = distances_to(features, features[row], metric).values
        allowed = np.arange(50) != row
        found = nearest(values, allowed, 5, [None] * 50)
        np.testing.assert_allclose(found.distances, graph.distances[row], rtol=2e-5, atol=2e-6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    whole = distances_to(features, features[0], "euclidean")
    monkeypatch.setattr("fastxai.examples.nearest._BYTES", 8 * 7 * 9)
    parts = distances_to(features, features[0], "euclidean")
    np.testing.assert_array_equal(whole.values, parts.values)
    np.testing.assert_array_equal(whole.same, parts.same)


# --- the image itself --------------------------------------------------------------------


def test_the_image_itself_is_left_out_and_named(bank: FeatureBank) -> None:
    found = ask(bank, PLACES[1])
    assert found.copies.tolist() == [1] and 1 not in found.nearest.rows
    assert "the very same features in the bank: image 1" in repr(found)


def test_the_image_itself_is_listed_if_asked_for(bank: FeatureBank) -> None:
    found = ask(bank, PLACES[1], copies=True)
    assert found.nearest.rows[0] == 1 and found.nearest.distances[0] == 0
    assert found.copies.tolist() == [1]


def test_a_row_of_the_bank_is_never_its_own_example(tmp_path: Path) -> None:
    bank = bank_of([*PLACES, PLACES[1]], tmp_path / "copies", labels=[*LABELS, 0])
    found = explain_by_example(bank, 1, 3)
    assert found.copies.tolist() == [7] and not {1, 7} & set(found.nearest.rows.tolist())
    assert explain_by_example(bank, 1, 3, copies=True).nearest.rows[0] == 7
    assert found.truth == "0" and found.title == "image 1"


def test_a_row_needs_no_network(bank: FeatureBank) -> None:
    opened = FeatureBank.open(bank.path)
    assert explain_by_example(opened, 6).prediction == "0"
    assert explain_by_example(bank.path, np.int64(6)).truth == "1"


def test_a_photo_that_ran_among_others_is_the_same_one(tmp_path: Path) -> None:
    bank = FeatureBank.build(small_net(), images(20), out=tmp_path / "bank", batch_size=16)
    assert [explain_by_example(bank, x).copies.tolist() for x in images(20)[:3]] == [[0], [1], [2]]


@pytest.mark.parametrize("kind", ["path", "PIL", "pixels", "tensor", "array with batch axis"])
def test_kinds_of_images(tmp_path: Path, kind: str) -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    photo.save(tmp_path / "a.png")
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "b.png")
    prepare = Preprocess((16, 16), 1.0)
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    bank = FeatureBank.build(small_net(), files, out=tmp_path / "bank", preprocess=prepare)
    image: Any = {
        "path": tmp_path / "a.png",
        "PIL": photo,
        "pixels": np.asarray(photo),
        "tensor": prepare([photo])[0][0],
        "array with batch axis": prepare([photo])[0].numpy(),
    }[kind]
    found = explain_by_example(FeatureBank.open(bank.path), image, 1, model=small_net())
    assert found.copies.tolist() == [0] and found.nearest.rows.tolist() == [1]


# --- where labels do not tell ------------------------------------------------------------


def test_without_labels_there_is_one_list(tmp_path: Path) -> None:
    found = ask(bank_of(PLACES, tmp_path / "plain"), [2, 0.25])
    assert found.label is None and found.agreement is None and found.usual is None
    assert found.nearest.rows.tolist() == [1, 6] and not len(found.same) and not len(found.other)
    assert "labelled" not in repr(found)


def test_names_that_are_no_classes_make_one_list(tmp_path: Path) -> None:
    with pytest.warns(FastxaiWarning, match="labels are names"):
        bank = bank_of(PLACES, tmp_path / "named", labels=["cat", "dog"] * 3 + ["cat"])
    assert ask(bank, [2, 0.25]).label is None
    assert ask(bank, [2, 0.25], label="dog").label == "dog"


def test_images_without_a_label_are_in_neither_list(tmp_path: Path) -> None:
    bank = bank_of(PLACES, tmp_path / "some", labels=[0, None, 0, None, 1, None, None])
    found = ask(bank, [2, 0.25], 4)
    assert found.nearest.labels == [None, None, "0", "0"] and found.agreement == 1.0
    assert found.same.rows.tolist() == [0, 2] and found.other.rows.tolist() == [4]
    assert "2 of the 2 with a label among the 4 nearest" in found.votes()


def test_none_of_the_nearest_has_a_label(tmp_path: Path) -> None:
    bank = bank_of(PLACES, tmp_path / "few", labels=[None] * 5 + [1, 0])
    found = ask(bank, [0.9, 0], 1)
    assert found.agreement is None and found.usual == 0.5
    assert found.votes() == "none of the nearest has a label"


def test_one_class_only(tmp_path: Path) -> None:
    found = ask(bank_of(PLACES, tmp_path / "one", labels=[0] * 7), [2, 0.25])
    assert found.agreement == found.usual == 1.0 and not len(found.other)
    assert "no image of the bank has another label" in repr(found)


def test_no_image_with_the_predicted_label(tmp_path: Path) -> None:
    found = ask(bank_of(PLACES, tmp_path / "other", labels=[1] * 7), [2, 0.25])
    assert found.agreement == found.usual == 0.0 and not len(found.same)
    assert "no image of the bank is labelled 0" in repr(found)


def test_regressions_have_no_classes(tmp_path: Path) -> None:
    bank = bank_of(PLACES, tmp_path / "regression", task="regression")
    found = ask(bank, [2, 0.25])
    assert found.prediction is None and found.label is None
    assert explain_by_example(bank, 0).prediction is None


def test_more_examples_than_images(bank: FeatureBank) -> None:
    with pytest.warns(FastxaiWarning, match="7 are taken"):
        assert len(ask(bank, [2, 0.25], 50).nearest) == 7


# --- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        pytest.param(dots([[1, 2]])[0], {"k": 0}, "k=0", id="no examples"),
        pytest.param(dots([[1, 2]])[0], {"metric": "manhattan"}, "'euclidean'", id="metric"),
        pytest.param(dots([[1, 2]])[0], {"copies": "yes"}, "copies=", id="no truth value"),
        pytest.param(dots([[1, 2]])[0], {"label": "dog"}, "there are 0, 1", id="no such label"),
        pytest.param(dots([[1, 2]])[0], {"label": 7}, "there are 0, 1", id="no such class"),
        pytest.param(dots([[np.nan, 2]])[0], {}, "NaN", id="NaN"),
        pytest.param(images(1)[0], {}, "the others have", id="another shape"),
        pytest.param(7, {}, "7 rows, 0 to 6", id="no such row"),
        pytest.param(-1, {}, "7 rows", id="negative row"),
        pytest.param([1, 2], {}, "one image", id="a list"),
        pytest.param("there.png", {}, "preprocess=", id="no way to read a photo"),
        pytest.param("there.png", {"preprocess": Preprocess()}, "no such file", id="no such photo"),
        pytest.param(dots([[1, 2]])[0], {"preprocess": 3}, "preprocess=", id="no function"),
        pytest.param(dots([[1, 2]])[0], {"model": small_net()}, "another network", id="network"),
        pytest.param(3, {"model": small_net()}, "another network", id="network beside a row"),
    ],
)
def test_refused(bank: FeatureBank, image: Any, options: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        explain_by_example(bank, image, **{"k": 2, **options})


def test_a_network_that_was_trained_since_is_another(bank: FeatureBank) -> None:
    with torch.no_grad():
        bank.model.head.bias += 1
    with pytest.raises(InvalidInputError, match="layers or weights differ"):
        ask(bank, [2, 0.25])


def test_a_bank_that_was_opened_does_not_know_its_network(bank: FeatureBank) -> None:
    opened = FeatureBank.open(bank.path)
    with pytest.raises(InvalidInputError, match="give model="):
        ask(opened, [2, 0.25])
    assert ask(opened, [2, 0.25], model=Means()).prediction == "0"


def test_features_that_are_all_the_same(tmp_path: Path) -> None:
    with pytest.warns(FastxaiWarning):
        bank = bank_of([[1, 2]] * 4, tmp_path / "same")
    with pytest.raises(InvalidInputError, match="choose another layer"):
        ask(bank, [2, 0.25])


def test_the_only_image(tmp_path: Path) -> None:
    bank = bank_of([[1, 2]], tmp_path / "only")
    with pytest.raises(InvalidInputError, match="no other image"):
        explain_by_example(bank, 0)
    with pytest.raises(InvalidInputError, match="copies=True"):
        ask(bank, [1, 2])
    with pytest.warns(FastxaiWarning, match="1 are taken"):
        assert ask(bank, [1, 3]).nearest.rows.tolist() == [0]
