"""What will be written, found out by explaining one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidInputError
from .answers import classes_of
from .chunk import explained
from .job import Job, Maps
from .manifest import Layout
from .thumbnails import THUMBNAILS, thumbnail_size

if TYPE_CHECKING:
    from .plan import Plan

_AXES = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}


def tried(job: Job, plan: Plan) -> Layout:
    """Explain the first image that can be read.

    Raises
    ------
    InvalidInputError
        If none can, or names, labels or targets do not fit the model's classes.
    """
    i, sample = plan.source.first()
    image = sample.image
    assert image is not None
    batch = plan.part(0, i, i + 1, 1, [sample])
    found = explained(job, plan.model.network, image[None], batch, 1)
    _check_classes(plan, classes_of(found.output, job.task))
    spatial = image.ndim - 1
    arrays = {name: _array(name, found, spatial, job.dtype) for name in found.maps}
    maps = tuple(arrays)
    side = plan.options["thumbnail"]
    if side and sample.shown is not None and spatial == 2:
        size = thumbnail_size(sample.shown.shape[:2], side)
        arrays[THUMBNAILS] = {
            "shape": [*size, 3],
            "dtype": "uint8",
            "dimensions": ["thumbnail_y", "thumbnail_x", "colour"],
            "attributes": {},
        }
    return Layout(
        n=len(plan.source),
        batch_size=plan.options["batch_size"],
        image_shape=tuple(image.shape),
        arrays=arrays,
        maps=maps,
        targets=int(found.classes.shape[1]),
        single=found.single,
        classes=classes_of(found.output, job.task),
    )


def _array(name: str, found: Maps, spatial: int, dtype: str) -> dict[str, Any]:
    shape = found.maps[name].shape[1:]
    dimensions = ["target", *["channel"] * (len(shape) - 1 - spatial), *_AXES[spatial]]
    attributes = {
        "method": name.partition("@")[0],
        "layer": found.layers[name],
        "signed": found.signed[name],
    }
    return {
        "shape": list(shape[1:] if found.single else shape),
        "dtype": dtype,
        "dimensions": dimensions[1:] if found.single else dimensions,
        "attributes": attributes,
    }


def _check_classes(plan: Plan, classes: int) -> None:
    if plan.names is not None and len(plan.names) != classes:
        raise InvalidInputError(
            f"there are {len(plan.names)} names of classes, and the model has {classes} outputs"
        )
    highest = max(plan.label_classes, default=-1)
    if highest >= classes:
        where = plan.label_classes.index(highest)
        raise InvalidInputError(
            f"the label of image {where} is class {highest}, and the model has {classes} classes, "
            f"0 to {classes - 1}"
        )
    if plan.targets is not None:
        wrong = np.argwhere((plan.targets < 0) | (plan.targets >= classes))
        if len(wrong):
            raise InvalidInputError(
                f"the target of image {wrong[0][0]} is {plan.targets[tuple(wrong[0])]}, and the "
                f"model has {classes} classes, 0 to {classes - 1}"
            )
