"""One forward pass looked at: which operations ran, in what order, and which module gave what.

Layers are chosen by order of execution, not of registration.  The trace holds names, numbers
and shapes only: no tensor and no module lives on in it, so a model's traces go with the model.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import FastxaiError, InvalidInputError, ModelError
from .inputs import Inputs
from .outputs import select_output


class Step(NamedTuple):
    """An operation: torch's name for it, which of that name, what came out, from what steps.

    ``shape`` is () where several tensors came out; ``over`` counts the axes that a layer norm
    normalises together.
    """

    name: str
    occurrence: int
    shape: tuple[int, ...]
    parents: tuple[int, ...]
    over: int = 0


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
        In order of execution; a step's number is its place here.
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
    children: tuple[tuple[int, ...], ...] = field(init=False, repr=False)
    used: frozenset[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        children: list[list[int]] = [[] for _ in self.steps]
        for number, step in enumerate(self.steps):
            for parent in step.parents:
                children[parent].append(number)
        object.__setattr__(self, "children", tuple(map(tuple, children)))
        object.__setattr__(
            self, "used", _reached(self.outputs, [step.parents for step in self.steps])
        )

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
    return traces[key]


def _trace(model: nn.Module, inputs: Inputs, output: Any) -> Trace:
    """Run the model once, under a mode that logs operations and hooks that log modules."""
    log = _Log()
    returns: list[Return] = []
    calls: Counter[str] = Counter()

    def note(name: str) -> Any:
        def hook(module: Any, arguments: Any, found: Any) -> None:
            first = found[0] if isinstance(found, (tuple, list)) and found else found
            step = log.step_of(first) if isinstance(first, Tensor) else None
            if step is not None:
                returns.append(Return(name, calls[name], step))
            calls[name] += 1

        return hook

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name:
                stack.callback(module.register_forward_hook(note(name)).remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(log)
        found = _answer(model, inputs)
        explained = _explained(found, output, len(inputs))
        outputs = [step for t in explained if (step := log.step_of(t)) is not None]
    n, *image = inputs.images.shape
    return Trace(tuple(log.steps), tuple(returns), dict(calls), tuple(outputs), tuple(image), n)


def _answer(model: nn.Module, inputs: Inputs) -> Any:
    try:
        return inputs.call(model)
    except (FastxaiError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ModelError(
            f"the model's forward raised {type(error).__name__}: {error} (given images of shape "
            f"{tuple(inputs.images.shape)}, {inputs.images.dtype}, on {inputs.images.device}, to "
            "find the default layer)"
        ) from error


def _explained(found: Any, output: Any, n: int) -> list[Tensor]:
    """The explained output, or all there is where that can not be told."""
    try:
        return [select_output(found, output, n)]
    except InvalidInputError:
        return list(_tensors(found, attributes=True))


class _Log(TorchFunctionMode):
    """Writes down every operation on tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._counts: Counter[str] = Counter()
        # By identity, and weakly: a trace must not keep every activation in memory.
        self._made: dict[int, tuple[weakref.ref[Tensor], int]] = {}

    def step_of(self, tensor: Tensor) -> int | None:
        """The last step that made or changed the tensor."""
        reference, step = self._made.get(id(tensor), (None, None))
        return step if reference is not None and reference() is tensor else None

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:  # fmt: skip
        given = list(_tensors((args, kwargs or {})))
        before = [_version(tensor) for tensor in given]
        found = func(*args, **(kwargs or {}))
        name = operation(func)
        occurrence = self._counts[name]
        self._counts[name] += 1
        same = [t for t, version in zip(given, before, strict=True) if _version(t) == version]
        made = [t for t in _tensors(found) if not _among(t, same)]
        # What was changed without being returned: x[:, 0] = ..., and what x is a view of.
        changed = [t for t in given if not _among(t, same) and not _among(t, made)]
        bases = [t._base for t in [*made, *changed] if _among(t, given) and t._base is not None]
        if made or changed:
            parents = {step for t in given if (step := self.step_of(t)) is not None}
            shape = tuple(one[0].shape) if len(one := made or changed) == 1 else ()
            for tensor in [*made, *changed, *bases]:
                self._made[id(tensor)] = (weakref.ref(tensor), len(self.steps))
            over = _normalised(args, kwargs or {}) if name.endswith("_norm") else 0
            self.steps.append(Step(name, occurrence, shape, tuple(sorted(parents)), over))
        return found


def operation(func: Any) -> str:
    """torch's name of an operation: relu, conv2d, add, __getitem__, ..."""
    return str(getattr(func, "__name__", type(func).__name__))


def _normalised(args: Any, kwargs: Any) -> int:
    """How many axes a layer norm goes over; other norms are not asked."""
    axes = kwargs.get("normalized_shape", args[1] if len(args) > 1 else ())
    return len(axes) if isinstance(axes, (tuple, list)) else 0


def _among(tensor: Tensor, others: list[Tensor]) -> bool:
    return any(tensor is other for other in others)


def _version(tensor: Tensor) -> int:
    """Counts changes in place; inference tensors do not count."""
    return 0 if tensor.is_inference() else int(tensor._version)


def _tensors(found: Any, attributes: bool = False, depth: int = 4) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and mappings (and attributes of other objects)."""
    if isinstance(found, Tensor):
        yield found
    elif depth and isinstance(found, Mapping):
        for value in found.values():
            yield from _tensors(value, attributes, depth - 1)
    elif depth and isinstance(found, (tuple, list)):
        for value in found:
            yield from _tensors(value, attributes, depth - 1)
    elif depth and attributes and hasattr(found, "__dict__"):
        yield from _tensors(vars(found), attributes, depth - 1)
