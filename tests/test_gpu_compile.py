"""Kernels of the GPU are built ahead of time, on machines that have none."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastxai_kernels

pytest.importorskip("triton")
pytest.importorskip("torch")
ROOM = Path(fastxai_kernels.__file__).parent / "gpu"
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}


def decorated() -> set[str]:
    """``file.function`` of what is written with `kernel`, `_both`, ... in front of it."""
    found = set()
    for file in ROOM.glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                names = {ast.unparse(d).partition("(")[0] for d in node.decorator_list}
                if names & {"kernel", "_both"}:
                    found.add(f"{file.stem}.{node.name}")
    return found


def test_every_kernel_is_built_and_none_spills() -> None:
    # One test, since building takes a minute.
    command = [sys.executable, "-m", "fastxai_kernels.gpu.compile", "--json", "--arch", "90"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout, done.stderr
    rows = json.loads(done.stdout)
    assert decorated() <= {row["kernel"] for row in rows}
    assert [row["kernel"] for row in rows if row["spills"]] == []
    limits = {"registers": 255, "shared": 227 * 1024, "widest": 16}
    for what, limit in limits.items():
        assert 0 < max(row[what] for row in rows) <= limit


def test_kernels_are_launched_by_what_is_built_alone() -> None:
    # Written `function[grid](...)` a launch would pass the list by.
    for file in ROOM.glob("*.py"):
        if file.stem == "_triton":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Subscript):
                assert "grid" not in ast.unparse(node.func.slice), (file.name, node.lineno)


def test_the_interpreter_can_not_compile() -> None:
    command = [sys.executable, "-m", "fastxai_kernels.gpu.compile", "--only", "rows"]
    environment = {**ENVIRONMENT, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert "TRITON_INTERPRET is set" in done.stderr
