"""open_results: what was written is read back, lazily, row by row, in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_sets import CLASSES, images, small_net

import fastxai
from fastxai.errors import InvalidInputError
from fastxai.explain.networks.photos import Preprocess

PREPARE = Preprocess((16, 16), 0.875, (0.5,) * 3, (0.25,) * 3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Seven photos of two groups, one of which is damaged, explained."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(7):
        group = folder / ("day" if i % 2 else "night")
        group.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(group / f"{i}.png")
    (folder / "day" / "3.png").write_bytes(b"no image")
    return fastxai.explain_dataset(
        small_net(),
        folder,
        ["gradcam", "saliency"],
        folder.parent / f"{folder.name}-run",
        batch_size=3,
        groups="folder",
        labels=[0, 1, 2, 3, 0, 1, 2],
        names=CLASSES,
        preprocess=PREPARE,
        thumbnail=8,
    )


def explained(out: Path, **options: Any) -> Any:
    given: dict[str, Any] = {"methods": "gradcam", "batch_size": 4, **options}
    return fastxai.explain_dataset(small_net(), images(6), out=out, **given)


def test_a_damaged_image_keeps_its_row_with_the_reason(photos: Any) -> None:
    failed = photos.table[photos.table["status"] == "failed"]
    assert [Path(path).name for path in failed["path"]] == ["3.png"]
    assert "no image" in failed["reason"].iloc[0]


def test_a_damaged_image_has_no_map(photos: Any) -> None:
    row = photos.table.index[photos.table["status"] == "failed"][0]
    assert np.isnan(photos.map(row)).all()
    assert np.isfinite(photos.take(photos.table.index.drop(row))).all()


def test_other_images_are_explained_as_if_the_damaged_one_were_not_there(photos: Any) -> None:
    good = photos.table[photos.table["status"] == "ok"]
    pictures = [photos.photo(row) for row in good.index]
    expected = fastxai.explain(small_net(), PREPARE(pictures)[0], "saliency")["saliency"].maps
    np.testing.assert_allclose(photos.take(good.index, "saliency"), expected, 1e-4, 1e-6)


def test_groups_and_labels_stand_in_the_table(photos: Any) -> None:
    assert set(photos.table["group"]) == {"day", "night"}
    assert photos.table["label_class"].tolist() == [0, 1, 2, 3, 0, 1, 2]


def test_correct_is_whether_the_predicted_class_is_the_label(photos: Any) -> None:
    good = photos.table[photos.table["status"] == "ok"]
    expected = good["predicted"] == good["label_class"]
    assert good["correct"].tolist() == expected.tolist()


def test_the_crop_lays_a_map_back_on_the_photo(photos: Any) -> None:
    row = photos.table.iloc[0]
    # 60 x 40 pixels: a square of 7/8 of the height from the middle.
    assert row[["left", "top", "right", "bottom"]].tolist() == [12.5, 2.5, 47.5, 37.5]
    assert (row["width"], row["height"], row["orientation"]) == (60, 40, 1)


def test_shown_is_what_the_model_saw(photos: Any) -> None:
    _, pictures = PREPARE([photos.photo(0)])
    assert np.abs(photos.shown(0).astype(int) - pictures[0]).max() <= 1


def test_take_gives_rows_in_the_order_asked_for(photos: Any) -> None:
    np.testing.assert_array_equal(photos.take([5, 0, 5]), photos.maps["gradcam"][:][[5, 0, 5]])


@pytest.mark.parametrize("rows", [[-1], [7], [0, 99]])
def test_rows_that_are_not_there_are_refused(photos: Any, rows: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="7 images, 0 to 6"):
        photos.take(rows)


def test_a_method_that_is_not_there_is_refused(photos: Any) -> None:
    with pytest.raises(InvalidInputError, match="maps of gradcam, saliency"):
        photos.take([0], "rise")


def test_thumbnails_keep_the_proportions(photos: Any) -> None:
    assert photos.pictures([0, 1]).shape == (2, 8, 8, 3)


def test_pandas_and_polars_hold_the_same(photos: Any) -> None:
    frame = photos.to_polars()
    assert frame["path"].to_list() == photos.table["path"].tolist()
    assert frame["gradcam_area"].to_list()[0] == pytest.approx(photos.table["gradcam_area"][0])


def test_xarray_reads_the_maps_by_dimension(photos: Any) -> None:
    maps = photos.dataset()["gradcam"]
    assert maps.dims == ("image", "y", "x")
    np.testing.assert_array_equal(maps.isel(image=2), photos.map(2))


def test_the_images_can_be_gone(photos: Any, tmp_path: Path) -> None:
    given = [tmp_path / f"{i}.png" for i in range(2)]
    for file in given:
        Image.new("RGB", (20, 20), "red").save(file)
    results = fastxai.explain_dataset(
        small_net(), given, "gradcam", tmp_path / "run", preprocess=PREPARE
    )
    for file in given:
        file.unlink()
    np.testing.assert_array_equal(results.shown(1)[0, 0], [255, 0, 0])


def test_problems_count_what_failed(photos: Any) -> None:
    assert any("1 of 7 images failed" in line for line in photos.problems())


def test_a_sheet_is_drawn_of_rows_also_of_those_that_failed(photos: Any, tmp_path: Path) -> None:
    photos.contact_sheet(range(7), tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("target", "columns"), [(None, 1), ("top3", 3), ([[0, 1]] * 6, 2)], ids=["1", "top3", "(N, 2)"]
)
def test_targets_have_an_axis_where_there_are_several(
    tmp_path: Path, target: Any, columns: int
) -> None:
    results = explained(tmp_path / "run", target=target)
    expected = fastxai.explain(
        small_net(), images(6), "gradcam", target=None if target is None else target
    )
    np.testing.assert_allclose(results.take(range(6)), expected["gradcam"].maps, 1e-5, 1e-7)
    first = results.table["target"][0]
    assert np.atleast_1d(first).tolist() == expected.classes[0].tolist()
    assert len(np.atleast_1d(results.table["gradcam_area"][0])) == columns


def test_the_true_class_is_explained_on_request(tmp_path: Path) -> None:
    labels = [3, 2, 1, 0, 1, 2]
    results = explained(tmp_path / "run", target="label", labels=labels)
    assert results.table["target"].tolist() == labels


def test_without_its_label_an_image_fails_where_that_is_explained(tmp_path: Path) -> None:
    results = explained(tmp_path / "run", target="label", labels=[3, None, 1, 0, 1, 2])
    assert results.table["status"].tolist() == ["ok", "failed", *["ok"] * 4]


@pytest.mark.parametrize("target", [None, "top2"], ids=["one target", "two targets"])
def test_float16_maps_come_back_within_their_precision(tmp_path: Path, target: Any) -> None:
    options = {"methods": {"gradcam": {}, "saliency": {}}, "target": target}
    half = explained(tmp_path / "half", dtype="float16", **options)
    full = explained(tmp_path / "full", **options)
    assert half.maps["saliency"].dtype == np.float16
    for name in half.methods:
        expected = full.take(range(6), name)
        largest = np.abs(expected).max()
        np.testing.assert_allclose(half.take(range(6), name), expected, 2**-10, largest * 2**-12)


def test_several_layers_are_arrays_of_their_own(tmp_path: Path) -> None:
    results = explained(tmp_path / "run", layer=["0", "3"])
    assert results.methods == ("gradcam@0", "gradcam@3")
    assert results.take([0], "gradcam@3").shape == (1, 16, 16)


@pytest.mark.parametrize("shape", [(1, 12), (2, 6, 6, 6)], ids=["1-D", "3-D"])
def test_images_of_one_and_three_axes_are_explained(tmp_path: Path, shape: Any) -> None:
    import torch

    data = np.random.default_rng(0).random((5, *shape), np.float32)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(int(np.prod(shape)), 3))
    results = fastxai.explain_dataset(net, data, "saliency", tmp_path / "run", batch_size=2)
    expected = fastxai.explain(net, data, "saliency")["saliency"].maps
    np.testing.assert_allclose(results.take(range(5)), expected, 1e-5, 1e-7)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no explained image set"):
        fastxai.open_results(tmp_path)
