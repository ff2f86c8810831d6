"""`fastxai demo --network`: a folder of pictures, a line about each kind."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from fastxai import _cli_demo_network as demo
from fastxai.cli import fastxai


def test_every_kind_has_its_picture(tmp_path, monkeypatch) -> None:
    # The words take a minute to learn: tests/test_words.py learns them smaller.
    kinds = {name: make for name, make in demo._PICTURES.items() if name != "words"}
    monkeypatch.setattr(demo, "_PICTURES", kinds)
    out = tmp_path / "demo"
    done = CliRunner().invoke(fastxai, ["demo", "--network", "--out", str(out), "--threads", "1"])
    assert done.exit_code == 0, done.output
    pictures = {file.name for file in out.glob("*.png")}
    assert pictures == {
        "dream.png", "units.png", "features.png", "examples.png", "prototypes.png",
        "surrogate.png", "lime.png",
    }  # fmt: skip
    assert "digit" in (out / "described.txt").read_text()
    assert all(str(out / name) in done.output for name in pictures)


@pytest.mark.parametrize("other", [["--photos"], ["--set"], ["--data", "digits"]])
def test_one_demo_at_a_time(other: list[str]) -> None:
    done = CliRunner().invoke(fastxai, ["demo", "--network", *other])
    assert done.exit_code == 2
    assert "four demos: give one" in done.output
