"""What a run is about to do: checked, and tried on one image, before hours of work."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pyarrow import parquet

from .._warn import warn
from ..errors import InvalidInputError
from ..explain.black_box.perturbed import memory_of
from ..explain.methods import read_methods, seeded
from ..explain.model import place_of
from ..explain.networks.demo import Network
from ..explain.networks.loading import load_network
from ..explain.networks.photos import Preprocess, parse_preprocess
from ..progress import Progress
from .job import Batch, Job
from .labels import classes_of
from .layout import tried
from .lock import only_writer
from .manifest import NAME, Layout, Manifest, check_same, read_manifest
from .settings import described, identity, layer_names, made_with
from .sources import Source, read_source
from .store import Store, open_folder
from .targets import read_target


class Model(NamedTuple):
    """The network, and how another process gets it: by its name, or pickled."""

    network: Any
    spec: str | None
    weights: str | None


@dataclass
class Plan:
    """A run; ``manifest`` and ``job`` are there while its output is opened."""

    out: Path
    model: Model
    source: Source
    settings: dict[str, Any]
    names: tuple[str, ...] | None
    label_classes: list[int]
    targets: NDArray[np.int64] | None
    options: dict[str, Any]
    random_state: int | None
    manifest: Manifest = field(init=False)
    job: Job = field(init=False)

    @property
    def layout(self) -> Layout:
        """Of the output."""
        return self.manifest.layout

    @contextmanager
    def opened(self, progress: Progress) -> Iterator[Store]:
        """The output, begun or continued, with nobody else writing to it."""
        open_folder(self.out)
        with only_writer(self.out):
            if (self.out / NAME).exists():
                self.manifest = read_manifest(self.out)
                check_same(self.out, self.manifest.settings, self.settings)
                store = Store(self.out, self.layout)
                store.clean(store.done())
            else:
                store = self._begin(progress)
            self.source.expect(self.layout.image_shape)
            found = self.manifest
            self.job = self._job(found.seed, found.memory, found.threads)
            yield store

    def _begin(self, progress: Progress) -> Store:
        seed = secrets.randbits(31) if self.random_state is None else self.random_state
        memory = memory_of(place_of(self.model.network)[0]) // 2
        memory = 1 << (memory.bit_length() - 1)  # the same for machines of a kind
        threads = torch.get_num_threads()
        with progress.stage("one image"):
            layout = tried(self._job(seed, memory, threads), self)
        self.manifest = Manifest(self.settings, layout, self.names, seed, memory, threads)
        store = Store(self.out, layout)
        store.create(self.manifest, _items(self.source))
        return store

    def _job(self, seed: int, memory: int, threads: int) -> Job:
        methods = seeded(self.options["methods"], seed)
        return Job(**{**self.options, "methods": methods}, memory=memory, threads=threads)

    def batch(self, k: int, samples: Sequence[Any]) -> Batch:
        """The images of batch k, which have been read."""
        start, stop = self.layout.span(k)
        return self.part(k, start, stop, self.manifest.size(k), samples)

    def part(self, k: int, start: int, stop: int, size: int, samples: Sequence[Any]) -> Batch:
        """Images [start, stop) as batch k; of samples that are still to be read, none."""
        batch = Batch(
            k,
            start,
            size,
            samples=[],
            paths=self.source.paths[start:stop],
            labels=self.source.labels[start:stop],
            groups=self.source.groups[start:stop],
            label_classes=self.label_classes[start:stop],
            targets=None if self.targets is None else self.targets[start:stop],
        )
        return batch.read(samples, self.names)


def read_plan(
    model: Any,
    source: Any,
    methods: Any,
    out: Any,
    *,
    target: Any,
    labels: Any,
    groups: Any,
    names: Sequence[str] | None,
    preprocess: Any,
    weights: Any,
    random_state: int | None,
    progress: Progress,
    **options: Any,
) -> Plan:
    """Read what was given; see `explain_dataset`."""
    chosen = read_methods(methods)
    with progress.stage("network"):
        found, network = _network(model, weights)
    own = network.preprocess or Preprocess()
    prepare = parse_preprocess(preprocess, own) if isinstance(preprocess, str) else preprocess
    names = tuple(map(str, names)) if names is not None else network.names
    with progress.stage("images"):
        read = read_source(
            source, labels=labels, groups=groups, names=names, preprocess=prepare or own
        )
    options["layer"] = layer_names(found.network, options["layer"])
    options["methods"] = chosen
    options["target"], targets = read_target(target, len(read), names)
    if preprocess is not None and getattr(read, "prepare", prepare) is None:
        warn("preprocess= is not used: an array of floats is the network's input as it is")
    settings = {
        "source": read.describe(),
        "model": identity(found.network, found.spec),
        **{name: described(value) for name, value in options.items()},
        "target": described(options["target"] if targets is None else targets),
        "names": names and hashlib.sha256(json.dumps(names).encode()).hexdigest(),
        "random_state": random_state,
        "made_with": made_with(found.network),
    }
    if (
        options["target"] == "label"
        and read.kind != "dataset"
        and not any(x is not None for x in read.labels)
    ):
        raise InvalidInputError("target='label' explains the true class, and there are no labels")
    classes = classes_of(read.labels, names)
    return Plan(Path(out), found, read, settings, names, classes, targets, options, random_state)


def _network(model: Any, weights: Any) -> tuple[Model, Network]:
    """The model as given, or built from its name; and what is known of it."""
    if isinstance(model, str):
        network = load_network(model, weights)
        return Model(network.model, model, None if weights is None else str(weights)), network
    if weights is not None:
        raise InvalidInputError("weights= belongs to a model that is given by its name")
    if isinstance(model, Network):
        return Model(model.model, None, None), model
    return Model(model, None, None), Network(model, None, None)  # type: ignore[arg-type]


def _items(source: Source) -> bytes:
    """The images as they were listed, as a Parquet file."""
    table = pa.table(
        {
            "path": pa.array(source.paths, pa.string()),
            "label": pa.array([None if x is None else str(x) for x in source.labels], pa.string()),
            "group": pa.array([None if x is None else str(x) for x in source.groups], pa.string()),
        }
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
