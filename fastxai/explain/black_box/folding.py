"""A copy of the model made for the purpose: norms folded into convolutions, channels last.

    BN(W x + b) = (g W / s) x + g (b - m) / s + h,   s = sqrt(v + eps)

with the running mean m and variance v, scale g and shift h of a batch norm that directly and
only follows the convolution: what a trial run shows, and not the order of definition.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from ..._warn import warn
from ..forward import out_of_memory, plain_forward
from ..inputs import Inputs
from ..model import caller
from .local_forward import close

_FOLDS = {nn.Conv1d: nn.BatchNorm1d, nn.Conv2d: nn.BatchNorm2d, nn.Conv3d: nn.BatchNorm3d}
# What only looks at a tensor and does not compute with it.
_LOOKS = frozenset(["__get__", "dim", "size", "stride", "is_contiguous", "is_floating_point"])
Pair = tuple[nn.Module, nn.Module]


def fast_copy(
    model: Any, inputs: Inputs, output: Tensor, select: Any
) -> tuple[nn.Module, Callable[[Inputs], Tensor]] | None:
    """A copy that runs faster, and its forward; None where there can be none.

    Parameters
    ----------
    model : Any
        In eval mode, its parameters frozen; it is not touched.
    inputs, output : Inputs, Tensor
        Images and the selected output for them, which the copy must reproduce within 1e-4 of
        its largest value; where it does not, a `FastxaiWarning` says so.
    select : key, index or callable, optional
        See `outputs.select_output`.
    """
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        warn(f"fast=True wants a torch module, not a {type(model).__name__}: it runs as it is")
        return None
    few = min(2, len(inputs))
    trial, why = inputs.part(0, few), ""
    # A class derived from a convolution may do as that does, or anything else.
    for derived in (True, False):
        try:
            made = _folded(model, trial, select, derived)
            call = caller(made)
            found = plain_forward(call, trial, select)
        except Exception as error:  # whatever a module may have against being copied
            why = "too little memory" if out_of_memory(error) else str(error)
            continue
        if close(found, output[:few]):
            return made, lambda changed, call=call: plain_forward(call, changed, select)
        why = "its outputs are others"
    warn(f"fast=True: no changed copy can stand for the model ({why}), which runs as it is")
    return None


def _folded(model: nn.Module, trial: Inputs, select: Any, derived: bool) -> nn.Module:
    """The copy."""
    made = copy.deepcopy(model)
    for conv, norm in folding_pairs(made, trial, select, derived):
        _fold(made, conv, norm)
    if trial.images.ndim == 4:
        made = made.to(memory_format=torch.channels_last)
    return made


class _Uses(TorchFunctionMode):
    """Counts the operations that watched tensors go into."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, nn.Module] = {}
        self.counts: Counter[int] = Counter()
        self.kept: list[Tensor] = []  # so that no other tensor gets the same identity

    def watch(self, tensor: Tensor, module: nn.Module) -> None:
        """From now on count the uses of what this module made."""
        self.made[id(tensor)] = module
        self.kept.append(tensor)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") not in _LOOKS:
            used = {id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
            self.counts.update(used & self.made.keys())
        return func(*args, **kwargs)


def folding_pairs(
    model: nn.Module, inputs: Inputs, select: Any = None, derived: bool = False
) -> list[Pair]:
    """Each batch norm that can be folded, behind its convolution, by a trial run.

    ``derived``: behind convolutions of derived classes, too.
    """
    uses, runs, follows = _Uses(), Counter[nn.Module](), dict[nn.Module, int]()

    def after_conv(module: nn.Module, _: Any, result: Any) -> None:
        runs[module] += 1
        uses.watch(result, module)

    def before_norm(module: nn.Module, args: Any) -> None:
        runs[module] += 1
        if args and id(args[0]) in uses.made:
            follows[module] = id(args[0])

    handles = []
    for module in model.modules():
        if _kind(module, derived) in _FOLDS and _is_plain(module):
            handles.append(module.register_forward_hook(after_conv))
        elif type(module) in _FOLDS.values() and _is_plain(module):
            handles.append(module.register_forward_pre_hook(before_norm))
    try:
        with uses:
            plain_forward(model, inputs, select)
    finally:
        for handle in handles:
            handle.remove()
    pairs = [(uses.made[tensor], norm) for norm, tensor in follows.items()]
    return [
        (conv, norm)
        for (conv, norm), tensor in zip(pairs, follows.values(), strict=True)
        if _FOLDS[_kind(conv, derived)] is type(norm)
        and runs[conv] == runs[norm] == uses.counts[tensor] == 1
        and getattr(norm, "running_mean", None) is not None
    ]


def _kind(module: nn.Module, derived: bool) -> Any:
    bases = type(module).__mro__ if derived else (type(module),)
    return next((base for base in bases if base in _FOLDS), type(module))


def _is_plain(module: nn.Module) -> bool:
    """Without hooks and parametrisations, which would no longer act as they did."""
    hooked = module._forward_hooks or module._forward_pre_hooks
    return not hooked and not torch.nn.utils.parametrize.is_parametrized(module)


def _fold(model: nn.Module, conv: Any, norm: Any) -> None:
    """The norm into the convolution, computed in double precision; nothing in its place."""

    def double(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.detach().double()

    weight, bias = fuse_conv_bn_weights(
        double(conv.weight), double(conv.bias), double(norm.running_mean),
        double(norm.running_var), norm.eps, double(norm.weight), double(norm.bias),
    )  # fmt: skip
    like = conv.weight
    conv.weight = nn.Parameter(weight.detach().to(like.dtype), requires_grad=False)
    conv.bias = nn.Parameter(bias.detach().to(like.dtype), requires_grad=False)
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is norm:
                parent._modules[name] = nn.Identity()
