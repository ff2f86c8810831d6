"""Several methods of one model on one forward: batch by batch, then put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .explainer import BATCH, Explainer, opened
from .explanation import OK, Explanation, Explanations
from .halving import Batches
from .inputs import Inputs
from .model import caller
from .session import Maps, Plan, Session, open_session
from .targets.request import Request, read_target


class Run(NamedTuple):
    """What a call made: the maps and, if asked for, the model's output (N, classes, ...)."""

    explanations: Explanations
    output: Tensor | None


def run(
    explainers: Sequence[Explainer],
    images: Any,
    target: Any = None,
    *,
    first: int = 0,
    keep_output: bool = False,
    halve: bool = True,
    batch_size: int | None = None,
) -> Run:
    """Explain images by several methods of one model, which share the forward pass.

    ``first`` is the number of the first image where they are a part of many: random numbers
    belong to an image, whichever part it comes in.  Without ``halve`` a batch that does not fit
    into memory is an error.  ``batch_size`` is that of the images alone: black boxes keep their
    own, of changed images.
    """
    one = explainers[0]
    model = one.model
    with opened(one, images) as (inputs, progress):
        request = read_target(target, len(inputs))
        plan = Plan(
            model=model,
            call=caller(model),
            output=one.output,
            task=one.task,
            batch_size=batch_size or one.batch_size or BATCH,
            explainers=list(explainers),
            layers={explainer: explainer.resolve(inputs) for explainer in explainers},
            progress=progress,
        )
        _tell_layers(plan)
        batches = _all_batches(plan, inputs, request, first, keep_output, halve)
    output = torch.cat([batch.output for batch in batches]) if keep_output else None
    return Run(_put_together(plan.explainers, batches, inputs), output)


def _tell_layers(plan: Plan) -> None:
    names = [
        layer.name if layer.call is None else f"{layer.name} (call={layer.call})"
        for layer in plan.recorded
    ]
    if names:
        plan.progress.say(f"layer: {', '.join(names)}")


class _Batch:
    """Maps and targets of one batch."""

    def __init__(self, session: Session, keep_output: bool) -> None:
        explainers = session.plan.explainers
        steps = {e.name: step for e in explainers if (step := e.by_target(session)) is not None}
        parts: dict[str, list[dict[str, Maps]]] = {name: [] for name in steps}
        for k in range(session.n_targets if steps else 0):
            for name, step in steps.items():
                parts[name].append(next(step))
            session.forget(k)
        self.maps = {name: _joined(part) for name, part in parts.items()}
        rest = [e for e in explainers if e.name not in steps]
        self.maps |= {e.name: e.compute(session) for e in rest if not e.black_box}
        session.release()
        self.maps |= {e.name: e.compute(session) for e in rest if e.black_box}
        self.classes = session.targets.classes.cpu()
        self.scores = session.targets.probabilities(session.output).float().cpu()
        self.single = session.targets.single
        self.finite = session.finite
        self.details = session.details
        self.output = session.output.detach() if keep_output else None


def _joined(parts: list[dict[str, Maps]]) -> dict[str, Maps]:
    """All targets, along the second axis."""
    if len(parts) == 1:
        return parts[0]
    columns = {layer: zip(*(part[layer] for part in parts), strict=True) for layer in parts[0]}
    return {
        layer: Maps(*(torch.cat(tensors, 1) for tensors in column))
        for layer, column in columns.items()
    }


def _all_batches(
    plan: Plan, inputs: Inputs, request: Request, offset: int, keep_output: bool, halve: bool
) -> list[_Batch]:
    """Batch by batch."""

    def one(start: int, stop: int) -> _Batch:
        part = inputs.part(start, stop)
        with open_session(plan, part, request.part(start, stop), offset + start) as session:
            return _Batch(session, keep_output)

    batches = Batches(len(inputs), plan.batch_size, halve=halve)
    return batches.run(one, plan.progress, "explain")


def _put_together(
    explainers: Sequence[Explainer], batches: list[_Batch], inputs: Inputs
) -> Explanations:
    single = batches[0].single
    finite = torch.cat([batch.finite for batch in batches])
    results = {}
    for explainer in explainers:
        by_layer = {
            layer: _explanation(explainer, [b.maps[explainer.name][layer] for b in batches], finite)
            for layer in batches[0].maps[explainer.name]
        }
        details = tuple(d for b in batches for d in b.details.get(explainer.name, ()))
        results[explainer.name] = _as_asked(explainer, by_layer, single, inputs.numpy, details)
    classes = torch.cat([batch.classes for batch in batches]).numpy()
    scores = torch.cat([batch.scores for batch in batches]).numpy()
    images = inputs.images.cpu().float().numpy() if inputs.numpy else inputs.images
    return Explanations(results, classes, scores, images, single)


def _explanation(
    explainer: Explainer, parts: list[Maps], finite: Tensor
) -> tuple[Tensor, Any, Tensor, Tensor]:
    """Maps, status, minimum and maximum of all batches, (N, K, ...); which scores are finite."""
    values, low, high, zero = (torch.cat(list(column)) for column in zip(*parts, strict=True))
    finite = finite.to(low.device) & torch.isfinite(low) & torch.isfinite(high)
    finite &= torch.isfinite(values.flatten(2)).all(2)
    status = np.full(tuple(low.shape), OK, dtype="<U16")
    if explainer.cut_by_relu:
        status[(high <= 0).cpu().numpy()] = "empty_after_relu"
    status[(~finite).cpu().numpy()] = "nonfinite"
    status[zero.cpu().numpy()] = "zero_gradient"
    if bool(zero.any()):
        # No gradient is no evidence, and must not be seen as "nothing here".
        values = values.masked_fill(zero.reshape(*zero.shape, *[1] * (values.ndim - 2)), torch.nan)
    return values.float(), status, low.float(), high.float()


def _as_asked(
    explainer: Explainer,
    by_layer: dict[str, Any],
    single: bool,
    as_numpy: bool,
    details: tuple[Any, ...],
) -> Explanation:
    """Without an axis of targets where each image has one, NumPy where NumPy came."""

    def finish(value: Any) -> Any:
        value = value[:, 0] if single else value
        return value.cpu().numpy() if as_numpy and isinstance(value, Tensor) else value

    columns = [{layer: finish(row[i]) for layer, row in by_layer.items()} for i in range(4)]
    if len(by_layer) == 1 and not explainer.several_layers:
        columns = [next(iter(column.values())) for column in columns]
    maps, status, low, high = columns
    layers = tuple(layer for layer in by_layer if layer)
    return Explanation(explainer.name, maps, status, low, high, explainer.signed, layers, details)
