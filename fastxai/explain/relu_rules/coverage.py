"""Activations that rules can not reach: what to warn of.

A torch function mode sees the calls of Python. Scripted modules and autograd functions of the
model's own compute without a call that it could see.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules._functions import BackwardHookFunction

from ..._warn import warn
from ...errors import InvalidInputError
from ...progress import Progress
from .rules import ReLURules

# Nodes of autograd's graph that torch's own activations leave, where no rule took their place.
_NODES = {
    "ReluBackward": "relu",
    "ThresholdBackward": "threshold",
    "HardtanhBackward": "hardtanh",
    "LeakyReluBackward": "leaky_relu",
    "PreluKernelBackward": "prelu",
    "EluBackward": "elu",
    "CeluBackward": "celu",
    "GeluBackward": "gelu",
    "SiluBackward": "silu",
    "HardswishBackward": "hardswish",
    "MishBackward": "mish",
    "SoftplusBackward": "softplus",
    "torch::jit::(anonymous namespace)::DifferentiableGraphBackward": "scripted part",
}
# ReLUs where this bound is 0, else activations that were counted as not covered.
_BOUNDS = {"hardtanh": "_saved_min_val", "threshold": "_saved_threshold"}


def check_cover(rules: ReLURules, output: Tensor, model: Any, progress: Progress) -> None:
    """Say what the rule covered; warn of activations that it could not see."""
    if not rules.covered and (hidden := opaque_modules(model)):
        raise InvalidInputError(
            f"the ReLU rule met no activation: what scripted or traced modules do it can not see "
            f"({', '.join(hidden[:6])}); give them as they were before, or choose Saliency"
        )
    rules.check()
    progress.say(f"ReLU rule: {rules.report()}")
    if missed := unreached(output):
        listed = ", ".join(f"{count} {kind}" for kind, count in missed.items())
        warn(
            f"the ReLU rule could not see {listed}: scripted modules and autograd functions of "
            "the model's own pass their plain gradient"
        )


def opaque_modules(model: Any) -> list[str]:
    """Names of the scripted or traced modules inside a model, the outermost of each nest.

    Parameters
    ----------
    model : torch.nn.Module
        Not run.

    Returns
    -------
    list of str
        Empty where rules can see everything; ``""`` stands for the model itself.
    """
    names: list[str] = []
    for name, module in model.named_modules():
        inner = any(not outer or name.startswith(f"{outer}.") for outer in names)
        if isinstance(module, torch.jit.ScriptModule) and not inner:
            names.append(name)
    return names


def unreached(outputs: Any) -> Counter[str]:
    """Activations in the graph of a forward that ran within ReLURules, but that it did not see.

    Parameters
    ----------
    outputs : torch.Tensor or sequence of torch.Tensor
        What the forward returned, before any backward pass has freed the graph.

    Returns
    -------
    Counter of str
        Torch's activations by kind; ``"scripted part"``, which may hold any number of them; and
        autograd functions of the model's own by ``"function NAME"``, activations or not.
    """
    from .rules import _Activation

    # Torch's own is what full backward hooks leave.
    ours = (_Activation._backward_cls, BackwardHookFunction._backward_cls)
    tensors = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    waiting = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
    seen, found = set(waiting), Counter[str]()
    while waiting:
        node = waiting.pop()
        # Autograd names its nodes with a number at the end: ReluBackward0.
        kind = _NODES.get(node.name().rstrip("0123456789"))
        from_zero = getattr(node, _BOUNDS.get(kind or "", ""), 0) == 0
        if kind is not None and from_zero:
            found[kind] += 1
        if isinstance(node, torch.autograd.function.BackwardCFunction) and not isinstance(
            node, ours
        ):
            found[f"function {type(node).__name__.removesuffix('Backward')}"] += 1
        for before, _ in node.next_functions:
            if before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)
    return found
