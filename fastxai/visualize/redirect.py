"""The gradient of a unit that is off: ReLUs let through what would switch them on.

    gradient at x:  R where x > 0;  max(R, 0) elsewhere

where R is the gradient at the ReLU's output, of something that is to rise.  A unit that is off at
every place has no gradient, and an image would never get anywhere.  Lucid's
`redirected_relu_grad` (Olah et al. 2017, in their code) is the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..explain.relu_rules.activations import OPERATIONS, Unit

_PASS_ZERO = ("clamp", "maximum")  # ReLUs in effect, which torch differentiates by 1 or 1/2 at 0


class Redirected(TorchFunctionMode):
    """Within it, forward passes keep ReLUs that let such gradients through; outputs are the same.

    ReLU, ReLU6 and their like, as modules, functions and in place.

    Examples
    --------
    >>> x = torch.tensor([-1.0, -1.0, 2.0, 2.0], requires_grad=True)
    >>> with Redirected():
    ...     y = torch.relu(x)
    >>> torch.autograd.grad(y, x, torch.tensor([1.0, -1.0, 1.0, -1.0]))[0].tolist()
    [1.0, 0.0, 1.0, -1.0]
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        reader = OPERATIONS.get(func)
        unit = None if reader is None else _read(reader, args, kwargs)
        if unit is None or not unit.input.requires_grad:
            return func(*args, **kwargs)
        x = unit.input
        if not unit.inplace:
            return _Redirect.apply(x, func(*args, **kwargs), unit.closes)
        # The model may go on with the tensor itself and not with what is returned.
        copy = x.clone()
        args = tuple(copy if value is x else value for value in args)
        kwargs = {name: copy if value is x else value for name, value in kwargs.items()}
        before = copy.clone()
        return x.copy_(_Redirect.apply(before, func(*args, **kwargs), unit.closes))


def _read(reader: Any, args: Any, kwargs: Any) -> Unit | None:
    try:
        unit = reader(*args, **kwargs)
    except TypeError:  # not these parameters: torch knows what to say
        return None
    return unit if isinstance(unit, Unit) and (unit.closes or unit.kind in _PASS_ZERO) else None


class _Redirect(torch.autograd.Function):
    """y, which passes its gradient on to itself, and to x where x is off and would be on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, off_at_zero: bool) -> Tensor:
        ctx.save_for_backward(x <= 0 if off_at_zero else x < 0)
        return y.clone()

    @staticmethod
    def backward(ctx: Any, R: Tensor) -> tuple[Tensor, Tensor, None]:
        (off,) = ctx.saved_tensors
        return torch.where(off & (R > 0), R, 0), R, None
