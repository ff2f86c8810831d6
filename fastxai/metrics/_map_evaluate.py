"""All measures of several methods at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import check_flag, check_number, check_whole
from ..errors import InvalidInputError
from ._estimate import Estimate
from ._map_curves import insertion_deletion
from ._map_randomisation import STAGES, check_randomisation, randomised
from ._map_reading import check_channels, per_pixel
from ._map_regions import evidence_share, pointing_game
from ._map_result import MapMeasure
from ._map_stability import DRAWS, NOISE, check_stability, under_noise
from ._map_trust import RANDOM, Trust, TrustRow

if TYPE_CHECKING:
    from ._map_models import Asked

MEASURES = (
    "insertion",
    "deletion",
    "pointing_game",
    "evidence_share",
    "randomisation",
    "stability",
)
_CURVES, _REGIONS = MEASURES[:2], MEASURES[2:4]


def trust(
    model: Any,
    images: Any,
    methods: Any = "gradcam",
    *,
    target: Any = None,
    layer: Any = None,
    boxes: Any = None,
    masks: Any = None,
    measures: Collection[str] | None = None,
    steps: int = 50,
    score: str = "probability",
    insertion_baseline: Any = "blur",
    deletion_baseline: Any = 0.0,
    tolerance: float = 15,
    stages: int = STAGES,
    noise: float = NOISE,
    draws: int = DRAWS,
    channels: str = "absolute",
    random: bool = True,
    random_state: int = 0,
    **options: Any,
) -> Trust:
    """Measure how far the maps of several methods can be trusted, on the same images.

    Parameters
    ----------
    model : Module or callable
        It is left as it came.
    images : Tensor, ndarray, or tuple or mapping of them
        (N, C, *spatial), floating, prepared as for the model.  Figures are of images like
        these: 30 to 100 of them give intervals that tell methods apart.
    methods, target, layer
        As of `fastxai.explain`.
    boxes, masks : optional
        Where the object is, as of `pointing_game`; without them the two measures that ask for
        it are left out.
    measures : collection of str, optional
        Which of ``insertion``, ``deletion``, ``pointing_game``, ``evidence_share``,
        ``randomisation`` (of magnitudes, and ``randomisation_signed``) and ``stability`` (and
        ``change``); by default all that can be measured.
    steps, score, insertion_baseline, deletion_baseline
        As of `insertion_deletion`.
    tolerance : float, default 15
        As of `pointing_game`.
    stages : int, default 8
        As of `randomisation`; the table shows the mean over them.
    noise, draws
        As of `stability`.
    channels : {"absolute", "sum"}, default "absolute"
        How maps by channel are added up.
    random : bool, default True
        Add a row of maps of noise: what a method that knows nothing would get.
    random_state : int, default 0
        Seed of all that is random.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.

    Returns
    -------
    Trust
        Printed it is a table; ``.rows``, ``.to_pandas()``, ``.to_json()``.

    Raises
    ------
    InvalidInputError
        If an option can not be worked with.

    Examples
    --------
    >>> import torch
    >>> from fastxai.metrics import maps
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> table = maps.trust(net, torch.rand(8, 3, 4, 4), ["saliency", "occlusion"], stages=1)
    >>> table.methods, table["saliency", "stability"].n
    (('saliency', 'occlusion', 'random'), 8)
    """
    wanted = _wanted(measures, model, boxes is not None or masks is not None)
    check_flag("random", random)
    check_whole("steps", steps, 1)
    check_number("tolerance", tolerance, 0)
    check_channels(channels)
    check_randomisation(stages, random_state)
    check_stability(noise, draws, random_state)
    from ..explain.black_box.baselines import check_baseline
    from ..explain.black_box.perturbed import check_score
    from ._map_models import Asked

    check_score(score)
    for baseline in (insertion_baseline, deletion_baseline):
        check_baseline(baseline)
    curves = {"steps": steps, "score": score, "insertion_baseline": insertion_baseline}
    curves |= {"deletion_baseline": deletion_baseline, "channels": channels}
    asked = Asked(model, images, methods, target, layer, options)
    table = _Table(asked, random)
    if wanted & set(_CURVES):
        table.add_curves(wanted, {**curves, "random_state": random_state, **options})
    if wanted & set(_REGIONS):
        table.add_regions(wanted, boxes, masks, tolerance, channels)
    settings = {"steps": steps, "score": score, "tolerance": tolerance, "channels": channels}
    settings |= {name: _told(curves[name]) for name in curves if name.endswith("baseline")}
    if "randomisation" in wanted:
        table.add_randomisation(stages, random_state)
    if "stability" in wanted:
        settings["score_change"] = table.add_stability(noise, draws, random_state)
    settings |= {"stages": stages, "noise": noise, "draws": draws, "random_state": random_state}
    settings |= {"images": table.total, "targets": int(asked.explanations.classes.shape[1])}
    return Trust(tuple(table.sorted()), settings)


def _told(baseline: Any) -> Any:
    """A baseline as it can be written down."""
    return baseline if isinstance(baseline, (str, int, float)) else type(baseline).__name__


def _wanted(measures: Collection[str] | None, model: Any, places: bool) -> set[str]:
    """The measures that are asked for, or all that can be had."""
    if measures is None:
        possible = set(MEASURES) if places else set(MEASURES) - set(_REGIONS)
        return possible if _has_weights(model) else possible - {"randomisation"}
    names = [measures] if isinstance(measures, str) else list(measures)
    if strange := [name for name in names if name not in MEASURES]:
        raise InvalidInputError(
            f"measures names {strange[0]!r}: choose among {', '.join(MEASURES)}"
        )
    if not names:
        raise InvalidInputError(f"measures is empty: choose among {', '.join(MEASURES)}")
    if not places and (asking := [name for name in names if name in _REGIONS]):
        raise InvalidInputError(
            f"measures names {asking[0]!r}, which asks where the object is: give boxes= or masks="
        )
    return set(names)


def _has_weights(model: Any) -> bool:
    parameters = getattr(model, "parameters", None)
    return callable(parameters) and next(iter(parameters()), None) is not None


# Which values of each figure are good, in the order of the table.
_BETTER = {
    "insertion": "higher",
    "deletion": "lower",
    "pointing_game": "higher",
    "evidence_share": "higher",
    "randomisation": "lower",
    "randomisation_signed": "lower",
    "stability": "higher",
    "change": "lower",
}


class _Table:
    """Rows as they come."""

    def __init__(self, asked: Asked, random: bool) -> None:
        self._asked, self._random = asked, random
        self._rows: list[TrustRow] = []
        self.total = len(asked.inputs)

    def sorted(self) -> list[TrustRow]:
        """Method by method, in the order in which they were asked for."""
        methods, figures = [*self._asked.originals, RANDOM], list(_BETTER)
        return sorted(
            self._rows, key=lambda row: (methods.index(row.method), figures.index(row.measure))
        )

    def add_curves(self, wanted: set[str], options: Mapping[str, Any]) -> None:
        asked = self._asked
        drawn = {RANDOM: self._noise(options["random_state"])} if self._random else {}
        for name, maps in {**asked.originals, **drawn}.items():
            own = maps[:, 0] if asked.single else maps
            both = insertion_deletion(
                asked.model, asked.given(), own, target=asked.target, **options
            )
            for measure in both:
                if measure.name in wanted:
                    self._add(name, measure.name, measure.estimate, measure.n)

    def add_regions(
        self, wanted: set[str], boxes: Any, masks: Any, tolerance: float, channels: str
    ) -> None:
        asked = self._asked
        chances: dict[str, MapMeasure] = {}
        for name, maps in asked.originals.items():
            values = per_pixel(maps, asked.axes, channels)
            measures = [
                pointing_game(values, boxes, masks, tolerance=tolerance, axes=asked.axes),
                evidence_share(values, boxes, masks, axes=asked.axes),
            ]
            for measure in measures:
                if measure.name in wanted:
                    self._add(name, measure.name, measure.estimate, measure.n)
                    chances.setdefault(measure.name, measure)
        for measure in chances.values() if self._random else ():
            assert measure.chance is not None
            self._add(RANDOM, measure.name, measure.chance, measure.n)

    def add_randomisation(self, stages: int, random_state: int) -> None:
        for name, found in randomised(self._asked, stages, random_state).items():
            self._add(name, "randomisation", found.estimate, found.n)
            self._add(name, "randomisation_signed", found.estimate_signed, found.n)

    def add_stability(self, noise: float, draws: int, random_state: int) -> float:
        """How far the scores moved is the same for all methods, and returned."""
        moved = 0.0
        for name, found in under_noise(self._asked, noise, draws, random_state).items():
            self._add(name, "stability", found.estimate, found.n)
            self._add(name, "change", found.change.estimate, found.change.n)
            moved = found.score_change.estimate.value
        return moved

    def _add(self, method: str, measure: str, found: Estimate, n: int) -> None:
        numbers = (found.value, found.low, found.high)
        self._rows.append(TrustRow(method, measure, *numbers, n, self.total, _BETTER[measure]))

    def _noise(self, random_state: int) -> Any:
        """Maps (N, K, *spatial) of uniform noise, each image's its own."""
        asked = self._asked
        shape = (asked.explanations.classes.shape[1], *asked.inputs.spatial)
        return np.stack(
            [
                np.random.default_rng([random_state, row, 7]).random(shape)
                for row in range(self.total)
            ]
        )
