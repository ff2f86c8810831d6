"""The table of activation functions: every call of torch that is one, and how it is differentiated.

A `Unit` is one activation at work in a forward pass: its input, and how a gradient passes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from . import derivatives

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805

Derivative = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Unit:
    """One activation function at work.

    Attributes
    ----------
    kind : str
        Its name in reports.
    input : Tensor
        What it acts on.
    derivative : callable
        (R, kept) -> f'(x) R, shaped as R.
    mask : callable or None
        x -> what to keep for the backward pass, one byte an element (see `derivatives`). None:
        keep a tensor of the activation's dtype.
    keeps_output : bool
        Without a mask: keep the output, which tells the state of the unit, or else the input.
    closes : bool
        f'(x) is 0 wherever x <= 0 (ReLUs, but for ties).
    inplace : bool
        The input is overwritten.
    slopes : Tensor or None
        PReLU's, which may need a gradient themselves.
    """

    kind: str
    input: Tensor
    derivative: Derivative
    mask: Callable[[Tensor], Tensor] | None = None
    keeps_output: bool = False
    closes: bool = False
    inplace: bool = False
    slopes: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Uncovered:
    """An activation function that no rule is written for."""

    kind: str
    input: Tensor


def _is_zero(value: Any) -> bool:
    """Whether a bound is exactly 0: a number, or a tensor of one value that needs no gradient."""
    if isinstance(value, Tensor):
        return value.dim() == 0 and not value.requires_grad and value.item() == 0
    return value is not None and value == 0


# One reader an operation, with the parameter names of torch. None: no activation function.


def _relu(input: Tensor, inplace: bool = False) -> Unit:
    return Unit(
        "relu", input, derivatives.above_zero, keeps_output=True, closes=True, inplace=inplace
    )


def _hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Unit | Uncovered:
    if min_val != 0:
        return Uncovered("hardtanh", input)
    kind = "relu6" if max_val == 6 else "hardtanh"
    mask = partial(derivatives.open_mask, high=max_val)
    return Unit(kind, input, derivatives.opened, mask=mask, closes=True, inplace=inplace)


def _relu6(input: Tensor, inplace: bool = False) -> Unit | Uncovered:
    return _hardtanh(input, 0, 6, inplace)


def _threshold(
    input: Tensor, threshold: float, value: float, inplace: bool = False
) -> Unit | Uncovered:
    if threshold != 0 or value != 0:
        return Uncovered("threshold", input)
    mask = partial(derivatives.open_mask, high=None)
    return Unit("threshold", input, derivatives.opened, mask=mask, closes=True, inplace=inplace)


def _clamp(input: Tensor, min: Any = None, max: Any = None, inplace: bool = False) -> Unit | None:
    if not _is_zero(min) or (isinstance(max, Tensor) and (max.dim() or max.requires_grad)):
        return None
    if max is not None and not max > 0:
        return None
    mask = partial(derivatives.step_mask, again=partial(torch.clamp, min=min, max=max))
    return Unit("clamp", input, derivatives.stepped, mask=mask, inplace=inplace)


def _maximum(input: Any, other: Any = None) -> Unit | Uncovered | None:
    return _with_zeros(torch.maximum, input, other)


def _fmax(input: Any, other: Any) -> Unit | Uncovered | None:
    return _with_zeros(torch.fmax, input, other)


def _with_zeros(function: Any, input: Any, other: Any) -> Unit | Uncovered | None:
    """The larger of a tensor and zeros, in either order."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        return None  # over an axis
    if input.requires_grad == other.requires_grad:
        return None
    first = bool(input.requires_grad)
    x, zeros = (input, other) if first else (other, input)
    if zeros.any():
        return None
    if torch.broadcast_shapes(x.shape, zeros.shape) != x.shape:
        return Uncovered("maximum that broadcasts", x)

    def again(value: Tensor) -> Tensor:
        return function(value, zeros) if first else function(zeros, value)

    mask = partial(derivatives.step_mask, again=again)
    return Unit("maximum", x, derivatives.stepped, mask=mask)


# Softened ReLUs.


def _leaky_relu(
    input: Tensor, negative_slope: float = 0.01, inplace: bool = False, kind: str = "leaky_relu"
) -> Unit:
    # In place, torch itself asks for a positive slope and keeps the output.
    slope = partial(derivatives.leaky_relu, slope=negative_slope, is_result=inplace)
    return Unit(kind, input, slope, keeps_output=inplace, inplace=inplace)


def _rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Unit | Uncovered:
    if training:  # slopes drawn at random, which torch keeps to itself
        return Uncovered("rrelu in training", input)
    return _leaky_relu(input, (lower + upper) / 2, inplace, kind="rrelu")


def _elu(
    input: Tensor,
    alpha: float = 1.0,
    inplace: bool = False,
    scale: float = 1.0,
    input_scale: float = 1.0,
    kind: str = "elu",
) -> Unit:
    slope = partial(derivatives.elu, factors=(alpha, scale, input_scale), is_result=inplace)
    return Unit(kind, input, slope, keeps_output=inplace, inplace=inplace)


def _selu(input: Tensor, inplace: bool = False) -> Unit:
    return _elu(input, SELU_ALPHA, inplace, SELU_SCALE, kind="selu")


def _celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Unit:
    # Torch's backward pass takes alpha in single precision.
    single = torch.tensor(alpha, dtype=torch.float32).item()
    return _elu(input, alpha, inplace, input_scale=1 / single, kind="celu")


def _prelu(input: Tensor, weight: Tensor) -> Unit:
    slopes = weight.detach()
    if slopes.numel() > 1:  # one a channel
        slopes = slopes.reshape(-1, *[1] * (input.dim() - 2)) if input.dim() > 1 else slopes
    slope = partial(derivatives.prelu, slopes=slopes)
    return Unit("prelu", input, slope, slopes=weight if weight.requires_grad else None)


def _gelu(input: Tensor, approximate: str = "none") -> Unit:
    return Unit("gelu", input, partial(torch.ops.aten.gelu_backward, approximate=approximate))


def _silu(input: Tensor, inplace: bool = False) -> Unit:
    return Unit("silu", input, torch.ops.aten.silu_backward, inplace=inplace)


def _hardswish(input: Tensor, inplace: bool = False) -> Unit:
    return Unit("hardswish", input, torch.ops.aten.hardswish_backward, inplace=inplace)


def _mish(input: Tensor, inplace: bool = False) -> Unit:
    return Unit("mish", input, torch.ops.aten.mish_backward, inplace=inplace)


def _softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Unit:
    return Unit("softplus", input, partial(derivatives.softplus, beta=beta, threshold=threshold))


def _uncovered(kind: str) -> Callable[..., Uncovered]:
    def read(input: Tensor, *_: Any, **__: Any) -> Uncovered:
        return Uncovered(kind, input)

    return read


Reader = Callable[..., Unit | Uncovered | None]
_READERS: dict[str, Reader] = {
    "relu": _relu,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "threshold": _threshold,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "maximum": _maximum,
    "max": _maximum,
    "fmax": _fmax,
    "leaky_relu": _leaky_relu,
    "rrelu": _rrelu,
    "elu": _elu,
    "selu": _selu,
    "celu": _celu,
    "prelu": _prelu,
    "gelu": _gelu,
    "silu": _silu,
    "hardswish": _hardswish,
    "mish": _mish,
    "softplus": _softplus,
    **{
        kind: _uncovered(kind)
        for kind in (
            "tanh",
            "softsign",
            "hardshrink",
            "softshrink",
            "tanhshrink",
            "glu",
            "logsigmoid",
            "rnn_relu",
            "rnn_relu_cell",
        )
    },
}


# Operators have parameters of their own here.
_NOT_OPERATORS = ("elu", "selu", "celu", "rrelu")


def _table() -> dict[Any, Reader]:
    """Every function object of torch by which these operations are reached, with its reader."""
    table: dict[Any, Reader] = {}
    for name, reader in _READERS.items():
        for called, read in ((name, reader), (f"{name}_", partial(reader, inplace=True))):
            for home in (torch, torch.Tensor, F):
                if (function := getattr(home, called, None)) is not None:
                    table[function] = read
            # Exported programs call operators.
            operator = getattr(torch.ops.aten, called, None)
            if operator is not None and name not in _NOT_OPERATORS:
                table[operator] = read
                table |= {getattr(operator, form): read for form in operator.overloads()}
    return table


OPERATIONS = _table()
