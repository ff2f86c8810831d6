"""The command surrogate: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from surrogate_tables import X, Y, buys, shop

from fastxai import _cli_surrogate
from fastxai.cli import run

FEATURES = ["sepal length", "sepal width", "petal length", "petal width"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables and models."""
    folder = tmp_path_factory.mktemp("inputs")
    iris = pd.DataFrame(X, columns=FEATURES)
    joblib.dump(LogisticRegression(max_iter=500).fit(iris, Y), folder / "model.joblib")
    iris.insert(0, "id", range(150))
    iris.assign(kind=Y).to_csv(folder / "iris.csv", index=False)
    frame = shop()
    frame.assign(bought=buys(frame)).to_csv(folder / "shop.csv", index=False)
    rules = "def long(rows):\n    return (rows.iloc[:, 0] > 5).to_numpy()\n"
    (folder / "my_rules.py").write_text(rules)
    return folder


@pytest.fixture(autouse=True)
def folder(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the inputs; forests are small."""
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_cli_surrogate, "_TREES", 20)
    return tmp_path


def figures(*arguments: str) -> dict[str, Any]:
    assert run(["surrogate", *arguments, "--json", "found.json", "--quiet"]) == 0
    found: dict[str, Any] = json.loads(Path("found.json").read_text())
    return found


def test_the_lectures_tree_on_the_built_in_irises(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["surrogate", "iris", "--max-leaves", "3", "--out", "tree.png"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Agrees with the model on 9")
    assert "a random forest of 20 trees stands in, fitted to its target" in said
    assert "petal width (cm) ≤ 0.8: setosa (50 rows, 100% of them)" in said
    assert Path("tree.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["tree", "additive", "linear"])
@pytest.mark.parametrize("table", ["diabetes"])
def test_built_in_tables(table: str, kind: str) -> None:
    found = figures(table, "--kind", kind)
    assert found["kind"] == kind
    assert found["fidelity"]["value"] > found["fidelity"]["constant"] + 0.4


@pytest.mark.parametrize("ending", [".pdf", ".svg"])
def test_pictures(ending: str) -> None:
    assert run(["surrogate", "iris", "--out", f"tree{ending}", "--quiet"]) == 0
    assert Path(f"tree{ending}").stat().st_size > 1000


def test_categories_of_a_csv(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["surrogate", "shop.csv", "--target", "bought"]) == 0
    said = capsys.readouterr().out
    assert "smoker is True: buys" in said
    assert "fitted to 'bought' of these 200 rows" in said


def test_a_parquet_file() -> None:
    pd.read_csv("shop.csv").to_parquet("shop.parquet")
    assert figures("shop.parquet", "--target", "bought")["features"] == ["age", "colour", "smoker"]


def test_a_matrix_without_names() -> None:
    np.savez("iris.npz", X=X, kind=Y)
    assert figures("iris.npz", "--target", "kind")["features"][0] == "feature 0"


def test_a_pickled_model_and_what_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--target", "kind", "--model", "model.joblib", "--kind", "linear"]
    assert run(["surrogate", "iris.csv", *options]) == 0
    said = capsys.readouterr()
    assert "in the place of LogisticRegression" in said.out
    assert "Accuracy on y: the model 97%" in said.out
    assert "left out, since the model does not know them: id" in said.err


def test_a_function_of_a_module(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame(X, columns=FEATURES)
    frame.to_csv("rows.csv", index=False)
    assert run(["surrogate", "rows.csv", "--model", "my_rules:long"]) == 0
    assert "sepal length > 5" in capsys.readouterr().out


def test_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["surrogate", "iris", "--explain", "0", "--out", "row.png"]) == 0
    assert "Row 0: Agrees with" in (said := capsys.readouterr().out)
    assert "the surrogate says setosa, and so does the model" in said
    assert Path("row.png").stat().st_size > 1000


def test_one_class_and_its_probability() -> None:
    options = ["--class", "versicolor", "--output", "probability"]
    assert figures("iris", *options)["names"] == ["versicolor"]


def test_a_class_by_its_number() -> None:
    options = ["--target", "kind", "--class", "1"]
    assert figures("iris.csv", *options)["names"] == ["not class 1", "class 1"]


REFUSED: dict[str, tuple[list[str], str]] = {
    "no file": (["none.csv"], "no such file"),
    "whose answers": (["iris.csv"], "whose answers"),
    "no row": (["headings.csv", "--target", "sold"], "the table has no rows"),
    "no such column": (["shop.csv", "--target", "sold"], "no column 'sold'"),
    "no such row": (["iris", "--explain", "150"], "rows 0 to 149"),
    "target of a built-in": (["iris", "--target", "kind"], "leave out --target"),
    "options of another kind": (["iris", "--max-terms", "3"], "is for kind='additive'"),
    "no such class": (["iris", "--class", "tulip"], "setosa, versicolor, virginica"),
    "no model file": (["iris", "--model", "none.joblib"], "no such file"),
    "damaged model": (["iris", "--model", "damaged.joblib"], "can not be loaded"),
    "no module": (["iris", "--model", "nowhere:rules"], "no module nowhere"),
    "nothing in it": (["iris", "--model", "my_rules:short"], "nothing named short"),
    "no model's name": (["iris", "--model", "forest"], "module:function"),
    "picture of a kind": (["iris", "--out", "tree.bmp"], "unknown ending"),
    "an input": (["iris.csv", "--target", "kind", "--json", "iris.csv"], "unknown ending"),
    "nothing to do": (["iris", "--quiet"], "nothing to write"),
    "one class": (["same.csv", "--target", "kind"], "nothing to learn"),
    "too large": (
        ["iris", "--max-depth", "7", "--min-leaf", "1", "--out", "tree.png"],
        "force=True",
    ),
    "NaN in a sum": (
        ["holes.csv", "--target", "kind", "--kind", "linear"],
        "contains NaN at row 1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_usage(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("damaged.joblib").write_bytes(b"no pickle")
    Path("headings.csv").write_text("a,sold\n")
    Path("same.csv").write_text("a,kind\n" + "\n".join(f"{k},x" for k in range(20)))
    rows = [f"{k},{'' if k == 1 else k},{'xy'[k % 2]}" for k in range(20)]
    Path("holes.csv").write_text("a,b,kind\n" + "\n".join(rows))
    before = sorted(os.listdir())
    arguments, message = REFUSED[name]
    assert run(["surrogate", *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert any(part in said for part in message.split("|"))
    assert [file for file in sorted(os.listdir()) if file != "__pycache__"] == before
