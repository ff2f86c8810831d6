"""The sanity check: does a map change when what the network learned is taken away?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import check_whole
from ._estimate import Estimate
from ._map_reading import Numbers, per_pixel
from ._map_result import MapMeasure, measured, over_set, rank_correlation

if TYPE_CHECKING:
    from ._map_models import Asked

STAGES, RANDOM_STATE = 8, 0


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Randomisation(MapMeasure):
    """How a method's maps change while weights become random.

    ``values`` and ``estimate`` are the means of ``absolute`` over the stages: near 0 for a
    method that shows what was learned, near 1 for one that shows the image.

    Attributes
    ----------
    layers : tuple of str
        The last layer that is random at each stage: first the one next to the output alone, at
        the end all.
    absolute, signed : ndarray of float64
        (N, stages), or (N, K, stages) with several targets: the rank correlation with the
        original map, of magnitudes and of values with their sign.  NaN where a map is the same
        everywhere, or none came: such a map says nothing, and does not count.
    """

    layers: tuple[str, ...]
    absolute: Numbers
    signed: Numbers

    @property
    def estimate_signed(self) -> Estimate:
        """The mean of ``signed`` over the stages."""
        return over_set(_mean(self.signed), -1, 1)

    def by_stage(self, signed: bool = False) -> list[Estimate]:
        """The estimate at each stage, of ``absolute`` or of ``signed``."""
        values = self.signed if signed else self.absolute
        return [over_set(values[..., stage], -1, 1) for stage in range(values.shape[-1])]


def randomisation(
    model: Any,
    images: Any,
    methods: Any = "gradcam",
    *,
    target: Any = None,
    layer: Any = None,
    stages: int = STAGES,
    random_state: int = RANDOM_STATE,
    **options: Any,
) -> dict[str, Randomisation]:
    """Compare maps of a model with those of copies whose weights are more and more random.

    The cascading model randomisation test of Adebayo et al. 2018, "Sanity checks for saliency
    maps", section 3.1: weights become random from the output down, and the map of the same
    class is compared with the original by Spearman's rank correlation.  A map that stays as it
    was does not depend on what those layers learned.  Guided backpropagation and DeconvNet are
    known to stay much as they were until the first layers are reached, too: that is a result
    about them.  The figure is the mean over the stages.

    Random weights are normal numbers with the mean and the standard deviation of the tensor
    they replace, so that any layer can be made random and activations keep their size; buffers
    (running statistics) stay.  The model itself is not touched: a copy is changed.

    Parameters
    ----------
    model : Module
        Any network that `copy.deepcopy` can copy.
    images : Tensor, ndarray, or tuple or mapping of them
        (N, C, *spatial), floating, prepared as for the model.
    methods : str, sequence of str, or mapping of str to dict, default "gradcam"
        As of `fastxai.explain`.
    target, layer : optional
        As of `fastxai.explain`.  The class that the trained model predicts is explained
        throughout.
    stages : int, default 8
        How often the maps are made again, at equal numbers of layers.
    random_state : int, default 0
        Seed of the weights.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.

    Returns
    -------
    dict of str to Randomisation
        By method; ``"method@layer"`` where several layers are asked for.

    Raises
    ------
    InvalidInputError
        If the model has no weights, or an option is unknown.
    ModelError
        If the model can not be copied.

    Examples
    --------
    >>> import torch
    >>> from fastxai.metrics import maps
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> found = maps.randomisation(net, torch.rand(4, 3, 4, 4), "saliency")["saliency"]
    >>> found.layers, found.absolute.shape, bool(found.estimate < 0.9)
    (('1',), (4, 1), True)
    """
    check_randomisation(stages, random_state)
    from ._map_models import Asked

    asked = Asked(model, images, methods, target, layer, options)
    return randomised(asked, stages, random_state)


def check_randomisation(stages: Any, random_state: Any) -> None:
    """Refuse what are no counts."""
    check_whole("stages", stages, 1)
    check_whole("random_state", random_state, 0)


def randomised(asked: Asked, stages: int, random_state: int) -> dict[str, Randomisation]:
    """The measure, of maps that are there already."""
    from ._map_models import RandomWeights

    copy = RandomWeights(asked.model, asked.inputs, random_state, asked.output)
    layers: list[str] = []
    found: dict[str, list[tuple[Numbers, Numbers]]] = {name: [] for name in asked.originals}
    for name in copy.stages(stages):
        layers.append(name)
        maps, _ = asked.again(model=copy.model)
        for method, before in asked.originals.items():
            found[method].append(compared(before, maps[method], asked.axes))
    results = {}
    for method, pairs in found.items():
        absolute, signed = (np.stack(part, axis=-1) for part in zip(*pairs, strict=True))
        fields = measured("randomisation", _mean(absolute), asked.single, -1, 1)
        if asked.single:
            absolute, signed = absolute[:, 0], signed[:, 0]
        results[method] = Randomisation(
            **fields, layers=tuple(layers), absolute=absolute, signed=signed
        )
    return results


def _mean(stages: Numbers) -> Numbers:
    """The mean over those stages that have a value."""
    known = np.isfinite(stages)
    total = np.where(known, stages, 0.0).sum(axis=-1)
    return np.where(known.any(axis=-1), total / np.maximum(known.sum(axis=-1), 1), np.nan)


def compared(before: Any, after: Any, axes: int) -> tuple[Numbers, Numbers]:
    """Rank correlations (N, K) of two maps: of magnitudes, and of values with their sign."""
    absolute = [np.abs(per_pixel(maps, axes, "absolute")) for maps in (before, after)]
    signed = [per_pixel(maps, axes, "sum") for maps in (before, after)]
    return rank_correlation(*absolute), rank_correlation(*signed)
