"""What tells one run from another, as JSON: options, the model's weights, the versions."""

from __future__ import annotations

import hashlib
import inspect
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import __version__
from ..errors import InvalidInputError
from ..explain.model import place_of

_FILES = ("pillow", "pyarrow", "zarr", "numcodecs")  # what reads photos and writes chunks


def described(value: Any) -> Any:
    """A JSON value that stands for an option: arrays by their hash, functions by their name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): described(inner) for key, inner in value.items()}
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        content = np.ascontiguousarray(value)
        digest = hashlib.sha256(content.view(np.uint8).data if content.size else b"").hexdigest()
        return {"shape": list(value.shape), "dtype": str(value.dtype), "sha256": digest}
    if isinstance(value, (list, tuple)):
        return [described(inner) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return described(asdict(value))
    if inspect.isfunction(value):
        return {"function": qualified(value), "sha256": _code_hash(value)}
    text = re.sub(r"0x[0-9a-fA-F]{4,}", "0x...", repr(value))
    return f"{qualified(value)}: {text}"


def _code_hash(function: Any) -> str:
    """Of what a function does: names alone do not tell two lambdas apart."""
    digest = hashlib.sha256()

    def add(code: Any) -> None:
        digest.update(code.co_code + repr((code.co_names, code.co_varnames)).encode())
        for constant in code.co_consts:
            if inspect.iscode(constant):
                add(constant)
            else:
                digest.update(repr(constant).encode())

    add(function.__code__)
    held = [cell.cell_contents for cell in function.__closure__ or ()]
    for value in (*held, *(function.__defaults__ or ())):
        told = value if isinstance(value, (bool, int, float, str)) else type(value).__name__
        digest.update(repr(told).encode())
    return digest.hexdigest()


def qualified(value: Any) -> str:
    """The full name of a function or of an object's class."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def identity(model: Any, spec: str | None) -> dict[str, Any]:
    """The model: what it was asked for as, its class, and a hash of its structure and weights."""
    found: dict[str, Any] = {"spec": spec, "class": qualified(model)}
    if not isinstance(model, nn.Module):
        return found
    digest = hashlib.sha256()
    for name, module in model.named_modules():
        # The numbers of a layer, too: weights alone do not tell a dilation, or a slope.
        digest.update(f"{name}:{type(module).__qualname__}({module.extra_repr()});".encode())
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, torch.Tensor):
            continue
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name}:{plain.dtype}{tuple(plain.shape)};".encode())
        digest.update(plain.flatten().view(torch.uint8).numpy().data if plain.numel() else b"")
    found["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    found["sha256"] = digest.hexdigest()
    return found


def made_with(model: Any) -> dict[str, str]:
    """The versions and the kind of device that give the same bits."""
    return versions_of(place_of(model)[0])


def versions_of(device: torch.device | str | None) -> dict[str, str]:
    """`made_with` of a model on this device."""
    kind = "cpu" if device is None else torch.device(device).type
    if kind == "cuda":
        kind = f"cuda {torch.cuda.get_device_name(device)}"
    else:
        kind = f"{kind} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "fastxai": __version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        **{name: version(name) for name in _FILES},
        "device": kind,
        "matmul precision": torch.get_float32_matmul_precision(),
    }


def layer_names(model: Any, layer: Any) -> Any:
    """Layers by name, so that they can be written down and sent to another process."""
    if isinstance(layer, nn.Module):
        inner = getattr(model, "module", model)
        for name, module in inner.named_modules():
            if module is layer:
                return name
        raise InvalidInputError("layer= is a module that is no part of the model")
    if isinstance(layer, (list, tuple, set, frozenset)):
        return [layer_names(model, one) for one in layer]
    return layer
