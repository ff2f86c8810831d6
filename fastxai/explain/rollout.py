"""Attention rollout: which patches a vision transformer's answer gathers its information from."""

from __future__ import annotations

import inspect
import math
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import InvalidInputError
from .explainer import Explainer
from .inputs import Inputs
from .kernels import room_for
from .layers.operations import operation
from .layers.probe import Trace, probe
from .layers.tokens import PRODUCTS, attentions, grid_of, reads_all
from .session import Maps, Session

# How many results of a softmax, and of operations on them, wait for a product at a time.
_PENDING = 8
_REMEDY = "Grad-CAM works here: fastxai.GradCAM(model)"


class AttentionTap(TorchFunctionMode):
    """Notes the attention of every layer of a forward pass, which goes on as it was.

    It sees `torch.nn.MultiheadAttention`, `scaled_dot_product_attention`, and a softmax whose
    result, scaled or mixed on the way, is the left factor of a matrix product.

    Attributes
    ----------
    attentions : list of Tensor
        (N, heads, T, S) in order of execution, or (N · heads, T, S) where the model folds them;
        with ``mean=True`` one head, the mean.
    """

    def __init__(self, mean: bool = False) -> None:
        super().__init__()
        self.attentions: list[Tensor] = []
        self._mean = mean
        self._weights: deque[Tensor] = deque(maxlen=_PENDING)  # that may prove to be attention

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = operation(func)
        if name == "scaled_dot_product_attention":
            self._note(_of_fused(func, *args, **kwargs))
        elif name == "multi_head_attention_forward":
            self._note(_of_module(func, args, kwargs))
        elif name == "softmax" and result.ndim > 2:
            self._weights.append(result)
        elif self._weights and (found := self._used(args)) is not None:
            if name in PRODUCTS:
                self._note(found)
                self._weights.clear()
            elif isinstance(result, Tensor) and result.shape[-2:] == found.shape[-2:]:
                self._weights.append(result)
        return result

    def _used(self, args: Any) -> Tensor | None:
        """Weights among the arguments: by a product with them attention does its work."""
        flat = [v for a in args[:2] for v in (a if isinstance(a, (tuple, list)) else [a])]
        return next((v for v in flat if any(v is weights for weights in self._weights)), None)

    def __exit__(self, *error: Any) -> None:
        """Leave the mode, and let go of what was no attention."""
        self._weights.clear()
        super().__exit__(*error)

    def _note(self, attention: Tensor) -> None:
        attention = attention.detach().float()
        if self._mean and attention.ndim == 4:
            attention = attention.mean(1, keepdim=True)
        self.attentions.append(attention)


def _of_fused(
    func: Any, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> Tensor:
    """What fused attention multiplies the values with: it is given the identity instead."""
    identity = torch.eye(key.shape[-2], dtype=value.dtype, device=value.device)
    with torch.no_grad():
        found: Tensor = func(query, key, identity.expand(*key.shape[:-1], -1), *args, **kwargs)
    return found


def _of_module(func: Any, args: Any, kwargs: Any) -> Tensor:
    """A second call that asks for the attention: the first one's result stays what it was."""
    bound = inspect.signature(func).bind(*args, **kwargs)
    bound.arguments.update(need_weights=True, average_attn_weights=False)
    with torch.no_grad():
        found: Tensor = func(*bound.args, **bound.kwargs)[1]
    return found if found.ndim == 4 else found[None]


def rollout(
    attentions: Sequence[Tensor], n: int, prefix: int, grid: tuple[int, ...], pooled: bool = False
) -> Tensor:
    """Attention from the tokens that are read to the patches, through all layers.

        A_l = (mean over heads of attention_l + I) / 2,  rows summing to 1;   A_L ... A_2 A_1

    (Abnar and Zuidema 2020, section 3, "Attention rollout").

    Parameters
    ----------
    attentions : sequence of Tensor
        As of `AttentionTap`; the last may be a pooling head's, (N, heads, 1, T).
    n : int
        How many images.
    prefix : int
        Class and register tokens before the patches.
    grid : tuple of int
        How the patches lie.
    pooled : bool
        Whether the mean of the patches is read, and not the first token.

    Returns
    -------
    Tensor
        (N, *grid) float32, not negative.

    Raises
    ------
    InvalidInputError
        Attention within windows or between tokens that were merged, and none at all.
    """
    layers = [_mean_head(attention, n) for attention in attentions]
    tokens = prefix + math.prod(grid)
    for layer in layers:
        _check(layer, n, tokens, queries=(tokens, 1) if layer is layers[-1] else (tokens,))
    row = torch.zeros(n, 1, tokens, device=layers[-1].device)
    if layers[-1].shape[1] == 1 < tokens:
        row = layers.pop()
    elif pooled or not prefix:
        row[:, :, prefix:] = 1 / math.prod(grid)
    else:
        row[:, :, 0] = 1
    for layer in reversed(layers):
        share = row / (1 + layer.sum(-1))[:, None]
        row = share + share @ layer  # what the residual connection carries, and what moves
    return row[:, 0, prefix:].reshape(n, *grid)


def _mean_head(attention: Tensor, n: int) -> Tensor:
    """(N, T, S): the mean over heads, which stand in axis 1 or within axis 0."""
    if attention.ndim == 4:
        return attention.mean(1)
    if attention.ndim == 3 and len(attention) % n == 0:
        return attention.unflatten(0, (n, -1)).mean(1)
    return attention


def _check(layer: Tensor, n: int, tokens: int, queries: tuple[int, ...]) -> None:
    if layer.ndim != 3 or len(layer) != n:
        raise InvalidInputError(
            "attention rollout multiplies the attention of all layers, but this model attends "
            f"within windows (Swin and its kin; {tuple(layer.shape)} for {n} images), and what "
            f"passes between windows is in none of the factors; {_REMEDY}"
        )
    if layer.shape[2] != tokens or layer.shape[1] not in queries:
        raise InvalidInputError(
            "attention rollout multiplies the attention of all layers, but this model's differ in "
            f"their tokens ({tuple(layer.shape[1:])} where {tokens} stand at the end: merged, "
            f"dropped or from another source); {_REMEDY}"
        )


class AttentionRollout(Explainer):
    """Attention rollout: the patches that a vision transformer's answer draws on.

        A_L ... A_2 A_1,   A_l = (mean over heads of attention_l + I) / 2

    (Abnar and Zuidema 2020): the class token's row of the product, or the mean over the patches'
    rows where their mean is read.  It follows attention alone, without gradients: it shows where
    information comes from, not what speaks for a class, and all targets have the same map.

    For transformers whose tokens all attend to each other (ViT, DeiT, with any number of
    class and register tokens); attention within windows (Swin) is refused.

    Parameters
    ----------
    model : Module
        A vision transformer; it is left as it came.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.

    Raises
    ------
    InvalidInputError
        When called: the model has no attention, or one that can not be multiplied through.

    Examples
    --------
    >>> import torch, fastxai
    >>> class ViT(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.patches = torch.nn.Conv2d(3, 16, 8, 8)
    ...         self.block = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    ...         self.head = torch.nn.Linear(16, 5)
    ...     def forward(self, x):
    ...         x = self.patches(x).flatten(2).transpose(1, 2)
    ...         return self.head(self.block(x).mean(1))
    >>> fastxai.AttentionRollout(ViT())(torch.rand(2, 3, 24, 32)).shape
    torch.Size([2, 24, 32])
    """

    name = "attention_rollout"

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)
        self._trace: Trace | None = None
        self._tap = AttentionTap(mean=True)

    def resolve(self, inputs: Inputs) -> list[Any]:
        """No layer; but the grid of the patches is found by one forward pass, once a model."""
        self._trace = probe(self.model, inputs, self.output)
        return []

    def taps(self) -> Sequence[AbstractContextManager[Any]]:
        """A new tap for every batch."""
        self._tap = AttentionTap(mean=True)
        return (self._tap,)

    def compute(self, session: Session) -> dict[str, Maps]:
        """One map an image, the same for every target."""
        assert self._trace is not None
        found, self._tap = self._tap.attentions, AttentionTap(mean=True)
        prefix, grid = _patches(self._trace, found)
        coarse = rollout(found, len(session), prefix, grid, reads_all(self._trace))
        room = room_for(session.inputs.images)
        fine = room.tensor(room.kernels.upsample(room.array(coarse), session.inputs.spatial, False))
        fine = fine.to(session.inputs.images.device)[:, None]
        return {"": Maps.of(fine.repeat_interleave(session.n_targets, 1))}


def _patches(trace: Trace, found: Sequence[Tensor]) -> tuple[int, tuple[int, ...]]:
    """How many tokens stand before the patches, and how the patches lie."""
    if not found:
        raise InvalidInputError(
            "attention rollout is for transformers, and no attention was seen in this model's "
            f"forward pass; {_REMEDY}"
        )
    tokens = int(found[-1].shape[-1])
    steps = attentions(trace) or [len(trace.steps)]
    if (grid := grid_of(trace, steps[-1], tokens)) is None:
        raise InvalidInputError(
            f"attention rollout: how {tokens} tokens lie in images of {trace.image[1:]} can not "
            f"be told; {_REMEDY}, with reshape="
        )
    return tokens - math.prod(grid), grid
