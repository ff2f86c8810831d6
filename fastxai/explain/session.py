"""One batch of images: what was recorded of it, and what methods compute their maps from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..errors import FastxaiError, InvalidInputError, NoGradientError
from ..progress import Progress
from .forward import plain_forward
from .inputs import Inputs
from .layers.layers import Layer
from .recorder import Recording, record
from .relu_rules.coverage import check_cover
from .relu_rules.rules import ReLURules
from .targets.request import Request, Targets

if TYPE_CHECKING:
    from .explainer import Explainer


# What selecting an output adds to the graph.
_SELECTS = ("Unsqueeze", "Squeeze", "Select", "Slice", "View", "Reshape", "UnsafeView")


@dataclass(frozen=True)
class Plan:
    """What all batches of one call have in common.

    Attributes
    ----------
    model : Any
        The user's model, unwrapped; `call` runs it.
    explainers : list of Explainer
        The methods asked for together.
    layers : dict of Explainer to list of Layer
        Whose layers; what several ask for is recorded once.
    """

    model: Any
    call: Callable[..., Any]
    output: Any
    task: str
    batch_size: int
    explainers: list[Explainer]
    layers: dict[Explainer, list[Layer]]
    progress: Progress

    @property
    def recorded(self) -> list[Layer]:
        """Every layer once."""
        return list(dict.fromkeys(layer for layers in self.layers.values() for layer in layers))

    def forward(self, inputs: Inputs) -> Tensor:
        """The selected output, without a graph: for methods that need only answers."""
        return plain_forward(self.call, inputs, self.output)


class Maps(NamedTuple):
    """Maps of one batch: values (N, K, ...); the rest (N, K).

    ``low`` and ``high`` are the extremes before a ReLU, ``zero`` tells that no gradient came.
    """

    values: Tensor
    low: Tensor
    high: Tensor
    zero: Tensor

    @classmethod
    def of(cls, values: Tensor, zero: Tensor | None = None) -> Maps:
        """Maps that no ReLU cuts: their extremes are their own."""
        flat = values.flatten(2)
        low, high = flat.amin(2), flat.amax(2)
        if zero is None:
            zero = torch.zeros(low.shape, dtype=torch.bool, device=low.device)
        return cls(values, low, high, zero)


class Session:
    """What a method sees.

    Attributes
    ----------
    inputs : Inputs
        The batch.
    offset : int
        Number of the batch's first image in the call, for random numbers an image.
    output : Tensor
        The model's selected output.
    targets : Targets
        What is explained; ``len(self)`` images, ``n_targets`` for each.
    details : dict of str to list
        What methods tell of each image beside its map, by their names.
    """

    def __init__(
        self,
        plan: Plan,
        inputs: Inputs,
        targets: Targets,
        output: Tensor,
        offset: int,
        recording: Recording | None,
    ) -> None:
        self.plan, self.inputs, self.targets = plan, inputs, targets
        self.output, self.offset = output, offset
        self.details: dict[str, list[Any]] = {}
        self._recording = recording
        self._found: dict[tuple[int, str], dict[int, Tensor | None]] = {}
        self._scores = targets.scores(output)
        if recording is None:
            return
        self._wanted = [a for calls in recording.activations.values() for a in calls]
        # Where only ReLU rules ask at the pixels, the plain backward pass ends at the layers.
        if any(explainer.pixels and not explainer.rule for explainer in plan.explainers):
            self._wanted.append(recording.images)
        rules = {explainer.rule or "gradient" for explainer in plan.explainers} | {"gradient"}
        self._left = {(k, rule) for k in range(self.n_targets) for rule in rules}
        if not self._wanted:
            self._left = {(k, rule) for k, rule in self._left if rule != "gradient"}
        if self._wanted and not self._scores.requires_grad:
            raise NoGradientError(
                "the target is a value without a gradient: its function must compute with the "
                "model's output in torch, without detach, item or NumPy"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def release(self) -> None:
        """Let go of the graph: methods that want only answers need the memory for themselves."""
        self.output, self._scores = self.output.detach(), self._scores.detach()
        if self._recording is not None:
            self._recording.release()
            self._found, self._wanted = {}, []

    def forget(self, k: int) -> None:
        """Let go of the gradients of the k-th score: of many targets they would fill the memory."""
        self._found = {key: found for key, found in self._found.items() if key[0] != k}

    def seed_of(self, random_state: int, row: int) -> int:
        """The seed of an image: its own, whatever batch it came in."""
        return random_state * 1_000_003 + self.offset + row

    @property
    def n_targets(self) -> int:
        """K: how many targets each image has."""
        return int(self.targets.classes.shape[1])

    @property
    def finite(self) -> Tensor:
        """Of which scores (N, K) an explanation can tell something."""
        return torch.isfinite(self._scores.detach())

    def layers_of(self, explainer: Explainer) -> list[Layer]:
        """The layers that this method was asked for."""
        return self.plan.layers[explainer]

    def activations(self, layer: Layer) -> list[Tensor]:
        """Of every recorded call the activation (N, C, *spatial)."""
        assert self._recording is not None
        return [self._arranged(layer, a) for a in self._recording.activations[layer]]

    def layer_gradients(self, layer: Layer, k: int) -> list[Tensor | None]:
        """The k-th score's gradient by the activation of every recorded call."""
        assert self._recording is not None
        found = self._gradients(k, "gradient", self._wanted)
        return [
            None if (gradient := found[id(activation)]) is None else self._arranged(layer, gradient)
            for activation in self._recording.activations[layer]
        ]

    def _arranged(self, layer: Layer, tensor: Tensor) -> Tensor:
        return arranged(layer, tensor.detach(), len(self.inputs.spatial))

    def input_gradient(self, k: int, rule: str = "gradient") -> Tensor | None:
        """The k-th score's gradient by the images, ReLUs differentiated by a rule."""
        assert self._recording is not None
        images = self._recording.images
        wanted = self._wanted if rule == "gradient" else [images]
        return self._gradients(k, rule, wanted)[id(images)]

    def output_gradient(self, k: int) -> Tensor | None:
        """The k-th score's gradient by the model's output."""
        output = self.output.detach().requires_grad_()
        score = self.targets.scores(output)[:, k].sum()
        return torch.autograd.grad(score, output, allow_unused=True)[0]

    def _gradients(self, k: int, rule: str, wanted: list[Tensor]) -> dict[int, Tensor | None]:
        """One backward pass for everything that anybody will ask of the k-th score by a rule."""
        key = (k, rule)
        if key not in self._found:
            assert self._recording is not None
            self._left.discard(key)
            score, last = self._scores[:, k].sum(), not self._left
            found = self._recording.gradients(score, wanted, rule, last=last)
            self._found[key] = {id(t): g for t, g in zip(wanted, found, strict=True)}
        return self._found[key]

    def gradient_at(self, rows: Tensor, images: Tensor, k: int) -> Tensor | None:
        """The gradient of the k-th score at other images; ``rows`` tells whose place they take."""
        inputs = self.inputs.repeat(rows, images)
        with record(self.plan.call, inputs, input_graph=True, output=self.plan.output) as recording:
            scores = self.targets.repeat(rows).scores(recording.output)
            return recording.gradients(scores[:, k].sum(), [recording.images], last=True)[0]


def arranged(layer: Layer, tensor: Tensor, axes: int) -> Tensor:
    """(N, C, *spatial) of an activation or a gradient; what a user's reshape= raises is told."""
    try:
        return layer.arranged(tensor, axes)
    except (FastxaiError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise InvalidInputError(
            f"reshape= raised {type(error).__name__} for the output {tuple(tensor.shape)} of "
            f"layer {layer.name!r}: {error}"
        ) from error


@contextmanager
def open_session(plan: Plan, inputs: Inputs, request: Request, offset: int) -> Iterator[Session]:
    """Run the forward of one batch and let the methods compute from it."""
    size = inputs.spatial
    if all(explainer.black_box for explainer in plan.explainers):
        output = plan.forward(inputs)
        targets = request.resolve(output, plan.task, size)
        yield Session(plan, inputs, targets, output, offset, None)
        return
    rules = ReLURules() if any(explainer.rule for explainer in plan.explainers) else None
    taps = [tap for explainer in plan.explainers for tap in explainer.taps()]
    with record(
        plan.call,
        inputs,
        plan.recorded,
        input_graph=any(explainer.pixels for explainer in plan.explainers),
        rules=rules,
        taps=taps,
        output=plan.output,
    ) as recording:
        if rules is not None and offset == 0:
            check_cover(rules, recording.output, plan.model, plan.progress)
        _check_logits(recording.output, plan.task)
        targets = request.resolve(recording.output, plan.task, size)
        yield Session(plan, inputs, targets, recording.output, offset, recording)


def _check_logits(output: Tensor, task: str) -> None:
    """Refuse outputs that are the sigmoids of what the task wants."""
    node = output.grad_fn
    while node is not None and node.name().startswith(_SELECTS) and node.next_functions:
        node = node.next_functions[0][0]
    if task in ("binary", "multilabel") and node is not None and node.name().startswith("Sigmoid"):
        raise InvalidInputError(
            f"the model ends in a sigmoid, and task={task!r} wants logits, which have a sign and "
            "gradients where the model is sure: give output=torch.logit, or the model without it"
        )
