"""Derivatives of activation functions: f'(x) R from what the forward pass kept.

Torch's own kernels, or its derivative asked for, so that ties, NaN and every bit are autograd's.
What is kept is an activation's input or output, or a mask of one byte an element: 2 f'(x), which is
0, 1 or 2 (torch halves some ties), plus 4 where the unit is on.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

aten = torch.ops.aten


def where_on(R: Tensor, kept: Tensor) -> Tensor:
    """R where the unit was on (x > 0), else 0; `kept` is a unit's mask, its input or its output."""
    if kept.dtype == torch.uint8:
        return torch.where(kept >= 4, R, 0)
    return above_zero(R, kept)


def above_zero(R: Tensor, x: Tensor) -> Tensor:
    """R where x > 0, else 0 (where x is NaN, R)."""
    return aten.threshold_backward(R, x, 0)


def open_mask(x: Tensor, high: float | None) -> Tensor:
    """The mask of a unit with f'(x) = 1 for 0 < x < high, else 0."""
    # NaN passes, as it does in torch's backward of threshold and hardtanh.
    off = x <= 0 if high is None else (x <= 0) | (x >= high)
    return (~off).to(torch.uint8).mul_(6)


def opened(R: Tensor, mask: Tensor) -> Tensor:
    """f'(x) R by an open mask."""
    return torch.where(mask == 6, R, 0)


def step_mask(x: Tensor, again: Callable[[Tensor], Tensor]) -> Tensor:
    """The mask of clamp or maximum, whose ties each version of torch differentiates its own way.

    `again` is the operation. A torch function mode may be active, which must not see it.
    """
    with torch._C.DisableTorchFunction(), torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = again(leaf)
        (slope,) = torch.autograd.grad(y, leaf, torch.ones_like(y))
    return slope.mul_(2).to(torch.uint8).add_((x <= 0).logical_not_(), alpha=4)


def stepped(R: Tensor, mask: Tensor) -> Tensor:
    """f'(x) R by a step mask."""
    doubled = mask & 3
    return torch.where(doubled == 2, R, torch.where(doubled == 1, R / 2, 0))


def leaky_relu(R: Tensor, kept: Tensor, slope: float, is_result: bool) -> Tensor:
    """Leaky ReLU, of its input or its result."""
    return aten.leaky_relu_backward(R, kept, slope, is_result)


def elu(R: Tensor, kept: Tensor, factors: tuple[float, float, float], is_result: bool) -> Tensor:
    """ELU, SELU and CELU, by alpha, scale and input_scale, of the input or the result."""
    return aten.elu_backward(R, *factors, is_result, kept)


def prelu(R: Tensor, x: Tensor, slopes: Tensor) -> Tensor:
    """PReLU with slopes that broadcast to x."""
    return torch.where(x > 0, R, R * slopes.to(R.dtype))


def softplus(R: Tensor, x: Tensor, beta: float, threshold: float) -> Tensor:
    """Softplus, of its input."""
    return aten.softplus_backward(R, x, beta, threshold)
