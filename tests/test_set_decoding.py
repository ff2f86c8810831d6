"""One image of a set: whatever its file holds, it is read or has its reason."""

from __future__ import annotations

import builtins
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from set_files import NOISE, RNG, black_png, blobs, content, grey_jpeg, oriented, write

torch = pytest.importorskip("torch")
from fastxai.errors import InvalidInputError  # noqa: E402
from fastxai.explain.networks import photos as photos_module  # noqa: E402
from fastxai.explain.networks.photos import Preprocess, open_photo  # noqa: E402
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


# --- files that are read ---------------------------------------------------------------


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


# --- files of unusual sizes --------------------------------------------------------------


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


# --- files that are not read -------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "is no image", id="nothing"),
        pytest.param(b"hello, world\n" * 9, "is no image", id="text"),
        pytest.param(b"\xff\xd8\xff", "is no image", id="three bytes"),
        pytest.param(content(Image.fromarray(NOISE), "JPEG")[:700], "damaged", id="cut jpeg"),
        pytest.param(content(Image.fromarray(NOISE), "PNG")[:700], "damaged", id="cut png"),
        pytest.param(content(Image.fromarray(NOISE), "GIF")[:-700], "damaged", id="cut gif"),
        pytest.param(content(Image.fromarray(NOISE), "BMP")[:700], "damaged", id="cut bmp"),
        pytest.param(content(Image.fromarray(NOISE), "TIFF")[:700], "damaged", id="cut tiff"),
        pytest.param(
            content(Image.fromarray(NOISE), "WEBP", lossless=True)[:700], "damaged", id="cut webp"
        ),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image", id="eps"),
    ],
)
def test_a_bad_file_has_its_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    sample = read(tmp_path, data)
    assert sample.image is None and sample.shown is None and sample.place is NOWHERE
    assert reason in sample.reason
    assert str(tmp_path) not in sample.reason


def test_no_plain_file(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    cases = {
        "folder.jpg": "is a folder",
        "dangling.jpg": "is a link to a file that is not there",
        "loop.jpg": "is a link to a file that is not there",
        "pipe.jpg": "is no plain file",
        "missing.jpg": "no such file",
        "missing.jpg/more.jpg": "no such file",
        "long" * 99 + ".jpg": "can not be read",
        "nul\0.jpg": "can not be read",
    }
    found = {name: read_photo_file(str(tmp_path / name), PREPARE).reason for name in cases}
    assert {name: cases[name] in reason for name, reason in found.items()} == dict.fromkeys(
        cases, True
    )


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", "a.jpg")

    path = write(tmp_path / "a.jpg", blobs())
    monkeypatch.setattr(builtins, "open", refused)
    assert read_photo_file(str(path), PREPARE).reason == "can not be read: permission denied"


def test_many_damaged_files_raise_nothing(tmp_path: Path) -> None:
    kinds = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "PPM", "ICO", "TGA")
    rng = np.random.default_rng(1)
    for number in range(200):
        data = bytearray(content(Image.fromarray(NOISE), kinds[number % len(kinds)]))
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(0, 256)
        sample = read(tmp_path, bytes(data[: rng.integers(1, 2 * len(data))]))
        assert (sample.image is None) == bool(sample.reason)


# --- the crop ----------------------------------------------------------------------------


def test_the_crop_is_where_the_place_says(tmp_path: Path) -> None:
    photo = Image.fromarray(RNG.integers(0, 256, (50, 91, 3), np.uint8))
    sample = read(tmp_path, content(photo, "PNG"))
    place = sample.place
    box = (place.left, place.top, place.right, place.bottom)
    again = photo.resize((16, 12), Image.Resampling.BICUBIC, box=box)
    assert (np.asarray(again) == sample.shown).all()
    assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(16 / 12)


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


# --- functions that prepare --------------------------------------------------------------


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


# --- items of a Dataset ------------------------------------------------------------------

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
