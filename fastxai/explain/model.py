"""The user's model: what is inside of wrappers, and how it leaves our hands as it came."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInputError

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
    and identity) and the random generators are as before; ``.grad`` is never written.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=_cuda_devices(modules)))
        stack.callback(_restore_buffers, _buffers(modules))
        stack.callback(_restore_modes, [(module, module.training) for module in modules])
        wanted = [p for module in modules for p in module._parameters.values() if _wants(p)]
        stack.callback(_want_gradients, wanted)
        for module in modules:
            if module.training:
                module.training = False
        for parameter in wanted:
            parameter.requires_grad_(False)
        yield


@contextmanager
def plain_mode() -> Iterator[None]:
    """Gradients can be had within the block, whatever mode the caller is in; no compiled code."""
    with torch.inference_mode(False), torch.enable_grad(), _eagerly():
        yield


def _eagerly() -> AbstractContextManager[Any]:
    # Importing the compiler takes a second; where it was never imported nothing is compiled.
    if "torch._dynamo" in sys.modules:
        return torch.compiler.set_stance("force_eager")  # type: ignore[no-any-return]
    return nullcontext()


def _cuda_devices(modules: list[nn.Module]) -> list[int]:
    found = {
        tensor.device.index
        for module in modules
        for tensor in module._parameters.values()
        if tensor is not None and tensor.device.type == "cuda"
    }
    return sorted(found)


def _wants(parameter: Tensor | None) -> bool:
    return parameter is not None and parameter.requires_grad and parameter.is_leaf


def _want_gradients(parameters: list[Tensor]) -> None:
    for parameter in parameters:
        with torch.inference_mode(parameter.is_inference()):
            parameter.requires_grad_(True)


def _restore_modes(modes: list[tuple[nn.Module, bool]]) -> None:
    for module, training in modes:
        if module.training != training:
            module.training = training


_Buffer = tuple[dict[str, Any], str, Tensor, Tensor]


def _buffers(modules: list[nn.Module]) -> list[_Buffer]:
    return [
        (module._buffers, name, buffer, buffer.detach().clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]


def _restore_buffers(buffers: list[_Buffer]) -> None:
    for owner, name, buffer, before in buffers:
        if not torch.equal(buffer, before):
            with torch.inference_mode(buffer.is_inference()), torch.no_grad():
                buffer.copy_(before)
        if owner.get(name) is not buffer:
            owner[name] = buffer
