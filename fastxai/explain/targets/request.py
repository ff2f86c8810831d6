"""What is explained: which numbers of a model's output, for each image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..._warn import warn
from ...errors import InvalidInputError
from .forms import Columns, Form, Functions, negative, read_form
from .masks import Mask
from .targets import Targets, floats

__all__ = ["TASKS", "Request", "Targets", "check_task", "read_target"]

TASKS = ("softmax", "binary", "multilabel", "regression")


def read_target(target: Any, n: int) -> Request:
    """Read what is to be explained of ``n`` images; refuse what can be refused before any work.

    Parameters
    ----------
    target
        None: the predicted class, as the task has it. The index of a class; one an image (N,);
        several an image (N, K), or for all images (1, K); ``"topK"``. ``"+2"`` and ``"-2"`` are
        column 2 and minus column 2, also in sequences. A function of one image's output
        (classes, *spatial) that returns a scalar, or one an image. For outputs with pixels
        (class, mask): a mask (h, w) or (N, h, w), boolean or of weights, at the size of the
        output or of the images (then the nearest pixels), None for all pixels, or
        ``"predicted"`` for those where the class is predicted; the score is the sum over the mask.
    n
        The number of images.

    Raises
    ------
    InvalidInputError
        With what is wrong and what may be given.

    Examples
    --------
    >>> import torch
    >>> output = torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, -2.0]])
    >>> targets = read_target("top2", 2).resolve(output, "softmax", (8, 8))
    >>> targets.classes.tolist(), targets.scores(output).tolist()
    ([[1, 2], [0, 1]], [[3.0, 2.0], [0.0, -1.0]])
    """
    with torch.inference_mode(False):
        form, mask = read_form(target, n)
    return Request(form, mask, n, 0, n)


def check_task(task: Any) -> None:
    """Refuse a task that there is not."""
    if not isinstance(task, str) or task not in TASKS:
        raise InvalidInputError(f"task={task!r} is unknown; choose one of {', '.join(TASKS)}")


@dataclass(frozen=True, eq=False)
class Request:
    """A target as the user gave it, for images [start, stop) of ``total``."""

    form: Form
    mask: Mask | None
    total: int
    start: int
    stop: int
    _said: list[str] = field(default_factory=list, repr=False)  # warnings; parts share it

    def __len__(self) -> int:
        return self.stop - self.start

    def part(self, start: int, stop: int) -> Request:
        """The target of images [start, stop) among these."""
        stop = min(stop, len(self))
        return replace(self, start=self.start + start, stop=self.start + stop)

    def resolve(self, output: Tensor, task: str, image_size: tuple[int, ...]) -> Targets:
        """What that is in the model's output for these images.

        Parameters
        ----------
        output
            (N, classes) or (N, classes, *spatial).
        task
            ``"softmax"``: one class of several. ``"binary"``: one column, whose sign decides
            between class 1 and class 0 (or two columns, as softmax). ``"multilabel"``: a sigmoid
            a column. ``"regression"``: values.
        image_size
            The images' spatial size.

        Raises
        ------
        InvalidInputError
            A class out of range, a task that the number of columns does not allow, a mask of
            another size.
        """
        check_task(task)
        if len(output) != len(self):
            raise InvalidInputError(f"an output of {len(output)} rows for {len(self)} images")
        # Indices are saved for the backward pass, which made under inference_mode they can not be.
        with torch.inference_mode(False), torch.no_grad():
            values = floats(output.detach())
            if isinstance(self.form, Functions):
                return self._by_functions(self.form, values)
            if values.ndim > 2 and values.shape[2:].numel() == 1:
                values = values.flatten(1)
            kind = self._kind(values, output.dtype, task)
            classes, signs = _Choice(self, values, kind).made()
            weights = self._weights(values, kind, classes, signs, tuple(image_size))
        single = self.form.index.ndim < 2 if isinstance(self.form, Columns) else self.form is None
        return Targets(classes, signs, single, kind, weights)

    def _by_functions(self, form: Functions, values: Tensor) -> Targets:
        each = form.each
        functions = each * len(self) if len(each) == 1 else each[self.start : self.stop]
        none = torch.full((len(self), 1), -1, dtype=torch.int64, device=values.device)
        return Targets(none, torch.ones_like(none), True, "regression", None, functions)

    def _kind(self, values: Tensor, dtype: torch.dtype, task: str) -> str:
        """The task as the output makes it: "sign" of one column, "given" probabilities."""
        n_columns = int(values.shape[1])
        if task in ("multilabel", "regression"):
            return task
        if task == "binary" and n_columns > 2:
            raise InvalidInputError(
                f"task='binary', but the model's output has {n_columns} columns: one class of "
                "several is task='softmax', each for itself task='multilabel'"
            )
        if task == "binary" and n_columns == 1:
            return "sign"
        if n_columns == 1:
            raise InvalidInputError(
                f"the model's output {tuple(values.shape)} has one column, of which task='softmax' "
                "can make nothing: say task='binary' if its sign decides, or task='regression' if "
                "it is a value"
            )
        if not _are_probabilities(values, dtype):
            return "softmax"
        if "probabilities" not in self._said:
            self._said.append("probabilities")
            warn(
                "the model's output is probabilities already, whose gradients vanish where the "
                "model is sure: explain the logits, by output= or by a model without its softmax"
            )
        return "given"

    def _weights(
        self,
        values: Tensor,
        kind: str,
        classes: Tensor,
        signs: Tensor,
        image_size: tuple[int, ...],
    ) -> Tensor | None:
        """Of the output's pixels: (N, 1, *spatial) or (N, K, *spatial), or None."""
        spatial = tuple(values.shape[2:])
        if not spatial:
            if self.mask is None:
                return None
            raise InvalidInputError(
                f"target=(class, mask), but the model's output {tuple(values.shape)} has no "
                "pixels: give the class alone"
            )
        if self.mask is None:
            return values.new_ones((len(self), 1, *spatial))
        if self.mask.weights is None:
            where = _where_predicted(values, kind, classes, signs)
            if not where.flatten(2).any(2).all() and "nowhere" not in self._said:
                self._said.append("nowhere")
                count = int((~where.flatten(2).any(2)).any(1).sum())
                warn(
                    f"target=(class, 'predicted'): of {count} of {len(self)} images no pixel is "
                    "predicted as the class; their score is 0, and there is nothing to explain"
                )
            return where.to(values.dtype)
        rows = (self.start, self.stop, self.total)
        return self.mask.resized(spatial, image_size, rows).to(values.device)


class _Choice:
    """The columns and signs that a request means."""

    def __init__(self, request: Request, values: Tensor, kind: str) -> None:
        self.request, self.values, self.kind = request, values, kind
        self.n_columns = int(values.shape[1])

    def made(self) -> tuple[Tensor, Tensor]:
        """Classes (N, K) and signs (N, K)."""
        form = self.request.form
        if isinstance(form, Columns):
            return self._named(form)
        assert not isinstance(form, Functions)
        classes = self._largest(1 if form is None else form.k)
        return classes, self._signs(classes)

    def _largest(self, k: int) -> Tensor:
        if self.kind == "regression":
            if self.n_columns == 1:
                return self.values.new_zeros((len(self.values), 1), dtype=torch.int64)
            raise InvalidInputError(
                f"task='regression' and {self.n_columns} columns: target= names one by its index "
                f"from 0 to {self.n_columns - 1}; '-0' is what lowers the first"
            )
        if self.values.ndim > 2:
            raise InvalidInputError(
                f"the model's output {tuple(self.values.shape)} has pixels: name a class and a "
                "mask of pixels, target=(3, mask), (3, 'predicted') for those where class 3 is "
                "predicted, or (3, None) for all"
            )
        scores = torch.cat([-self.values, self.values], 1) if self.kind == "sign" else self.values
        return scores.sort(dim=1, descending=True, stable=True).indices[:, :k].clone()

    def _signs(self, classes: Tensor) -> Tensor:
        """Where none is written: class 0 of one column is minus that column."""
        return 2 * classes - 1 if self.kind == "sign" else torch.ones_like(classes)

    def _named(self, form: Columns) -> tuple[Tensor, Tensor]:
        request, index, sign = self.request, form.index, form.sign
        if index.ndim and index.shape[0] == request.total:
            index = index[request.start : request.stop]
            sign = sign[request.start : request.stop]
        if index.ndim < 2:
            index, sign = index.reshape(-1, 1), sign.reshape(-1, 1)
        shape = (len(request), index.shape[1])
        index = index.expand(shape).to(self.values.device)
        sign = sign.expand(shape).to(self.values.device)
        if self.n_columns == 1 and self.kind in ("sign", "regression"):
            return self._of_one_column(index, sign)
        self._check_range(index, 0, self.n_columns - 1)
        return index, torch.where(sign == 0, self._signs(index), sign)

    def _of_one_column(self, index: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
        """There 1 and -1, "+0" and "-0" are what raises and what lowers the only value."""
        self._check_range(index, -1, 1)
        lowers = index < (1 if self.kind == "sign" else 0)
        signs = torch.where(sign == 0, torch.where(lowers, -1, 1), sign)
        classes = (signs > 0).long() if self.kind == "sign" else torch.zeros_like(index)
        return classes, signs

    def _check_range(self, index: Tensor, low: int, high: int) -> None:
        wrong = (index < low) | (index > high)
        if not wrong.any():
            return
        row, column = (int(i) for i in wrong.nonzero()[0])
        value = int(index[row, column])
        what = negative(value) if value < 0 else f"target {value} is out of range"
        which = f" (image {self.request.start + row})" if self.request.total > 1 else ""
        has = "one column" if self.n_columns == 1 else f"{self.n_columns} classes"
        raise InvalidInputError(f"{what}{which}; the output has {has}: give {low} to {high}")


def _are_probabilities(values: Tensor, dtype: torch.dtype) -> bool:
    """Whether rows are >= 0 and sum to 1, as far as their precision goes."""
    tolerance = 1e-2 if dtype in (torch.float16, torch.bfloat16) else 1e-4
    return bool((values >= 0).all() and ((values.sum(1) - 1).abs() <= tolerance).all())


def _where_predicted(values: Tensor, kind: str, classes: Tensor, signs: Tensor) -> Tensor:
    """(N, K, *spatial): the pixels whose predicted class is the target."""
    shape = (*classes.shape, *[1] * (values.ndim - 2))
    if kind == "regression":
        raise InvalidInputError(
            "target=(column, 'predicted') is for classes, and task='regression' has none: give a "
            "mask, or (column, None) for all pixels"
        )
    if kind == "sign":
        return signs.reshape(shape) * values > 0
    if kind == "multilabel":
        index = classes.reshape(shape).expand(*classes.shape, *values.shape[2:])
        return values.gather(1, index) > 0
    return values.argmax(1, keepdim=True) == classes.reshape(shape)
