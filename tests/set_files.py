"""Files as they turn up in folders of photos: good ones of every kind, and bad ones."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (24, 32, 3), np.uint8)


def blobs(high: int = 48, wide: int = 64) -> Image.Image:
    """A smooth picture that looks different from each side, so that losses of JPEG are small."""
    y, x = np.mgrid[0:high, 0:wide]
    pixels = np.stack([255 * x / (wide - 1), 255 * y / (high - 1), 60 + 0 * x], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def content(image: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def oriented(value: Any) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def grey_jpeg(wide: int, high: int) -> bytes:
    """A JPEG of any size, all mid-grey, without ever holding its pixels."""
    small = bytearray(content(Image.fromarray(np.full((8, 8), 128, np.uint8)), "JPEG", quality=50))
    size = small.index(b"\xff\xc0") + 5
    small[size : size + 4] = struct.pack(">HH", high, wide)
    scan = small.index(b"\xff\xda")
    (length,) = struct.unpack(">H", small[scan + 2 : scan + 4])
    blocks = -(-wide // 8) * -(-high // 8)
    # "no change, end of block" is 001010, four of which fill three bytes
    return bytes(small[: scan + 2 + length]) + b"\x28\xa2\x8a" * (blocks // 4 + 1) + b"\xff\xd9"


def black_png(wide: int, high: int) -> bytes:
    """A PNG of any size of two colours."""
    rows = zlib.compressobj(9)
    row = bytes(1 + -(-wide // 8))
    data = b"".join(rows.compress(row) for _ in range(high)) + rows.flush()
    header = struct.pack(">IIBBBBB", wide, high, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def write(path: Path, data: bytes | Image.Image) -> Path:
    """A file, of bytes or as a PNG, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else content(data, "PNG"))
    return path
