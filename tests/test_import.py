"""`import fastxai` is cheap, and every public name is there when asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fastxai
import fastxai_kernels

HEAVY = (
    "numba",
    "torch",
    "sklearn",
    "scipy",
    "pandas",
    "matplotlib",
    "pynndescent",
    "rich",
    "click",
)


@pytest.mark.parametrize("module", ["fastxai", "fastxai_kernels", "fastxai.io"])
def test_import_loads_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["fastxai.cli", "fastxai.plot", "fastxai.embed.neighbors"])
def test_torch_is_not_imported(module: str) -> None:
    program = f"import sys, {module}; print('torch' in sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert loaded.stdout.strip() == "False"


@pytest.mark.parametrize("name", fastxai.__all__)
def test_public_names_are_there_and_documented(name: str) -> None:
    assert getattr(fastxai, name).__doc__
    assert name in dir(fastxai)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = fastxai.nothing


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_select_cpu(device: str) -> None:
    assert fastxai_kernels.select(device).__name__ == "fastxai_kernels.cpu"


@pytest.mark.parametrize(
    ("device", "message"),
    [
        pytest.param("cuda", "without CUDA|no CUDA device|not installed", id="no GPU"),
        pytest.param(
            "cuda:7", "without CUDA|no CUDA device|not installed|numbered", id="no seventh"
        ),
        pytest.param("tpu", "auto", id="no such kind"),
        pytest.param("cuda:first", "unknown", id="no number"),
    ],
)
def test_select_refuses(device: str, message: str) -> None:
    from fastxai_kernels import _cuda

    if device == "cuda" and _cuda.missing() is None:
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match=message):
        fastxai_kernels.select(device)


@pytest.mark.parametrize("package", ["pyarrow", "zarr", "pandas"])
def test_a_set_without_its_packages_says_which_extra_brings_them(package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; import fastxai\n"
        "try:\n    fastxai.explain_dataset(len, 'photos', out='run')\n"
        "except fastxai.MissingDependencyError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert package in done.stdout
    assert "fastxai[sets]" in done.stdout
