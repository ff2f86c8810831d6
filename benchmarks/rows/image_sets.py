"""Image sets: a folder beside loader and plain forward, memory, continuing, insertion curves."""

from __future__ import annotations

from statistics import median
from typing import Any

from ..checks import RECORDED, Check, at_most, at_most_share, holds, in_turn, recorded
from ..harness import Bench

_NETWORK = "efficientnet-lite0"
_SEED = 0
_SMALL = "64×64 JPEG crops, a network of two convolutions"
# As the run itself has it: what is freed stays with the process.
_KEPT = {"MALLOC_MMAP_THRESHOLD_": str(2**31 - 1), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
_START = 2.0  # seconds


def _ours(bench: Bench, task: str, env: dict[str, str] | None = None, **given: Any) -> Any:
    return bench.ours(task, env, tasks="both_sets", **given)


def _crops(bench: Bench, count: int) -> str:
    """A folder of JPEG crops of the size of photos that networks are trained on."""
    folder = bench.file(f"crops-{count}")
    bench.once(folder, lambda: _ours(bench, "crops", out=folder, count=count, seed=_SEED))
    return folder


def _small_crops(bench: Bench, count: int) -> str:
    folder = bench.file(f"small-crops-{count}")
    given = {"count": count, "seed": _SEED, "sides": [64, 64]}
    bench.once(folder, lambda: _ours(bench, "crops", out=folder, **given))
    return folder


def gradcam(bench: Bench) -> dict[str, Any]:
    """Grad-CAM of a folder against a loader, decoding and plain forwards of the same."""
    count = 64 if bench.trial else 1000
    given: dict[str, Any] = {"folder": _crops(bench, count), "network": _NETWORK}
    part = min(count, 224)
    tried = {
        str(w): _ours(bench, "plain", workers=w, part=part, **given)["seconds"] for w in (0, 1, 2)
    }
    workers = int(min(tried, key=tried.__getitem__))
    sides: dict[str, list[dict[str, Any]]] = {"plain": [], "plain, memory kept": [], "fastxai": []}
    for _ in range(1 if bench.trial else 5 if bench.full else 3):
        sides["plain"].append(_ours(bench, "plain", workers=workers, **given))
        with bench.empty_folder() as out:
            sides["fastxai"].append(_ours(bench, "explain", out=f"{out}/run", **given))
        kept = _ours(bench, "plain", _KEPT, workers=workers, **given)
        sides["plain, memory kept"].append(kept)
    seconds = {name: [run["seconds"] for run in runs] for name, runs in sides.items()}
    mine, last = seconds["fastxai"], sides["fastxai"][-1]
    checks = [
        in_turn(at_most_share, f"{count:,} JPEG crops", mine, seconds["plain"], 1.15),
        _recorded(
            in_turn(
                at_most_share,
                "against the same with the allocator set to keep memory",
                mine,
                seconds["plain, memory kept"],
                1.15,
            )
        ),
        holds("the same classes as the plain forward's", _agree(last, sides["plain"][-1])),
        at_most_share(
            "resident in the last quarter against the second",
            last["resident"][-1],
            last["resident"][1],
            1.05,
            "B",
        ),
        recorded(
            "peak of the whole process",
            median(run["peak"] for run in sides["fastxai"]),
            median(run["peak"] for run in sides["plain"]),
            "B",
        ),
    ]
    notes = [
        "JPEG crops of 224 to 400 pixels (quality 90), cut at random from the photos that "
        f"scikit-image and scikit-learn install; EfficientNet-Lite0, batches of 32. The plain side "
        f"is torch's DataLoader with {workers} workers (the best of 0, 1, 2), decoding by Pillow, "
        "the same preparation, and a no-grad forward whose answers are kept; ours writes maps of "
        "float32, thumbnails and the table. Seconds from the loaded network on, medians of "
        f"{len(mine)} fresh processes in turn. Written: {last['written'] / 1e6:.0f} MB."
    ]
    times = {name: [median(s), min(s), max(s)] for name, s in seconds.items()}
    return {"checks": checks, "notes": notes, "times": times, "tuning": tried, "runs": sides}


def _recorded(check: Check) -> Check:
    """The figure without a target."""
    return {**check, "target": RECORDED, "met": None, "by": None}


def _agree(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Sums in another order may turn a tie."""
    pairs = list(zip(one["predicted"], other["predicted"], strict=True))
    return sum(a != b for a, b in pairs) <= len(pairs) // 100


def memory(bench: Bench) -> dict[str, Any]:
    """The peak of ten times as many images."""
    few, many = (64, 640) if bench.trial else (1000, 10_000)
    folder = _small_crops(bench, many)
    runs: dict[str, list[dict[str, Any]]] = {}
    for count in (few, many):
        with bench.empty_folder() as out:
            given = {"folder": folder, "network": "small", "out": f"{out}/run", "part": count}
            runs[f"{count:,} images"] = [_ours(bench, "explain", **given)]
    small, large = (found[0] for found in runs.values())
    checks = [
        at_most_share(
            f"peak, {many:,} against {few:,} images", large["peak"], small["peak"], 1.05, "B"
        ),
        recorded(f"images a second, {many:,}", many / large["seconds"], None, "/s"),
    ]
    notes = [
        f"{_SMALL}, so that ten thousand take less than a minute; Grad-CAM, batches of 32, "
        "thumbnails. The peak is of the whole process, of which torch and pyarrow are the most. "
        "That a network of usual size needs no more at the end than at the beginning is shown "
        "with the folder of 1,000."
    ]
    return {"checks": checks, "notes": notes, "runs": runs}


def resume(bench: Bench) -> dict[str, Any]:
    """From the call to the first new batch on the disk, of a run that is 90% done."""
    checks, runs = [], {}
    photos = _small_crops(bench, 640 if bench.trial else 10_000)
    for count in (1000,) if bench.trial else (1000, 100_000):
        with bench.empty_folder() as work:
            given = {"folder": f"{work}/photos", "out": f"{work}/run"}
            _ours(bench, "part_done", photos=photos, count=count, share=0.9, **given)
            found = [_ours(bench, "resume", network="small", **given) for _ in range(3)]
        runs[f"{count:,} images"] = found
        seconds = median(run["seconds"] for run in found)
        checks.append(at_most(f"{count:,} images, to the first new batch", seconds, _START, "s"))
    notes = [
        f"{_SMALL}, which takes next to no time: what is measured is importing, listing the "
        "folder, comparing settings, looking at what is done and clearing up. From the call of "
        "explain_dataset in a fresh process that has loaded the network, to the first new batch on "
        "the disk; medians of three. Of the batches that are done all but two are links to the "
        "first, which a run that continues does not look into; of the 100,000 files each ten are "
        "links to one."
    ]
    return {"checks": checks, "notes": notes, "runs": runs}


def curves(bench: Bench) -> dict[str, Any]:
    """Insertion and deletion of one image against bare forwards of as many."""
    steps = 8 if bench.trial else 50
    given = {"network": _NETWORK, "photos": _crops(bench, 64 if bench.trial else 1000)}
    rounds = 1 if bench.trial else 10 if bench.full else 5
    run = _ours(bench, "curves", steps=steps, rounds=rounds, **given)
    found = run["rounds"]
    what = f"one image, {steps} steps, against bare batched forwards"
    checks = [in_turn(at_most_share, what, found["fastxai"], found["bare"], 1.1)]
    notes = [
        f"EfficientNet-Lite0 at 224×224. The bare side runs {run['images']} images that are there "
        "already through the network, at its best of batches of 8, 16 and 32, contiguous and "
        f"channels_last ({run['best']}); ours also orders the pixels, blurs, writes each changed "
        f"image and makes the curves. One process, medians of {rounds} rounds in turn, of the "
        "ratios within a round."
    ]
    times = {name: [median(s), min(s), max(s)] for name, s in found.items()}
    return {"checks": checks, "notes": notes, "times": times, "runs": {"both": [run]}}
