"""What is built holds both packages and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("hatchling")


def build(target: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def test_wheel(tmp_path: Path) -> None:
    with zipfile.ZipFile(build("wheel", tmp_path)) as wheel:
        names = wheel.namelist()
        (entry_points,) = (n for n in names if n.endswith("entry_points.txt"))
        assert "fastxai = fastxai.cli:main" in wheel.read(entry_points).decode()
    roots = {name.split("/")[0] for name in names}
    assert {r for r in roots if not r.endswith(".dist-info")} == {"fastxai", "fastxai_kernels"}
    for file in ("fastxai/py.typed", "fastxai_kernels/py.typed", "fastxai_kernels/cpu/_jit.py"):
        assert file in names


def test_source_archive(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"fastxai/__init__.py", "kernels/fastxai_kernels/__init__.py", "LICENSE"} <= names
    assert not {name for name in names if name.startswith((".venv", ".git/", "dist"))}
