"""What is sent to workers: once the model, then batch after batch."""

from __future__ import annotations

import os
from typing import Any

from ..errors import InvalidInputError
from .plan import Plan
from .worker import Setup


def setup_of(plan: Plan, readers: int | None) -> bytes:
    """A pickled `Setup`."""
    model, weights = plan.model, plan.model.weights
    if weights not in (None, "none"):
        weights = os.path.abspath(str(weights))
    setup = Setup(
        plan.job,
        plan.layout,
        plan.names,
        plan.settings["model"],
        model.spec,
        weights,
        model.network if model.spec is None else None,
        getattr(plan.source, "dataset", None),
        readers,
    )
    return _pickled(setup, "the model")


def batch_of(plan: Plan, k: int) -> bytes:
    """A pickled `Batch`, whose images are still to be read, and where they are read from."""
    start, stop = plan.layout.span(k)
    source = plan.source.part(start, stop)
    if hasattr(source, "dataset"):
        source.dataset = None  # the workers have it once, not with each batch
    batch = plan.part(k, start, stop, plan.manifest.size(k), [])
    return _pickled((batch, source), "the images")


def _pickled(value: Any, what: str) -> bytes:
    """With what only this process can import by value."""
    import cloudpickle

    try:
        found: bytes = cloudpickle.dumps(value)
        return found
    except Exception as error:
        raise InvalidInputError(
            f"{what} can not be sent to workers, since something in it can not be pickled "
            f"({type(error).__name__}: {error}); a model can be given by its name, "
            "'package.module:callable', images as files"
        ) from error
