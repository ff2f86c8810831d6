"""Image sets: one contestant a process, on one folder of JPEG crops.

Run by `fastxai.bench.child` in our interpreter.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
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


def crops(
    stages: Stages, out: str, count: int, seed: int, sides: tuple[int, int] = _SIDES
) -> dict[str, Any]:
    """Write JPEG crops of photos that come with packages; those of colours and enough pixels."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    photos = _photos()
    for number in range(count):
        photo = photos[number % len(photos)]
        wide, high = (int(rng.integers(sides[0], min(sides[1], s) + 1)) for s in photo.size)
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
    """One by its name; "small" takes 64x64 and next to no time, and has random weights."""
    if name == "small":
        return _small()
    from fastxai.explain.networks.loading import load_network

    return load_network(name)


def _small() -> Any:
    import torch
    from torch import nn

    from fastxai.explain.networks import Network, Preprocess

    torch.manual_seed(0)
    convolutions = nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2), nn.ReLU()
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)
    return Network(nn.Sequential(*convolutions, *head).eval(), None, Preprocess((64, 64), 1.0))


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
    stages: Stages, folder: str, network: str, out: str, part: int | None = None
) -> dict[str, Any]:
    """Grad-CAM by us, as a user asks for it: the folder, or the first files of it."""
    from pyarrow import parquet

    import fastxai

    with stages("load"):
        _threads()
        subject = _network(network)
    files = None if part is None else sorted(map(str, Path(folder).rglob("*.jpg")))[:part]
    with _Resident() as resident:
        begun = time.perf_counter()
        found = fastxai.explain_dataset(subject, files or folder, out=out, batch_size=_BATCH)
        seconds = time.perf_counter() - begun
    # Not all of the table, which would count as the run's memory.
    seen = parquet.read_table(Path(out) / "table.parquet", columns=["predicted", "status"])
    return {
        "seconds": seconds,
        "images": len(found),
        "predicted": seen["predicted"].to_pylist()[:100],
        "failed": sum(status != "ok" for status in seen["status"].to_pylist()),
        "written": sum(file.stat().st_size for file in Path(out).rglob("*") if file.is_file()),
        "resident": resident.quarters(),
    }


class _Resident:
    """Bytes of this process, looked at in short intervals."""

    def __init__(self) -> None:
        self._seen: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Resident:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._over.wait(0.02):
            self._seen.append(int(Path("/proc/self/statm").read_text().split()[1]) * page)

    def quarters(self) -> list[int]:
        """The most in each quarter of the time."""
        return [int(max(some)) for some in np.array_split(self._seen, 4) if len(some)]


# --- a run that is continued ---------------------------------------------------------------


class _Enough(Exception):
    """Ends a run."""


def _stop_after(published: int, seen: list[float]) -> None:
    """The next run ends by an exception when so many batches are on the disk."""
    from fastxai.image_sets.store import Store

    publish = Store.publish

    def counted(self: Any, *given: Any) -> None:
        if len(seen) >= published:
            raise _Enough
        publish(self, *given)
        seen.append(time.perf_counter())

    Store.publish = counted  # type: ignore[method-assign]


def part_done(
    stages: Stages, folder: str, photos: str, out: str, count: int, share: float
) -> dict[str, Any]:
    """A folder of so many files, and a run of them that ended when a share was done.

    The first batches are explained; the files of the others are links to these, which a run
    that continues does not look into.
    """
    import fastxai

    files = sorted(map(str, Path(photos).rglob("*.jpg")))
    for number in range(count):
        to = Path(folder) / f"{number // 1000:03d}"
        to.mkdir(parents=True, exist_ok=True)
        os.link(files[number % len(files)], to / f"{number:06d}.jpg")
    _threads()
    _stop_after(2, [])
    try:
        fastxai.explain_dataset(_network("small"), folder, out=out, batch_size=_BATCH)
    except _Enough:
        pass
    done = int(share * count) // _BATCH
    _linked(Path(out), done)
    return {"batches": -(-count // _BATCH), "done": done}


def _linked(out: Path, done: int) -> None:
    """Let batches up to ``done`` be the first one again."""
    import shutil

    for k in range(2, done):
        os.link(out / "table" / "part-000000.parquet", out / "table" / f"part-{k:06d}.parquet")
        for chunks in out.glob("maps.zarr/*/c"):
            shutil.copytree(chunks / "0", chunks / str(k), copy_function=os.link)


def resume(stages: Stages, folder: str, network: str, out: str) -> dict[str, Any]:
    """Seconds from the call to the first batch on the disk; the network is there before."""
    import fastxai

    with stages("load"):
        _threads()
        subject = _network(network)
    seen: list[float] = []
    _stop_after(1, seen)
    begun = time.perf_counter()
    try:
        fastxai.explain_dataset(subject, folder, out=out, batch_size=_BATCH)
    except _Enough:
        pass
    return {"seconds": seen[0] - begun}


# --- insertion and deletion ----------------------------------------------------------------


def curves(stages: Stages, network: str, photos: str, steps: int, rounds: int) -> dict[str, Any]:
    """Both curves of one image, and bare forwards of as many images, as fast as they go."""
    import torch
    from PIL import Image

    import fastxai
    from fastxai.metrics.maps import insertion_deletion

    with stages("load"):
        _threads()
        subject = _network(network)
        file = min(map(str, Path(photos).rglob("*.jpg")))
        image, _ = subject.preprocess([Image.open(file).convert("RGB")])
        map_ = fastxai.GradCAM(subject.model)(image)
    count = 2 * steps
    bare = {
        f"{batch}, {form}": _bare(subject.model, image, count, batch, form)
        for form in ("contiguous", "channels_last")
        for batch in (8, 16, 32)
    }
    with stages("tuning"):
        tried = {name: min(seconds) for name, seconds in in_turn(bare, 2).items()}
        best = min(tried, key=tried.__getitem__)
    calls = {
        "fastxai": lambda: insertion_deletion(subject.model, image, map_, steps=steps),
        "bare": bare[best],
    }
    calls["fastxai"]()
    found = in_turn(calls, rounds)
    return {
        "rounds": found,
        "tuning": tried,
        "best": best,
        "images": count,
        "torch": torch.__version__,
    }


def _bare(model: Any, image: Any, count: int, batch: int, form: str) -> Callable[[], None]:
    import torch

    memory = getattr(torch, form if form == "channels_last" else "contiguous_format")
    images = image.expand(batch, -1, -1, -1).contiguous(memory_format=memory)

    def call() -> None:
        with torch.no_grad():
            for first in range(0, count, batch):
                model(images[: count - first])

    return call


def in_turn(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round; who begins changes from round to round."""
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            begun = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


TASKS = {
    "crops": crops,
    "plain": plain,
    "explain": explain,
    "part_done": part_done,
    "resume": resume,
    "curves": curves,
}
