"""The user's model: what is inside of wrappers, and how it leaves our hands as it came."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from ..errors import InvalidInputError
from .model_state import State, lazy_names
from .threads import exclusively, process_wide

_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrap(model: Any) -> nn.Module:
    """The network inside of DataParallel and `torch.compile`.

    Raises
    ------
    InvalidInputError
        For a scripted or traced model, whose inside can not be reached, and for what is no
        module at all.
    """
    while True:
        if isinstance(model, _PARALLEL):
            model = model.module
        elif isinstance(model, nn.Module) and "_orig_mod" in model._modules:
            model = model._orig_mod
        else:
            break
    if isinstance(model, torch.jit.ScriptModule):
        raise InvalidInputError(
            "the model is scripted or traced, and its layers and activations can not be reached; "
            "give the model it was made from, or use the methods that need only its answers: "
            "Occlusion and RISE"
        )
    if isinstance(model, type):
        raise InvalidInputError(
            f"{model.__name__} is a class and no model: give {model.__name__}()"
        )
    if isinstance(getattr(model, "model", None), nn.Module) and not isinstance(model, nn.Module):
        raise InvalidInputError(
            f"the model is a {type(model).__name__}, which holds one: give its .model"
        )
    if isinstance(model, (list, tuple, dict)):
        raise InvalidInputError(
            f"the model is a {type(model).__name__}: give the torch.nn.Module itself (of a state "
            "dict, one that it was loaded into)"
        )
    if not isinstance(model, nn.Module):
        raise InvalidInputError(
            f"the model is a {type(model).__name__} and no torch.nn.Module; any callable works "
            "with the methods that need only its answers: Occlusion and RISE"
        )
    return model


def place_of(model: Any) -> tuple[torch.device | None, torch.dtype | None]:
    """Device and floating dtype of the parameters (buffers where there are none).

    None where there is nothing to tell by, or where the model lies on several devices.
    """
    if not isinstance(model, nn.Module):
        return None, None
    tensors = list(model.parameters()) or list(model.buffers())
    devices = {tensor.device for tensor in tensors}
    dtypes = [tensor.dtype for tensor in tensors if tensor.is_floating_point()]
    return (devices.pop() if len(devices) == 1 else None), (dtypes[0] if dtypes else None)


def caller(model: Any) -> Callable[..., Any]:
    """The model as a function whose parameters can be saved for a backward pass.

    Tensors made under ``torch.inference_mode`` can not: such a model is called with copies.
    """
    call: Callable[..., Any] = model
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        return call
    named = [*model.named_parameters(), *model.named_buffers()]
    if not any(tensor.is_inference() for _, tensor in named):
        return call
    copies = {name: tensor.detach().clone() for name, tensor in named}
    return lambda *args, **kwargs: torch.func.functional_call(model, copies, args, kwargs)


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Within the block the model is in eval mode and no parameter wants a gradient.

    Afterwards, whatever happened, every submodule's mode, ``requires_grad``, the buffers (values
    and identity), the submodules themselves, stored tensors and the random generators are as
    before (see `model_state.State`); ``.grad`` is never written.  Other threads that explain the
    same model wait meanwhile.

    Raises
    ------
    InvalidInputError
        For a model with lazy modules that were never run.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    if modules and (lazy := lazy_names(model)):
        raise InvalidInputError(
            f"the model has parameters without a shape yet ({', '.join(lazy[:6])}): its lazy "
            "modules take one from the first images; run the model once, model(images)"
        )
    parameters = [p for module in modules for p in module._parameters.values() if p is not None]
    with ExitStack() as stack:
        stack.enter_context(exclusively([*modules, *parameters]))
        for device in [None, *_cuda_devices(modules)]:
            stack.enter_context(process_wide(("random", device), partial(_random, device)))
        stack.callback(State(modules).restore)
        for module in modules:
            if module.training:
                module.training = False
        for parameter in parameters:
            if parameter.requires_grad and parameter.is_leaf:
                parameter.requires_grad_(False)
        yield


def _random(device: int | None) -> AbstractContextManager[Any]:
    # The CPU's generator is always forked.
    found: AbstractContextManager[Any] = torch.random.fork_rng([] if device is None else [device])
    return found


@contextmanager
def plain_mode() -> Iterator[None]:
    """Gradients can be had within the block, whatever mode the caller is in.

    Compiled models run eagerly, and checkpointed segments of the reentrant kind, which refuse
    `torch.autograd.grad`, as if they were not.
    """
    with torch.inference_mode(False), torch.enable_grad(), ExitStack() as stack:
        # Importing the compiler takes a second; where it was never imported nothing is compiled.
        if "torch._dynamo" in sys.modules:
            stack.enter_context(process_wide("stance", partial(_stance, "force_eager")))
        if "torch.utils.checkpoint" in sys.modules:
            stack.enter_context(process_wide("checkpoint", _without_checkpoints))
            _PLAIN.depth = getattr(_PLAIN, "depth", 0) + 1
            stack.callback(_leave_plain)
        yield


_PLAIN = threading.local()  # depth: how often this thread is in plain_mode


def _leave_plain() -> None:
    _PLAIN.depth -= 1


def _stance(name: str) -> AbstractContextManager[Any]:
    found: AbstractContextManager[Any] = torch.compiler.set_stance(name)
    return found


@contextmanager
def _without_checkpoints() -> Iterator[None]:
    """Reentrant checkpoints of threads in `plain_mode` keep their graph; others' are as ever."""
    function = torch.utils.checkpoint.CheckpointFunction
    usual = function.apply

    def apply(run: Callable[..., Any], preserve: bool, *arguments: Any) -> Any:
        if getattr(_PLAIN, "depth", 0):
            return run(*arguments)
        return usual(run, preserve, *arguments)

    function.apply = staticmethod(apply)
    try:
        yield
    finally:
        del function.apply


def _cuda_devices(modules: list[nn.Module]) -> list[int]:
    found = {
        tensor.device.index
        for module in modules
        for tensor in module._parameters.values()
        if tensor is not None and tensor.device.type == "cuda"
    }
    return sorted(found)
