"""What can not be read has its reason, and raises nothing."""

from __future__ import annotations

import builtins
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from set_files import NOISE, blobs, content, write

torch = pytest.importorskip("torch")
from fastxai.explain.networks.photos import Preprocess  # noqa: E402
from fastxai.image_sets.decoding import (  # noqa: E402
    NOWHERE,
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
