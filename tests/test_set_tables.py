"""Tables of paths and labels, CSV and Parquet."""

from __future__ import annotations

from pathlib import Path

import pytest
from set_files import write
from set_sources import NAMES, as_csv, fill, names_of, opened

torch = pytest.importorskip("torch")

from fastxai.errors import InvalidInputError  # noqa: E402


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
