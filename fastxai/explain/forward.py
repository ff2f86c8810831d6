"""The call of the user's model; its errors are told with what it was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import FastxaiError, ModelError
from .inputs import Inputs
from .model import place_of
from .outputs import select_output


def run_model(call: Callable[..., Any], inputs: Inputs) -> Any:
    """What the model returns; what it raises comes as a ModelError that tells the inputs."""
    try:
        return inputs.call(call)
    except (FastxaiError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        images = inputs.images
        hint = inputs.hint() or _other_dtype(call, images)
        hint = hint or "the first axis counts the images, the second their channels"
        raise ModelError(
            f"the model's forward raised {type(error).__name__}: {error} (given images of shape "
            f"{tuple(images.shape)}, {images.dtype}, on {images.device}: {hint})"
        ) from error


def _other_dtype(call: Any, images: Tensor) -> str:
    dtype = place_of(call)[1]
    if dtype in (None, images.dtype):
        return ""
    return f"the model's parameters are {dtype}, perhaps images.to({dtype})"


def out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the device, or of the machine, did not suffice."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "not enough memory" in text or "can't allocate memory" in text or "out of memory" in text
    )


def plain_forward(call: Callable[..., Any], inputs: Inputs, output: Any = None) -> Tensor:
    """The selected output of a forward that keeps nothing."""
    with torch.no_grad():
        found = run_model(call, inputs)
        if isinstance(found, np.ndarray):  # a function of another library
            found = torch.as_tensor(found, device=inputs.images.device)
        return select_output(found, output, n=len(inputs)).detach()
