"""Items of Datasets, and functions that prepare photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from set_files import NOISE, RNG, blobs, write

torch = pytest.importorskip("torch")
from fastxai.errors import InvalidInputError  # noqa: E402
from fastxai.explain.networks import photos as photos_module  # noqa: E402
from fastxai.explain.networks.photos import Preprocess  # noqa: E402
from fastxai.image_sets import decoding  # noqa: E402
from fastxai.image_sets.decoding import (  # noqa: E402
    NOWHERE,
    Place,
    Sample,
    from_item,
    of_shape,
    read_photo_file,
)

PREPARE = Preprocess((12, 16), 0.75)
GREY = blobs().convert("L")
STRETCHED = ImageOps.autocontrast(GREY)


def read(folder: Path, data: bytes, name: str = "a.jpg") -> Sample:
    return read_photo_file(str(write(folder / name, data)), PREPARE)


def expected(image: Image.Image) -> np.ndarray:
    return PREPARE.prepare(image)[1].astype(int)


def test_a_function_prepares_photos(tmp_path: Path) -> None:
    def prepare(photo: Image.Image) -> Any:
        return torch.full((3, 4, 5), photo.width / 64)

    sample = read_photo_file(str(write(tmp_path / "a.png", blobs())), prepare)
    assert (sample.image == 1.0).all() and sample.image.shape == (3, 4, 5)
    assert (sample.shown == 255).all() and sample.shown.shape == (4, 5, 3)
    assert sample.place[:3] == (64, 48, 1)
    assert np.isnan(sample.place[3:7]).all()


def _raises(photo: Any) -> Any:
    raise ValueError("at <object at 0x7f00aa11bb22>,\n  twice")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (_raises, "preprocess raised ValueError: at <object at 0x...>, twice"),
        (lambda photo: None, "preprocess returned what is no image: it is a NoneType"),
        (lambda photo: photo, "it is a Image"),
        (lambda photo: torch.ones(3, 4, 4, dtype=torch.uint8), "of uint8: floats"),
        (lambda photo: torch.full((3, 4, 4), float("nan")), "NaN"),
    ],
    ids=["raises", "nothing", "photo", "bytes", "nan"],
)
def test_a_function_that_fails_is_a_reason(tmp_path: Path, prepare: Any, reason: str) -> None:
    sample = read_photo_file(str(write(tmp_path / "a.png", blobs())), prepare)
    assert sample.image is None
    assert reason in sample.reason
    assert sample.place.width == 64


IMAGE = torch.linspace(0, 1, 60).reshape(3, 4, 5)


@pytest.mark.parametrize(
    ("item", "label"),
    [
        pytest.param(IMAGE, None, id="tensor"),
        pytest.param(IMAGE.numpy(), None, id="array"),
        pytest.param(IMAGE.double(), None, id="float64"),
        pytest.param((IMAGE,), None, id="alone in a tuple"),
        pytest.param((IMAGE, 3), 3, id="tensor, int"),
        pytest.param([IMAGE, torch.tensor(3)], 3, id="tensor, tensor"),
        pytest.param((IMAGE, torch.tensor([3])), 3, id="tensor, tensor of one"),
        pytest.param((IMAGE, np.int64(3), "more"), 3, id="tensor, NumPy, more"),
        pytest.param((IMAGE, "cat"), "cat", id="tensor, name"),
        pytest.param({"image": IMAGE, "label": 3}, 3, id="dict"),
        pytest.param({"pixel_values": IMAGE, "labels": 3}, 3, id="dict of others"),
        pytest.param({"image": IMAGE}, None, id="dict without label"),
        pytest.param((IMAGE, {"boxes": []}), None, id="what is no label"),
        pytest.param((IMAGE, torch.ones(4)), None, id="a vector"),
        pytest.param((IMAGE.requires_grad_(), 1.5), None, id="a number that is no class"),
    ],
)
def test_items_of_every_form(item: Any, label: Any) -> None:
    sample = from_item(item, None)
    assert sample.reason == ""
    np.testing.assert_allclose(sample.image, IMAGE.detach().numpy(), rtol=1e-6)
    assert sample.label == label and type(sample.label) in (int, str, type(None))
    assert sample.place == Place(5, 4, 1, 0.0, 0.0, 5.0, 4.0, "F", 1)
    assert (sample.shown == np.rint(255 * IMAGE.detach().numpy()).transpose(1, 2, 0)).all()


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(Image.fromarray(NOISE), id="PIL"),
        pytest.param((Image.fromarray(NOISE), 1), id="PIL, label"),
        pytest.param({"image": Image.fromarray(NOISE).convert("RGBA")}, id="RGBA in a dict"),
        pytest.param(NOISE, id="array (H, W, 3)"),
        pytest.param(torch.from_numpy(NOISE).permute(2, 0, 1), id="tensor (3, H, W)"),
    ],
)
def test_photos_among_items_are_prepared(item: Any) -> None:
    sample = from_item(item, PREPARE)
    image, shown = PREPARE.prepare(Image.fromarray(NOISE))
    np.testing.assert_array_equal(sample.image, image)
    np.testing.assert_array_equal(sample.shown, shown)
    assert sample.place[:7] == (32, 24, 1, 4.0, 3.0, 28.0, 21.0)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (None, "NoneType"),
        ("a.jpg", "a str"),
        ((), "tuple"),
        ({"picture": IMAGE}, "dict"),
        (Image.fromarray(NOISE), "no preprocess="),
        (torch.ones(3, 4, 4, dtype=torch.uint8), "uint8"),
        (torch.ones(3, 4, 4, dtype=torch.complex64), "complex64"),
        (torch.ones(4), "shape (4,)"),
        (torch.ones(3, 0, 4), "shape (3, 0, 4)"),
        (torch.ones(1, 3, 4, 4, 4), "shape (1, 3, 4, 4, 4)"),
        (torch.ones(3, 4, 4).to_sparse(), "not dense"),
        (torch.full((3, 4, 4), float("inf")), "NaN or infinity"),
        (np.full((3, 4, 4), 1e300), "NaN or infinity"),
        (np.full((3, 4, 4), "a", object), "object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_odd_item_has_its_reason(item: Any, reason: str) -> None:
    sample = from_item(item, None)
    assert sample.image is None
    assert reason in sample.reason


@pytest.mark.parametrize(
    ("image", "shape"),
    [((1, 4, 5), (4, 5, 3)), ((3, 4, 5), (4, 5, 3)), ((7, 4, 5), (4, 5, 3))],
)
def test_any_channels_are_shown(image: tuple[int, ...], shape: tuple[int, ...]) -> None:
    sample = from_item(torch.from_numpy(RNG.normal(size=image).astype(np.float32)), None)
    assert sample.shown.shape == shape
    assert sample.shown.min() == 0 and sample.shown.max() == 255


@pytest.mark.parametrize("shape", [(2, 9), (1, 3, 4, 5)], ids=["signal", "volume"])
def test_what_has_no_two_axes_is_not_shown(shape: tuple[int, ...]) -> None:
    sample = from_item(torch.ones(shape), None)
    assert sample.image.shape == shape and sample.shown is None and sample.place == NOWHERE


def test_an_item_of_another_shape_has_its_reason() -> None:
    sample = from_item((IMAGE, 2), None)
    assert of_shape(sample, (3, 4, 5)) is sample
    refused = of_shape(sample, (3, 5, 5))
    assert refused.image is None and refused.label == 2
    assert refused.reason == "the image has the shape (3, 4, 5), and the others have (3, 5, 5)"


def test_reasons_are_one_line_of_plain_text() -> None:
    sample = decoding.failed("caf\udce9 \n at 0x7fffdeadbeef " + "x" * 999)
    assert sample.reason.startswith("caf\\udce9 at 0x... xxx")
    assert len(sample.reason) <= 300


def test_preprocess_must_be_callable() -> None:
    with pytest.raises(InvalidInputError, match="function of a PIL image"):
        decoding.check_prepare(3, needed=True)
    assert photos_module.Preprocess is Preprocess
