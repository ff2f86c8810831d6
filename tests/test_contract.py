"""Three rooms, the same furniture: backends have the same files, functions and parameters."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import fastxai_kernels

ROOT = Path(fastxai_kernels.__file__).parent


_TOOLS = {"compile"}  # commands, not kernels


def rooms(backend: str) -> set[str]:
    names = {file.stem for file in (ROOT / backend).glob("*.py")}
    return {name for name in names - _TOOLS if not name.startswith("_")}


def furniture(backend: str, room: str) -> dict[str, Any]:
    module = import_module(f"fastxai_kernels.{backend}.{room}")
    functions = inspect.getmembers(module, inspect.isfunction)
    return {
        name: list(inspect.signature(function).parameters)
        for name, function in functions
        if not name.startswith("_") and function.__module__ == module.__name__
    }


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_same_files(backend: str) -> None:
    assert rooms(backend) == rooms("reference")


@pytest.mark.parametrize("room", sorted(rooms("reference")))
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_same_functions_and_parameters(backend: str, room: str) -> None:
    if backend == "gpu":
        pytest.importorskip("triton")
    assert furniture(backend, room) == furniture("reference", room)


@pytest.mark.parametrize("backend", ["cpu", "gpu", "reference"])
def test_every_function_is_in_the_backends_front_room(backend: str) -> None:
    if backend == "gpu":
        pytest.importorskip("triton")
    package = import_module(f"fastxai_kernels.{backend}")
    for room in rooms(backend):
        for name in furniture(backend, room):
            assert callable(getattr(package, name)), name
