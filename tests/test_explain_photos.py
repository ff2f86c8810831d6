"""Photos as files, and how they are prepared for a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photographs import COLOURS, MODULE, RNG, _half
from PIL import Image

torch = pytest.importorskip("torch")
from fastxai.errors import (  # noqa: E402
    InvalidInputError,
)
from fastxai.explain.networks.photos import Preprocess, parse_preprocess, read_photo  # noqa: E402


def save(folder: Path, name: str, image: Image.Image, **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_a_photo_is_read_as_it_is(tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path, "a.png", Image.fromarray(COLOURS)))
    assert photo.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(photo), COLOURS)


def test_exif_turns_a_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    photo = read_photo(save(tmp_path, "a.png", Image.fromarray(COLOURS), exif=exif))
    np.testing.assert_array_equal(np.asarray(photo), np.rot90(COLOURS, -1))


GREY = np.array([[0, 51, 255]], np.uint8)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        pytest.param(Image.fromarray(GREY), "a.png", id="grey"),
        pytest.param(Image.fromarray(GREY.astype(np.uint16) * 257), "a.png", id="16 bits"),
        pytest.param(Image.fromarray(GREY.astype(np.uint16) * 257), "a.tif", id="16 bits, TIFF"),
        pytest.param(Image.fromarray(GREY / np.float32(255)), "a.tif", id="float"),
        pytest.param(Image.fromarray(GREY).convert("P"), "a.png", id="palette"),
        pytest.param(Image.fromarray(GREY).convert("P"), "a.gif", id="gif"),
        pytest.param(Image.fromarray(GREY).convert("LA"), "a.png", id="grey with alpha"),
        pytest.param(Image.fromarray(GREY).convert("RGBA"), "a.png", id="colours with alpha"),
        pytest.param(Image.fromarray(GREY).convert("CMYK"), "a.tif", id="CMYK"),
    ],
)
def test_every_mode_becomes_colours(tmp_path: Path, image: Image.Image, name: str) -> None:
    photo = read_photo(save(tmp_path, name, image))
    assert photo.mode == "RGB"
    pixels = np.asarray(photo).astype(int)
    assert np.abs(pixels - GREY[..., None]).max() <= 1


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    clear = Image.fromarray(np.zeros((2, 2, 4), np.uint8))
    assert (np.asarray(read_photo(save(tmp_path, "a.png", clear))) == 255).all()


def _chunk(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[40:60] = bytes(20)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.gif", "a.webp", "a.bmp"])
@pytest.mark.parametrize("damage", [_half, _chunk], ids=["cut", "overwritten"])
def test_a_damaged_photo_is_named_or_read(tmp_path: Path, name: str, damage: Any) -> None:
    noise = RNG.integers(0, 256, (40, 40, 3), np.uint8)
    path = save(tmp_path, name, Image.fromarray(noise))
    damage(path)
    try:
        assert read_photo(path).mode == "RGB"
    except InvalidInputError as error:
        assert name in str(error)
    if damage is _half and name in ("a.png", "a.jpg"):
        with pytest.raises(InvalidInputError, match="damaged"):
            read_photo(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "no image", id="empty"),
        pytest.param(b"hello, world", "no image", id="text"),
        pytest.param(None, "no such file", id="missing"),
    ],
)
def test_no_photo(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=f"photo.jpg.*{message}"):
        read_photo(path)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, "a.png", Image.fromarray(np.zeros((100, 100), np.uint8)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InvalidInputError, match="too large"):
        read_photo(path)


def test_the_middle_is_cut_resized_and_normalised() -> None:
    photo = np.zeros((40, 80, 3), np.uint8)
    photo[:, 20:60] = (255, 0, 0)
    prepare = Preprocess((10, 10), 0.75, (0.5, 0.5, 0.5), (0.25, 0.5, 0.5))
    images, shown = prepare([Image.fromarray(photo)])
    assert images.shape == (1, 3, 10, 10)
    assert images.dtype == torch.float32
    assert images.is_contiguous()
    np.testing.assert_array_equal(shown[0, :, :, 0], 255)
    np.testing.assert_allclose(images[0, :, 5, 2], [2.0, -1.0, -1.0])


def test_oblong_inputs_take_the_largest_part_of_their_shape() -> None:
    photo = np.tile(np.arange(80, dtype=np.uint8), (40, 1))
    shown = Preprocess((10, 40), 1.0)([Image.fromarray(photo)])[1]
    assert shown.shape == (1, 10, 40, 3)
    assert shown[0, 0, 0, 0] <= 1
    assert shown[0, 0, -1, 0] >= 78


def test_one_mean_is_for_grey_input() -> None:
    images, shown = Preprocess((4, 4), 1.0, (0.0,), (1.0,))([Image.fromarray(COLOURS)])
    assert images.shape == (1, 1, 4, 4)
    assert shown.shape == (1, 4, 4, 3)


DEFAULT = Preprocess()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", DEFAULT),
        ("size=64", Preprocess((64, 64))),
        ("size=64x96, crop=1", Preprocess((64, 96), 1.0)),
        ("mean=0.1/0.2/0.3", Preprocess(mean=(0.1, 0.2, 0.3))),
        ("mean=0.5,std=0.25", Preprocess(mean=(0.5,), std=(0.25,))),
        ("std=1", Preprocess(std=(1.0, 1.0, 1.0))),
        ("interpolation=bilinear", Preprocess(interpolation="bilinear")),
    ],
)
def test_preprocess_is_parsed(text: str, expected: Preprocess) -> None:
    assert parse_preprocess(text, DEFAULT) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size", "not known"),
        ("sizes=3", "not known"),
        ("size=big", "no number"),
        ("size=0", "no size"),
        ("crop=2", "share"),
        ("mean=1/2", "values of mean"),
        ("std=0", "positive"),
        ("std=nan", "positive"),
        ("interpolation=magic", "bicubic"),
    ],
)
def test_preprocess_refuses(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_preprocess(text, DEFAULT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "mynets", raising=False)
    Path("mynets.py").write_text(MODULE)
    Path("badnets.py").write_text("import nowhere_to_be_found")
    return tmp_path
