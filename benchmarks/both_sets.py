"""Image sets: one contestant a process, on one folder of JPEG crops.

Run by `fastxai.bench.child` in our interpreter.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastxai.bench.child import Stages

_BATCH = 32
_SIDES = (224, 400)  # of a crop, in pixels
_QUALITY = 90


def _threads() -> int:
    import torch

    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(count or 1)
    return count or 1


def crops(stages: Stages, out: str, count: int, seed: int) -> dict[str, Any]:
    """Write JPEG crops of photos that come with packages; those of colours and enough pixels."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    photos = _photos()
    for number in range(count):
        photo = photos[number % len(photos)]
        wide, high = (int(rng.integers(_SIDES[0], min(_SIDES[1], s) + 1)) for s in photo.size)
        left = int(rng.integers(photo.width - wide + 1))
        top = int(rng.integers(photo.height - high + 1))
        crop = photo.crop((left, top, left + wide, top + high))
        if rng.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        folder = Path(out) / f"{number // 100:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        crop.save(folder / f"{number:05d}.jpg", quality=_QUALITY)
    return {"photos": len(photos)}


def _photos() -> list[Any]:
    """Those that scikit-image and scikit-learn install, where they lie, by name."""
    from importlib.util import find_spec

    from PIL import Image

    files: list[Path] = []
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found = (Path(spec.origin).parent / folder).glob("*.*")
            files += sorted(file for file in found if file.suffix in (".png", ".jpg"))
    opened = [Image.open(file) for file in files]
    usable = [p for p in opened if p.mode in ("RGB", "RGBA") and min(p.size) >= _SIDES[0]]
    return [photo.convert("RGB") for photo in usable]


def _network(name: str) -> Any:
    from fastxai.explain.networks.loading import load_network

    return load_network(name)


def plain(
    stages: Stages, folder: str, network: str, workers: int, part: int | None = None
) -> dict[str, Any]:
    """A loader, decoding, the same preparation, a no-grad forward; answers are kept."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    with stages("load"):
        _threads()
        subject = _network(network)
    files = sorted(str(file) for file in Path(folder).rglob("*.jpg"))[:part]

    class Photos(Dataset[Any]):
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, i: int) -> Any:
            with Image.open(files[i]) as image:
                return torch.from_numpy(subject.preprocess.prepare(image.convert("RGB"))[0])

    begun = time.perf_counter()
    answers = []
    with torch.no_grad():
        for images in DataLoader(Photos(), batch_size=_BATCH, num_workers=workers):
            answers.append(subject.model(images))
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "images": len(files), "predicted": _digest(torch.cat(answers))}


def _digest(answers: Any) -> list[int]:
    """How often each of the first classes is the best: the same on both sides."""
    best = np.asarray(answers.argmax(1))
    return [int(k) for k in best[:100]]


def explain(
    stages: Stages, folder: str, network: str, out: str, **options: Any
) -> dict[str, Any]:
    """The folder by us, as a user does."""
    import torch

    import fastxai

    with stages("load"):
        _threads()
        subject = _network(network)
        from fastxai.image_sets import chunk, run, writer  # noqa: F401
    begun = time.perf_counter()
    found = fastxai.explain_dataset(subject, folder, out=out, batch_size=_BATCH, **options)
    seconds = time.perf_counter() - begun
    size = sum(file.stat().st_size for file in Path(out).rglob("*") if file.is_file())
    table = found.table
    return {
        "seconds": seconds,
        "images": len(found),
        "predicted": table["predicted"].head(100).astype(int).tolist(),
        "failed": int((table["status"] != "ok").sum()),
        "written": size,
        "threads": torch.get_num_threads(),
    }


TASKS = {"crops": crops, "plain": plain, "explain": explain}
