"""What of a model a forward may change: noted before, and put back after."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from .tensors import tensors_in

_TABLES = ("_parameters", "_buffers", "_modules")
_TORCHS = frozenset(vars(nn.Module()))
_ABSENT = object()


class State:
    """Modes, ``requires_grad``, buffers, tables and stored tensors of some modules.

    Plain attributes are put back where tensors come in: activations that a model stores on
    itself would keep the whole graph in memory, and old-style weight norm leaves a weight that
    was made without a graph.  Counters and the like are the model's own affair.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self._modes = [(module, module.training) for module in modules]
        self._tables = [
            (table, dict(table))
            for module in modules
            for name in _TABLES
            if isinstance(table := module.__dict__.get(name), dict)
        ]
        self._parameters = [
            (parameter, parameter.requires_grad)
            for module in modules
            for parameter in module._parameters.values()
            if parameter is not None and parameter.is_leaf
        ]
        self._buffers = [
            (buffer, buffer.detach().clone())
            for module in modules
            for buffer in module._buffers.values()
            if buffer is not None and not buffer.is_meta
        ]
        self._attributes = [(module.__dict__, _plain(module.__dict__)) for module in modules]
        self._containers = [
            (value, value.copy())
            for _, attributes in self._attributes
            for value in attributes.values()
            if type(value) in (list, dict)
        ]

    def restore(self) -> None:
        """Put everything back; what can not be put back does not keep the rest from it."""
        with ExitStack() as stack:
            for step in (
                self._restore_tables,
                self._restore_attributes,
                self._restore_buffers,
                self._restore_gradients,
                self._restore_modes,
            ):
                stack.callback(step)

    def _restore_modes(self) -> None:
        for module, training in self._modes:
            if module.training != training:
                module.training = training

    def _restore_gradients(self) -> None:
        for parameter, wanted in self._parameters:
            if parameter.requires_grad != wanted:
                with torch.inference_mode(parameter.is_inference()):
                    parameter.requires_grad_(wanted)

    def _restore_tables(self) -> None:
        for table, before in self._tables:
            if not _same(table, before):
                table.clear()
                table.update(before)

    def _restore_buffers(self) -> None:
        for buffer, before in self._buffers:
            if not torch.equal(buffer, before):
                with torch.inference_mode(buffer.is_inference()), torch.no_grad():
                    buffer.copy_(before)

    def _restore_attributes(self) -> None:
        for now, before in self._attributes:
            for name in {**before, **_plain(now)}:
                was, is_now = before.get(name, _ABSENT), now.get(name, _ABSENT)
                if was is is_now or not _holds_tensors((was, is_now)):
                    continue
                if was is _ABSENT:
                    del now[name]
                else:
                    now[name] = was
        for container, held in self._containers:
            if not _same(container, held) and _holds_tensors((container, held)):
                container.clear()
                container.extend(held) if isinstance(container, list) else container.update(held)


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A module's own attributes, without what torch keeps in every module."""
    return {name: value for name, value in attributes.items() if name not in _TORCHS}


def _holds_tensors(value: Any) -> bool:
    return next(tensors_in(value), None) is not None


def _same(first: Any, second: Any) -> bool:
    """Whether two lists or dicts hold the very same things in the same order."""
    if len(first) != len(second):
        return False
    if isinstance(first, list):
        return all(a is b for a, b in zip(first, second, strict=True))
    return all(
        a == b and first[a] is second[b] for a, b in zip(first, second, strict=True)
    )  # fmt: skip


def lazy_names(model: nn.Module) -> list[str]:
    """Names of parameters and buffers that have no shape yet."""
    is_lazy = torch.nn.parameter.is_lazy
    named: list[tuple[str, Tensor]] = [*model.named_parameters(), *model.named_buffers()]
    return [name for name, tensor in named if is_lazy(tensor)]
