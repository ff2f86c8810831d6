"""Image sets in arrays, and what tells one set from another."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from set_files import NOISE, content, write
from set_sources import INPUT, PREPARE, Items, as_csv, fill, opened, tensors

torch = pytest.importorskip("torch")

from fastxai.errors import InvalidInputError  # noqa: E402
from fastxai.explain.networks.photos import Preprocess  # noqa: E402
from fastxai.image_sets.sources import Source, read_source  # noqa: E402


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_floats_are_the_models_input(dtype: str) -> None:
    source = opened(INPUT.astype(dtype))
    sample = source.read(2)
    assert source.kind == "array" and len(source) == 5 and source.paths == [""] * 5
    assert sample.image.dtype == np.float32 and sample.image.flags.c_contiguous
    np.testing.assert_allclose(sample.image, INPUT[2], atol=2e-3 if dtype == "f2" else 1e-6)
    assert sample.shown.shape == (6, 7, 3)


def test_the_users_array_is_not_what_is_handed_out() -> None:
    source = read_source(INPUT)
    assert not np.shares_memory(source.read(0).image, INPUT)


@pytest.mark.parametrize("shape", [(2, 4, 9), (2, 1, 3, 4, 5)], ids=["signals", "volumes"])
def test_other_numbers_of_axes(shape: tuple[int, ...]) -> None:
    assert read_source(np.ones(shape, np.float32)).read(1).image.shape == shape[1:]


@pytest.mark.parametrize("photos", [np.stack([NOISE] * 3), np.stack([NOISE[..., 0]] * 3)])
def test_bytes_are_photos(photos: Any) -> None:
    sample = opened(photos).read(2)
    image, shown = PREPARE.prepare(Image.fromarray(photos[2]))
    np.testing.assert_array_equal(sample.image, image)
    np.testing.assert_array_equal(sample.shown, shown)
    assert sample.place.mode == ("RGB" if photos.ndim == 4 else "L")


def test_mapped_files_tensors_and_npy_files_are_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", INPUT)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    for source in (mapped, tmp_path / "a.npy", torch.from_numpy(INPUT)):
        found = read_source(source)
        np.testing.assert_array_equal(found.read(4).image, INPUT[4])
        part = pickle.loads(pickle.dumps(found.part(3, 5)))
        np.testing.assert_array_equal(part.read(1).image, INPUT[4])
    assert not isinstance(read_source(mapped).part(0, 1).values, np.memmap)


def test_nan_is_a_reason() -> None:
    broken = INPUT.copy()
    broken[1, 0, 0, 0] = np.nan
    source = read_source(broken)
    assert [source.read(i).reason for i in range(3)] == ["", "it holds NaN or infinity", ""]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 3, 4, 4), np.float32), "no image"),
        (np.zeros((5, 4), np.float32), r"\(N, C, \*spatial\)"),
        (np.zeros((5, 4, 4), np.int64), "int64"),
        (np.zeros((5, 4, 4, 4), np.uint8), "photos of uint8"),
        (np.zeros((5, 3, 4, 0), np.float32), "shape"),
        (np.ma.masked_array(np.zeros((5, 3, 4, 4))), "masked"),
        (np.array(3.0), "no image"),
    ],
)
def test_other_arrays_are_refused(array: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        opened(array)


@pytest.mark.parametrize("form", ["folder", "table", "array", "dataset"])
def test_a_part_reads_the_same_elsewhere(tmp_path: Path, form: str) -> None:
    fill(tmp_path, "a.png", "b.png", "c.png", "d.png")
    write(tmp_path / "b.png", content(Image.fromarray(NOISE), "PNG"))
    source: Source = {
        "folder": lambda: opened(tmp_path, labels=[0, 1, 2, 3], groups=list("abcd")),
        "table": lambda: opened(as_csv(tmp_path, "path\nd.png\nb.png\na.png\nc.png\n")),
        "array": lambda: read_source(INPUT, labels=list(range(5))),
        "dataset": lambda: read_source(Items(tensors(4)), groups=list("abcd")),
    }[form]()
    source.expect(source.read(0).image.shape)
    part = pickle.loads(pickle.dumps(source.part(1, 3)))
    assert len(part) == 2
    assert (part.kind, part.shape) == (source.kind, source.shape)
    assert part.labels == source.labels[1:3] and part.groups == source.groups[1:3]
    for i in range(2):
        there, here = part.read(i), source.read(1 + i)
        np.testing.assert_array_equal(there.image, here.image)
        assert (there.place, there.label) == (here.place, here.label)
    with pytest.raises(IndexError):
        part.read(2)
    with pytest.raises(IndexError):
        source.part(2, 9)


def test_a_description_tells_sources_apart(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "b.png")
    other = INPUT.copy()
    other[-1, -1, -1, -1] += 1
    sources = [
        opened(tmp_path),
        opened(tmp_path, labels=[0, 1]),
        opened(tmp_path, labels=["0", "1"]),
        opened(tmp_path, groups=["0", "1"]),
        opened(sorted(tmp_path.iterdir())[::-1]),
        read_source(tmp_path, preprocess=Preprocess((8, 9))),
        read_source(INPUT),
        read_source(INPUT.astype(np.float64)),
        read_source(INPUT.reshape(5, 3, 7, 6)),
        read_source(other),
        read_source(Items(tensors())),
    ]
    found = [json.dumps(source.describe()) for source in sources]
    assert len(set(found)) == len(found)
    assert json.dumps(opened(tmp_path).describe()) == found[0]
