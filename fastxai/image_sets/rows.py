"""The rows of a batch: what was known of each image, and what came out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .job import Batch, Job, Maps
from .manifest import Layout
from .statistics import by_pixel, figures

OK, FAILED = "ok", "failed"
_PLACE = ("width", "height", "orientation", "left", "top", "right", "bottom", "mode", "frames")


def columns(
    job: Job, layout: Layout, batch: Batch, found: Maps | None, reasons: list[str]
) -> dict[str, list[Any]]:
    """Column by column; without answers and maps where an image failed."""
    given = _given(batch, reasons)
    if found is None:
        return given
    made = _answered(job, batch, found)
    spatial = len(layout.image_shape) - 1
    for name in layout.maps:
        values = {"status": found.status[name], "min": found.low[name], "max": found.high[name]}
        values |= figures(by_pixel(found.maps[name], spatial))._asdict()
        if job.dtype == "float16":
            values["scale"] = found.scale[name]
        made |= {f"{name}_{what}": _values(value, found.single) for what, value in values.items()}
    for name, column in made.items():
        given[name] = [None if why else value for value, why in zip(column, reasons, strict=True)]
    return given


def _given(batch: Batch, reasons: list[str]) -> dict[str, list[Any]]:
    n = len(batch.samples)
    found: dict[str, list[Any]] = {
        "index": list(range(batch.first, batch.first + n)),
        "path": list(batch.paths),
        "label": [None if label is None else str(label) for label in batch.labels],
        "label_class": [None if c < 0 else c for c in batch.label_classes],
        "group": [None if group is None else str(group) for group in batch.groups],
        "status": [FAILED if reason else OK for reason in reasons],
        "reason": [reason or None for reason in reasons],
    }
    for name in _PLACE:
        values = [getattr(sample.place, name) for sample in batch.samples]
        found[name] = [_known(value) for value in values]
    return found


def _known(value: Any) -> Any:
    """None for what is not known: NaN of a place, 0 of a size, "" of a mode."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return value or None


def _answered(job: Job, batch: Batch, maps: Maps) -> dict[str, list[Any]]:
    classes, scores, _ = maps.answers
    one_class = job.task in ("softmax", "binary")
    best = classes[:, 0].tolist()
    labels = batch.label_classes
    columns: dict[str, list[Any]] = {
        "predicted": best if job.task != "regression" else [None] * len(best),
        "score": scores[:, 0].tolist(),
        "correct": [
            label == predicted if label >= 0 and one_class else None
            for label, predicted in zip(labels, best, strict=True)
        ],
        "top_classes": classes.tolist(),
        "top_scores": scores.tolist(),
        "target": _values(maps.classes, maps.single),
        "target_score": _values(maps.scores, maps.single),
    }
    return columns


def _values(values: Any, single: bool) -> list[Any]:
    """A value an image, or a list of them."""
    array = np.asarray(values)
    found: list[Any] = (array[:, 0] if single else array).tolist()
    return found
