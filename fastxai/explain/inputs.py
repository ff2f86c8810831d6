"""What is explained: images, and how the model is called with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError
from .image_checks import FLOATS, from_numpy, is_floating, kind_of, own, read_images

_FEW_CHANNELS = (1, 3, 4)


@dataclass(frozen=True, eq=False, repr=False)
class Inputs:
    """A batch of images and the model's other arguments beside them.

    Nothing in it is written to: `call` hands copies to the model.

    Parameters
    ----------
    images
        (N, C, *spatial) floating, without graph: what is explained.
    arguments
        None where the model takes the images alone, else all its arguments by place or by name
        (at ``key`` stands None). Their tensors of one axis and more are batch-aligned.
    key
        Where among ``arguments`` the images stand.
    numpy
        Whether the images were given as a NumPy array.
    """

    images: Tensor
    arguments: tuple[Any, ...] | dict[str, Any] | None = None
    key: int | str | None = None
    numpy: bool = False

    def __len__(self) -> int:
        return int(self.images.shape[0])

    @property
    def spatial(self) -> tuple[int, ...]:
        """The images' spatial size: 1 to 3 numbers."""
        return tuple(self.images.shape[2:])

    def part(self, start: int, stop: int) -> Inputs:
        """Rows [start, stop) of the images and of every batch-aligned tensor: views."""
        return self._each(self.images[start:stop], lambda tensor: tensor[start:stop])

    def repeat(self, rows: Tensor, images: Tensor) -> Inputs:
        """``images[b]`` beside row ``rows[b]`` of the other inputs."""
        if len(rows) != len(images):
            raise ValueError(f"{len(rows)} rows for {len(images)} images")
        return self._each(images, lambda tensor: tensor[rows.to(tensor.device)])

    def with_images(self, images: Tensor) -> Inputs:
        """The same number of other images beside the same other inputs."""
        if len(images) != len(self):
            raise ValueError(f"{len(images)} images in the place of {len(self)}")
        return replace(self, images=images)

    def call(self, model: Callable[..., Any]) -> Any:
        """What the model returns.

        It is given copies, so that a model that works in place on what it is given changes
        nothing of the user's, and may do so where the images are a leaf of the graph.
        """
        if self.arguments is None:
            return model(self.images.clone())
        given = self._each(self.images.clone(), Tensor.clone)
        arguments = given.arguments
        if isinstance(arguments, dict):
            return model(**{**arguments, str(self.key): given.images})
        assert arguments is not None
        return model(*(given.images if i == self.key else v for i, v in enumerate(arguments)))

    def hint(self) -> str:
        """What may be wrong with the images' shape, for the message when the model raised."""
        shape = tuple(self.images.shape)
        if shape[-1] in _FEW_CHANNELS and min(shape[1:-1]) > max(_FEW_CHANNELS):
            order = (0, len(shape) - 1, *range(1, len(shape) - 1))
            return (
                f"the images' shape {shape} looks like channels last: the model wants "
                f"(N, C, *spatial); perhaps images.permute{order}"
            )
        return ""

    def _each(self, images: Tensor, change: Callable[[Tensor], Tensor]) -> Inputs:
        """Other images, and a change to every batch-aligned tensor beside them."""

        def changed(value: Any) -> Any:
            return change(value) if isinstance(value, Tensor) and value.ndim else value

        arguments = self.arguments
        if isinstance(arguments, dict):
            arguments = {name: changed(value) for name, value in arguments.items()}
        elif arguments is not None:
            arguments = tuple(changed(value) for value in arguments)
        return replace(self, images=images, arguments=arguments)


def spatial_axes(model: torch.nn.Module) -> int | None:
    """How many spatial axes the model's convolutions have; None if it has none or they differ."""
    nn = torch.nn
    kinds = {
        1: (nn.Conv1d, nn.ConvTranspose1d),
        2: (nn.Conv2d, nn.ConvTranspose2d),
        3: (nn.Conv3d, nn.ConvTranspose3d),
    }
    found = {n for m in model.modules() for n, kind in kinds.items() if isinstance(m, kind)}
    return found.pop() if len(found) == 1 else None


def read_inputs(
    images: Any,
    wrt: int | str | None = None,
    *,
    device: Any = None,
    dtype: Any = None,
    spatial: int | None = None,
) -> Inputs:
    """Read what a model is to be explained on; refuse what can not be.

    Parameters
    ----------
    images
        A tensor or NumPy array (N, C, *spatial) of floats with 1 to 3 spatial axes; or a tuple
        or mapping of the model's arguments, the images among them. Tensors and arrays beside the
        images hold a row an image; those of no axis and everything else are passed on as they
        are, the same to each part of the batch.
    wrt
        Which argument is explained, by place or by name; not needed if only one is floating with
        three axes or more.
    device, dtype
        Of the model's parameters: where NumPy arrays go, and where tensors must be. Floating
        arrays become ``dtype`` (default torch's).
    spatial
        How many spatial axes the model's convolutions have (`spatial_axes`), to recognise an
        image without a batch axis.

    Returns
    -------
    Inputs
        Tensors of the user, sharing memory with them, without graph; copies where they were made
        under ``inference_mode``, are read-only, or were converted.

    Raises
    ------
    InvalidInputError
        With what is wrong, where, and what to do.

    Examples
    --------
    >>> import torch
    >>> inputs = read_inputs({"pixels": torch.ones(4, 3, 8, 8), "age": torch.ones(4, 1)})
    >>> inputs.key, len(inputs), inputs.spatial
    ('pixels', 4, (8, 8))
    """
    dtype = dtype if dtype in FLOATS else torch.get_default_dtype()
    with torch.inference_mode(False):
        if isinstance(images, (tuple, Mapping)):
            return _read_several(images, wrt, device, dtype, spatial)
        if not (wrt is None or (type(wrt) is int and wrt == 0)):
            raise InvalidInputError(
                f"wrt={wrt!r} names one of several inputs, but images is {kind_of(images)}: leave "
                "wrt= out, or give all the model's inputs as a tuple or mapping"
            )
        tensor = read_images(images, "images", device, dtype, spatial)
        return Inputs(tensor, numpy=isinstance(images, np.ndarray))


def _read_several(given: Any, wrt: Any, device: Any, dtype: Any, spatial: int | None) -> Inputs:
    """The model's arguments, and which of them is explained."""
    if isinstance(given, Mapping):
        if nameless := [key for key in given if not isinstance(key, str)]:
            raise InvalidInputError(
                f"the mapping of inputs has the key {nameless[0]!r}: the model is called with "
                "its items as keyword arguments, whose names are strings"
            )
        members: dict[Any, Any] = dict(given)
    else:
        members = dict(enumerate(given))
    key = _explained(members, wrt)
    if _has_company(members, key):
        spatial = None  # what rows beside agree with is the batch axis
    images = read_images(members[key], f"images[{key!r}]", device, dtype, spatial)
    others: dict[Any, Any] = {
        name: None if name == key else _beside(value, name, key, len(images), device, dtype)
        for name, value in members.items()
    }
    arguments = others if isinstance(given, Mapping) else tuple(others.values())
    return Inputs(images, arguments, key, isinstance(members[key], np.ndarray))


def _explained(members: dict[Any, Any], wrt: Any) -> Any:
    """The key of the explained member."""
    listed = "; ".join(f"{key!r}: {kind_of(value)}" for key, value in members.items()) or "nothing"
    if wrt is not None:
        place = isinstance(wrt, (int, np.integer)) and not isinstance(wrt, bool) and wrt < 0
        key = int(wrt) + len(members) if place else wrt
        if isinstance(wrt, bool) or not isinstance(wrt, (int, str, np.integer)):
            raise InvalidInputError(f"wrt={wrt!r}: name one input by its place or its name")
        if key not in members:
            raise InvalidInputError(f"wrt={wrt!r} names none of the inputs, which are {listed}")
        return key
    tensors = [key for key, value in members.items() if isinstance(value, (Tensor, np.ndarray))]
    likely = [key for key in tensors if is_floating(members[key]) and members[key].ndim >= 3]
    if len(likely or tensors) == 1:
        return (likely or tensors)[0]
    if likely:
        raise InvalidInputError(
            f"which of the inputs is to be explained? wrt= names it; they are {listed}. (If they "
            "are the images of one batch, give one tensor: torch.stack(images))"
        )
    raise InvalidInputError(
        "none of the inputs is an image batch (N, C, *spatial) of floats; they are "
        f"{listed}. Convert images to floats and normalise them as in training"
    )


def _has_company(members: dict[Any, Any], key: Any) -> bool:
    """Whether another input has as many rows as the explained one."""
    rows = {
        name: value.shape[0]
        for name, value in members.items()
        if isinstance(value, (Tensor, np.ndarray)) and value.ndim
    }
    return key in rows and any(n == rows[key] for name, n in rows.items() if name != key)


def _beside(value: Any, name: Any, key: Any, n: int, device: Any, dtype: Any) -> Any:
    """An input that is not explained: a row an image, or passed on."""
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biufc":
        value = from_numpy(value, device, dtype)
    if not isinstance(value, Tensor):
        return value
    if value.is_nested or value.layout is not torch.strided:
        raise InvalidInputError(f"input {name!r} is a sparse or nested tensor: give it dense")
    if value.ndim and value.shape[0] != n:
        raise InvalidInputError(
            f"input {name!r} has the shape {tuple(value.shape)}, but there are {n} images in "
            f"input {key!r}: its first axis should be {n} (expand what all images share)"
        )
    return own(value)
