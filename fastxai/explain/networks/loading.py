"""A network by its name: built, given its weights, and how photos are prepared for it.

Weights come from files that hold tensors and nothing else: no code of a file is ever run.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..._warn import warn
from ...errors import InvalidInputError, MissingDependencyError, ModelError
from ...io import existing_file
from .demo import Network, efficientnet_lite0, imagenet_names
from .photos import Preprocess

SPECS = "efficientnet-lite0, torchvision:NAME, timm:NAME or package.module:callable"
_LISTED = 5  # names in a message
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel, of torch.compile


def load_network(spec: str, weights: str | Path | None = None) -> Network:
    """Build the network that ``spec`` names.

    Parameters
    ----------
    spec : str
        "efficientnet-lite0"; "torchvision:NAME" or "timm:NAME", with the weights that these
        libraries publish (they are downloaded if need be); or "package.module:callable", which
        is imported, also from the current folder, and called without arguments: **this runs
        that code**.  It returns the network, or a `Network`.
    weights : str or Path, optional
        A file of weights to be loaded instead, see `load_weights`; "none" leaves the random
        ones.

    Returns
    -------
    Network
        In eval mode, on the CPU.

    Raises
    ------
    InvalidInputError
        If there is no such network, or the weights do not fit it.
    MissingDependencyError
        If a library is not installed; the message says how.
    ModelError
        If building the network failed.
    """
    library, colon, name = spec.partition(":")
    own = weights is None
    if spec == "efficientnet-lite0":
        if weights == "none":
            warn(f"{spec} has random weights: its maps explain nothing")
            return efficientnet_lite0(pretrained=False)
        return efficientnet_lite0(weights)
    if not colon or not library or not name:
        raise InvalidInputError(f"model {spec!r} is not known: give {SPECS}")
    builders = {"torchvision": _from_torchvision, "timm": _from_timm}
    network = builders.get(library, _from_code)(*_arguments(library, name, own))
    if weights == "none" and library in builders:
        warn(f"{spec} has random weights: its maps explain nothing")
    elif weights is not None and weights != "none":
        load_weights(network.model, weights)
    network.model.eval()
    return network


def _arguments(library: str, name: str, own: bool) -> tuple[Any, ...]:
    return (name, own) if library in ("torchvision", "timm") else (library, name)


def _from_torchvision(name: str, pretrained: bool) -> Network:
    models = _library("torchvision.models", name)
    known = models.list_models()
    if name not in known:
        raise InvalidInputError(f"torchvision has no model {name!r}{near(name, known)}")
    published = models.get_model_weights(name)
    weights = next(iter(published)) if not hasattr(published, "DEFAULT") else published.DEFAULT
    with _building(f"torchvision:{name}"):
        model = models.get_model(name, weights=weights if pretrained else None)
    return Network(model, tuple(weights.meta.get("categories") or ()) or None, _of_preset(weights))


def _library(module: str, name: str) -> Any:
    package = module.split(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingDependencyError(
            f"{package}:{name} needs {package}: pip install {package}"
        ) from None


def _of_preset(weights: Any) -> Preprocess:
    """What torchvision's own transforms of the weights do."""
    preset = weights.transforms()
    side = getattr(preset, "crop_size", [224])[0]
    resized = getattr(preset, "resize_size", [256])[0]
    filter = str(getattr(getattr(preset, "interpolation", None), "value", "bilinear"))
    return Preprocess(
        (side, side),
        min(1.0, side / resized),
        tuple(getattr(preset, "mean", Preprocess.mean)),
        tuple(getattr(preset, "std", Preprocess.std)),
        filter,
    )


def _from_timm(name: str, pretrained: bool) -> Network:
    timm = _library("timm", name)
    if not timm.is_model(name):
        raise InvalidInputError(f"timm has no model {name!r}{near(name, timm.list_models())}")
    with _building(f"timm:{name}"):
        model = timm.create_model(name, pretrained=pretrained)
    found = timm.data.resolve_model_data_config(model)
    names = imagenet_names() if getattr(model, "num_classes", 0) == 1000 else None
    preprocess = Preprocess(
        tuple(found["input_size"][-2:]),
        float(found["crop_pct"]),
        tuple(found["mean"]),
        tuple(found["std"]),
        found["interpolation"],
    )
    return Network(model, names, preprocess)


def _from_code(module: str, name: str) -> Network:
    """What a function of the user's returns; its module may lie in the current folder."""
    spec = f"{module}:{name}"
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module + ".").startswith(error.name + "."):
            raise InvalidInputError(
                f"model {spec!r}: there is no module {error.name}; give {SPECS}"
            ) from None
        raise ModelError(f"importing {module} failed: {error}") from error
    except Exception as error:
        raise ModelError(f"importing {module} failed: {_said(error)}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            known = [n for n in dir(found) if not n.startswith("_")]
            raise InvalidInputError(f"{module} has nothing named {part}{near(part, known)}")
        found = getattr(found, part)
    if not isinstance(found, nn.Module | Network):
        if not callable(found):
            raise InvalidInputError(f"{spec} is a {type(found).__name__}, which can not be called")
        with _building(spec):
            found = found()
    if isinstance(found, Network):
        return found
    if not isinstance(found, nn.Module):
        raise InvalidInputError(
            f"{spec} returned a {type(found).__name__}: a torch.nn.Module is expected"
        )
    return Network(found, None, Preprocess())


class _building:
    """What goes wrong inside becomes a `ModelError` with the network's name."""

    def __init__(self, spec: str) -> None:
        self.spec = spec

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            raise ModelError(
                f"{self.spec} could not be built: {_said(error)} (weights of one's own: "
                "--weights FILE; random ones: --weights none)"
            ) from error


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")


# --- weights -----------------------------------------------------------------------------


def load_weights(model: Any, path: str | Path) -> None:
    """Load weights into a network; every name and shape must fit.

    Parameters
    ----------
    model : torch.nn.Module
    path : str or Path
        .safetensors, or what ``torch.save(model.state_dict(), path)`` wrote, also inside of a
        training checkpoint ("state_dict", "model" ...), and with the prefixes of DataParallel
        or torch.compile.

    Raises
    ------
    InvalidInputError
        If the file is missing or damaged, holds anything but tensors, or does not fit.
    MissingDependencyError
        If the file is .safetensors and that package is not installed.
    """
    path = existing_file(path)
    state = _without_prefixes(_tensors_of(_read(path), path))
    wanted = model.state_dict()
    faults = _faults(state, wanted)
    if faults:
        raise InvalidInputError(f"the weights in {path} do not fit the network: {faults}")
    model.load_state_dict(state, strict=False)


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        try:
            reader: Any = importlib.import_module("safetensors.torch")
        except ImportError:
            raise MissingDependencyError(
                f"{path}: reading it needs safetensors: pip install safetensors"
            ) from None
        try:
            return reader.load_file(path)
        except Exception as error:
            raise InvalidInputError(f"{path} is damaged: {_said(error)}") from None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InvalidInputError(
            f"{path} is damaged, or holds more than tensors, and code of a file is never run: "
            "write it with torch.save(model.state_dict(), ...)"
        ) from None
    except (RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
        raise InvalidInputError(f"{path} is damaged: {_said(error)}") from None


def _tensors_of(found: Any, path: Path) -> dict[str, Any]:
    for name in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    if not isinstance(found, Mapping) or not all(torch.is_tensor(v) for v in found.values()):
        raise InvalidInputError(
            f"{path} holds no state dict, names with a tensor each: write it with "
            "torch.save(model.state_dict(), ...)"
        )
    return dict(found)


def _without_prefixes(state: dict[str, Any]) -> dict[str, Any]:
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _faults(state: dict[str, Any], wanted: dict[str, Any]) -> str:
    """What does not fit, in words; counters of batches seen may be absent."""
    missing = [n for n in wanted if n not in state and not n.endswith("num_batches_tracked")]
    strange = [name for name in state if name not in wanted]
    unlike = [
        f"{name} is {_shape(state[name])} and should be {_shape(wanted[name])}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    groups = (("missing", missing), ("not in the network", strange), ("of another shape", unlike))
    return "; ".join(f"{len(g)} {what} ({_some(g)})" for what, g in groups if g)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def _shape(tensor: Any) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def near(name: str, known: Any) -> str:
    """Names like the wanted one, as the end of a message."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=_LISTED, cutoff=0.5)
    return f"; near it are {', '.join(close)}" if close else ""
