"""Photos of every kind, size and orientation become the model's input."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from set_files import NOISE, RNG, black_png, blobs, content, grey_jpeg, oriented, write

torch = pytest.importorskip("torch")
from fastxai.explain.networks.photos import Preprocess, open_photo  # noqa: E402
from fastxai.image_sets.decoding import (  # noqa: E402
    Sample,
    read_photo_file,
)

PREPARE = Preprocess((12, 16), 0.75)
GREY = blobs().convert("L")
STRETCHED = ImageOps.autocontrast(GREY)


def read(folder: Path, data: bytes, name: str = "a.jpg") -> Sample:
    return read_photo_file(str(write(folder / name, data)), PREPARE)


def expected(image: Image.Image) -> np.ndarray:
    return PREPARE.prepare(image)[1].astype(int)


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)


def clear_palette() -> bytes:
    """The upper half transparent."""
    paint = Image.fromarray(np.repeat([0, 1], [24, 24])[:, None].repeat(64, 1).astype(np.uint8))
    image = paint.convert("P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    return content(image, "PNG", transparency=0)


def animated(format: str) -> bytes:
    first, others = blobs(), [Image.new("RGB", (64, 48), c) for c in ("black", "white")]
    return content(first, format, save_all=True, append_images=others, duration=40)


@pytest.mark.parametrize(
    ("data", "mode", "frames", "like", "near"),
    [
        pytest.param(content(blobs(), "PNG"), "RGB", 1, blobs(), 0, id="png"),
        pytest.param(content(blobs(), "JPEG", quality=95), "RGB", 1, blobs(), 8, id="jpeg"),
        pytest.param(
            content(blobs(), "JPEG", quality=95, progressive=True),
            *("RGB", 1, blobs(), 8),
            id="progressive",
        ),
        pytest.param(content(GREY, "JPEG", quality=95), "L", 1, GREY, 8, id="grey jpeg"),
        pytest.param(
            content(blobs().convert("CMYK"), "JPEG", quality=95),
            *("CMYK", 1, blobs(), 12),
            id="cmyk jpeg",
        ),
        pytest.param(content(GREY, "PNG"), "L", 1, GREY, 0, id="grey"),
        pytest.param(content(blobs().convert("1"), "PNG"), "1", 1, blobs().convert("1"), 0, id="1"),
        pytest.param(content(blobs().convert("RGBA"), "PNG"), "RGBA", 1, blobs(), 0, id="rgba"),
        pytest.param(content(GREY.convert("LA"), "PNG"), "LA", 1, GREY, 0, id="grey and alpha"),
        pytest.param(content(sixteen_bits(), "PNG"), "I;16", 1, GREY, 1, id="16 bits png"),
        pytest.param(content(sixteen_bits(), "TIFF"), "I;16", 1, GREY, 1, id="16 bits tiff"),
        pytest.param(
            content(Image.fromarray(np.asarray(STRETCHED, np.float32) / 99), "TIFF"),
            *("F", 1, STRETCHED, 1),
            id="float tiff",
        ),
        pytest.param(content(blobs(), "WEBP", lossless=True), "RGB", 1, blobs(), 0, id="webp"),
        pytest.param(animated("GIF"), None, 3, blobs(), 24, id="animated gif"),
        pytest.param(animated("WEBP"), "RGB", 3, blobs(), 24, id="animated webp"),
        pytest.param(animated("PNG"), "RGB", 3, blobs(), 0, id="animated png"),
        pytest.param(animated("TIFF"), "RGB", 3, blobs(), 0, id="pages of a tiff"),
    ],
)
def test_every_kind_of_file_is_read(
    tmp_path: Path, data: bytes, mode: str | None, frames: int, like: Image.Image, near: int
) -> None:
    sample = read(tmp_path, data)
    assert sample.reason == ""
    assert sample.image is not None and sample.shown is not None
    assert sample.image.shape == (3, 12, 16) and sample.image.dtype == np.float32
    assert np.isfinite(sample.image).all()
    assert np.abs(sample.shown - expected(like)).max() <= near
    assert sample.place[:7] == (64, 48, 1, 8.0, 6.0, 56.0, 42.0)
    assert mode in (None, sample.place.mode)
    assert sample.place.frames == frames


def test_transparent_colours_of_a_palette_lie_on_white(tmp_path: Path) -> None:
    shown = read(tmp_path, clear_palette()).shown
    assert shown is not None
    assert (shown[:5] == 255).all()
    assert (shown[-5:] == (0, 0, 255)).all()


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_turns_a_photo_upright(tmp_path: Path, turn: int, format: str) -> None:
    upright = blobs()
    back = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(turn)
    turned = upright
    if back is not None:
        from fastxai.explain.networks.reading import TURNS

        turned = upright.transpose(TURNS[back])
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    if format == "JPEG":
        options = {"quality": 95, "subsampling": 0}
    sample = read(tmp_path, content(turned, format, exif=oriented(turn), **options))
    assert sample.place[:7] == (64, 48, turn, 8.0, 6.0, 56.0, 42.0)
    assert np.abs(sample.shown - expected(upright)).max() <= (8 if format == "JPEG" else 0)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_orientation_without_a_meaning_turns_nothing(tmp_path: Path, value: int) -> None:
    sample = read(tmp_path, content(blobs(), "PNG", exif=oriented(value)))
    assert sample.place.orientation == 1
    assert (sample.shown == expected(blobs())).all()


def test_a_photo_that_was_turned_is_not_turned_again(tmp_path: Path) -> None:
    photo = open_photo(write(tmp_path / "a.jpg", content(blobs(), "JPEG", exif=oriented(6))))
    assert photo.pixels.size == (48, 64)
    assert ImageOps.exif_transpose(photo.pixels).size == (48, 64)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_turns_nothing(tmp_path: Path) -> None:
    data = content(blobs(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff", quality=95)
    assert read(tmp_path, data).place.orientation == 1


@pytest.mark.parametrize(
    ("wide", "high"), [(30_000, 40), (40, 30_000), (30_000, 1), (1, 30_000), (1, 1), (3, 7)]
)
def test_any_proportions_are_read(tmp_path: Path, wide: int, high: int) -> None:
    sample = read(tmp_path, content(Image.new("RGB", (wide, high), (9, 99, 199)), "PNG"))
    assert sample.image is not None
    assert (sample.shown == (9, 99, 199)).all()
    assert (sample.place.width, sample.place.height) == (wide, high)
    place = sample.place
    assert 0 <= place.left < place.right <= wide and 0 <= place.top < place.bottom <= high


def test_a_jpeg_that_is_too_large_is_decoded_smaller(tmp_path: Path) -> None:
    sample = read(tmp_path, grey_jpeg(30_000, 30_000))
    assert (sample.shown == 128).all()
    assert sample.place[:2] == (30_000, 30_000)
    assert sample.place.right - sample.place.left == pytest.approx(0.75 * 30_000)


@pytest.mark.parametrize("most", [1000, 300, 100])
@pytest.mark.parametrize("turn", [1, 6])
def test_a_smaller_copy_shows_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, turn: int
) -> None:
    data = content(blobs(), "JPEG", quality=95, exif=oriented(turn))
    whole = read(tmp_path, data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    small = read(tmp_path, data)
    assert small.place == whole.place
    assert open_photo(tmp_path / "a.jpg").pixels.width < whole.place.width
    assert small.shown is not None
    assert np.abs(small.shown.astype(int) - whole.shown).max() <= 40
    assert np.abs(small.shown.astype(int) - whole.shown).mean() <= 8


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(black_png(30_000, 30_000), "PNG", id="png"),
        pytest.param(
            content(blobs(), "JPEG", progressive=True).replace(
                b"\x00\x30\x00\x40", b"\x75\x30\x75\x30", 1
            ),
            "progressive JPEG",
            id="progressive",
        ),
    ],
)
def test_what_is_too_large_has_its_reason(tmp_path: Path, data: bytes, kind: str) -> None:
    sample = read(tmp_path, data)
    assert sample.image is None
    assert f"too large to be a photo: 30,000 x 30,000 pixels in a {kind}" in (
        sample.reason.replace("in PNG", "in a PNG")
    )


def test_no_limit_means_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read(tmp_path, content(blobs(), "PNG")).reason == ""


def test_the_crop_is_where_the_place_says(tmp_path: Path) -> None:
    photo = Image.fromarray(RNG.integers(0, 256, (50, 91, 3), np.uint8))
    sample = read(tmp_path, content(photo, "PNG"))
    place = sample.place
    box = (place.left, place.top, place.right, place.bottom)
    again = photo.resize((16, 12), Image.Resampling.BICUBIC, box=box)
    assert (np.asarray(again) == sample.shown).all()
    assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(16 / 12)


@pytest.mark.parametrize("most", [10**6, 1000], ids=["whole", "smaller"])
def test_the_crop_is_cut_again_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    sample = read(tmp_path, content(blobs(), "JPEG", exif=oriented(8)))
    again = open_photo(tmp_path / "a.jpg").cut(sample.place[3:7], (16, 12))
    np.testing.assert_array_equal(np.asarray(again), sample.shown)


@pytest.mark.parametrize("mean", [(0.4, 0.5, 0.6), (0.3,)], ids=["colours", "grey"])
def test_one_photo_is_prepared_as_many_are(mean: tuple[float, ...]) -> None:
    prepare = Preprocess((9, 7), 0.9, mean, (0.2,) * len(mean))
    photos = [blobs(), blobs(31, 77), Image.fromarray(NOISE)]
    images, shown = prepare(photos)
    for i, photo in enumerate(photos):
        image, picture = prepare.prepare(photo)
        np.testing.assert_array_equal(images[i], image)
        np.testing.assert_array_equal(shown[i], picture)
    values = np.asarray(shown[0], np.float32).transpose(2, 0, 1) / np.float32(255)
    if len(mean) == 3:
        formula = (values - np.float32(mean)[:, None, None]) / np.float32(0.2)
        np.testing.assert_array_equal(images[0], formula)


def test_preprocess_is_pickled_and_compared_by_its_values() -> None:
    used, fresh = Preprocess((9, 7)), Preprocess((9, 7))
    used.prepare(blobs())
    assert pickle.loads(pickle.dumps(used)) == used == fresh
    assert hash(used) == hash(fresh)
