"""An image that is asked about: read, run through the bank's network, its features found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..explain.model import unwrap
from ..explain.networks.demo import Network
from ..explain.networks.loading import load_network
from ..explain.networks.photos import Preprocess
from ..image_sets.decoding import Prepare, Sample, from_item, of_shape, read_photo_file
from ..image_sets.settings import identity
from .bank import FeatureBank
from .features import Reader, opened

# Names of a library are looked up; those of another module would run its code.
_LIBRARIES = ("efficientnet-lite0", "torchvision:", "timm:", "fastxai.explain.networks:")


class Query(NamedTuple):
    """An image, what the network makes of it, and its row where it is one of the bank's."""

    title: str
    shown: NDArray[np.uint8] | None
    features: NDArray[np.float32]
    prediction: str | None
    score: float
    row: int | None


def read_query(bank: FeatureBank, image: Any, model: Any, preprocess: Any) -> Query:
    """Read what was given; see `explain_by_example`."""
    if isinstance(image, (int, np.integer)) and not isinstance(image, bool):
        if model is not None:
            check_model(bank, _network(model))
        return _row(bank, int(image))
    network = _network(model) if model is not None else _own(bank)
    check_model(bank, network)
    title, sample = _sample(bank, image, preprocess)
    if sample.image is None:
        raise InvalidInputError(f"{title} can not be read: {sample.reason}")
    settings = bank.manifest.settings
    how = settings["layer"], settings["pool"], _output(settings), settings["task"]
    reader = Reader(unwrap(network), *how)
    with opened(reader, bank.manifest.threads):
        seen = reader.see(sample.image[None], 1)
    if seen.features.shape[1] != bank.features.shape[1]:
        raise InvalidInputError(
            f"{title}: the network gives {seen.features.shape[1]:,} features, and {bank.path} "
            f"holds {bank.features.shape[1]:,}"
        )
    if not np.isfinite(seen.features).all():
        raise InvalidInputError(f"{title}: the network's features of it are not finite")
    best = int(seen.answers.classes[0, 0])
    prediction = None if settings["task"] == "regression" else bank.class_name(best)
    return Query(
        title, sample.shown, seen.features[0], prediction, float(seen.answers.scores[0, 0]), None
    )


def _row(bank: FeatureBank, row: int) -> Query:
    if not 0 <= row < len(bank):
        raise InvalidInputError(
            f"image={row}: {bank.path} has {len(bank):,} rows, 0 to {len(bank) - 1:,}"
        )
    score = float(bank.table["score"].iloc[row])
    features = np.array(bank.features[row])
    return Query(bank.title(row), bank.shown(row), features, bank.predictions[row], score, row)


# --- the network -------------------------------------------------------------------------


def _own(bank: FeatureBank) -> Any:
    """The network that the bank was built with, where it is at hand."""
    if bank.model is None:
        spec = bank.manifest.settings["model"]["spec"]
        if not isinstance(spec, str) or not spec.startswith(_LIBRARIES):
            raise InvalidInputError(
                f"{bank.path}: give model=, the network that the bank was built with"
                + (f" ({spec})" if spec else "")
            )
        bank.model = load_network(spec).model
    return bank.model


def _network(model: Any) -> Any:
    if isinstance(model, str):
        return load_network(model).model
    return model.model if isinstance(model, Network) else model


def check_model(bank: FeatureBank, model: Any) -> None:
    """Refuse a network that is not the bank's.

    Raises
    ------
    InvalidInputError
        If its layers or weights differ: distances between features of two networks mean nothing.
    """
    there, now = bank.manifest.settings["model"], identity(unwrap(model), None)
    if there["sha256"] != now["sha256"]:
        differ = "its layers or weights differ"
        if there["class"] != now["class"] or there["parameters"] != now["parameters"]:
            differ = (
                f"{there['class']} with {there['parameters']:,} parameters there, {now['class']} "
                f"with {now['parameters']:,} here"
            )
        raise InvalidInputError(
            f"{bank.path} was built with another network ({differ}), and features of two can not "
            "be compared: give the one it was built with, or build a bank with this one"
        )


def _output(settings: dict[str, Any]) -> Any:
    output = settings["output"]
    if isinstance(output, dict):
        raise InvalidInputError(
            "the bank was built with a function as output=, which is not kept: ask about rows of "
            "the bank, or build it with a key or an index"
        )
    return tuple(output) if isinstance(output, list) else output


# --- the image ---------------------------------------------------------------------------


def _sample(bank: FeatureBank, image: Any, preprocess: Any) -> tuple[str, Sample]:
    """What the image is called, and the image as the network takes it."""
    shape = bank.manifest.layout.image_shape
    if isinstance(image, (str, os.PathLike)):
        path = Path(image)
        prepare = _prepare(bank, preprocess)
        if prepare is None:
            raise InvalidInputError(_NO_WAY.format(what=path.name, bank=bank.path))
        return path.name, of_shape(read_photo_file(os.fspath(path), prepare), shape)
    if isinstance(image, (list, tuple)):
        raise InvalidInputError("image= is a list: one image is explained at a time")
    if getattr(image, "ndim", 0) == len(shape) + 1 and len(image) == 1:
        image = image[0]
    title = Path(getattr(image, "filename", "") or "the image").name
    sample = from_item(image, _prepare(bank, preprocess))
    return title, of_shape(sample, shape)


def _prepare(bank: FeatureBank, preprocess: Any) -> Prepare | None:
    """The bank's way to make an input of a photo, where it can be told; or the one given."""
    if preprocess is not None:
        if not callable(preprocess):
            raise InvalidInputError(f"preprocess={preprocess!r}: give a function of a PIL image")
        found: Prepare = preprocess
        return found
    way = bank.manifest.settings["source"].get("preprocess")
    if not isinstance(way, dict):
        return None
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in way.items()}
    return Preprocess(**values)


_NO_WAY = (
    "{what}: {bank} does not know how a photo becomes the network's input (its images were "
    "arrays, or prepared by a function): give preprocess="
)
