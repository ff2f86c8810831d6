"""Units that never speak, and units that never stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _checks
from ..errors import InvalidInputError
from ..image_sets import need
from ..progress import silenced
from .results import UnitScan

if TYPE_CHECKING:
    from .strongest import Strongest

_LISTED = 12  # numbers in a line


class DeadLayer(NamedTuple):
    """The units of one layer that look broken; arrays of their numbers.

    Attributes
    ----------
    units : int
        How many there are in all.
    dead : ndarray of int64
        Not once above the threshold, in no image, at no position.
    always_on : ndarray of int64
        Above it at every position of every image: behind a ReLU, as good as linear.
    constant : ndarray of int64
        The same value everywhere, and not dead.
    nonfinite : ndarray of int64
        With a NaN or an infinity in some image.
    """

    units: int
    dead: NDArray[np.int64]
    always_on: NDArray[np.int64]
    constant: NDArray[np.int64]
    nonfinite: NDArray[np.int64]


class DeadUnits(Mapping[str, DeadLayer]):
    """By layer the units that are dead, always on or constant; see `dead_units`.

    ``print`` lists them.

    Attributes
    ----------
    images : int
        How many were looked at.
    """

    def __init__(self, layers: Mapping[str, DeadLayer], images: int) -> None:
        self._layers, self.images = dict(layers), images

    def __getitem__(self, layer: str) -> DeadLayer:
        return self._layers[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        """As `lines`."""
        return "\n".join(self.lines())

    def lines(self, listed: int | None = _LISTED) -> list[str]:
        """A line a layer, with at most so many numbers of units of a kind (None: all)."""
        return [f"{name}: {_told(layer, listed)}" for name, layer in self.items()]

    @property
    def table(self) -> Any:
        """A pandas DataFrame with the columns layer, unit and state, a row a unit and state."""
        need("pandas")
        import pandas as pd

        rows = [
            (name, int(unit), kind.replace("_", " "))
            for name, layer in self.items()
            for kind in ("dead", "always_on", "constant", "nonfinite")
            for unit in getattr(layer, kind)
        ]
        return pd.DataFrame(rows, columns=["layer", "unit", "state"])


def _told(layer: DeadLayer, listed: int | None) -> str:
    kinds = (
        (layer.dead, "dead"),
        (layer.always_on, "always on"),
        (layer.constant, "constant"),
        (layer.nonfinite, "not finite"),
    )
    parts = []
    for numbers, what in kinds:
        if len(numbers):
            some = ", ".join(map(str, numbers[:listed].tolist()))
            more = ", ..." if listed is not None and len(numbers) > listed else ""
            parts.append(f"{len(numbers):,} {what} ({some}{more})")
    found = "; ".join(parts) or "none dead, none always on"
    return f"of {layer.units:,} units {found}"


def dead_units(
    model: Any,
    images: Any = None,
    layers: Any = None,
    *,
    threshold: float = 0.0,
    call: int | None = None,
    batch_size: int = 32,
) -> DeadUnits:
    """List the units that are never active, always active, or constant.

    Behind a ReLU a unit that is never above zero passes no gradient and learns nothing more,
    and one that is always above it does not bend anything.

    Parameters
    ----------
    model : Module or UnitScan
        A network, which is left as it came, or what `scan_units` returned.
    images : Tensor, ndarray, or tuple or mapping of them, optional
        (N, C, *spatial), prepared as for the model; of a scan None.
    layers : str, Module, or sequence of them, optional
        By default whatever an activation function gives; of a scan its layers.
    threshold : float, default 0.0
        An activation above it counts as active; of a scan its own.
    call : int, optional
        Of named layers that run several times which call; by default the first, 0.
    batch_size : int, default 32
        Images that run together.

    Returns
    -------
    DeadUnits
        By layer a `DeadLayer`.  About these images: among others a unit may wake up.

    Raises
    ------
    InvalidInputError
        If there is no such layer, or images are missing.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU())
    >>> with torch.no_grad():
    ...     _ = net[0].bias.copy_(torch.tensor([-99.0, 0.0, 99.0]))
    >>> found = fastxai.dead_units(net, torch.rand(5, 1, 8, 8))
    >>> found["1"].dead, found["1"].always_on
    (array([0]), array([2]))
    """
    if isinstance(model, UnitScan):
        if images is not None or call is not None or threshold != 0.0:
            raise InvalidInputError(
                "a scan knows its images, threshold and calls: give it alone, or with layers="
            )
        return dead_of(model, layers)
    if images is None or isinstance(images, (str, bytes)) or hasattr(images, "__fspath__"):
        raise InvalidInputError(
            "images= is a batch (N, C, *spatial), prepared as for the model; of a folder or a "
            "Dataset: fastxai.dead_units(fastxai.scan_units(model, source, 'activations'))"
        )
    _checks.check_whole("batch_size", batch_size, 1)
    _checks.check_number("threshold", threshold, -np.inf)
    return _of_batch(model, images, layers, threshold, call, batch_size)


def _of_batch(
    model: Any, images: Any, layers: Any, threshold: float, call: int | None, batch_size: int
) -> DeadUnits:
    from ..explain.explainer import Explainer, opened
    from ..explain.model import caller, unwrap
    from .choosing import units_of
    from .passing import look
    from .strongest import Strongest
    from .tapping import shapes_of

    inner = unwrap(model)
    with opened(Explainer(inner), images) as (inputs, _):
        one, n = inputs.part(0, 1), len(inputs)
        try:
            found = units_of(inner, "activations" if layers is None else layers, one, call)
        except InvalidInputError:
            if layers is not None:
                raise
            found = units_of(inner, None, one)
        shapes = shapes_of(caller(inner), one, list(found.values()))
    states = {name: Strongest.empty(shapes[layer][0], 1) for name, layer in found.items()}
    with silenced():
        states, _ = look(inner, images, found, states, np.arange(n), threshold, batch_size)
    return DeadUnits({name: _state(state) for name, state in states.items()}, n)


def dead_of(scan: UnitScan, layers: Any = None) -> DeadUnits:
    """What a scan knows."""
    wanted = scan.layers if layers is None else [layers] if isinstance(layers, str) else layers
    return DeadUnits({name: _state(scan.state(name)) for name in wanted}, scan.done)


def _state(state: Strongest) -> DeadLayer:
    known = state.finite > 0
    dead = known & (state.active == 0)
    same = (state.low == state.high) & (state.finite > 1)
    kinds = (dead, known & (state.active == state.finite), same & ~dead, state.nonfinite > 0)
    return DeadLayer(len(known), *(np.flatnonzero(kind) for kind in kinds))
