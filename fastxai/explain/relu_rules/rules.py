"""Guided backprop and DeconvNet: how a gradient passes ReLUs, operation by operation.

Springenberg et al., "Striving for simplicity: the all convolutional net", ICLR 2015 workshop,
section 3.4; Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..._warn import warn
from ...errors import InvalidInputError
from .activations import OPERATIONS, Uncovered, Unit
from .derivatives import above_zero, where_on

RULES = ("gradient", "guided", "deconvnet")


class ReLURules(TorchFunctionMode):
    """Within it, the activations of a forward pass by one of three rules in the backward pass.

    R is the gradient at an activation's output, f' the activation's derivative at its input x:

    - "gradient": f'(x) R, autograd's own
    - "guided": f'(x) max(R, 0) where x > 0, else 0
    - "deconvnet": max(R, 0)

    The rule is read when a backward pass runs, so that one forward serves several of them
    (``retain_graph=True``). Outputs of the forward have the bits of torch. Acts per operation, on
    functions and methods as well as modules, on tensors that need a gradient; see
    ``docs/methods/relu-rules.md`` for what is covered. Enter it outside of other torch function
    modes that count or cut activations, around the forward and the backward pass (checkpointed
    segments run again in the latter).

    Parameters
    ----------
    rule : {"gradient", "guided", "deconvnet"}, default "gradient"
        May be set at any time; ``using`` sets it for a while.

    Attributes
    ----------
    covered, uncovered : Counter of str
        Activations that ran, by kind: those that obey the rule, and those that no rule is
        written for, which pass their plain gradient.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([-1.0, 2.0, 3.0], requires_grad=True)
    >>> with ReLURules() as rules:
    ...     score = (torch.tensor([5.0, -5.0, 5.0]) * torch.relu(x)).sum()
    ...     for rule in ("gradient", "guided", "deconvnet"):
    ...         with rules.using(rule):
    ...             print(rule, torch.autograd.grad(score, x, retain_graph=True)[0].tolist())
    gradient [0.0, -5.0, 5.0]
    guided [0.0, 0.0, 5.0]
    deconvnet [5.0, 0.0, 5.0]
    >>> rules.report()
    'covered: 1 relu'
    """

    def __init__(self, rule: str = "gradient") -> None:
        super().__init__()
        self.rule = rule
        self.covered: Counter[str] = Counter()
        self.uncovered: Counter[str] = Counter()

    @property
    def rule(self) -> str:
        """The rule that a backward pass follows now."""
        return self._rule

    @rule.setter
    def rule(self, rule: str) -> None:
        if rule not in RULES:
            raise InvalidInputError(f"rule={rule!r} is unknown; choose one of {', '.join(RULES)}")
        self._rule = rule

    @contextmanager
    def using(self, rule: str) -> Iterator[None]:
        """Follow another rule for a while."""
        before, self.rule = self.rule, rule
        try:
            yield
        finally:
            self.rule = before

    def report(self) -> str:
        """What the rule covered and what not, by kind of activation."""
        if not self.covered and not self.uncovered:
            return "no activation function"
        parts = [f"covered: {_listed(self.covered) or 'none'}"]
        if self.uncovered:
            parts.append(f"not covered: {_listed(self.uncovered)}")
        return "; ".join(parts)

    def check(self) -> None:
        """Warn where the rule covers a part of the activations, refuse where it covers none.

        Raises
        ------
        InvalidInputError
            If no activation obeys the rule: the result would be the plain gradient.
        """
        if not self.covered:
            raise InvalidInputError(
                f"no activation that a ReLU rule is written for was met ({self.report()}): guided "
                "backprop and DeconvNet would be the plain gradient; choose Saliency or GradCAM"
            )
        if self.uncovered:
            warn(
                f"the ReLU rule covers a part of the activations ({self.report()}); those not "
                "covered pass their plain gradient"
            )

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Called by torch for each of its functions: nearly all of them are of no interest."""
        reader = OPERATIONS.get(func)
        if reader is None or not torch.is_grad_enabled():
            return func(*args, **kwargs) if kwargs else func(*args)
        kwargs = kwargs or {}
        unit = _read(reader, args, kwargs)
        if unit is None:
            return func(*args, **kwargs)
        if isinstance(unit, Uncovered):
            self._count(self.uncovered, unit.kind)
            return func(*args, **kwargs)
        self._count(self.covered, unit.kind)
        return self._apply(unit, func, args, kwargs)

    def _apply(self, unit: Unit, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = unit.input
        if not (unit.inplace and x._is_view()):
            return _Activation.apply(x, unit.slopes, unit, self, partial(func, *args, **kwargs))
        # Autograd lets no function of ours overwrite a part of a tensor: copy_ may.
        copy = x.clone()
        args = tuple(copy if arg is x else arg for arg in args)
        kwargs = {name: copy if arg is x else arg for name, arg in kwargs.items()}
        call = partial(func, *args, **kwargs)
        return x.copy_(_Activation.apply(copy, unit.slopes, unit, self, call))

    @staticmethod
    def _count(counter: Counter[str], kind: str) -> None:
        if torch._C._current_graph_task_id() == -1:  # else a checkpointed segment runs again
            counter[kind] += 1


def _read(reader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Unit | Uncovered | None:
    """The activation that a call is, if it needs a gradient."""
    try:
        unit: Unit | Uncovered | None = reader(*args, **kwargs)
    except TypeError:  # not these parameters, or out=: torch knows what to say
        return None
    if unit is None or not isinstance(unit.input, Tensor) or not unit.input.requires_grad:
        return None
    if isinstance(unit, Unit) and unit.inplace and unit.input.is_leaf:
        return None  # torch refuses to overwrite a leaf
    return unit


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counter.items())


class _Activation(torch.autograd.Function):
    """An activation whose backward pass follows the rule of the moment."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        slopes: Tensor | None,
        unit: Unit,
        rules: ReLURules,
        call: Callable[[], Tensor],
    ) -> Tensor:
        if unit.mask is not None and not _hooks_at_work():
            kept = unit.mask(x)
        else:
            kept = x.clone() if unit.inplace and not unit.keeps_output else x
        y = call()
        if unit.keeps_output:
            kept = y
        elif unit.mask is None:
            kept = kept.to(y.dtype)  # autocast may have computed in another
        if unit.inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(kept)
        ctx.rules = rules
        ctx.mask = None if kept.dtype == torch.uint8 else unit.mask  # still to be made
        ctx.derivative, ctx.closes = unit.derivative, unit.closes
        ctx.slopes_shape = None if slopes is None else slopes.shape
        return y

    @staticmethod
    def backward(ctx: Any, R: Tensor) -> tuple[Tensor | None, ...]:
        (kept,) = ctx.saved_tensors
        rule = ctx.rules.rule
        if ctx.mask is not None:
            kept = ctx.mask(kept)
        if rule == "deconvnet":
            passed = above_zero(R, R)
        else:
            passed = ctx.derivative(R, kept)
            if rule == "guided":
                passed = _positive(passed if ctx.closes else where_on(passed, kept))
        for_slopes = None
        if ctx.needs_input_grad[1]:
            for_slopes = _slopes_gradient(R, kept, ctx.slopes_shape)
        return passed, for_slopes, None, None, None


def _hooks_at_work() -> bool:
    """Whether what is kept goes through hooks: checkpointing puts what torch keeps in its place.

    A mode is off while `torch.autograd.grad` runs, so that a checkpointed segment runs again
    without rules: the same tensors must be kept as torch keeps, then, and no masks.
    """
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top is None or top(True) is not None  # before torch 2.8 there is no asking


def _positive(R: Tensor) -> Tensor:
    """max(R, 0) of a tensor that may be overwritten; no function that rules apply to."""
    return above_zero(R, R) if torch.is_grad_enabled() else torch.ops.aten.relu_(R)


def _slopes_gradient(R: Tensor, x: Tensor, shape: Any) -> Tensor:
    """PReLU's slopes: x R where x <= 0, summed over all but the channels."""
    each = torch.where(x > 0, 0, x * R)
    if shape.numel() == 1:
        return each.sum().reshape(shape)
    return each.sum([axis for axis in range(x.dim()) if axis != 1])
