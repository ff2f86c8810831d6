"""Images as tensors; what is no batch of images is refused, with the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_images(images: Any, name: str, device: Any, dtype: Any, spatial: int | None) -> Tensor:
    """The explained images as a tensor of their own graph."""
    if not isinstance(images, (Tensor, np.ndarray)):
        raise InvalidInputError(f"{name} is {kind_of(images)}: {_remedy(images)}")
    _check_form(images, name)
    _check_shape(tuple(images.shape), name, spatial)
    if isinstance(images, np.ndarray):
        tensor = from_numpy(images, device, dtype)
    else:
        tensor = images
        _check_device(tensor, name, device)
    tensor = own(tensor).resolve_neg()
    if type(tensor) is not Tensor:
        tensor = tensor.as_subclass(Tensor)
    _check_finite(tensor, name)
    return tensor


def _check_form(images: Any, name: str) -> None:
    """Refuse what is no dense array of real floats."""
    if isinstance(images, np.ndarray):
        kind = images.dtype.kind
        if isinstance(images, np.ma.MaskedArray):
            raise InvalidInputError(f"{name} is a masked array: fill it, images.filled(value)")
        if kind not in "biufc":
            raise InvalidInputError(
                f"{name} is an array of {images.dtype} and not of numbers: images of one size "
                "make one array by np.stack(images)"
            )
        whole, imaginary = kind in "biu", kind == "c"
    else:
        if images.is_nested or images.layout is not torch.strided:
            kind = "nested" if images.is_nested else str(images.layout).removeprefix("torch.")
            how = "images.to_padded_tensor(0.0)" if images.is_nested else "images.to_dense()"
            raise InvalidInputError(f"{name} is a {kind} tensor: give {how}")
        if images.is_quantized:
            raise InvalidInputError(f"{name} is a quantised tensor: give images.dequantize()")
        if images.is_meta:
            raise InvalidInputError(f"{name} is on the device 'meta' and has no values")
        imaginary = images.is_complex()
        whole = not imaginary and not images.is_floating_point()
    if whole:
        how = "images.float()" if isinstance(images, Tensor) else "images.astype(np.float32)"
        raise InvalidInputError(
            f"{name} is of {images.dtype}: convert it to float and normalise it as in training, "
            f"{how} / 255 for a model trained on [0, 1]"
        )
    if imaginary:
        raise InvalidInputError(
            f"{name} is complex ({images.dtype}): give its real and imaginary part, or its "
            "magnitude, as channels"
        )
    if isinstance(images, Tensor) and images.dtype not in FLOATS:
        raise InvalidInputError(f"{name} is of {images.dtype}: convert it, images.float()")


def _check_shape(shape: tuple[int, ...], name: str, spatial: int | None) -> None:
    """Refuse what is not (N, C, *spatial) with something on every axis."""
    if len(shape) < 3 or (spatial is not None and len(shape) == spatial + 1):
        short = (spatial or 2) + 2 - len(shape)
        what = "the batch axis" if short == 1 else "batch and channel axis"
        how = "[" + ", ".join(["None"] * short) + "]"
        if len(shape) < 2:
            what, how = "axes", ".reshape(N, C, ...)"
        one_channel = " (or images[:, None], if these are images of one channel)" * (short == 1)
        raise InvalidInputError(
            f"{name} has the shape {shape}, without {what}: images are (N, C, *spatial); "
            f"give images{how}{one_channel}"
        )
    if len(shape) > 5:
        raise InvalidInputError(
            f"{name} has the shape {shape}: images are (N, C, *spatial) with 1 to 3 spatial axes; "
            "flatten the leading axes, images.flatten(0, 1)"
        )
    if shape[0] == 0:
        raise InvalidInputError(f"{name} is a batch of no image: its shape is {shape}")
    if 0 in shape:
        raise InvalidInputError(f"{name} has the shape {shape}: images without a single value")


def _check_device(images: Tensor, name: str, device: Any) -> None:
    """Refuse images that are not where the model is."""
    if device is None:
        return
    device = torch.device(device)
    same_index = None in (device.index, images.device.index) or device.index == images.device.index
    if device.type != images.device.type or not same_index:
        raise InvalidInputError(
            f"{name} is on {images.device}, but the model is on {device}: give "
            f"images.to('{device}'), or move the model, model.to('{images.device}')"
        )


def _check_finite(images: Tensor, name: str) -> None:
    """Refuse NaN and infinity; name the images."""
    low, high = torch.aminmax(images)  # without a temporary of the images' size
    if torch.isfinite(low) and torch.isfinite(high):
        return
    bad = [i for i, image in enumerate(images) if not torch.isfinite(image).all()]
    some = ", ".join(map(str, bad[:8])) + (", ..." if len(bad) > 8 else "")
    raise InvalidInputError(
        f"{name}: {len(bad)} of {len(images)} images hold NaN or infinity as {images.dtype} "
        f"(number {some}); leave them out, or look at how they were read and normalised"
    )


def own(tensor: Tensor) -> Tensor:
    """The values without graph, such that they can be saved for a backward pass."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def from_numpy(array: Any, device: Any, dtype: Any) -> Tensor:
    """A tensor of ``array``: floats in ``dtype``, whole numbers and booleans as they are."""
    native = array.dtype.newbyteorder("=")
    floating = array.dtype.kind == "f"
    if floating:
        native = np.dtype(np.float64 if dtype == torch.float64 else np.float32)
    with np.errstate(over="ignore"):  # found again as infinity
        plain = np.asarray(array, native)
    if not plain.flags.writeable or any(stride < 0 for stride in plain.strides):
        plain = plain.copy(order="K")
    tensor = torch.from_numpy(plain)
    return tensor.to(device=device, dtype=dtype if floating else None)


def is_floating(value: Any) -> bool:
    """Whether a tensor or array is of real floats."""
    if isinstance(value, Tensor):
        return bool(value.is_floating_point())
    return bool(value.dtype.kind == "f")


def kind_of(value: Any) -> str:
    """A few words on what something is."""
    if isinstance(value, (Tensor, np.ndarray)):
        what = "tensor" if isinstance(value, Tensor) else "NumPy array"
        return f"a {what} {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, (list, tuple, Mapping)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__module__}.{type(value).__qualname__}".replace("a builtins.", "a ")


def _remedy(value: Any) -> str:
    """What to give instead of ``value``."""
    if isinstance(value, list):
        return (
            "give one tensor (N, C, *spatial), for images of one size torch.stack(images); the "
            "model's several inputs go into a tuple"
        )
    if type(value).__module__.split(".")[0] == "PIL":
        return (
            "give a tensor (N, C, H, W), made as for training: with torchvision's transforms, or "
            "by np.asarray(image, np.float32) / 255, channels first, and normalised"
        )
    if isinstance(value, (str, bytes)) or hasattr(value, "__fspath__"):
        return "read the file, and give a tensor (N, C, H, W), normalised as in training"
    return "give a torch tensor or a NumPy array (N, C, *spatial)"
