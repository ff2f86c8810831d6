"""Which layer is looked at when the user names none.

Convolutional networks: the last convolution's feature map, after the norm and activation (and
residual sum, gate, dropout) that follow it and before any pooling.  Vision transformers: tokens
that the output still depends on.  "Last" goes by execution.
"""

from __future__ import annotations

import math

from ...errors import InvalidInputError
from .probe import Trace
from .tokens import ATTENTION, MOVES, attentions, channels_last, grid_of, is_grid, is_map, reads_all

# What gives a map of the same size without being the convolution's any more.
_POOLS = ("pool", "unfold", "interpolate", "upsample", "grid_sample")
# Nothing is to be cut at these: recording itself calls them.
_OURS = frozenset({"clone", "copy_", "detach", "requires_grad_"})


def default_step(trace: Trace) -> int:
    """The step of the trace whose result is the default layer's activation.

    Raises
    ------
    InvalidInputError
        There is neither a convolution nor a transformer's norm.
    """
    mixing = attentions(trace)
    last = _last_map(trace, mixing)
    norms = [number for number in sorted(trace.used) if _is_token_norm(trace, number)]
    if mixing and (last is None or last < mixing[-1]):
        tokens = _tokens_near(trace, mixing[-1], norms)
    elif not mixing:
        # Perceptrons that mix tokens (MLP-Mixer) come behind the convolution that cut them out.
        rows = [n for n in norms if n > (last or 0) and len(trace.steps[n].shape) == 3]
        tokens = next((number for number in rows[::-1] if _feeds(trace, number)), None)
    else:
        tokens = None
    found = last if tokens is None else tokens
    if found is None:
        raise InvalidInputError(
            "the model has no convolution that gives a map, and no attention, to choose a "
            "layer by; give layer=, a module or its name"
        )
    return found


def _last_map(trace: Trace, mixing: list[int]) -> int | None:
    """The last convolution's feature map as it goes into pooling; None without a convolution."""
    axes = len(trace.image) - 1
    maps = [
        number
        for number, step in enumerate(trace.steps)
        if is_map(step, axes) and step.shape[0] == trace.n
    ]
    # Side branches and detours that the explained output does not depend on do not count.
    for number in reversed([m for m in maps if m in trace.used] or maps):
        if not _is_answer(trace, number, maps):
            return _followed(trace, number, mixing)
    return None


def _is_answer(trace: Trace, convolution: int, maps: list[int]) -> bool:
    """Whether a convolution gives the model's own output: a score a class and pixel."""
    n, classes, *size = trace.steps[convolution].shape
    shapes = [trace.steps[number].shape for number in trace.outputs]
    by_class = any(len(s) == len(size) + 2 and s[:2] == (n, classes) for s in shapes)
    one_class = classes == 1 and any(len(s) == len(size) + 1 > 2 and s[0] == n for s in shapes)
    return (by_class or one_class) and not trace.after(convolution).intersection(maps)


def _followed(trace: Trace, convolution: int, mixing: list[int]) -> int:
    """The last result of the same size that comes of the convolution, without pooling."""
    size = trace.steps[convolution].shape[2:]
    # Where the way to the output can not be followed, everything may lie on it.
    used = trace.used if convolution in trace.used else frozenset(range(len(trace.steps)))
    reached, last = {convolution}, convolution
    for number in range(convolution + 1, len(trace.steps)):
        step = trace.steps[number]
        if number not in used or not reached.intersection(step.parents):
            continue
        same = len(step.shape) == len(size) + 2 and _spatial(trace, number) == size
        pooled = same and any(word in step.name.lower() for word in _POOLS)
        if pooled or is_map(step, len(size)):
            continue
        reached.add(number)
        if same and step.shape[0] == trace.n and _is_features(trace, number, mixing):
            last = number
    return last


def _spatial(trace: Trace, number: int) -> tuple[int, ...]:
    """The axes of a result that are no channels."""
    shape = trace.steps[number].shape
    return shape[1:-1] if channels_last(trace, number) else shape[2:]


def _is_features(trace: Trace, number: int, mixing: list[int]) -> bool:
    """Whether a result can be cut out; behind attention its own matrices do not count."""
    given = trace.returned(number) is not None
    if not mixing or number < mixing[0]:
        return given or trace.steps[number].name not in _OURS
    last = channels_last(trace, number)
    return last is False or (last is None and given and number not in mixing)


def _tokens_near(trace: Trace, attention: int, norms: list[int]) -> int | None:
    """The tokens to look at in a transformer; None where no norm tells.

    The last attention lets only the class token through: behind it, patch tokens have no
    gradient, so the norm before it is taken.  Where tokens keep their places (Swin), the norm
    before the last perceptron shows the object, the one before the attention the background;
    with norms behind each branch the last block's output takes its place.
    """
    before = [number for number in norms if number < attention]
    if not before:
        return None
    shapes = [trace.steps[number].shape for number in before]
    merged = any(len(shape) > 3 for shape in shapes) or shapes[-1][1] < shapes[0][1]
    if not (merged and reads_all(trace)) or _has_prefix(trace, before[-1]):
        fed = [number for number in before if _feeds(trace, number)]
        return (fed or before)[-1]
    after = [number for number in norms if number > attention]
    fed = [number for number in after if _feeds(trace, number)]
    if fed:
        return fed[-1]
    return max(trace.steps[after[-1]].parents) if after else before[-1]


def _has_prefix(trace: Trace, number: int) -> bool:
    """Whether there are more tokens than patches."""
    shape = trace.steps[number].shape
    grid = grid_of(trace, number, shape[1]) if len(shape) == 3 else None
    return grid is not None and math.prod(grid) < shape[1]


def _is_token_norm(trace: Trace, number: int) -> bool:
    """A layer norm over the channels of all tokens, that a module gave; not one of each head."""
    step, axes = trace.steps[number], len(trace.image) - 1
    if step.name not in ("layer_norm", "rms_norm") or step.over > 1:
        return False
    if trace.returned(number) is None or trace.n not in step.shape[:2]:
        return False
    if len(step.shape) == axes + 2 and axes > 1:
        return is_grid(trace, number, step.shape[1:-1])
    return len(step.shape) == 3 and max(step.shape[:2]) > 1


def _feeds(trace: Trace, norm: int) -> bool:
    """Whether a norm's result goes into a linear layer or attention, and not into a sum."""
    todo = [norm]
    while todo:
        for child in trace.children[todo.pop()]:
            name = trace.steps[child].name
            if name == "linear" or name in ATTENTION:
                return True
            if name in MOVES:
                todo.append(child)
    return False
