"""One forward pass looked at: which operations ran, in what order, and which module gave what.

Layers are chosen by order of execution, not of registration.  The trace holds names, numbers
and shapes only: no tensor and no module lives on in it, so a model's traces go with the model.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...errors import InvalidInputError, ModelError
from ..forward import run_model
from ..inputs import Inputs
from ..outputs import select_output
from ..tensors import tensors_in
from .operations import OperationLog, Step


class Return(NamedTuple):
    """A call of a module that gave the result of a step, and not changed since."""

    module: str
    call: int
    step: int


@dataclass(frozen=True)
class Trace:
    """What one forward pass did.

    Attributes
    ----------
    steps : tuple of Step
        In order of execution; a step's number is its place here.  The first stands for the
        images as they are given.
    returns : tuple of Return
        In order of execution, inner modules before those that hold them.
    calls : mapping of str to int
        How often each module ran.
    outputs : tuple of int
        The steps that made the explained output.
    image : tuple of int
        (C, *spatial) of the image.
    n : int
        How many images ran.
    """

    steps: tuple[Step, ...]
    returns: tuple[Return, ...]
    calls: Mapping[str, int]
    outputs: tuple[int, ...]
    image: tuple[int, ...]
    n: int = 1

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Of each step those that take its result."""
        children: list[list[int]] = [[] for _ in self.steps]
        for number, step in enumerate(self.steps):
            for parent in step.parents:
                children[parent].append(number)
        return tuple(map(tuple, children))

    @cached_property
    def used(self) -> frozenset[int]:
        """The steps on the way from the images to the output; those of other inputs are not.

        Where that way can not be followed, all that lead to the output.
        """
        used = _reached(self.outputs, [step.parents for step in self.steps])
        return used & (self.after(0) | {0}) or used

    def after(self, step: int) -> frozenset[int]:
        """The steps that a step leads to."""
        return _reached([step], self.children) - {step}

    def returned(self, step: int) -> Return | None:
        """The outermost module whose output is that very tensor, as of that step.

        A later module that hands the tensor on (dropout in eval mode) does not count, unless
        it holds the first that gave it.
        """
        given = [found for found in self.returns if found.step == step]
        if not given:
            return None
        first = given[0].module
        return min(
            (found for found in given if first == found.module or _holds(found.module, first)),
            key=lambda found: found.module.count("."),
        )


def _reached(starts: Sequence[int], edges: Sequence[tuple[int, ...]]) -> frozenset[int]:
    found, todo = set(starts), list(starts)
    while todo:
        new = set(edges[todo.pop()]) - found
        found |= new
        todo += new
    return frozenset(found)


def _holds(outer: str, inner: str) -> bool:
    return inner.startswith(outer + ".")


_KEPT = 8  # traces a model: as many sizes of images as are in use at once
_Traces = dict[Any, Trace]
_TRACES: weakref.WeakKeyDictionary[nn.Module, _Traces] = weakref.WeakKeyDictionary()


def probe(model: nn.Module, inputs: Inputs, output: Any = None) -> Trace:
    """The trace of one image; kept for as long as the model lives and has the same modules.

    Parameters
    ----------
    model : Module
        In eval mode.
    inputs : Inputs
        The first image is used, or two where the model refuses a single one.
    output : key or index, optional
        Which output is explained; of a function, and of what can not be told, all count.

    Raises
    ------
    ModelError
        The model's forward raised.
    """
    output = output if isinstance(output, (str, int, tuple)) else None
    modules = tuple((name, type(module)) for name, module in model.named_modules())
    key = (tuple(inputs.images.shape[1:]), output, hash(modules))
    traces = _TRACES.setdefault(model, {})
    if key not in traces:
        try:
            traces[key] = _trace(model, inputs.part(0, 1), output)
        except (ModelError, IndexError):
            if len(inputs) < 2:
                raise
            traces[key] = _trace(model, inputs.part(0, 2), output)
        if len(traces) > _KEPT:
            del traces[next(iter(traces))]
    return traces[key]


def _trace(model: nn.Module, inputs: Inputs, output: Any) -> Trace:
    """Run the model once, under a mode that logs operations and hooks that log modules."""
    log = OperationLog()
    returns: list[Return] = []
    calls: Counter[str] = Counter()

    def note(name: str) -> Any:
        def hook(module: Any, arguments: Any, found: Any) -> None:
            first = found[0] if isinstance(found, (tuple, list)) and found else found
            if isinstance(first, Tensor):
                step = log.step_of(first)
                if step is None:
                    step = log.unseen(type(module).__name__, arguments, first)
                returns.append(Return(name, calls[name], step))
            calls[name] += 1

        return hook

    with ExitStack() as stack:
        for name, module in model.named_modules():
            # Scripted parts take no hooks.
            if name and not isinstance(module, torch.jit.ScriptModule):
                stack.callback(module.register_forward_hook(note(name)).remove)
        log.unseen("images", (), inputs.images)
        stack.enter_context(torch.no_grad())
        stack.enter_context(log)
        found = run_model(model, inputs)
        explained = _explained(found, output, len(inputs))
        outputs = [step for t in explained if (step := log.step_of(t)) is not None]
    n, *image = inputs.images.shape
    return Trace(tuple(log.steps), tuple(returns), dict(calls), tuple(outputs), tuple(image), n)


def _explained(found: Any, output: Any, n: int) -> list[Tensor]:
    """The explained output, or all there is where that can not be told."""
    try:
        return [select_output(found, output, n)]
    except InvalidInputError:
        return list(tensors_in(found, attributes=True))
