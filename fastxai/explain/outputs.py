"""Which tensor of what a model returned is explained."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInputError

# Deeper and longer than any message should be.
_DEPTH, _LISTED = 4, 20


def select_output(found: Any, output: Any = None, n: int | None = None) -> Tensor:
    """The logits among what a model returned.

    Parameters
    ----------
    found
        What the model returned.
    output
        None: the tensor itself, what ``"logits"`` or ``.logits`` names, or the only floating
        tensor of one axis or more; a key, an index or an attribute's name; a tuple of those, from
        the outside in, as ``(0, "logits")``; or a function of ``found``.
    n
        How many images the model was given.

    Returns
    -------
    Tensor
        (N, classes) or (N, classes, *spatial); (N,) becomes (N, 1).

    Raises
    ------
    InvalidInputError
        With everything that was found, and its shapes.

    Examples
    --------
    >>> import torch
    >>> select_output({"logits": torch.ones(2, 5), "features": torch.ones(2, 64)}).shape
    torch.Size([2, 5])
    >>> select_output((torch.ones(2, 5), torch.ones(2, 3)), output=1).shape
    torch.Size([2, 3])
    """
    if callable(output):
        return _checked(_called(output, found), found, output, n)
    chosen = found
    for key in output if isinstance(output, tuple) else () if output is None else (output,):
        chosen = _step(chosen, key, found, output)
    return _checked(_only(chosen, found, output), found, output, n)


def describe(found: Any) -> str:
    """Every tensor in ``found`` by its path, with shape and dtype.

    Examples
    --------
    >>> import torch
    >>> describe(({"logits": torch.ones(2, 5)}, None))
    "output[0]['logits']: (2, 5) float32; output[1]: None"
    """
    lines = [f"{path}: {_what(value)}" for path, value in _leaves(found, "output", 0)]
    if len(lines) > _LISTED:
        lines = [*lines[:_LISTED], f"and {len(lines) - _LISTED} more"]
    return "; ".join(lines)


def _called(function: Callable[[Any], Any], found: Any) -> Any:
    try:
        return function(found)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the function output= raised {type(error).__name__}: {error}. The model returned "
            f"{describe(found)}"
        ) from error


def _step(value: Any, key: Any, found: Any, output: Any) -> Any:
    """What ``key`` names in ``value``: an item of a mapping or sequence, or an attribute."""
    if isinstance(value, Tensor):
        raise InvalidInputError(
            f"output={output!r}: there is one tensor at {key!r} and nothing to choose; leave that "
            f"out, or give a function. The model returned {describe(found)}"
        )
    if not isinstance(key, bool):
        if isinstance(value, Mapping) and isinstance(key, Hashable) and key in value:
            return value[key]
        sequence = isinstance(value, (tuple, list))
        if sequence and isinstance(key, int) and -len(value) <= key < len(value):
            return value[key]
        if isinstance(key, str) and hasattr(value, key) and not callable(getattr(value, key)):
            return getattr(value, key)
    raise InvalidInputError(
        f"output={output!r}: there is no {key!r}. The model returned {describe(found)}"
    )


def _only(value: Any, found: Any, output: Any) -> Tensor:
    """The tensor in ``value`` if there is no doubt which."""
    if isinstance(value, Tensor):
        return value
    logits = value.get("logits") if isinstance(value, Mapping) else getattr(value, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    tensors = [leaf for _, leaf in _leaves(value, "", 0) if isinstance(leaf, Tensor)]
    likely = [tensor for tensor in tensors if tensor.is_floating_point() and tensor.ndim]
    if len(likely) == 1 and isinstance(value, (tuple, list, Mapping)):
        return likely[0]
    if not tensors:
        chosen = "" if output is None else f"output={output!r}: "
        raise InvalidInputError(
            f"{chosen}there is no tensor of logits. The model returned {describe(found)}"
        )
    raise InvalidInputError(
        "which tensor holds the logits? output= says it by a key, an index, a path such as "
        f"(0, 'logits'), or a function. The model returned {describe(found)}"
    )


def _checked(chosen: Any, found: Any, output: Any, n: int | None) -> Tensor:
    """Logits of ``n`` images, in two axes or more."""
    name = "the model's output" if output is None else f"output={output!r}"
    if callable(output):
        name = "what the function output= returned"
    listed = "" if chosen is found else f". The model returned {describe(found)}"
    if not isinstance(chosen, Tensor):
        raise InvalidInputError(f"{name} is {_what(chosen)} and no tensor{listed}")
    shape = tuple(chosen.shape)
    if not chosen.is_floating_point():
        raise InvalidInputError(
            f"{name} is of {chosen.dtype}, which has no gradient and no score: choose the logits, "
            f"before any argmax or threshold{listed}"
        )
    if chosen.layout is not torch.strided:
        raise InvalidInputError(f"{name} is of the layout {chosen.layout}: give it .to_dense()")
    if not shape or 0 in shape:
        raise InvalidInputError(
            f"{name} has the shape {shape}: (N, classes), (N,) or (N, classes, *spatial) was "
            f"expected{listed}"
        )
    if n is not None and shape[0] != n:
        dropped = n == 1 and len(shape) == 1
        why = "; does the model drop the batch axis, as by squeeze()?" if dropped else ""
        raise InvalidInputError(
            f"{name} has the shape {shape} for {n} image{'s' * (n != 1)}: its first axis should "
            f"be {n}{why}{listed}"
        )
    return chosen[:, None] if len(shape) == 1 else chosen


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """What is in a nest of sequences, mappings and objects that hold tensors."""
    if isinstance(value, Tensor) or depth == _DEPTH:
        yield path, value
        return
    parts: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        parts = [(f"{path}[{key!r}]", part) for key, part in value.items()]
    elif isinstance(value, (tuple, list)):
        names = getattr(value, "_fields", None) or range(len(value))
        parts = [
            (f"{path}.{name}" if isinstance(name, str) else f"{path}[{name}]", part)
            for name, part in zip(names, value, strict=True)
        ]
    elif not isinstance(value, torch.nn.Module):
        held = getattr(value, "__dict__", {})
        if any(isinstance(part, (Tensor, tuple, list, Mapping)) for part in held.values()):
            parts = [(f"{path}.{name}", part) for name, part in held.items()]
    if not parts:
        yield path, value
    for name, part in parts:
        yield from _leaves(part, name, depth + 1)


def _what(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return "None" if value is None else f"a {type(value).__name__}"
