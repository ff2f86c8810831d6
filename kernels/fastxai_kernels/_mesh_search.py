"""The search for a mesh's spacing, the same for all backends: plain numbers, no arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

EXACT = 2048  # points up to which errors are measured against plain sums

_FEWEST = 64  # cells along the longer side: so small a mesh costs next to nothing
_STEPS = 16  # spacings are powers of 2^(1/16): the response is then often found again
_FINER = 9  # steps down to the mesh that is taken for the truth: a tenth of the error
_GOAL = 0.85  # of the tolerance, since layouts change between two measurements
_ENOUGH = 0.5  # of the tolerance: with less error a coarser mesh is tried
_SLOPE = 5.0  # log error over log spacing, about
_LEAST_SLOPE = 3.2  # what it may fall to on coarse meshes
_NEAR = 2  # steps
_SATURATED = 0.3  # error from which on it says nothing of finer meshes
_SURELY = 0.25  # spacing, in units of the kernel's scale, for 1% on nearly all layouts
_TRIES = 8


def _spacing(step: int) -> float:
    return float(2.0 ** (step / _STEPS))


def _steps(spacing: float) -> int:
    return math.floor(math.log2(spacing) * _STEPS)


class Measure:
    """Errors of meshes over some points, each mesh made once.

    ``forces`` gives those of a spacing, ``exact`` are the true ones or None, and
    ``rms(found, truth)`` is RMS(found - truth) / RMS(truth).
    """

    def __init__(
        self, forces: Callable[[float], Any], exact: Any, rms: Callable[[Any, Any], float]
    ) -> None:
        self._make, self._exact, self._rms = forces, exact, rms
        self._forces: dict[int, Any] = {}

    def _at(self, step: int) -> Any:
        if step not in self._forces:
            self._forces[step] = self._make(_spacing(step))
        return self._forces[step]

    def finest(self, step: int) -> int:
        """The finest mesh that has to be made for a measurement."""
        return step - _FINER if self._exact is None else step

    def error(self, step: int) -> float:
        """RMS of the difference from the exact forces, or finer ones, over RMS."""
        truth = self._at(self.finest(step)) if self._exact is None else self._exact
        return self._rms(self._at(step), truth)


def coarsest_spacing(
    measure: Measure,
    n: int,
    extents: Sequence[float],
    dof: float,
    tolerance: float,
    guess: float,
    length: Callable[[float], int],
) -> float:
    """What `mesh_spacing` returns; ``length`` of the transforms for so many spacings."""
    scale = min(1.0, math.sqrt(dof))  # on which the kernel changes
    widest = _steps(min(max(*extents, scale) / _FEWEST, 4.0 * scale))
    if max(extents) == 0.0:
        return _spacing(widest)
    most = min(max(1 << 22, 128 * n), 1 << 26)

    def affordable(step: int) -> bool:
        finest = _spacing(measure.finest(step))
        return math.prod(length(extent / finest) for extent in extents) <= most

    surely = _steps(_SURELY * scale * (tolerance / 0.01) ** (1.0 / _SLOPE))
    if not affordable(widest):
        return _spacing(min(widest, surely))
    step, good, bad = min(widest, _steps(guess)), None, widest + 1
    while not affordable(step):
        step += 1
    for _ in range(_TRIES):
        found = max(measure.error(step), 1e-12)
        change = math.floor(_STEPS * math.log2(_GOAL * tolerance / found) / _SLOPE)
        if found <= _GOAL * tolerance:
            good = step
            if found >= _ENOUGH * tolerance:
                break
        else:
            if good is None and change >= -_NEAR:
                return _spacing(step + change - 1)  # no need to look: the law holds nearby
            bad = min(bad, step)
        step = min(step + change, bad - 1)
        if good is not None:
            step = max(step, good + 1)
            if step >= bad:
                break
        elif not affordable(step):
            far = step + math.floor(change * (_SLOPE / _LEAST_SLOPE - 1.0))
            return _spacing(far if found < _SATURATED else min(far, surely))
    return _spacing(step if good is None else good)
