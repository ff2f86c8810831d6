"""One batch of a set: explained, its maps and its rows; the same bits wherever it is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..errors import NotEnoughMemoryError
from ..explain.black_box.perturbed import memory_assumed
from ..explain.engine import run
from ..explain.forward import out_of_memory
from ..explain.methods import make_explainers
from . import table
from .answers import answers
from .blocks import blocks, scales
from .job import Batch, Job, Maps
from .manifest import Layout
from .rows import columns
from .store import Encoded, encode

_NOT_FINITE = "the network's answer is not finite"


def compute(job: Job, layout: Layout, model: Any, batch: Batch) -> Encoded:
    """Explain a batch; with half as many images together where memory does not suffice."""
    batch = _known(batch, layout.classes)
    reasons = [_reason(job, batch, i) for i in range(len(batch.samples))]
    size, found = batch.size, None
    while found is None and not all(reasons):
        try:
            found = explained(job, model, _images(layout, batch, reasons), batch, size)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if size == 1:
                raise NotEnoughMemoryError(
                    f"memory does not suffice for one image at a time (images {batch.first} to "
                    f"{batch.first + len(batch.samples) - 1}): {error}"
                ) from error
            size = max(1, size // 2)
    if found is not None:
        finite = found.answers.finite.tolist()
        reasons = [r or ("" if ok else _NOT_FINITE) for r, ok in zip(reasons, finite, strict=True)]
    arrays = blocks(job, layout, batch, found or Maps(), reasons)
    wanted = table.schema(layout.maps, layout.single, job.dtype == "float16")
    rows = table.to_bytes(columns(job, layout, batch, found, reasons), wanted)
    return encode(layout, arrays, rows, size)


def explained(job: Job, model: Any, images: Any, batch: Batch, size: int) -> Maps:
    """The maps of all methods, by the names of their arrays."""
    shared = {"output": job.output, "task": job.task, "wrt": None}
    shared |= {"batch_size": None, "verbose": False}
    explainers = make_explainers(model, job.methods, shared, job.layer)
    target = job.target if batch.targets is None else batch.targets
    if job.target == "label":
        target = np.maximum(np.array(batch.label_classes, np.int64), 0)
    with memory_assumed(job.memory), _torch_threads(job.threads):
        done = run(
            explainers,
            images,
            target,
            first=batch.first,
            keep_output=True,
            halve=False,
            batch_size=size,
        )
    out = done.explanations
    found = Maps(classes=out.classes, scores=out.scores, single=out.single, output=done.output)
    found.answers = answers(done.output, job.task, job.top_k)
    for name, explanation in out.items():
        several = isinstance(explanation.maps, dict)
        for layer in explanation.maps if several else ("",):
            key = f"{name}@{layer}" if layer else name
            for to, value in (
                (found.maps, explanation.maps),
                (found.status, explanation.status),
                (found.low, explanation.minimum),
                (found.high, explanation.maximum),
            ):
                array = np.asarray(value[layer] if layer else value)
                to[key] = array[:, None] if out.single else array
            found.signed[key] = explanation.signed
            found.layers[key] = layer or ", ".join(explanation.layers)
            if job.dtype == "float16":
                found.scale[key] = scales(found.maps[key])
    return found


@contextmanager
def _torch_threads(number: int) -> Iterator[None]:
    """So many threads of torch inside the block."""
    before = torch.get_num_threads()
    if before != number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        if before != number:
            torch.set_num_threads(before)


def _known(batch: Batch, classes: int) -> Batch:
    """Labels that images bring themselves may be of no class that there is."""
    return replace(batch, label_classes=[c if c < classes else -1 for c in batch.label_classes])


def _reason(job: Job, batch: Batch, i: int) -> str:
    """Why an image is not explained; "" if it is."""
    sample = batch.samples[i]
    if sample.reason:
        return str(sample.reason)
    if job.target == "label" and batch.label_classes[i] < 0:
        given = batch.labels[i]
        what = "no label" if given is None else f"the label {given!r} is none of the classes"
        return f"{what}, and target='label' explains it"
    return ""


def _images(layout: Layout, batch: Batch, reasons: list[str]) -> Any:
    """The batch; images that failed are zeros, so that the others get the same bits."""
    images = np.zeros((len(batch.samples), *layout.image_shape), np.float32)
    for to, sample, reason in zip(images, batch.samples, reasons, strict=True):
        if not reason:
            to[...] = sample.image
    return images
