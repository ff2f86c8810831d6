"""The pass over the images: batch by batch, written down now and then."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InvalidInputError
from ..explain.explainer import Explainer, opened
from ..explain.halving import Batches
from ..explain.layers.layers import Layer
from ..explain.model import caller
from ..image_sets.chunk import _torch_threads
from ..image_sets.decoding import Sample
from ..image_sets.loader import prefetch
from ..image_sets.memory import kept_memory
from ..progress import Progress, silenced
from .plan import Plan
from .store import Manifest, Progressed
from .strongest import Strongest
from .tapping import run_to

_EVERY = 5.0  # seconds of work that a process which is killed may lose


def scanned(
    plan: Plan, manifest: Manifest, progressed: Progressed, workers: int | None, progress: Progress
) -> Progressed:
    """Go on to the last batch; how far it came is written now and then, whatever happens."""
    first = progressed.batches
    spans = [(number, *manifest.span(number)) for number in range(first, manifest.batches)]
    if first:
        done = min(first * manifest.batch_size, manifest.n)
        rest = ": the rest follows" if spans else ""
        progress.say(f"{done:,} of {manifest.n:,} images were scanned{rest}")
    if not spans:
        return progressed
    written = time.monotonic()
    saved = progressed
    try:
        with (
            kept_memory(),
            _torch_threads(manifest.threads),
            progress.stage("scan", manifest.n, unit="images") as advance,
            prefetch(plan.source, spans, workers) as loaded,
        ):
            advance(first * manifest.batch_size)
            for number, samples in loaded:
                with silenced():
                    progressed = _with_batch(plan, manifest, progressed, number, samples)
                advance(len(samples))
                if plan.out is not None and time.monotonic() - written > _EVERY:
                    progressed.write(plan.out)
                    saved, written = progressed, time.monotonic()
    finally:
        if plan.out is not None and progressed is not saved:
            progressed.write(plan.out)
    return progressed


def _with_batch(
    plan: Plan,
    manifest: Manifest,
    progressed: Progressed,
    number: int,
    samples: Sequence[Sample],
) -> Progressed:
    """One batch more."""
    start, _ = manifest.span(number)
    failed = {start + i: sample.reason for i, sample in enumerate(samples) if sample.reason}
    numbers = np.array([start + i for i, s in enumerate(samples) if s.image is not None], np.int64)
    states, together = progressed.states, progressed.together
    if len(numbers):
        images = np.stack([s.image for s in samples if s.image is not None])
        states, together = look(
            plan.model, images, plan.found, states, numbers, manifest.threshold, together
        )
    failed = {**progressed.failed, **failed} if failed else progressed.failed
    return Progressed(number + 1, together, failed, states)


def look(
    model: Any,
    images: Any,
    layers: dict[str, Layer],
    states: dict[str, Strongest],
    numbers: NDArray[np.int64],
    threshold: float,
    together: int,
) -> tuple[dict[str, Strongest], int]:
    """What is kept after some more images, and how many of them ran together."""
    names = {layer: name for name, layer in layers.items()}
    with opened(Explainer(model), images) as (inputs, progress), torch.no_grad():

        def some(start: int, stop: int) -> dict[str, Strongest]:
            found = {}

            def see(layer: Layer, maps: Tensor) -> None:
                name = names[layer]
                _check_units(name, maps, len(states[name].values))
                found[name] = states[name].seen(maps, numbers[start:stop], threshold)

            run_to(caller(model), inputs.part(start, stop), list(names), see)
            return found

        batches = Batches(len(inputs), together)
        for found in batches.run(some, progress, "units"):
            states = {name: state.merged(found[name]) for name, state in states.items()}
    return states, batches.size


def _check_units(name: str, maps: Tensor, channels: int) -> None:
    if maps.shape[1] != channels:
        raise InvalidInputError(
            f"layer {name!r} gave {maps.shape[1]} units, and {channels} for the images before: "
            "units must be the same for all images"
        )
