"""Files: what can be read, what is refused and how, and that output is whole or absent."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from fastxai.errors import FastxaiError, FastxaiWarning, InvalidInputError
from fastxai.io import atomic_write, check_output, load_labels, load_matrix, save_matrix

X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


def idx_bytes(array: np.ndarray) -> bytes:
    kind = {"uint8": 0x08, "float32": 0x0D}[array.dtype.name]
    header = struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_csv(path: Path, *, header: bool, delimiter: str = ",") -> None:
    lines = [delimiter.join(f"{v:.9g}" for v in row) for row in X]
    path.write_text("\n".join([delimiter.join("abc")] * header + lines) + "\n")


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".parquet"])
def test_saved_is_read_back_exactly(tmp_path: Path, ending: str) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    save_matrix(tmp_path / f"x{ending}", X)
    np.testing.assert_array_equal(load_matrix(tmp_path / f"x{ending}").values, X)
    assert os.listdir(tmp_path) == [f"x{ending}"]


def test_npy_is_memory_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    assert isinstance(load_matrix(tmp_path / "x.npy").values, np.memmap)


@pytest.mark.parametrize("header", [True, False], ids=["names", "no names"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_csv(tmp_path: Path, header: bool, delimiter: str) -> None:
    write_csv(tmp_path / "x.csv", header=header, delimiter=delimiter)
    table = load_matrix(tmp_path / "x.csv")
    np.testing.assert_array_equal(table.values, X)
    assert table.columns == (("a", "b", "c") if header else None)


def test_csv_labels_column_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("0,kind,1\n1.5,cat,2\n3,dog,4\n")
    table = load_matrix(tmp_path / "x.csv", labels="kind")
    np.testing.assert_array_equal(table.values, [[1.5, 2], [3, 4]])
    assert table.columns == ("0", "1")
    assert table.labels is not None and table.labels.tolist() == ["cat", "dog"]


def test_parquet_labels_and_missing_values(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"u": [1, None, 3], "kind": ["a", "b", "a"], "v": [0.5, 1.5, 2.5]})
    parquet.write_table(table, tmp_path / "x.parquet")
    read = load_matrix(tmp_path / "x.parquet", labels="kind")
    np.testing.assert_array_equal(read.values, [[1, 0.5], [np.nan, 1.5], [3, 2.5]])
    assert read.labels is not None and read.labels.tolist() == ["a", "b", "a"]


def test_parquet_column_of_vectors(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"vector": X.tolist()}), tmp_path / "x.parquet")
    np.testing.assert_array_equal(load_matrix(tmp_path / "x.parquet").values, X)


@pytest.mark.parametrize("name", ["images-idx3-ubyte", "images-idx3-ubyte.gz", "x.idx"])
def test_idx_rows_are_flattened(tmp_path: Path, name: str) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    opener = gzip.open if name.endswith(".gz") else open
    with opener(tmp_path / name, "wb") as file:
        file.write(idx_bytes(images))
    np.testing.assert_array_equal(load_matrix(tmp_path / name).values, images.reshape(4, 6))


def test_npz_sparse_stays_sparse(tmp_path: Path) -> None:
    matrix = scipy.sparse.random_array((20, 9), density=0.2, format="csr", rng=0)
    scipy.sparse.save_npz(tmp_path / "x.npz", matrix)
    read = load_matrix(tmp_path / "x.npz").values
    assert read.format == "csr"
    assert (read != matrix).nnz == 0


def test_npz_takes_the_only_matrix(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", points=X, y=np.arange(7))
    table = load_matrix(tmp_path / "x.npz", labels="y")
    np.testing.assert_array_equal(table.values, X)
    np.testing.assert_array_equal(table.labels, np.arange(7))


def _truncated_npy(folder: Path) -> Path:
    np.save(folder / "x.npy", X)
    whole = (folder / "x.npy").read_bytes()
    (folder / "x.npy").write_bytes(whole[:-10])
    return folder / "x.npy"


def _truncated_idx(folder: Path) -> Path:
    (folder / "x.idx").write_bytes(idx_bytes(X)[:-3])
    return folder / "x.idx"


def _truncated_gzip(folder: Path) -> Path:
    (folder / "x.idx.gz").write_bytes(gzip.compress(idx_bytes(X))[:-12])
    return folder / "x.idx.gz"


def _truncated_npz(folder: Path) -> Path:
    np.savez(folder / "x.npz", X)
    (folder / "x.npz").write_bytes((folder / "x.npz").read_bytes()[:-30])
    return folder / "x.npz"


def _two_matrices(folder: Path) -> Path:
    np.savez(folder / "x.npz", a=X, b=X)
    return folder / "x.npz"


def _objects(folder: Path) -> Path:
    np.save(folder / "x.npy", np.array([[1, "a"]], dtype=object))
    return folder / "x.npy"


def _cube(folder: Path) -> Path:
    np.save(folder / "x.npy", np.zeros((2, 3, 4)))
    return folder / "x.npy"


def _text(name: str, text: str) -> object:
    def write(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        pytest.param(lambda folder: folder / "no.npy", "no such file", id="missing"),
        pytest.param(lambda folder: folder, "is a folder", id="folder"),
        pytest.param(_text("x.doc", "?"), "unknown kind of file", id="unknown ending"),
        pytest.param(_text("x.npy", ""), "not a .npy file", id="empty npy"),
        pytest.param(_truncated_npy, "truncated", id="truncated npy"),
        pytest.param(_truncated_idx, "truncated", id="truncated idx"),
        pytest.param(_truncated_gzip, "can not be read as IDX", id="truncated gzip"),
        pytest.param(_truncated_npz, "can not be read as .npz", id="truncated npz"),
        pytest.param(_two_matrices, r"2 matrices.*\['a', 'b'\]", id="npz with two matrices"),
        pytest.param(_objects, "Python objects", id="npy of objects"),
        pytest.param(_cube, "3 dimensions", id="npy of three dimensions"),
        pytest.param(_text("x.csv", ""), "is empty", id="empty csv"),
        pytest.param(_text("x.csv", "a,b\n1,2\n1,x\n"), "line 3, column 2: 'x'", id="csv cell"),
        pytest.param(_text("x.csv", "a,b\n1,cat\n"), "column 'b' holds", id="csv text column"),
        pytest.param(_text("x.csv", "a,b\n1,2\n1\n"), "x.csv", id="csv short row"),
        pytest.param(_text("x.parquet", "?"), "can not be read as Parquet", id="no parquet"),
        pytest.param(_text("x.idx", "hello, world"), "not an IDX file", id="no idx"),
    ],
)
def test_unreadable_input(tmp_path: Path, write: object, message: str) -> None:
    if "parquet" in message.lower():
        pytest.importorskip("pyarrow")
    with pytest.raises(InvalidInputError, match=message):
        load_matrix(write(tmp_path))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3\n1\n2\n", [3, 1, 2]), ("kind\na\nb\na\n", ["a", "b", "a"]), ("1\n2.5\n3\n", [1, 2.5, 3])],
    ids=["integers", "strings under a name", "floats"],
)
@pytest.mark.parametrize("name", ["y.txt", "y.csv"])
def test_labels_from_text(tmp_path: Path, name: str, text: str, expected: list[object]) -> None:
    (tmp_path / name).write_text(text)
    assert load_labels(tmp_path / name, 3).tolist() == expected


def test_labels_of_another_length(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.arange(5))
    with pytest.raises(InvalidInputError, match="5 labels for 7 points"):
        load_labels(tmp_path / "y.npy", 7)


class Stop(Exception):
    pass


@pytest.mark.parametrize("before", [None, b"old"], ids=["absent", "present"])
def test_interrupted_writing_leaves_things_as_they_were(
    tmp_path: Path, before: bytes | None
) -> None:
    path = tmp_path / "out.npy"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(Stop), atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise Stop
    assert (path.read_bytes() if path.exists() else None) == before
    assert len(os.listdir(tmp_path)) == (before is not None)


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "target.npy").write_bytes(b"old")
    (tmp_path / "link.npy").symlink_to(tmp_path / "target.npy")
    save_matrix(tmp_path / "link.npy", X)
    assert (tmp_path / "link.npy").is_symlink()
    np.testing.assert_array_equal(np.load(tmp_path / "target.npy"), X)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.doc", "unknown ending"),
        ("no/such/out.npy", "there is no folder"),
        ("folder.npy", "no file is there"),
    ],
)
def test_output_is_refused_before_the_work(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(FastxaiError, match=message):
        check_output(tmp_path / name)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FastxaiError, match="can not be written"):
        check_output(tmp_path / "out.npy")
    tmp_path.chmod(0o700)


def test_checking_the_output_leaves_no_trace(tmp_path: Path) -> None:
    check_output(tmp_path / "out.npy")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("first", [0, 1])
def test_the_index_of_pandas_is_left_out_with_a_warning(tmp_path, first):
    rows = "".join(f"{first + i},{i * 0.5},{i % 3},x{i}\n" for i in range(4))
    (tmp_path / "x.csv").write_text(",a,b,kind\n" + rows)
    with pytest.warns(FastxaiWarning, match="first column has no name and counts the rows"):
        table = load_matrix(tmp_path / "x.csv", labels="kind")
    assert table.columns == ("a", "b")
    assert table.values.shape == (4, 2)
    assert table.values.flags.c_contiguous


def test_a_first_column_with_a_name_counts(tmp_path):
    (tmp_path / "x.csv").write_text("n,a\n0,5\n1,6\n2,7\n")
    assert load_matrix(tmp_path / "x.csv").values.shape == (3, 2)
