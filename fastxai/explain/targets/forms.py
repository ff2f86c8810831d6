"""The forms in which users say what is to be explained, read before any work."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import InvalidInputError
from .masks import Mask, has_mask, read_mask

FORMS = (
    "None (the predicted class), the index of a class, one index an image (N,), several an image "
    "(N, K) or for all images (1, K), 'top5', '+2' or '-2' (a signed column), a function of one "
    "image's output, or (class, mask) for outputs with pixels"
)
_LARGEST = 2**31 - 1


class Columns(NamedTuple):
    """Which columns of the output.

    ``index`` is int64: (), (N,), (N, K) or (1, K); ``sign`` has its shape: 1 or -1 where it was
    written ("+2", "-2"), else 0.
    """

    index: Tensor
    sign: Tensor


class Top(NamedTuple):
    """The ``k`` largest columns."""

    k: int


class Functions(NamedTuple):
    """One function of an image's output for all, or one an image."""

    each: tuple[Callable[[Tensor], Any], ...]


Form = Columns | Top | Functions | None


def read_form(target: Any, n: int) -> tuple[Form, Mask | None]:
    """What ``target`` asks for, for ``n`` images, and on which pixels."""
    if not has_mask(target):
        return _read(target, n), None
    classes = target[0]
    form = _read(classes, n)
    if not isinstance(form, Columns):
        raise InvalidInputError(
            f"target=({_short(classes)}, mask): beside a mask stands the index of a class, one an "
            "image (N,), or several (N, K)"
        )
    return form, read_mask(target[1], n)


def _read(target: Any, n: int) -> Form:
    if target is None:
        return None
    if callable(target):
        return Functions((target,))
    if isinstance(target, str) and target.lower().startswith("top"):
        return _read_top(target)
    if isinstance(target, (list, tuple)) and any(callable(one) for one in target):
        return _read_functions(target, n)
    columns = _read_columns(target)
    _check_count(tuple(columns.index.shape), n)
    _check_once(columns)
    return columns


def _read_top(target: str) -> Top:
    found = re.fullmatch(r"top([0-9]{1,9})", target)
    if not found or int(found[1]) == 0:
        raise InvalidInputError(
            f"target={target!r}: write 'top' and a whole number of 1 or more, such as 'top5'"
        )
    return Top(int(found[1]))


def _read_functions(target: Sequence[Any], n: int) -> Functions:
    remedy = "give one function, or a function for each image"
    for place, one in enumerate(target):
        if not callable(one):
            raise InvalidInputError(f"target[{place}] = {_short(one)} is no function: {remedy}")
    if len(target) != n:
        raise InvalidInputError(f"target has {len(target)} functions for {_images(n)}: {remedy}")
    return Functions(tuple(target))


def _check_count(shape: tuple[int, ...], n: int) -> None:
    """Refuse targets that are not a row an image."""
    if shape in ((), (n,)) or (len(shape) == 2 and shape[0] in (n, 1) and shape[1]):
        return
    several = f"; for {shape[0]} targets an image give (1, {shape[0]})" if len(shape) == 1 else ""
    raise InvalidInputError(
        f"target has the shape {shape} for {_images(n)}: give one index, ({n},), ({n}, K) or "
        f"(1, K){several}"
    )


def _check_once(columns: Columns) -> None:
    """Refuse rows that name a target twice: most are one-hot codes and not indices."""
    if columns.index.ndim < 2 or columns.index.shape[1] < 2:
        return
    pairs = columns.index * 4 + columns.sign
    ordered = pairs.sort(dim=1).values
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise InvalidInputError(
            "target names a class twice for one image; it holds indices of classes: of one-hot "
            "rows give target.argmax(1), and of several labels their indices"
        )


def _read_columns(target: Any) -> Columns:
    """Indices and signs of any nest of whole numbers and signed strings."""
    if hasattr(target, "__array__") and not isinstance(target, (Tensor, np.ndarray)):
        target = np.asarray(target)  # a pandas series
    if isinstance(target, Tensor):
        if target.layout is not torch.strided or target.is_quantized or target.is_meta:
            raise InvalidInputError("target is sparse, quantised or meta: give a dense tensor")
        target = target.detach().cpu()
        target = (target.double() if target.is_floating_point() else target).numpy()
    if isinstance(target, np.ndarray) and target.dtype.kind in "biufc":
        index = _whole(target)
        return _columns(index, np.zeros(index.shape, np.int64))
    if isinstance(target, np.ndarray):
        target = target.tolist()
    elif isinstance(target, range):
        target = list(target)
    try:
        pairs = np.array(_walk(target, target, 0), np.int64)
    except ValueError as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(
            f"target={_short(target)}: its rows have different lengths; give as many targets for "
            "each image"
        ) from None
    if pairs.size == 0:
        raise InvalidInputError(f"target={_short(target)} is empty: it may be {FORMS}")
    return _columns(pairs[..., 0], pairs[..., 1])


def _columns(index: Any, sign: Any) -> Columns:
    # On the CPU, whatever device new tensors are made on by default.
    return Columns(torch.tensor(index, device="cpu"), torch.tensor(sign, device="cpu"))


def _walk(value: Any, target: Any, depth: int) -> Any:
    """The same nest with (index, sign) in the place of each target."""
    if isinstance(value, (Tensor, np.ndarray)):
        _read_columns(value)  # for its checks
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        if depth == 2:
            raise InvalidInputError(
                f"target={_short(target)} has more than two axes: it may be {FORMS}"
            )
        return [_walk(one, target, depth + 1) for one in value]
    if isinstance(value, str):
        found = re.fullmatch(r"([+-])([0-9]{1,9})", value)
        if not found:
            raise InvalidInputError(
                f"target={value!r} is unknown (names of classes are not known here: give the "
                f"index, names.index({value!r})): it may be {FORMS}"
            )
        return (int(found[2]), 1 if found[1] == "+" else -1)
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if whole and 0 <= value <= _LARGEST:  # most are
        return (int(value), 0)
    if not isinstance(value, (int, float, complex, np.number, np.bool_)):
        inside = "" if value is target else f": {_short(value)} in it"
        raise InvalidInputError(f"target={_short(target)}{inside} is unknown: it may be {FORMS}")
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        raise InvalidInputError(f"target {value} is out of range: no model has such a class")
    return (int(_whole(np.asarray(value))), 0)


def _whole(values: Any) -> Any:
    """``values`` as int64; refused unless whole numbers of -1 or more.

    What -1 means shows when the number of columns is known.
    """
    kind = values.dtype.kind
    if kind == "b":
        raise InvalidInputError(
            "target is boolean: give the index of a class, or (class, mask) for a mask of pixels"
        )
    if kind not in "iuf":
        raise InvalidInputError(f"target is of {values.dtype}: it may be {FORMS}")
    bad = ~np.isfinite(values) | (values != np.round(values))
    if bad.any():
        raise InvalidInputError(
            f"target holds {values[bad].ravel()[0]}, which is no whole number: targets are indices "
            "of classes (of probabilities take the argmax)"
        )
    if (values > _LARGEST).any():
        raise InvalidInputError(f"target {values.max()} is out of range: no model has such a class")
    if kind != "u" and (values < -1).any():
        raise InvalidInputError(negative(int(values.min())))
    return values.astype(np.int64)


def negative(value: int) -> str:
    """What to say of a negative index."""
    return (
        f"target {value} is negative: indices count from 0; what lowers the score of class "
        f"{-value} is written '-{-value}'"
    )


def _images(n: int) -> str:
    return f"{n} image{'s' * (n != 1)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
