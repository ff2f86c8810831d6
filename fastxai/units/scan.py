"""One pass over an image set that keeps, for every unit, the images that excite it most."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from .._warn import warn
from ..errors import InvalidInputError
from ..image_sets import need
from ..progress import Progress, open_progress, silenced

if TYPE_CHECKING:
    from .plan import Plan
    from .results import UnitScan
    from .store import Manifest, Progressed


def scan_units(
    model: Any,
    source: Any,
    layers: Any = None,
    out: str | Path | None = None,
    *,
    k: int = 9,
    units: Any = 16,
    project: bool = True,
    field: str = "exact",
    threshold: float = 0.0,
    call: int | None = None,
    labels: Any = None,
    names: Sequence[str] | None = None,
    preprocess: Any = None,
    batch_size: int = 32,
    workers: int | None = None,
    weights: str | Path | None = None,
    verbose: bool = False,
) -> UnitScan:
    """Find the images, and the places in them, that excite each unit of some layers most.

    One pass over the set in bounded memory: of every unit (channel) the k strongest images are
    kept with the position of the strongest activation in each, and how strong and how often the
    unit is active at all.  Then pictures are made of some units: the patches that the positions
    read, cut out by the receptive field, and the activations projected back to the pixels by
    DeconvNet (Zeiler and Fergus 2014, figure 2).

    A scan that was killed continues where it was when it is started again with the same
    arguments; the result is that of a scan that nobody interrupted.

    Parameters
    ----------
    model : Module, str or Network
        A network, which is left as it came, or a name as of ``fastxai explain --model``.
    source : str, Path, sequence of paths, ndarray, Dataset or DataLoader
        As of `fastxai.explain_dataset`.
    layers : str, Module, or sequence of them, optional
        By name or module, such as "layer4.1.relu"; "activations" is whatever an activation
        function gives.  By default, "resolutions", of every resolution the last feature map of
        a convolution, with the norm and activation behind it (before one with an upper end,
        such as ReLU6, at which many images would be equally strong).
        Layers without space, such as linear ones, have images and no patches: a unit of theirs
        reads the whole image.
    out : str or Path, optional
        The folder to write; without one, the result is in memory only and can not be continued.
    k : int, default 9
        Images a unit.
    units : int, "all", sequence of int, or mapping of layer to sequence, default 16
        Units of each layer that pictures are made of: so many, spread evenly over those that
        were active at all; all; or these.  Calls with the same folder add to what is there.
    project : bool, default True
        Whether activations are projected back, too.
    field : {"exact", "local"}, default "exact"
        What a patch shows: all pixels that the position can read, or those that it reads by
        convolutions and pooling around it.  Behind squeeze and excitation or group norm, whose
        statistics are of the whole image, the first is always the whole image.
    threshold : float, default 0.0
        An activation above it counts as active.
    call : int, optional
        Of layers that run several times which call is looked at; by default the first, 0.
    labels : optional
        The true classes, as of `explain_dataset`; shown beside the images.
    names : sequence of str, optional
        Of the classes; by default the network's own, if it brings them.
    preprocess : Preprocess or callable, optional
        How a photo becomes the input, as of `explain_dataset`.
    batch_size : int, default 32
        Images that run together.
    workers : int, optional
        Threads that read images; by default one a core, 8 at most.
    weights : str or Path, optional
        File of weights, where the model is a name.
    verbose : bool, default False
        Show progress.

    Returns
    -------
    UnitScan
        As `open_units` returns it.

    Raises
    ------
    InvalidInputError
        If something that was given can not be worked with, no image can be read, or ``out``
        holds a scan with other settings.  Single images that can not be read are no error: see
        `UnitScan.failed`.
    StorageError
        If the disk is full or read-only, or another process writes to ``out``.
    ModelError
        If the model raises.

    Examples
    --------
    >>> import numpy as np, torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> images = np.random.default_rng(0).random((20, 3, 16, 16), np.float32)
    >>> scan = fastxai.scan_units(net, images, layers="1", k=4)
    >>> scan["1"].values.shape, scan["1"].positions.shape
    ((4, 4), (4, 4, 2))
    >>> scan.strongest("1", unit=2)[0].box[0][1] - scan.strongest("1", unit=2)[0].box[0][0]
    3
    """
    need("torch", "zarr", "pyarrow", "pandas", "filelock")
    _check(out, k, units, threshold, call, batch_size, workers)
    _checks.check_flag("project", project)
    if field not in ("exact", "local"):
        raise InvalidInputError(f"field={field!r}: choose 'exact' or 'local'")
    from .passing import scanned
    from .plan import read_plan, wanted_units

    with open_progress(verbose) as progress:
        plan = read_plan(
            model, source, layers, out, k=k, threshold=threshold, call=call, labels=labels,
            names=names, preprocess=preprocess, batch_size=batch_size, weights=weights,
            local=field == "local", progress=progress,
        )  # fmt: skip
        with plan.opened(progress) as (manifest, progressed):
            wanted = wanted_units(manifest, units)
            progressed = scanned(plan, manifest, progressed, workers, progress)
            scan = _result(plan, manifest, progressed, project)
            _paint(scan, wanted, progress)
    if lines := scan.problems():
        warn("; ".join(lines))
    return scan


def _check(
    out: Any, k: Any, units: Any, threshold: Any, call: Any, batch_size: Any, workers: Any
) -> None:
    """Refuse what can be refused without looking at the model or the images."""
    if out is not None and not isinstance(out, (str, os.PathLike)):
        raise InvalidInputError(f"out={out!r}: name the folder to write")
    _checks.check_whole("k", k, 1)
    _checks.check_whole("batch_size", batch_size, 1)
    _checks.check_number("threshold", threshold, -np.inf)
    for name, value in (("workers", workers), ("call", call)):
        if value is not None:
            _checks.check_whole(name, value, 1 if name == "workers" else 0)
    if isinstance(units, bool) or not isinstance(units, (int, str, Sequence, Mapping, np.ndarray)):
        raise InvalidInputError(f"units={units!r}: give a number of units, 'all', or their numbers")
    if isinstance(units, int):
        _checks.check_whole("units", units, 0)
    if isinstance(units, str) and units != "all":
        raise InvalidInputError(f"units={units!r}: give a number of units, 'all', or their numbers")


def _result(plan: Plan, manifest: Manifest, progressed: Progressed, project: bool) -> UnitScan:
    from .portraits import Painter
    from .results import UnitScan

    items = plan.source.paths, plan.source.labels
    painter = Painter(plan.model, plan.source, plan.found, project)
    return UnitScan(manifest, progressed, items, plan.out, painter)


def _paint(scan: UnitScan, wanted: dict[str, list[int]] | int | None, progress: Progress) -> None:
    """Make the pictures that are asked for; in memory they are made when they are looked at."""
    if scan.path is None or len(scan.manifest.image_shape) != 3:
        return
    if isinstance(wanted, int):
        wanted = {name: scan.chosen(name, wanted) if wanted else [] for name in scan.layers}
    elif wanted is None:
        layers = scan.manifest.layers
        wanted = {name: list(range(layer.channels)) for name, layer in layers.items()}
    from ..image_sets.chunk import _torch_threads

    total, threads = sum(map(len, wanted.values())), scan.manifest.threads
    with progress.stage("pictures", total, unit="units") as advance, _torch_threads(threads):
        for name, units in wanted.items():
            for unit in units:
                with silenced():
                    scan.portrait(name, unit)
                advance(1)
