"""Networks by name and by code, and weights that run no code."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from photographs import MODULE, _half, have

torch = pytest.importorskip("torch")
from fastxai.errors import (  # noqa: E402
    FastxaiWarning,
    InvalidInputError,
    MissingDependencyError,
    ModelError,
)
from fastxai.explain.networks import loading  # noqa: E402
from fastxai.explain.networks.loading import load_network, load_weights  # noqa: E402
from fastxai.explain.networks.photos import Preprocess  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "mynets", raising=False)
    Path("mynets.py").write_text(MODULE)
    Path("badnets.py").write_text("import nowhere_to_be_found")
    return tmp_path


@pytest.mark.parametrize("name", ["build", "Holder.build", "ready", "whole"])
def test_code_of_ones_own(folder: Path, name: str) -> None:
    network = load_network(f"mynets:{name}")
    assert isinstance(network.model, torch.nn.Module)
    assert not network.model.training
    assert network.names == (("a", "b") if name == "whole" else None)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("resnet50", InvalidInputError, "torchvision:NAME"),
        (":build", InvalidInputError, "not known"),
        ("mynets:", InvalidInputError, "not known"),
        ("nonets:build", InvalidInputError, "no module nonets"),
        ("badnets:build", ModelError, "nowhere_to_be_found"),
        ("mynets:biuld", InvalidInputError, "near it are build"),
        ("mynets:number", InvalidInputError, "can not be called"),
        ("mynets:nothing", InvalidInputError, "returned a dict"),
        ("mynets:broken", ModelError, "RuntimeError: no weights here"),
    ],
)
def test_no_such_network(folder: Path, spec: str, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        load_network(spec)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_missing_libraries_are_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, f"{library}.models", None)
    with pytest.raises(MissingDependencyError, match=f"pip install {library}"):
        load_network(f"{library}:resnet18")


@have("torchvision")
def test_torchvision_with_random_weights() -> None:
    with pytest.warns(FastxaiWarning, match="random weights"):
        network = load_network("torchvision:mobilenet_v3_small", "none")
    assert network.names is not None and len(network.names) == 1000
    assert network.preprocess == Preprocess((224, 224), 0.875, interpolation="bilinear")
    with pytest.raises(InvalidInputError, match=r"near it are .*resnet"):
        load_network("torchvision:resnet5", "none")


@have("timm")
def test_timm_with_random_weights() -> None:
    with pytest.warns(FastxaiWarning, match="random weights"):
        network = load_network("timm:mobilenetv3_small_050", "none")
    assert network.preprocess.size == (224, 224)
    with pytest.raises(InvalidInputError, match="near it are"):
        load_network("timm:mobilenetv3_smal_050", "none")


def net(width: int = 2) -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.BatchNorm2d(width))


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda state: state, id="state dict"),
        pytest.param(lambda state: {"state_dict": state, "epoch": 3}, id="checkpoint"),
        pytest.param(lambda s: {f"module.{n}": v for n, v in s.items()}, id="DataParallel"),
        pytest.param(lambda s: {f"_orig_mod.{n}": v for n, v in s.items()}, id="compiled"),
    ],
)
def test_weights_are_loaded(tmp_path: Path, wrap: Any) -> None:
    given, wanted = net(), net()
    with torch.no_grad():
        wanted[0].weight.mul_(2)
    torch.save(wrap(wanted.state_dict()), tmp_path / "weights.pt")
    load_weights(given, tmp_path / "weights.pt")
    assert torch.equal(given[0].weight, wanted[0].weight)


@have("safetensors")
def test_safetensors_are_loaded(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    given, wanted = net(), net()
    with torch.no_grad():
        wanted[0].bias.add_(1)
    save_file(wanted.state_dict(), tmp_path / "weights.safetensors")
    load_weights(given, tmp_path / "weights.safetensors")
    assert torch.equal(given[0].bias, wanted[0].bias)
    _half(tmp_path / "weights.safetensors")
    with pytest.raises(InvalidInputError, match="damaged"):
        load_weights(given, tmp_path / "weights.safetensors")


def saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(saved(net()), "code of a file is never run", id="a whole model"),
        pytest.param(saved([1, 2]), "no state dict", id="a list"),
        pytest.param(saved({"a": 1}), "no state dict", id="numbers"),
        pytest.param(b"hello", "damaged", id="text"),
        pytest.param(b"", "damaged", id="empty"),
        pytest.param(saved(net().state_dict())[:-300], "damaged", id="cut"),
        pytest.param(saved(net(5).state_dict()), "of another shape .*5 x 3", id="shapes"),
        pytest.param(
            saved({"0.weight": torch.zeros(2, 3, 3, 3), "x": torch.zeros(1)}),
            r"missing \(0.bias.*not in the network \(x\)",
            id="names",
        ),
        pytest.param(None, "no such file", id="missing"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InvalidInputError, match=message):
        load_weights(model, path)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    import pickle

    class Harmful:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "run",))

    (tmp_path / "weights.pt").write_bytes(pickle.dumps(Harmful(), protocol=2))
    with pytest.raises(InvalidInputError):
        load_weights(net(), tmp_path / "weights.pt")
    assert not (tmp_path / "run").exists()


def test_specs_are_listed() -> None:
    assert "package.module:callable" in loading.SPECS


def test_nothing_heavy_is_imported_with_the_command() -> None:
    program = "import sys, fastxai.cli; print([m for m in ('torch', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
