"""What a scan is about to do: checked, and tried on one image, before hours of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .._warn import warn
from ..errors import InvalidInputError
from ..explain.explainer import Explainer, opened
from ..explain.layers.layers import Layer
from ..explain.model import caller, unwrap
from ..explain.networks.photos import Preprocess, parse_preprocess
from ..image_sets.plan import _items, _network
from ..image_sets.settings import identity, layer_names, made_with
from ..image_sets.sources import Source, read_source
from ..image_sets.store import told
from ..io import atomic_write
from ..progress import Progress
from .choosing import units_of
from .reach import Field, receptive_fields
from .store import ITEMS, LayerShape, Manifest, Progressed, open_folder
from .tapping import shapes_of


@dataclass
class Plan:
    """The network, the images, and the options of a scan."""

    model: Any
    source: Source
    out: Path | None
    layers: Any
    call: int | None
    k: int
    threshold: float
    batch_size: int
    local: bool
    settings: dict[str, Any]
    found: dict[str, Layer]  # by name, when the output is open

    @contextmanager
    def opened(self, progress: Progress) -> Iterator[tuple[Manifest, Progressed]]:
        """The output, begun or continued, with nobody else writing to it."""
        if self.out is None:
            manifest = self._tried(progress, None)
            yield manifest, Progressed.begun(manifest)
            return
        with open_folder(self.out, self.settings) as there:
            manifest = self._tried(progress, there)
            if there is None:
                with told(self.out):
                    with atomic_write(self.out / ITEMS) as temporary:
                        temporary.write_bytes(_items(self.source))
                    manifest.write(self.out)
            yield manifest, Progressed.read(self.out, manifest)

    def _tried(self, progress: Progress, there: Manifest | None) -> Manifest:
        """The layers, and how they see one image; of a scan that continues, as they were."""
        _, sample = self.source.first()
        assert sample.image is not None
        with opened(Explainer(self.model), sample.image[None]) as (inputs, _):
            self.found = units_of(self.model, self.layers, inputs, self.call)
            if there is None:
                progress.say(f"layers: {', '.join(self.found)}")
                shapes = shapes_of(caller(self.model), inputs, list(self.found.values()))
                with progress.stage("receptive fields", sum(inputs.spatial)) as advance:
                    wanted = list(self.found.values())
                    fields = receptive_fields(
                        caller(self.model), inputs, wanted, advance, local=self.local
                    )
        image = tuple(sample.image.shape)
        self.source.expect(image)
        if there is not None:
            return there
        layers = _layer_shapes(self.found, shapes, fields, image[1:])
        threads = torch.get_num_threads()
        return Manifest(
            self.settings, len(self.source), self.batch_size, self.k, threads, self.threshold,
            image, layers,
        )  # fmt: skip


def _layer_shapes(
    layers: dict[str, Layer],
    shapes: dict[Layer, tuple[int, ...]],
    fields: dict[Layer, Field],
    image: tuple[int, ...],
) -> dict[str, LayerShape]:
    made = {}
    for name, layer in layers.items():
        channels, *space = shapes[layer]
        field = fields.get(layer) or Field.of_everything(image, space)
        made[name] = LayerShape(name, channels, tuple(space), field)
    return made


def read_plan(
    model: Any, source: Any, layers: Any, out: Any, *, k: int, threshold: float, call: int | None,
    labels: Any, names: Sequence[str] | None, preprocess: Any, batch_size: int, weights: Any,
    local: bool, progress: Progress,
) -> Plan:  # fmt: skip
    """Read what was given; see `scan_units`."""
    with progress.stage("network"):
        found, network = _network(model, weights)
    inner = unwrap(found.network)
    own = network.preprocess or Preprocess()
    prepare = parse_preprocess(preprocess, own) if isinstance(preprocess, str) else preprocess
    names = tuple(map(str, names)) if names is not None else network.names
    with progress.stage("images"):
        read = read_source(source, labels=labels, names=names, preprocess=prepare or own)
    if preprocess is not None and getattr(read, "prepare", prepare) is None:
        warn("preprocess= is not used: an array of floats is the network's input as it is")
    chosen = layer_names(inner, layers)
    settings = {
        "source": read.describe(),
        "model": identity(inner, found.spec),
        "layers": [chosen] if isinstance(chosen, str) else chosen,
        "call": call,
        "k": k,
        "threshold": float(threshold),
        "batch_size": batch_size,
        "field": "local" if local else "exact",
        "made_with": made_with(inner),
    }
    folder = None if out is None else Path(out)
    return Plan(inner, read, folder, chosen, call, k, threshold, batch_size, local, settings, {})


def wanted_units(manifest: Manifest, units: Any) -> dict[str, list[int]] | int | None:
    """Numbers of units by layer; None for all, a number for so many."""
    if isinstance(units, (int, str)):
        return None if units == "all" else int(units)
    given = units if isinstance(units, Mapping) else dict.fromkeys(manifest.layers, units)
    wanted = {}
    for name, numbers in given.items():
        if name not in manifest.layers:
            raise InvalidInputError(
                f"units= names the layer {name!r}, and {', '.join(manifest.layers)} are scanned"
            )
        channels = manifest.layers[name].channels
        wanted[name] = [int(unit) for unit in numbers]
        if wrong := [unit for unit in wanted[name] if not 0 <= unit < channels]:
            raise InvalidInputError(
                f"units= asks for unit {wrong[0]}, and layer {name!r} has units 0 to {channels - 1}"
            )
    return wanted
