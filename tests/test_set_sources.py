"""Folders and lists of photos, and what can be wrong with them."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from set_files import NOISE, write
from set_sources import NAMES, PHOTO, fill, names_of, opened

torch = pytest.importorskip("torch")

from fastxai.errors import FastxaiWarning, InvalidInputError  # noqa: E402
from fastxai.image_sets.sources import from_text, read_source, to_text  # noqa: E402


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
