"""Insertion and deletion: does the score follow the pixels that a map calls important?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._checks import check_flag, check_whole
from ._map_reading import Numbers, as_array, check_channels
from ._map_result import MapMeasure, measured

_OPTIONS = ("output", "task", "wrt", "batch_size", "verbose")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Curve(MapMeasure):
    """A curve of scores for each map; ``values`` are the areas below them.

    Attributes
    ----------
    shares : ndarray of float64
        (steps + 1,): the share of the pixels that is inserted or deleted, from 0 to 1.
    scores : ndarray of float64
        (N, steps + 1), or (N, K, steps + 1) with several targets; of NaN maps NaN.
    """

    shares: Numbers
    scores: Numbers


class Curves(NamedTuple):
    """Both curves of the same maps."""

    insertion: Curve
    deletion: Curve


def insertion_deletion(
    model: Any,
    images: Any,
    maps: Any,
    *,
    target: Any = None,
    steps: int = 50,
    score: str = "probability",
    insertion_baseline: Any = "blur",
    deletion_baseline: Any = 0.0,
    channels: str = "absolute",
    random_state: int = 0,
    fast: bool = False,
    **options: Any,
) -> Curves:
    """Insertion and deletion curves, and the areas below them.

    Pixels are changed in the order of the map, the highest first: from a blurred image to the
    image (insertion), and from the image to the baseline (deletion).  The area under the
    target's score against the share of changed pixels is high for insertion and low for
    deletion if the map names what the network uses (Petsiuk, Das and Saenko 2018, "RISE",
    section 3.3 and algorithm 1; the area is the trapezoid rule's).

    Parameters
    ----------
    model : Module or callable
        Asked for answers only; it is left as it came.
    images : Tensor, ndarray, or tuple or mapping of them
        (N, C, *spatial), floating, prepared as for the model.
    maps : Tensor or ndarray
        (N, *spatial), or (N, K, *spatial) with several targets; by channel with a C before the
        spatial axes.
    target : optional
        What the maps were made for, as of `fastxai.explain`; None is the predicted class.
    steps : int, default 50
        The pixels change in so many equal parts: pixel by pixel where there are fewer.  The
        paper takes 224.
    score : {"probability", "logit"}, default "probability"
        What is drawn.
    insertion_baseline, deletion_baseline : baseline, default "blur" and 0.0
        As of `Occlusion`: a number, one a channel, an image (C, *spatial), "mean" or "blur" (a
        Gaussian of a twentieth of the image's side).  0 is the training set's mean where images
        are normalised, and black where they are not.
    channels : {"absolute", "sum"}, default "absolute"
        How maps by channel are added up: their magnitudes, or with their signs.
    random_state : int, default 0
        Equal pixels (all that a ReLU has cut, say) change in a random order, drawn for each
        image: a map that is the same everywhere has the curve of a random one.
    fast : bool, default False
        Run a copy of the model made for the purpose, batch norms folded into convolutions.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.  The batch
        size is that of changed images; by default what fits and runs best.

    Returns
    -------
    Curves
        ``insertion`` and ``deletion``.  Areas of maps with NaN are NaN and do not count.

    Raises
    ------
    InvalidInputError
        If the maps do not fit the images or the targets, or an option is unknown.
    ModelError
        If the model's own forward raises.

    Examples
    --------
    >>> import torch
    >>> from fastxai.metrics import maps
    >>> image = torch.zeros(1, 1, 4, 4)
    >>> image[0, 0, 1, 1] = 1.0
    >>> both = maps.insertion_deletion(
    ...     lambda x: x.sum((1, 2, 3))[:, None], image, image[:, 0], steps=4, score="logit",
    ...     task="regression", insertion_baseline=0.0,
    ... )
    >>> both.insertion.scores.tolist(), both.deletion.scores.tolist()
    ([[0.0, 1.0, 1.0, 1.0, 1.0]], [[1.0, 0.0, 0.0, 0.0, 0.0]])
    """
    found = _curves(
        model,
        images,
        maps,
        {"insertion": insertion_baseline, "deletion": deletion_baseline},
        target=target,
        steps=steps,
        score=score,
        channels=channels,
        random_state=random_state,
        fast=fast,
        **options,
    )
    return Curves(*found)


def insertion(
    model: Any, images: Any, maps: Any, *, baseline: Any = "blur", **options: Any
) -> Curve:
    """The insertion curve alone; see `insertion_deletion`.

    Parameters
    ----------
    model, images, maps
        As of `insertion_deletion`.
    baseline : baseline, default "blur"
        What the image is inserted into.
    **options
        The rest of those of `insertion_deletion`.

    Returns
    -------
    Curve

    Examples
    --------
    >>> import torch
    >>> from fastxai.metrics import maps
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> maps.insertion(net, torch.rand(2, 3, 4, 4), torch.rand(2, 4, 4)).scores.shape
    (2, 17)
    """
    return _curves(model, images, maps, {"insertion": baseline}, **options)[0]


def deletion(model: Any, images: Any, maps: Any, *, baseline: Any = 0.0, **options: Any) -> Curve:
    """The deletion curve alone; see `insertion_deletion`.

    Parameters
    ----------
    model, images, maps
        As of `insertion_deletion`.
    baseline : baseline, default 0.0
        What stands where pixels are deleted.
    **options
        The rest of those of `insertion_deletion`.

    Returns
    -------
    Curve

    Examples
    --------
    >>> import torch
    >>> from fastxai.metrics import maps
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> maps.deletion(net, torch.rand(2, 3, 4, 4), torch.rand(2, 4, 4), steps=8).shares[:3]
    array([0.   , 0.125, 0.25 ])
    """
    return _curves(model, images, maps, {"deletion": baseline}, **options)[0]


def _curves(
    model: Any,
    images: Any,
    maps: Any,
    baselines: dict[str, Any],
    *,
    target: Any = None,
    steps: int = 50,
    score: str = "probability",
    channels: str = "absolute",
    random_state: int = 0,
    fast: bool = False,
    **options: Any,
) -> list[Curve]:
    check_whole("steps", steps, 1)
    check_whole("random_state", random_state, 0)
    check_flag("fast", fast)
    check_channels(channels)
    if strange := [name for name in options if name not in _OPTIONS]:
        raise TypeError(f"there is no option {strange[0]!r}; of a model there are {_OPTIONS}")
    array = as_array(maps, "maps")
    from ..explain.engine import run
    from ._map_forward import Ordered, shares

    ordered = Ordered(
        model,
        maps=array,
        baselines=baselines,
        steps=steps,
        score=score,
        channels=channels,
        random_state=random_state,
        fast=fast,
        **options,
    )
    out = run([ordered], images, target).explanations
    scores = as_array(out[ordered.name].maps, "scores").astype(np.float64)
    counts = shares(steps, int(np.prod(out.images.shape[2:])))
    good = np.isfinite(array).reshape(*scores.shape[:-2], -1).all(axis=-1)
    scores = np.where(good[..., None, None], scores, np.nan)
    bounded = score == "probability" and options.get("task") != "regression"
    ends = (0.0, 1.0) if bounded and (out.classes >= 0).all() else (-np.inf, np.inf)
    found = []
    for place, name in enumerate(baselines):
        curve = scores[..., place, :]
        areas = np.trapezoid(curve, counts / counts[-1], axis=-1)
        fields = measured(name, areas[:, None] if out.single else areas, out.single, *ends)
        found.append(Curve(**fields, shares=counts / counts[-1], scores=curve))
    return found
