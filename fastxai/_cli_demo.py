"""The half of ``fastxai demo`` that looks into networks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ._cli_explain import torch_set
from ._cli_shared import save_picture
from .errors import MissingDependencyError

_METHODS: dict[str, dict[str, Any]] = {
    "guided_backprop": {},
    "gradcam": {},
    "guided_gradcam": {},
}
DIGIT_METHODS = {
    **_METHODS,
    "hirescam": {},
    "occlusion": {"window": 8, "stride": 2},
    "saliency": {},
}
SET_METHODS: dict[str, dict[str, Any]] = {"gradcam": {}, "guided_gradcam": {}}
PHOTO_METHODS = _METHODS | {"occlusion": {"window": 48, "stride": 24}}


def explain_digits(out: Path, seed: int, threads: int | None, quiet: bool) -> str:
    """Train a small network on the digits, explain one held-out digit a class; a line about it."""
    try:
        from .explain import explain
    except MissingDependencyError as error:
        return str(error)
    import torch

    from .explain.networks import digit_images, digits_cnn
    from .progress import open_progress

    begun = time.perf_counter()
    with open_progress(verbose=not quiet) as progress, torch_set(threads, seed):
        with progress.stage("training"):
            network = digits_cnn(seed)
        images, target = digit_images(held_out=True, seed=seed)
        with torch.no_grad():
            right = network.model(images).argmax(1) == target
        rows = [int((target == k).nonzero()[0, 0]) for k in range(10)]
        found = explain(network.model, images[rows], DIGIT_METHODS)
    title = "What a small network sees in digits that it was not trained on"
    names = [f"digit {name}" for name in network.names or ()]
    ink = 1 - images[rows]  # on paper, for the eye
    save_picture(out, lambda: found.contact_sheet(display=ink, names=names, title=title, size=1.1))
    seconds, share = time.perf_counter() - begun, float(right.float().mean())
    return (
        f"digits: a network trained and explained in {seconds:.1f} s; it names {share:.1%} of "
        f"{len(images)} held-out digits: {out}"
    )


def explain_photos(out: Path, seed: int, threads: int | None, quiet: bool) -> str:
    """Explain the two most probable classes of installed photos; a line about it.

    Raises
    ------
    MissingDependencyError
        If torch, the network or the photos are not installed; the message says how.
    """
    from .explain import explain
    from .explain.networks import efficientnet_lite0, photo_files
    from .explain.networks.photos import read_photo
    from .progress import open_progress

    begun = time.perf_counter()
    files = photo_files()
    with open_progress(verbose=not quiet) as progress, torch_set(threads, seed):
        with progress.stage("network"):
            network = efficientnet_lite0()
        images, shown = network.preprocess([read_photo(file) for file in files])
        found = explain(network.model, images, PHOTO_METHODS, target="top2")
    look = {"names": network.names, "image_names": [file.stem for file in files]}
    title = "EfficientNet-Lite0: for and against its two most probable classes"
    save_picture(out, lambda: found.contact_sheet(display=shown, title=title, **look))
    seconds = time.perf_counter() - begun
    return f"photos: {len(files)} by EfficientNet-Lite0 explained in {seconds:.1f} s: {out}"


def explain_set(out: Path, seed: int, threads: int | None, quiet: bool) -> str:
    """Explain the installed photos as a set, and write its report; a line about it.

    Raises
    ------
    MissingDependencyError
        If torch, the network or the photos are not installed; the message says how.
    """
    from . import report
    from .explain.networks import installed_photos
    from .image_sets.run import explain_dataset

    begun = time.perf_counter()
    photos = installed_photos()
    with torch_set(threads, seed):
        results = explain_dataset(
            "efficientnet-lite0",
            photos.paths,
            SET_METHODS,
            out,
            labels=photos.labels,
            groups=photos.groups,
            batch_size=16,
            random_state=seed,
            verbose=not quiet,
        )
    page = report.write(results)
    right = results.table["correct"].dropna()
    seconds = time.perf_counter() - begun
    return (
        f"set: {len(results)} photos by EfficientNet-Lite0 explained in {seconds:.1f} s; it names "
        f"{int(right.sum())} of the {len(right)} whose class is known: {page}"
    )
