"""A bank of features: built batch by batch, killed and continued, the same bits in the end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from .. import _checks
from .._warn import warn
from ..errors import InvalidInputError
from ..explain.model import unwrap
from ..explain.networks.demo import Network
from ..explain.networks.loading import load_network
from ..explain.networks.photos import Preprocess, parse_preprocess
from ..explain.targets.request import check_task
from ..image_sets import table
from ..image_sets.decoding import Sample
from ..image_sets.job import Batch, Job, Maps
from ..image_sets.labels import check_labels, classes_of
from ..image_sets.loader import prefetch
from ..image_sets.lock import only_writer
from ..image_sets.manifest import Layout, check_same
from ..image_sets.memory import kept_memory
from ..image_sets.rows import columns
from ..image_sets.settings import described, identity, layer_names, made_with
from ..image_sets.sources import Source, read_source
from ..image_sets.store import Encoded
from ..image_sets.thumbnails import thumbnail, thumbnail_size
from ..image_sets.writer import Writer
from ..progress import Progress, silenced
from .features import Reader, Seen, opened
from .folder import NAME, BankManifest, BankStore, open_folder, read_manifest
from .layer import POOLS

# Columns of explanations, and lists, which take ten times the memory of all the rest.
_NOT_USED = ("target", "target_score", "top_classes", "top_scores")
_BYTES, _TOGETHER = 2**24, 32  # of images that are written together, and batches at most
_NOT_FINITE = "the features are not finite"


@dataclass
class Plan:
    """A bank that is about to be built; ``manifest`` is there while its folder is open."""

    out: Path
    network: Any
    source: Source
    reader: Reader
    settings: dict[str, Any]
    names: tuple[str, ...] | None
    label_classes: list[int]
    batch_size: int
    thumbnail: int
    manifest: BankManifest = field(init=False)

    @contextmanager
    def opened(self) -> Iterator[BankStore]:
        """The folder, begun or continued, with nobody else writing to it."""
        open_folder(self.out)
        with only_writer(self.out):
            begun = (self.out / NAME).exists()
            if begun:
                self.manifest = read_manifest(self.out)
                check_same(self.out, self.manifest.settings, self.settings)
            else:
                layout = self._tried()
                threads = torch.get_num_threads()
                self.manifest = BankManifest(self.settings, layout, self.names, 0, 0, threads)
            store = BankStore(self.out, self.manifest.layout)
            if begun:
                store.clean(store.done())
            else:
                store.create(self.manifest)
            self.source.expect(self.manifest.layout.image_shape)
            yield store

    def _tried(self) -> Layout:
        """What will be written, found out from the first image that can be read."""
        _, sample = self.source.first()
        image, shown = sample.image, sample.shown
        assert image is not None
        with opened(self.reader), silenced():
            seen = self.reader.see(image[None], 1)
        self._check_classes(seen.classes)
        at = self.reader.at
        assert at is not None
        about = {"layer": at.name, "pool": at.pool}
        arrays = {"features": _array([seen.features.shape[1]], "float32", ["feature"], about)}
        if self.thumbnail and shown is not None:
            size = thumbnail_size(shown.shape[:2], self.thumbnail)
            arrays["thumbnails"] = _array([*size, 3], "uint8", ["y", "x", "colour"], {})
        # Small images are written many batches together: each part of the table takes some time.
        together = int(np.clip(_BYTES // (self.batch_size * image.nbytes), 1, _TOGETHER))
        n, many, shape = len(self.source), together * self.batch_size, tuple(image.shape)
        return Layout(n, many, shape, arrays, (), 1, True, seen.classes)

    def _check_classes(self, classes: int) -> None:
        if self.names is not None and len(self.names) != classes:
            raise InvalidInputError(
                f"there are {len(self.names)} names of classes, and the model has {classes} outputs"
            )
        check_labels(self.source.labels, self.names, classes)


def _array(shape: list[int], dtype: str, axes: list[str], about: dict[str, Any]) -> dict[str, Any]:
    return {"shape": shape, "dtype": dtype, "dimensions": axes, "attributes": about}


def read_plan(
    model: Any, source: Any, layer: Any, out: Any, progress: Progress, *, labels: Any, groups: Any,
    names: Sequence[str] | None, preprocess: Any, pool: str, output: Any, task: str,
    batch_size: int, thumbnail: int, weights: Any,
) -> Plan:  # fmt: skip
    """Read what was given; see `FeatureBank.build`."""
    with progress.stage("network"):
        network, spec = _network(model, weights)
    own = network.preprocess or Preprocess()
    prepare = parse_preprocess(preprocess, own) if isinstance(preprocess, str) else preprocess
    names = tuple(map(str, names)) if names is not None else network.names
    with progress.stage("images"):
        read = read_source(
            source, labels=labels, groups=groups, names=names, preprocess=prepare or own
        )
    if preprocess is not None and getattr(read, "prepare", prepare) is None:
        warn("preprocess= is not used: an array of floats is the network's input as it is")
    inner = unwrap(network.model)
    settings = {
        "source": read.describe(),
        "model": identity(inner, spec),
        "layer": described(layer_names(inner, layer)),
        "pool": pool,
        "output": described(output),
        "task": task,
        "batch_size": batch_size,
        "thumbnail": thumbnail,
        "names": names and hashlib.sha256(json.dumps(names).encode()).hexdigest(),
        "made_with": made_with(network.model),
    }
    reader = Reader(inner, layer, pool, output, task)
    known = classes_of(read.labels, names)
    return Plan(
        Path(out), network.model, read, reader, settings, names, known, batch_size, thumbnail
    )


def _network(model: Any, weights: Any) -> tuple[Network, str | None]:
    """The network as given, or built from its name; and that name."""
    if isinstance(model, str):
        return load_network(model, weights), model
    if weights is not None:
        raise InvalidInputError("weights= belongs to a model that is given by its name")
    return (model if isinstance(model, Network) else Network(model, None, None)), None  # type: ignore[arg-type]


def check_options(
    out: Any, pool: Any, task: Any, batch_size: Any, thumbnail: Any, workers: Any
) -> None:
    """Refuse what can be refused without looking at the model or the images."""
    if out is None or not isinstance(out, (str, os.PathLike)):
        raise InvalidInputError(f"out={out!r}: name the folder to write")
    if pool not in POOLS:
        raise InvalidInputError(f"pool={pool!r}: choose 'mean' or 'flatten'")
    check_task(task)
    _checks.check_whole("batch_size", batch_size, 1)
    _checks.check_whole("thumbnail", thumbnail, 0)
    if workers is not None:
        _checks.check_whole("workers", workers, 1)


def build(plan: Plan, workers: int | None, progress: Progress) -> None:
    """Compute and write what is missing."""
    with plan.opened() as store:
        layout, done = plan.manifest.layout, store.done()
        todo = [k for k in range(layout.chunks) if k not in done]
        left = sum(stop - start for start, stop in map(layout.span, todo))
        if not todo:
            progress.say(f"all {layout.n:,} images were done")
        elif done:
            progress.say(f"{layout.n - left:,} of {layout.n:,} images were done: the rest follows")
        if todo:
            _tell_space(plan, left)
            _work(plan, store, todo, layout.n - left, workers, progress)
        store.finish()


def _tell_space(plan: Plan, left: int) -> None:
    """Warn where the rest will not fit."""
    sizes = (
        np.dtype(of["dtype"]).itemsize * int(np.prod(of["shape"]))
        for of in plan.manifest.layout.arrays.values()
    )
    size, free = left * sum(sizes), shutil.disk_usage(plan.out).free
    if size > free:
        warn(
            f"{plan.out}: about {size / 2**30:.1f} GiB are still to be written, and the disk has "
            f"{free / 2**30:.1f} GiB free; a full disk ends the run, which can be continued "
            "(pool='mean' and smaller thumbnails need less)"
        )


def _work(
    plan: Plan, store: BankStore, todo: list[int], before: int, workers: int | None,
    progress: Progress,
) -> None:  # fmt: skip
    """What is computed is written, whatever happens."""
    manifest = plan.manifest
    layout = manifest.layout
    spans = [(k, *layout.span(k)) for k in todo]
    with (
        kept_memory(),
        opened(plan.reader, manifest.threads) as reader,
        progress.stage("features", layout.n, unit="images") as advance,
        Writer(store, manifest) as writer,
        prefetch(plan.source, spans, workers) as loaded,
    ):
        advance(before)
        for k, samples in loaded:
            writer.put(k, _batch(plan, reader, k, samples))
            advance(len(samples))


def _batch(plan: Plan, reader: Reader, k: int, samples: list[Sample]) -> Encoded:
    """The content of batch k; images that failed are zeros, so that others get the same bits."""
    layout, (start, stop) = plan.manifest.layout, plan.manifest.layout.span(k)
    reasons = [sample.reason for sample in samples]
    size, seen = plan.manifest.size(k), None
    if not all(reasons):
        images = np.zeros((len(samples), *layout.image_shape), np.float32)
        for to, sample in zip(images, samples, strict=True):
            if sample.image is not None:
                to[...] = sample.image
        with silenced():
            seen = reader.see(images, size)
        fine = np.isfinite(seen.features).all(axis=1) & seen.answers.finite
        reasons = [r or ("" if ok else _NOT_FINITE) for r, ok in zip(reasons, fine, strict=True)]
    batch = Batch(
        k, start, size, samples=[], paths=plan.source.paths[start:stop],
        labels=plan.source.labels[start:stop], groups=plan.source.groups[start:stop],
        label_classes=plan.label_classes[start:stop],
    ).read(samples, plan.names)  # fmt: skip
    known = [c if c < layout.classes else -1 for c in batch.label_classes]
    rows = _rows(plan, replace(batch, label_classes=known), seen, reasons)
    arrays = _arrays(layout, samples, seen, np.array([bool(reason) for reason in reasons]))
    return Encoded(arrays, rows, size if seen is None else seen.size)


def _rows(plan: Plan, batch: Batch, seen: Seen | None, reasons: list[str]) -> bytes:
    """The part of the table."""
    reader, layout = plan.reader, plan.manifest.layout
    job = Job({}, None, None, reader.task, None, layout.batch_size, reader.top_k, "", 0, 0, 0)
    found = None
    if seen is not None:
        best = seen.answers.classes[:, :1], seen.answers.scores[:, :1]
        found = Maps(classes=best[0], scores=best[1], answers=seen.answers)
    wanted = pa.schema([f for f in table.schema((), True, False) if f.name not in _NOT_USED])
    return table.to_bytes(columns(job, layout, batch, found, reasons), wanted)


def _arrays(
    layout: Layout, samples: list[Sample], seen: Seen | None, failed: NDArray[np.bool_]
) -> dict[str, bytes | None]:
    """Rows of the raw files; zeros where an image failed."""
    width = layout.arrays["features"]["shape"][0]
    features = np.zeros((len(samples), width), np.float32)
    if seen is not None:
        features[~failed] = seen.features[~failed]
    found: dict[str, bytes | None] = {"features": features.tobytes()}
    if "thumbnails" in layout.arrays:
        high, wide, _ = layout.arrays["thumbnails"]["shape"]
        pictures = np.zeros((len(samples), high, wide, 3), np.uint8)
        for to, sample, lost in zip(pictures, samples, failed, strict=True):
            if not lost and sample.shown is not None:
                to[...] = thumbnail(sample.shown, (high, wide))
        found["thumbnails"] = pictures.tobytes()
    return found
