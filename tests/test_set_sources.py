"""Where images come from: folders, lists, tables, arrays, Datasets; and what can be wrong there."""

from __future__ import annotations

import json
import os
import pickle
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from set_files import NOISE, blobs, content, write

torch = pytest.importorskip("torch")
from torch.utils import data  # noqa: E402

from fastxai.errors import FastxaiWarning, InvalidInputError  # noqa: E402
from fastxai.explain.networks.photos import Preprocess  # noqa: E402
from fastxai.image_sets.sources import Source, from_text, read_source, to_text  # noqa: E402

PREPARE = Preprocess((8, 8))
PHOTO = content(blobs(16, 16), "PNG")


def opened(source: Any, **options: Any) -> Source:
    return read_source(source, preprocess=PREPARE, **options)


def names_of(source: Source, folder: Path) -> list[str]:
    return [os.path.relpath(from_text(path), folder) for path in source.paths]


def fill(folder: Path, *names: str) -> None:
    for name in names:
        write(folder / name, PHOTO)


# --- folders -----------------------------------------------------------------------------


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    fill(tmp_path, "b.png", "a/z.JPG", "a.png", "a/b/c.webp", "Z.tiff", "a-b/x.png", "ä.png")
    source = opened(tmp_path)
    assert source.kind == "folder"
    assert names_of(source, tmp_path) == [
        *("Z.tiff", "a/b/c.webp", "a/z.JPG", "a-b/x.png", "a.png", "b.png", "ä.png")
    ]
    assert all(os.path.isabs(path) for path in source.paths)
    assert source.read(3).image is not None


def test_what_is_no_photo_by_its_name_is_left_out(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", ".hidden.png", ".thumbs/b.png", "._a.png", "notes.txt", "png", "x.eps")
    assert names_of(opened(tmp_path), tmp_path) == ["a.png"]


def test_odd_entries_of_a_folder_keep_their_place(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "x.jpg/inner.png")
    write(tmp_path / "b.jpg", b"")
    (tmp_path / "c.jpg").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(tmp_path / "d.jpg")
    source = opened(tmp_path)
    found = {name: source.read(i).reason for i, name in enumerate(names_of(source, tmp_path))}
    assert list(found) == ["a.png", "b.jpg", "c.jpg", "d.jpg", "x.jpg/inner.png"]
    assert [bool(reason) for reason in found.values()] == [False, True, True, True, False]


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    fill(tmp_path / "set", "a.png")
    fill(tmp_path / "elsewhere", "b.png")
    (tmp_path / "set" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set")
    assert names_of(opened(tmp_path / "set"), tmp_path / "set") == ["a.png", "more/b.png"]


NAMES = ["comma, and 'quote\".png", "line\nbreak.png", "日本 ☕.png", " space .png", "a%41.png"]


def test_names_of_all_kinds_survive(tmp_path: Path) -> None:
    fill(tmp_path, *NAMES)
    source = opened(tmp_path)
    assert sorted(names_of(source, tmp_path)) == sorted(NAMES)
    assert not any(source.read(i).reason for i in range(len(source)))


@pytest.mark.skipif(sys.platform != "linux", reason="names are text on this system")
@pytest.mark.parametrize("form", ["folder", "list of str", "list of bytes", "csv", "its own text"])
def test_names_that_are_no_utf8_survive(tmp_path: Path, form: str) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(raw, "wb") as file:
        file.write(PHOTO)
    table = write(tmp_path / "t.csv", b"path\ncaf\xe9.png\n")
    given: Any = {
        "folder": tmp_path,
        "list of str": [os.fsdecode(raw)],
        "list of bytes": [raw],
        "csv": table,
        "its own text": [to_text(raw)],
    }[form]
    source = opened(given)
    assert source.paths == [f"file://{tmp_path}/caf%E9.png"]
    assert os.fsencode(from_text(source.paths[0])) == raw
    assert source.read(0).reason == ""
    json.dumps(source.describe())


def test_a_folder_that_is_closed_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "a.png", "closed/b.png")
    scandir = os.scandir

    def guarded(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.warns(FastxaiWarning, match="1 folders can not be read.*closed"):
        assert names_of(opened(tmp_path), tmp_path) == ["a.png"]
    with pytest.raises(InvalidInputError, match="can not be read: permission denied"):
        opened(tmp_path / "closed")


# --- lists -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        iter,
        np.array,
        lambda paths: [Path(path) for path in paths],
        lambda paths: [path.encode() for path in paths],
        lambda paths: paths,
    ],
    ids=["list", "tuple", "iterator", "array", "Path", "bytes", "as it is"],
)
def test_paths_of_every_form(tmp_path: Path, form: Any) -> None:
    fill(tmp_path, "b.png", "a.png")
    source = opened(form([str(tmp_path / "b.png"), str(tmp_path / "a.png")]))
    assert (source.kind, names_of(source, tmp_path)) == ("paths", ["b.png", "a.png"])


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.png")
    monkeypatch.chdir(tmp_path)
    assert opened(["a.png"]).paths == opened("a.png").paths == [str(tmp_path / "a.png")]


def test_bad_paths_keep_their_place(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    (tmp_path / "x.jpg").mkdir()
    source = opened([tmp_path / "gone.png", tmp_path / "x.jpg", tmp_path / "a.png"])
    reasons = [source.read(i).reason for i in range(3)]
    assert "no such file" in reasons[0] and "is a folder" in reasons[1] and reasons[2] == ""
    assert source.first()[0] == 2


# --- tables ------------------------------------------------------------------------------


def as_csv(folder: Path, text: str, name: str = "t.csv") -> Path:
    return write(folder / name, text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "path\na.png\nb.png\n",
        "file\r\na.png\r\nb.png\r\n",
        "\ufeffFilename,other\na.png,x\nb.png,y\n",
        "id,image\n1,a.png\n2,b.png\n",
        "id,picture\n1,a.png\n2,b.png\n",
        "picture,label,group\na.png,1,x\nb.png,2,y\n",
        "who,where,label\nx,a.png,1\ny,b.png,2\n",
        "picture;id\na.png;1\nb.png;2\n",
        "picture\tid\na.png\t1\nb.png\t2\n",
        "a.png\nb.png\n",
        'path\n"a.png"\n\nb.png',
    ],
    ids=[
        "path",
        "file",
        "filename",
        "image",
        "only text",
        "but labels",
        "endings",
        *";\t1",
        "quotes",
    ],
)
def test_the_column_of_paths_is_found(tmp_path: Path, text: str) -> None:
    fill(tmp_path, "a.png", "b.png")
    source = opened(as_csv(tmp_path, text))
    assert source.kind == "table"
    assert names_of(source, tmp_path) == ["a.png", "b.png"]


def test_names_of_all_kinds_survive_in_tables(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    fill(tmp_path, *NAMES)
    frame = pandas.DataFrame({"path": NAMES, "label": range(5)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        source = opened(tmp_path / name)
        assert names_of(source, tmp_path) == NAMES
        assert [str(label) for label in source.labels] == list("01234")
        assert not any(source.read(i).reason for i in range(5))


def test_a_table_brings_labels_and_groups(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "b.png", "c.png")
    table = as_csv(tmp_path, "path,Label,group,age\na.png,cat,train,3\nb.png,,7,4\nc.png,2,,5\n")
    source = opened(table, names=["dog", "Cat", "cow"])
    assert source.labels == ["cat", None, "2"]
    assert source.groups == ["train", "7", None]
    assert opened(table, labels=False, groups=False).labels == [None] * 3
    assert opened(table, labels="age").labels == ["3", "4", "5"]


def test_relative_paths_are_to_the_tables_folder(tmp_path: Path) -> None:
    fill(tmp_path, "deep/a.png", "b.png")
    table = as_csv(tmp_path / "deep", f"path\na.png\n../b.png\n{tmp_path}/b.png\n")
    assert names_of(opened(table), tmp_path) == ["deep/a.png", "b.png", "b.png"]


def test_rows_without_a_path_keep_their_place(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    source = opened(as_csv(tmp_path, "path,label\n,1\na.png,2\n"))
    assert source.paths[0] == "" and "no path" in source.read(0).reason
    assert source.read(1).reason == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("path\n", "there is no image"),
        ("x,y\n1,2\n", "no column of paths.*columns are x, y"),
        ("x,y\na.png,b.png\n", "no column of paths"),
        ("path,label\na.png\n", "line 2 has 1 fields and the first 2"),
        ("path,path\na.png,b.png\n", "several columns"),
        ("path\ngone.png\n", "none of the 1 files.*gone.png.*no such file"),
        ("path\n\n\n", "there is no image"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    fill(tmp_path, "a.png")
    with pytest.raises(InvalidInputError, match=message):
        opened(as_csv(tmp_path, text))


def test_a_bad_parquet_file_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    with pytest.raises(InvalidInputError, match="can not be read as Parquet"):
        opened(write(tmp_path / "t.parquet", b"PAR1 and no more"))
    parquet.write_table(pa.table({"image": [{"bytes": b"x"}]}), tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match="column image holds a dict in row 0"):
        opened(tmp_path / "t.parquet")


# --- nothing to be read ------------------------------------------------------------------


def test_there_must_be_a_photo(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "notes" / "a.txt", b"hello")
    cases = [
        (tmp_path / "empty", "holds no photo"),
        (tmp_path / "notes", r"holds no photo.*files ending in \.txt"),
        (tmp_path / "gone", "no such file or folder"),
        (tmp_path / "gone.csv", "no such file"),
        ([], "empty"),
        (iter([]), "empty"),
        ([tmp_path / "gone.jpg", tmp_path / "empty"], "none of the 2 files.*gone.jpg"),
        ([str(tmp_path), 3], r"source\[1\] is a int"),
        ({"a.png"}, "no order"),
        (3, "source is a int"),
        (None, "source is a NoneType"),
    ]
    for source, message in cases:
        with pytest.raises(InvalidInputError, match=message):
            opened(source)


def test_no_file_may_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.png", "b.png")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InvalidInputError, match=r"none of the 2 files.*permission denied"):
        opened(tmp_path)


def test_no_image_can_be_read(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", b"text")
    write(tmp_path / "b.jpg", b"text")
    with pytest.raises(InvalidInputError, match=r"none of the 2 images.*2 x is no image"):
        opened(tmp_path).first()


def test_photos_need_to_be_prepared(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    for source in (tmp_path, [tmp_path / "a.png"], NOISE[None]):
        with pytest.raises(InvalidInputError, match="preprocess= is missing"):
            read_source(source)


# --- arrays ------------------------------------------------------------------------------

INPUT = np.random.default_rng(2).normal(size=(5, 3, 6, 7)).astype(np.float32)


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


# --- Datasets ----------------------------------------------------------------------------


class Items(data.Dataset):  # type: ignore[type-arg]
    """Items of a list; exceptions among them are raised."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        if isinstance(self.items[i], BaseException):
            raise self.items[i]
        return self.items[i]


class Endless(data.IterableDataset):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        return iter([])


def tensors(n: int = 3) -> list[Any]:
    return [(torch.full((1, 4, 4), float(i)), i) for i in range(n)]


def test_a_dataset_is_read_by_number() -> None:
    source = read_source(Items(tensors()))
    assert (source.kind, len(source), source.concurrent) == ("dataset", 3, False)
    sample = source.read(2)
    assert (sample.image == 2).all() and sample.label == 2
    assert source.labels == [None] * 3


def test_an_item_that_fails_is_a_reason() -> None:
    items = [*tensors(1), KeyError("b.png"), "odd", (torch.zeros(1, 5, 4), 1), OSError()]
    source = read_source(Items(items))
    source.expect((1, 4, 4))
    reasons = [source.read(i).reason for i in range(5)]
    assert reasons[0] == ""
    assert reasons[1] == "the dataset raised KeyError: 'b.png'"
    assert "a str" in reasons[2]
    assert "(1, 5, 4), and the others have (1, 4, 4)" in reasons[3]
    assert reasons[4] == "the dataset raised OSError:"


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()])
def test_what_is_no_fault_of_the_item_passes(error: BaseException) -> None:
    with pytest.raises(type(error)):
        read_source(Items([error])).read(0)


def test_labels_given_beside_a_dataset_count_instead_of_its_own() -> None:
    source = read_source(Items(tensors()), labels=[5, None, 7])
    assert source.labels == [5, None, 7] and source.read(1).label is None
    assert read_source(Items(tensors()), labels=False).read(1).label is None


def test_lists_of_images_are_datasets() -> None:
    photos = [Image.fromarray(NOISE)] * 2
    assert opened(photos).read(1).image.shape == (3, 8, 8)
    assert read_source([torch.ones(1, 4, 4)]).read(0).image.shape == (1, 4, 4)


def test_the_files_of_an_image_folder_are_known(tmp_path: Path) -> None:
    dataset = Items(tensors())
    dataset.samples = [(str(tmp_path / f"{i}.png"), i + 1) for i in range(3)]
    source = read_source(dataset)
    assert names_of(source, tmp_path) == ["0.png", "1.png", "2.png"]
    assert source.labels == [1, 2, 3]


def test_a_loader_is_its_dataset_in_order() -> None:
    source = read_source(data.DataLoader(Items(tensors()), batch_size=2, num_workers=2))
    assert len(source) == 3 and source.read(1).label == 1
    assert len(read_source(data.DataLoader(Items(tensors()), batch_size=None))) == 3


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (data.DataLoader(Items(tensors()), shuffle=True), "shuffles.*shuffle=False"),
        (data.DataLoader(Items(tensors()), sampler=[2, 0]), "order of its own"),
        (data.DataLoader(Items(tensors()), batch_sampler=[[0, 1], [2]]), "order of its own"),
        (data.DataLoader(Items(tensors()), collate_fn=list), "collate_fn"),
        (data.DataLoader(Endless()), "iterable.*map-style"),
        (Endless(), "iterable.*map-style"),
        (Items([]), "empty"),
        (data.Dataset(), "__len__"),
    ],
    ids=["shuffled", "sampled", "batched", "collated", "endless", "iterable", "empty", "unknown"],
)
def test_other_datasets_are_refused(loader: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_source(loader)


def test_a_data_frame_is_refused_with_the_remedy() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InvalidInputError, match="column of paths as source"):
        opened(pandas.DataFrame({"path": ["a.png"]}))


# --- labels and groups -------------------------------------------------------------------


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    fill(tmp_path, "photos/cat/1.png", "photos/cat/2.png", "photos/dog/1.png")
    return tmp_path / "photos"


NAMED = ["Dog", "cat", "cow"]


def test_a_folder_is_a_label(animals: Path) -> None:
    source = opened(animals, labels="folder", groups="folder", names=NAMED)
    assert source.labels == source.groups == ["cat", "cat", "dog"]


@pytest.mark.parametrize(
    "labels",
    [
        [1, 1, 0],
        (1, 1.0, 0),
        np.array([1, 1, 0], np.uint8),
        torch.tensor([1, 1, 0]),
        {"cat/1.png": 1, "cat/2.png": 1, "dog/1.png": 0, "cow/1.png": 2},
    ],
    ids=["list", "tuple", "array", "tensor", "mapping"],
)
def test_labels_of_every_form(animals: Path, labels: Any) -> None:
    assert opened(animals, labels=labels, names=NAMED).labels == [1, 1, 0]


@pytest.mark.parametrize("head", ["path,label", "file,labels", "name,kind"])
def test_labels_from_a_file(animals: Path, head: str) -> None:
    rows = "photos/cat/1.png,cat\nphotos/dog/1.png,dog\nphotos/cat/2.png,\nphotos/no.png,cow\n"
    table = as_csv(animals.parent, f"{head}\n{rows}", "labels.csv")
    assert opened(animals, labels=str(table), names=NAMED).labels == ["cat", None, "dog"]


def test_a_mere_name_is_enough_where_it_is_the_only_one(animals: Path) -> None:
    with pytest.warns(FastxaiWarning, match="2 of 3 images have no entry in labels"):
        source = opened(animals, labels={"2.png": 1, "1.png": 0})
    assert source.labels == [None, 1, None]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 1], "2 labels for 3 images"),
        ([1, 1, 3], "1 images have a class that is not there"),
        (["cat", "cat", "dgo"], "1 names of 1 images.*'dgo'.*near it: Dog"),
        ({"x.png": 1}, "none of the 3 images is among the 1 entries"),
        ("kind", "'kind': give 'folder'"),
        ("gone.csv", "no such file"),
        ([1, 1, 0.5], r"labels\[2\] is 0.5"),
        (7, "labels is a int"),
    ],
    ids=["too few", "beyond", "unknown", "no entry", "word", "no file", "half", "number"],
)
def test_labels_that_do_not_match_are_refused(animals: Path, labels: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        opened(animals, labels=labels, names=NAMED)


def test_labels_by_path_need_paths(tmp_path: Path) -> None:
    for labels in ("folder", {"a.png": 1}):
        with pytest.raises(InvalidInputError, match="have no paths"):
            read_source(INPUT, labels=labels)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    with pytest.raises(InvalidInputError, match="no column of the table, whose columns are path"):
        opened(as_csv(tmp_path, "path\na.png\n"), labels="kind")


# --- parts, and what tells one source from another ---------------------------------------


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


@pytest.fixture
def another_user() -> Iterator[Path]:
    """A folder, and the rights of a user who is not root."""
    if os.name != "posix":
        pytest.skip("rights are others on this system")
    opened([write(Path(tempfile.mkdtemp()) / "a.png", PHOTO)]).read(0)  # Pillow is loaded
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        if root:
            os.setresuid(65534, 65534, 0)
        try:
            yield Path(folder)
        finally:
            if root:
                os.setresuid(0, 0, 0)


def test_rights_are_respected(another_user: Path) -> None:
    fill(another_user, "a.png", "b.png", "closed/c.png")
    (another_user / "a.png").chmod(0)
    (another_user / "closed").chmod(0)
    with pytest.warns(FastxaiWarning, match="1 folders can not be read"):
        source = opened(another_user)
    assert [source.read(i).reason for i in range(len(source))] == [
        *("can not be read: permission denied", "")
    ]
    with pytest.raises(InvalidInputError, match=r"none of the 1 files.*permission denied"):
        opened([another_user / "a.png"])
    with pytest.raises(InvalidInputError, match="can not be read: permission denied"):
        opened(another_user / "closed")
    (another_user / "closed").chmod(0o700)
