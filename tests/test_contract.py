"""Two rooms, the same furniture: backends have the same files, functions and parameters."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import fastxai_kernels

ROOT = Path(fastxai_kernels.__file__).parent


def rooms(backend: str) -> set[str]:
    return {file.stem for file in (ROOT / backend).glob("*.py") if not file.stem.startswith("_")}


def furniture(backend: str, room: str) -> dict[str, Any]:
    module = import_module(f"fastxai_kernels.{backend}.{room}")
    functions = inspect.getmembers(module, inspect.isfunction)
    return {
        name: list(inspect.signature(function).parameters)
        for name, function in functions
        if not name.startswith("_") and function.__module__ == module.__name__
    }


def test_same_files() -> None:
    assert rooms("cpu") == rooms("reference")


@pytest.mark.parametrize("room", sorted(rooms("cpu") & rooms("reference")))
def test_same_functions_and_parameters(room: str) -> None:
    assert furniture("cpu", room) == furniture("reference", room)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_every_function_is_in_the_backends_front_room(backend: str) -> None:
    package = fastxai_kernels.select(backend)
    for room in rooms(backend):
        for name in furniture(backend, room):
            assert callable(getattr(package, name)), name
