"""A trained decoder as a file: arrays and JSON in a .npz, read without pickle."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..explain.model import place_of
from ..image_sets.settings import identity
from ..io import atomic_write, check_output, existing_file
from .decoder import Decoder
from .features import Places
from .training import Curve
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from .explainer import TextExplainer

_FORMAT = "fastxai text explainer 1"
_OPTIONS = (
    *("width", "min_count", "validation", "epochs", "patience", "batch_size", "learning_rate"),
    *("look_cost", "random_state", "call", "output", "wrt"),
)
_WEIGHT = "decoder."


def save(explainer: TextExplainer, path: str | Path) -> None:
    """Write what `load` needs; see `TextExplainer.save`."""
    decoder = explainer._fitted()
    path = check_output(path, (".npz",))
    options = {name: getattr(explainer, name) for name in _OPTIONS}
    about = {
        "format": _FORMAT,
        "model": identity(explainer.model, None)["sha256"],
        "layer": None if explainer.layer is None else explainer.layer_,
        "layer_name": explainer.layer_,
        "reshape": explainer.reshape is not None,
        "options": options,
        "grid": explainer._places.grid,
        "longest": explainer._longest,
        "best": explainer.curve_.best,
        "words": explainer.vocabulary_,
    }
    try:
        text = json.dumps(about)
    except TypeError as error:
        raise InvalidInputError(
            f"output={explainer.output!r} and wrt={explainer.wrt!r} can be saved only as names or "
            f"numbers: {error}"
        ) from None
    arrays: dict[str, NDArray[Any]] = {
        f"{_WEIGHT}{name}": tensor.cpu().numpy() for name, tensor in decoder.state_dict().items()
    }
    arrays |= {
        "about": np.array(text),
        "mean": explainer._places.mean.cpu().numpy(),
        "deviation": explainer._places.deviation.cpu().numpy(),
        "training": explainer.curve_.training,
        "validation": explainer.curve_.validation,
        "held_out": explainer.held_out_,
    }
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        write: Any = np.savez  # whose types take names of arrays for options
        write(file, **arrays)


def load(kind: type[TextExplainer], path: str | Path, model: Any, reshape: Any) -> TextExplainer:
    """Read what `save` wrote; see `TextExplainer.load`."""
    path = existing_file(path)
    about, arrays = _read(path)
    if about["reshape"] and reshape is None:
        raise InvalidInputError(
            f"{path} was trained with reshape=, a function that is not saved: give it again"
        )
    options = about["options"]
    explainer = kind(model, about["layer"], reshape=reshape, **options)
    if identity(explainer.model, None)["sha256"] != about["model"]:
        raise InvalidInputError(
            f"{path} was trained on the features of another model: structure or weights differ, "
            "and its words would mean nothing here; load the weights it was trained on, or fit anew"
        )
    device = place_of(explainer.model)[0] or torch.device("cpu")
    words = Vocabulary(about["words"])
    mean, deviation = (torch.from_numpy(arrays[k]).to(device) for k in ("mean", "deviation"))
    places = Places(mean, deviation, tuple(about["grid"]))
    decoder = Decoder(places.channels, len(words), options["width"])
    weights = {
        name.removeprefix(_WEIGHT): torch.from_numpy(array)
        for name, array in arrays.items()
        if name.startswith(_WEIGHT)
    }
    decoder.load_state_dict(weights)
    explainer._decoder = decoder.to(device).eval()
    explainer._places, explainer._words = places, words
    explainer._longest, explainer.vocabulary_ = about["longest"], words.words
    explainer.curve_ = Curve(arrays["training"], arrays["validation"], about["best"])
    explainer.layer_, explainer.held_out_ = about["layer_name"], arrays["held_out"]
    return explainer


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about: dict[str, Any] = json.loads(str(arrays["about"]))
        known = about["format"] == _FORMAT
    except OSError as error:
        raise InvalidInputError(f"{path} is no text explainer: {error}") from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        raise InvalidInputError(
            f"{path} is no text explainer: TextExplainer.save writes one"
        ) from None
    if not known:
        raise InvalidInputError(
            f"{path} is of the format {about['format']!r}, and {_FORMAT!r} can be read here"
        )
    return about, arrays
