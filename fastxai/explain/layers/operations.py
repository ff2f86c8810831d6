"""The operations on tensors that a piece of code runs, written down as they run."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any, NamedTuple

from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..tensors import tensors_in


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


class OperationLog(TorchFunctionMode):
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

    def unseen(self, name: str, given: Any, made: Tensor) -> int:
        """Write down what no operation made: scripted code, an extension, the caller."""
        return self._write(name, 0, given, [made], made)

    def _write(
        self,
        name: str,
        occurrence: int,
        given: Any,
        made: list[Tensor],
        one: Tensor | None,
        over: int = 0,
    ) -> int:
        parents = {step for t in tensors_in(given) if (step := self.step_of(t)) is not None}
        number = len(self.steps)
        for tensor in made:
            self._made[id(tensor)] = (weakref.ref(tensor), number)
        shape = () if one is None else tuple(one.shape)
        self.steps.append(Step(name, occurrence, shape, tuple(sorted(parents)), over))
        return number

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = list(tensors_in((args, kwargs or {})))
        before = [_version(tensor) for tensor in given]
        found = func(*args, **(kwargs or {}))
        name = operation(func)
        occurrence = self._counts[name]
        self._counts[name] += 1
        same = [t for t, version in zip(given, before, strict=True) if _version(t) == version]
        made = [t for t in tensors_in(found) if not _among(t, same)]
        # What was changed without being returned: x[:, 0] = ..., and what x is a view of.
        changed = [t for t in given if not _among(t, same) and not _among(t, made)]
        bases = [t._base for t in [*made, *changed] if _among(t, given) and t._base is not None]
        if made or changed:
            one = shown[0] if len(shown := made or changed) == 1 else None
            over = _normalised(args, kwargs or {}) if name.endswith("_norm") else 0
            self._write(name, occurrence, given, [*made, *changed, *bases], one, over)
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
