"""Layers by name, by module or by default, and the cut at an operation where no module stands."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...errors import InvalidInputError
from ..inputs import Inputs
from .default import default_step
from .operations import operation
from .probe import Trace, probe
from .tokens import arrangement

# What a wrapper puts before the names of the model inside.
_WRAPPERS = ("module.", "_orig_mod.")
_NEAR = 6
_OPERATION = re.compile(r"(\w+)\[(\d+)\]")


@dataclass(frozen=True)
class Layer:
    """A place in the model's forward pass.

    Attributes
    ----------
    name : str
        The module's, or what an operation is called in messages.
    module : Module, optional
        Whose output is meant.
    op : (str, int), optional
        Where no module gives the tensor: torch's name of the operation, and which of that name.
    call : int, optional
        Which call of the module; None for all.
    reshape : callable, optional
        Makes (N, C, *spatial) of activations and gradients; None where they are so already.
    """

    name: str
    module: nn.Module | None = None
    op: tuple[str, int] | None = None
    call: int | None = None
    # Of any class: objects that can be called need have no hash.
    reshape: Callable[[Tensor], Tensor] | None = field(default=None, hash=False)

    def arranged(self, tensor: Tensor, axes: int) -> Tensor:
        """(N, C, *spatial) of an activation or a gradient, for images of ``axes`` spatial axes.

        Raises
        ------
        InvalidInputError
            Something else came out.
        """
        found = tensor if self.reshape is None else self.reshape(tensor)
        if isinstance(found, Tensor) and found.ndim == axes + 2:
            return found
        made = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        how = "gives" if self.reshape is None else f"{tuple(tensor.shape)} was reshaped to"
        raise InvalidInputError(
            f"layer {self.name!r}: {how} {made}, and no (N, C, {', '.join('DHW'[3 - axes :])}); "
            "choose a layer that gives maps, or give reshape=, a function that makes them"
        )


def resolve_layers(
    model: nn.Module,
    layer: Any,
    inputs: Inputs,
    call: int | None = None,
    reshape: Callable[[Tensor], Tensor] | None = None,
    output: Any = None,
) -> list[Layer]:
    """The layers that are meant.

    Parameters
    ----------
    model : Module
        Unwrapped, in eval mode.
    layer : None, str, Module, or sequence of str and Module
        None: the default, found by one forward pass of a single image, once a model.  A name
        such as ``"relu[1]"`` is the second relu that runs, where no module gives it.
    inputs : Inputs
        What the model will be given.
    call : int, optional
        Which call, where a module runs several times; by default all (the default layer: the last).
    reshape : callable, optional
        Makes (N, C, *spatial) of the layer's output; by default found out for transformers.
    output : key or index, optional
        Which output is explained.

    Raises
    ------
    InvalidInputError
        No such layer (the message lists near ones), none found by default, or an output that is
        no map and can not be made one.
    """
    if layer is None:
        return [_default(model, probe(model, inputs, output), call, reshape)]
    wanted = list(layer) if isinstance(layer, (list, tuple, set, frozenset)) else [layer]
    if not wanted:
        raise InvalidInputError("layer=[] names no layer; give names or modules, or None")
    tokens = reshape is None and _has_tokens(model)
    layers = []
    for one in wanted:
        if at := _named_operation(model, one):
            layers.append(_at_operation(at, probe(model, inputs, output), reshape))
            continue
        name, module = _find(model, one)
        arrange = _arrangement(probe(model, inputs, output), name, call) if tokens else reshape
        layers.append(Layer(name, module, None, call, arrange))
    return list(dict.fromkeys(layers))


def _default(
    model: nn.Module, trace: Trace, call: int | None, reshape: Callable[[Tensor], Tensor] | None
) -> Layer:
    step = default_step(trace)
    returned, made = trace.returned(step), trace.steps[step]
    if returned is None:
        name = f"{made.name}[{made.occurrence}]"
        layer = Layer(name, op=(made.name, made.occurrence))
    else:
        name = returned.module
        one_of_several = returned.call if trace.calls[name] > 1 else None
        layer = Layer(name, model.get_submodule(name), None, one_of_several)
        if call is not None:
            layer = replace(layer, call=call)
    return replace(layer, reshape=reshape or arrangement(trace, step, name))


def _named_operation(model: nn.Module, layer: Any) -> tuple[str, int] | None:
    """("relu", 1) of ``"relu[1]"``, which default layers without a module are called."""
    match = _OPERATION.fullmatch(layer) if isinstance(layer, str) else None
    # layer4[1] is Python for a module, and no operation.
    if match is None or isinstance(getattr(model, match[1], None), (nn.Sequential, nn.ModuleList)):
        return None
    return match[1], int(match[2])


def _at_operation(
    at: tuple[str, int], trace: Trace, reshape: Callable[[Tensor], Tensor] | None
) -> Layer:
    name = f"{at[0]}[{at[1]}]"
    alike = [number for number, step in enumerate(trace.steps) if step.name == at[0]]
    for number in alike:
        if trace.steps[number].occurrence == at[1]:
            return Layer(name, op=at, reshape=reshape or arrangement(trace, number, name))
    if alike:
        hint = f"{at[0]} runs {trace.steps[alike[-1]].occurrence + 1} times, counted from 0"
    else:
        hint = f"it runs {', '.join(sorted({step.name for step in trace.steps[1:]}))}"
    raise InvalidInputError(f"the model has no layer and no operation {name!r}; {hint}")


def _find(model: nn.Module, layer: Any) -> tuple[str, nn.Module]:
    """Name and module of a layer that the user names."""
    if isinstance(layer, nn.Module):
        for name, module in model.named_modules():
            if module is layer and name:
                return name, module
        if layer is model:
            raise InvalidInputError("layer= is the model itself; give a module inside of it")
        raise InvalidInputError(
            f"layer= is a {type(layer).__name__} that the model does not hold (of a copy, or of "
            "another model?); give a module of this one, or its name"
        )
    if not isinstance(layer, str):
        raise InvalidInputError(
            f"layer={layer!r} is a {type(layer).__name__}; give a name, a module, or a list of them"
        )
    modules = dict(model.named_modules(remove_duplicate=False))
    name = layer
    while name not in modules and name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    if name and name in modules:
        return name, modules[name]
    near = near_names(model, layer)
    listed = f"near are {', '.join(map(repr, near))}" if near else _some(list(modules))
    raise InvalidInputError(f"the model has no layer {layer!r}; {listed}")


def near_names(model: nn.Module, name: str) -> list[str]:
    """Names of the model's modules that may be meant, the nearest first, at most six."""
    names = [known for known, _ in model.named_modules(remove_duplicate=False) if known]
    lower = {known: known.lower() for known in names}
    asked = name.lower().strip(".").replace("[", ".").replace("]", "").replace("..", ".")
    same = [known for known in names if lower[known] == asked]
    ends = [known for known in names if lower[known].endswith("." + asked)]
    starts = [known for known in names if asked.startswith(lower[known] + ".")][::-1]
    alike = difflib.get_close_matches(asked, list(lower.values()), n=_NEAR, cutoff=0.6)
    close = [known for match in alike for known in names if lower[known] == match]
    return list(dict.fromkeys([*same, *ends, *close, *starts]))[:_NEAR]


def _some(names: list[str]) -> str:
    top = [name for name in names if name and "." not in name]
    if not top:
        return "it holds no modules"
    more = ", ..." if len(top) > 2 * _NEAR else ""
    return f"it holds {', '.join(map(repr, top[: 2 * _NEAR]))}{more}"


def _has_tokens(model: nn.Module) -> bool:
    """Whether activations may be anything but (N, C, *spatial); if not, nothing is probed."""
    return any(
        isinstance(module, (nn.LayerNorm, nn.MultiheadAttention))
        or any(word in type(module).__name__.lower() for word in ("attention", "rmsnorm"))
        for module in model.modules()
    )


def _arrangement(trace: Trace, name: str, call: int | None) -> Callable[[Tensor], Tensor] | None:
    """How the output of a named layer becomes maps; unknown where it did not run."""
    for returned in trace.returns:
        if returned.module == name and returned.call == (call or 0):
            return arrangement(trace, returned.step, name)
    return None


class OpTap(TorchFunctionMode):
    """Cuts at operations: hands their results to ``cut(layer, tensor)`` and goes on with what
    it returns.  To be entered after other modes, so that it sees operations as they are called.
    """

    def __init__(self, layers: Sequence[Layer], cut: Callable[[Layer, Tensor], Tensor]) -> None:
        super().__init__()
        self._layers: dict[str, dict[int, Layer]] = {}
        for layer in layers:
            if layer.op is not None:
                self._layers.setdefault(layer.op[0], {})[layer.op[1]] = layer
        self._cut, self._counts = cut, Counter[str]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        wanted = self._layers.get(name := operation(func))
        if wanted is None:
            return func(*args, **kwargs)
        layer = wanted.get(self._counts[name])
        self._counts[name] += 1
        if layer is None:
            return func(*args, **kwargs)
        if not args or not isinstance(args[0], Tensor):
            return self._cut(layer, func(*args, **kwargs))
        # In place, the model may go on with the tensor itself and not with what is returned: it
        # gets the result, while what the operation keeps for its backward pass is the copy.
        copy = args[0].clone()
        found = func(copy, *args[1:], **kwargs)
        if found is not None and found is not copy:
            return self._cut(layer, found)
        args[0].copy_(self._cut(layer, copy))
        return None if found is None else args[0]
