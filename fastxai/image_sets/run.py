"""A whole image set: explained batch by batch, killed and continued, the same bits in the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _checks
from .._warn import warn
from ..errors import InvalidInputError
from ..progress import Progress, open_progress, silenced
from . import need
from .results import Results, open_results

if TYPE_CHECKING:
    from .plan import Plan
    from .store import Encoded


def explain_dataset(
    model: Any,
    source: Any,
    methods: Any = "gradcam",
    out: str | Path | None = None,
    *,
    target: Any = None,
    labels: Any = None,
    groups: Any = None,
    names: Sequence[str] | None = None,
    preprocess: Any = None,
    layer: Any = None,
    output: Any = None,
    task: str = "softmax",
    batch_size: int = 32,
    top_k: int = 5,
    dtype: str = "float32",
    thumbnail: int = 96,
    random_state: int | None = 0,
    workers: int | None = None,
    client: Any = None,
    weights: str | Path | None = None,
    verbose: bool = False,
) -> Results:
    """Explain every image of a set, in bounded memory, into a folder that can be read lazily.

    The set is cut into batches at the start; each is written whole or not at all.  A run that
    was killed continues where it was when it is started again with the same arguments, and the
    output is the same, byte for byte, as that of a run that nobody interrupted.

    Parameters
    ----------
    model : Module, callable, str or Network
        A network, which is left as it came; a callable for methods that need only answers; or
        a name as of ``fastxai explain --model``: "efficientnet-lite0", "torchvision:NAME",
        "timm:NAME", or "package.module:callable", **whose code is run**.
    source : str, Path, sequence of paths, ndarray, Dataset or DataLoader
        A folder, which is searched for images to any depth; paths; a .csv or .parquet file with
        a column of paths, and maybe ``label`` and ``group``; an array (N, C, *spatial) of
        floats, prepared as for the model, or (N, H, W[, 3]) of bytes; a map-style Dataset of
        images, or of images and labels.
    methods : str, sequence of str, or mapping of str to dict, default "gradcam"
        As of `fastxai.explain`.
    out : str or Path
        The folder to write.
    target : None, int, "topK", "label" or ndarray, optional
        What is explained: the predicted class, this class, the best K, the true class, or
        (N,) or (N, K) classes.
    labels, groups : optional
        The true classes, numbers or names, and a name of a group an image: a sequence, a mapping
        from path, a .csv or .parquet file with both, the name of a column of the source, or
        "folder" for the name of the folder that the image lies in.
    names : sequence of str, optional
        Of the classes; by default the network's own, if it brings them.
    preprocess : Preprocess or callable, optional
        How a photo becomes the input, (C, *spatial); by default the network's own, if it brings
        it, else that of ImageNet.
    layer, output, task
        As of `fastxai.explain`.
    batch_size : int, default 32
        Images that run together, and lie in one chunk of the output.
    top_k : int, default 5
        How many of the best classes the table holds.
    dtype : {"float32", "float16"}, default "float32"
        Of the maps on disk.  float16 ones are divided by a power of two, which the table holds
        (``gradcam_scale``).
    thumbnail : int, default 96
        Pixels of the longer side of a small picture of each image; 0 for none.
    random_state : int or None, default 0
        Of methods that draw at random: an image's numbers do not depend on its batch.
    workers : int, optional
        Threads that read images; by default one a core, 8 at most.
    client : distributed.Client or str, optional
        Or the address of a scheduler: explain on a cluster, see the guide; this process writes.
    weights : str or Path, optional
        File of weights, where the model is a name.
    verbose : bool, default False
        Show progress.

    Returns
    -------
    Results
        As `open_results` returns it.

    Raises
    ------
    InvalidInputError
        If something that was given can not be worked with, or ``out`` holds a run with other
        settings; the message shows the differences.  Images that can not be read are no error:
        they are rows of the table with status "failed" and the reason.
    StorageError
        If the disk is full or read-only, or another process writes to ``out``.
    ModelError
        If the model raises.

    Examples
    --------
    >>> import numpy as np, torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
    ... )
    >>> images = np.random.default_rng(0).random((10, 3, 16, 16), np.float32)
    >>> results = fastxai.explain_dataset(net, images, "gradcam", "run", batch_size=4)
    >>> results.maps["gradcam"].shape, results.table["status"].eq("ok").all()
    ((10, 16, 16), np.True_)
    """
    need("torch", "zarr", "pyarrow", "pandas", "filelock")
    from .plan import read_plan

    _check(out, batch_size, top_k, dtype, thumbnail, random_state, workers)
    if client is not None:
        from .cluster import check_client

        check_client(client)
    with open_progress(verbose) as progress:
        plan = read_plan(
            model, source, methods, out, target=target, labels=labels, groups=groups, names=names,
            preprocess=preprocess, weights=weights, random_state=random_state, progress=progress,
            layer=layer, output=output, task=task, batch_size=batch_size, top_k=top_k, dtype=dtype,
            thumbnail=thumbnail,
        )  # fmt: skip
        with plan.opened(progress) as store:
            done = store.done()
            todo = [k for k in range(plan.layout.chunks) if k not in done]
            _tell_start(plan, todo, progress)
            _work(plan, store, todo, client, workers, progress)
            store.finish()
    results = open_results(plan.out)
    _tell_problems(results)
    return results


def _check(
    out: Any, batch_size: Any, top_k: Any, dtype: Any, thumbnail: Any, random_state: Any,
    workers: Any,
) -> None:  # fmt: skip
    """Refuse what can be refused without looking at the model or the images."""
    if out is None or not isinstance(out, (str, os.PathLike)):
        raise InvalidInputError(f"out={out!r}: name the folder to write")
    _checks.check_whole("batch_size", batch_size, 1)
    _checks.check_whole("top_k", top_k, 1)
    _checks.check_whole("thumbnail", thumbnail, 0)
    if random_state is not None:
        _checks.check_whole("random_state", random_state, 0)
    if workers is not None:
        _checks.check_whole("workers", workers, 1)
    if dtype not in ("float32", "float16"):
        raise InvalidInputError(f"dtype={dtype!r}: choose 'float32' or 'float16'")


def _tell_start(plan: Plan, todo: list[int], progress: Progress) -> None:
    layout = plan.layout
    if not todo:
        progress.say(f"all {layout.n:,} images were done")
    if len(todo) < layout.chunks and todo:
        left = sum(stop - start for start, stop in map(layout.span, todo))
        progress.say(f"{layout.n - left:,} of {layout.n:,} images were done: the rest follows")


def _work(
    plan: Plan, store: Any, todo: list[int], client: Any, workers: int | None, progress: Progress
) -> None:
    """Compute and publish what is missing; what is computed is published, whatever happens."""
    from .memory import kept_memory
    from .writer import Writer

    with (
        kept_memory(),
        progress.stage("explain", plan.layout.n, unit="images") as advance,
        Writer(store, plan.manifest) as writer,
    ):
        left = sum(stop - start for start, stop in map(plan.layout.span, todo))
        advance(plan.layout.n - left)
        with closing(_batches(plan, todo, client, workers)) as batches:
            for count, (k, batch) in enumerate(batches, 1):
                writer.put(k, batch)
                start, stop = plan.layout.span(k)
                advance(stop - start)
                if count == 1:
                    _tell_space(plan, batch, len(todo) - 1)


def _tell_space(plan: Plan, batch: Encoded, left: int) -> None:
    """Warn after the first batch if the rest of its size will not fit."""
    size = left * (sum(len(content or b"") for content in batch.arrays.values()) + len(batch.rows))
    free = shutil.disk_usage(plan.out).free
    if size > free:
        warn(
            f"{plan.out}: about {size / 2**30:.1f} GiB are still to be written, and the disk has "
            f"{free / 2**30:.1f} GiB free; a full disk ends the run, which can be continued "
            "(dtype='float16', fewer methods and smaller thumbnails need less)"
        )


def _batches(
    plan: Plan, todo: list[int], client: Any, workers: int | None
) -> Generator[tuple[int, Any]]:
    """The batches as they get ready, here or on a cluster."""
    if client is not None:
        from .cluster import computed

        yield from computed(client, plan, todo, workers)
        return
    from .chunk import compute
    from .loader import prefetch

    spans = [(k, *plan.layout.span(k)) for k in todo]
    with prefetch(plan.source, spans, workers) as loaded:
        for k, samples in loaded:
            with silenced():
                batch = compute(plan.job, plan.layout, plan.model.network, plan.batch(k, samples))
            yield k, batch


def _tell_problems(results: Results) -> None:
    """One warning: what failed, and maps that can not be looked at as they are."""
    lines = results.problems()
    if lines:
        warn("; ".join(lines))
