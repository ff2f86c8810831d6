"""The scores that are explained, and the probabilities that go with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InvalidInputError


class Targets:
    """The numbers to be explained in the output for N images.

    Attributes
    ----------
    classes
        (N, K) int64; -1 where a function stands for them.
    signs
        (N, K) int64, 1 or -1: whether what raises or what lowers the column is explained.
    single
        Whether each image has one target, so that maps are (N, H, W) and not (N, K, H, W).
    """

    def __init__(
        self,
        classes: Tensor,
        signs: Tensor,
        single: bool,
        kind: str,
        weights: Tensor | None,
        functions: tuple[Any, ...] | None = None,
    ) -> None:
        self.classes, self.signs, self.single = classes, signs, single
        self._kind, self._weights, self._functions = kind, weights, functions

    def __len__(self) -> int:
        return int(self.classes.shape[0])

    def repeat(self, rows: Tensor) -> Targets:
        """Those of images ``rows``: for an output whose row b belongs to image ``rows[b]``."""
        with torch.inference_mode(False):
            rows = rows.to(self.classes.device)
            weights = None if self._weights is None else self._weights[rows]
            functions = self._functions
            if functions is not None:
                functions = tuple(functions[row] for row in rows.tolist())
            return Targets(
                self.classes[rows], self.signs[rows], self.single, self._kind, weights, functions
            )

    def scores(self, output: Tensor) -> Tensor:
        """(N, K): the signed logits, summed over the mask; differentiable, row by row.

        In float32 at least, also of an output in half precision.
        """
        values = self._values(output)
        if self._functions is not None:
            return _applied(self._functions, values)
        return self.signs * self._summed(self._column(values))

    def probabilities(self, output: Tensor) -> Tensor:
        """(N, K) float32: softmax or sigmoid by task, averaged over the mask.

        What a minus sign stands before becomes its opposite, 1 - p. The values themselves, signed,
        for regression and of functions; of an output that is probabilities already as it is.
        """
        values = self._values(output)
        if self._functions is not None:
            return _applied(self._functions, values).float()
        if self._kind == "regression":
            return (self.signs * self._mean(self._column(values))).float()
        if self._kind in ("sign", "multilabel"):
            signs = self.signs.reshape(*self.signs.shape, *[1] * (values.ndim - 2))
            return self._mean(torch.sigmoid(signs * self._column(values))).float()
        if self._kind == "softmax":
            values = values.softmax(1)
        found = self._mean(self._column(values))
        return torch.where(self.signs > 0, found, 1 - found).float()

    def _values(self, output: Tensor) -> Tensor:
        if len(output) != len(self):
            raise InvalidInputError(f"an output of {len(output)} rows for {len(self)} images")
        values = floats(output)
        pixels = values.ndim > 2 and values.shape[2:].numel() > 1
        return values if pixels or self._functions is not None else values.flatten(1)

    def _column(self, values: Tensor) -> Tensor:
        """(N, K) or (N, K, *spatial): each target's column."""
        index = self.classes
        if self._kind == "sign" or values.shape[1] == 1:
            index = torch.zeros_like(index)
        spatial = values.shape[2:]
        index = index.reshape(*index.shape, *[1] * len(spatial)).expand(*index.shape, *spatial)
        return values.gather(1, index)

    def _summed(self, columns: Tensor) -> Tensor:
        if self._weights is None:
            return columns
        # Not 0 * NaN: what the mask leaves out is out.
        weighted = torch.where(self._weights != 0, columns * self._weights, 0)
        return weighted.flatten(2).sum(2)

    def _mean(self, columns: Tensor) -> Tensor:
        if self._weights is None:
            return columns
        whole = self._weights.flatten(2).sum(2)
        return self._summed(columns) / torch.where(whole == 0, 1, whole)


def _applied(functions: tuple[Any, ...], values: Tensor) -> Tensor:
    """(N, 1): each image's function of its output."""
    found = []
    for row, (function, value) in enumerate(zip(functions, values, strict=True)):
        try:
            score = function(value.clone())  # which may work in place
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:
            raise InvalidInputError(
                f"the function target= raised {type(error).__name__} for row {row} of the output, "
                f"of shape {tuple(value.shape)}: {error}"
            ) from error
        found.append(_scalar(score, value))
    return torch.stack(found)[:, None]


def _scalar(score: Any, value: Tensor) -> Tensor:
    array = isinstance(score, np.ndarray) and score.dtype.kind in "iuf"
    if array or isinstance(score, (int, float, np.number)):
        score = torch.as_tensor(score, device=value.device)
    if not isinstance(score, Tensor):
        raise InvalidInputError(
            f"the function target= returned a {type(score).__name__}: it should return one number "
            "of the output it is given, a tensor of no axis"
        )
    if score.numel() != 1 or score.is_complex():
        raise InvalidInputError(
            f"the function target= returned a tensor {tuple(score.shape)} of {score.dtype} for an "
            f"output {tuple(value.shape)}: it should return one number, as by .sum() or [class]"
        )
    return score.reshape(()).to(value)


def floats(output: Tensor) -> Tensor:
    """In float32 at least: half precision is too coarse for scores and their differences."""
    return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output
