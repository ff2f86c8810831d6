"""`make gpu`, as it runs on a machine without one: it has to be right at the first try."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.gpu.__main__ import DRY, REAL, main, markdown, parts, run
from benchmarks.gpu.timing import Clock

# What test_search.py, test_umap.py and test_tsne.py run is left to `make gpu-dry`.
LEFT = ("search by cells", "umap of", "tsne of")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu")
    names = [name for name, _ in parts(DRY, Clock(torch.device("cpu"), 1))]
    only = [name for name in names if not name.startswith(LEFT)]
    status = main(["--dry", "--out", str(out), "--only", *only])
    return status, json.loads((out / "gpu-dry.json").read_text()), (out / "gpu-dry.md").read_text()


def test_every_part_is_right(written) -> None:
    status, result, _ = written
    wrong = {name: part for name, part in result["parts"].items() if part["outcome"] != "ok"}
    assert wrong == {}
    assert status == 0


def test_figures_and_machine_are_recorded(written) -> None:
    _, result, table = written
    assert result["machine"]["copy_gb_s"] > 0
    assert {"dry", "gpu", "torch", "triton", "numpy"} <= result["machine"].keys()
    assert {"error", "allowed", "ms", "share_of_copy"} <= result["parts"]["nearest 90"][
        "figures"
    ].keys()
    assert all(f"| {name} |" in table for name in result["parts"])


def test_the_real_run_has_every_part() -> None:
    names = [name for name, _ in parts(REAL, Clock(torch.device("cpu"), 1))]
    assert {"umap of 70,000", "umap of 1,000,000", "tsne of 1,000,000", "gradcam"} <= set(names)
    assert len(names) == len(set(names))


def test_a_part_that_fails_is_recorded() -> None:
    def fails():
        raise RuntimeError("no memory | at all")

    record = run(fails)
    assert record["outcome"] == "failed"
    table = markdown({"machine": {"gpu": "none"}, "parts": {"it": record}})
    assert "RuntimeError: no memory / at all" in table


def test_a_new_process_goes_on_where_the_device_is_spoilt(monkeypatch, tmp_path) -> None:
    class Left(Exception):
        pass

    def leave(program: str, arguments: list[str]) -> None:
        raise Left(arguments)

    given = ["--dry", "--out", str(tmp_path), "--only", "compile", "pca of"]
    monkeypatch.setattr(Clock, "usable", lambda clock: False)
    monkeypatch.setattr("os.execv", leave)
    monkeypatch.setattr("os.closerange", lambda *ends: None)
    with pytest.raises(Left) as left:
        main(given)
    again = left.value.args[0][3:]
    assert again[: len(given)] == given
    assert again[-2:] == ["--after", "compile"]
    monkeypatch.undo()
    assert main(again) == 0
    parts = json.loads((tmp_path / "gpu-dry.json").read_text())["parts"]
    assert [name.split()[0] for name in parts] == ["compile", "pca"]


def test_a_part_that_errs_is_wrong() -> None:
    assert run(lambda: {"error": 0.2, "allowed": 0.1})["outcome"] == "wrong"
    assert run(lambda: {"error": float("nan"), "allowed": 0.1})["outcome"] == "wrong"
