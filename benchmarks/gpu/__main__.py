"""Check, time and record everything on a CUDA device.

    python -m benchmarks.gpu              (make gpu)
    python -m benchmarks.gpu --dry        (make gpu-dry: in Triton's interpreter, tiny)

PyTorch with CUDA and Triton have to be there; nothing is downloaded.  Results are written after
each part, and no part's failure keeps another from running: after one that left the device
unusable (an address that is none spoils it for the whole process) a new process goes on.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).resolve().parent.parent / "results"
_PACKAGES = ("fastxai", "torch", "triton", "numpy", "numba")


class Sizes(NamedTuple):
    """How large a run is; ``rounds`` of the layouts, None for their defaults."""

    kernels: tuple[int, ...]
    whole: tuple[int, ...]
    neighbors: int
    sample: int
    copy: int
    rounds: int | None


REAL = Sizes((70_000, 1_000_000), (70_000, 1_000_000), 90, 256, 2**30, None)
DRY = Sizes((90,), (90,), 15, 8, 2**16, 2)


def parts(sizes: Sizes, clock: Any) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Names and work, in the order in which they are worth most."""
    from . import kernels, rooms, whole

    yield "compile", lambda: compiled(clock)
    made: dict[int, kernels.Inputs] = {}

    def inputs(n: int) -> kernels.Inputs:
        if n not in made:
            made.clear()  # of one size at a time
            made[n] = kernels.Inputs(clock, n, sizes.neighbors, sizes.sample)
        return made[n]

    for number, n in enumerate(sizes.kernels):
        for name, part in {**kernels.PARTS, **rooms.PARTS}.items():
            yield f"{name} {n:,}", lambda part=part, n=n: part(inputs(n))  # type: ignore[misc]
        if number == 0:
            made.clear()
            for name, explain in whole.EXPLAINERS.items():
                yield name, lambda run=explain: run(clock, 0, sizes.rounds)  # type: ignore[misc]
        for name, fit in whole.RUNS.items():
            if n in sizes.whole:
                yield f"{name} of {n:,}", lambda run=fit, n=n: run(clock, n, sizes.rounds)  # type: ignore[misc]


def compiled(clock: Any) -> dict[str, Any]:
    """Registers and spills for this device, built in processes of their own."""
    if not clock.real:
        return {"skipped": "the interpreter compiles nothing"}
    import torch

    major, minor = torch.cuda.get_device_capability(clock.device)
    command = [
        sys.executable,
        "-m",
        "fastxai_kernels.gpu.compile",
        "--json",
        "--arch",
        f"{major}{minor}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if not done.stdout:
        raise RuntimeError(done.stderr[-2000:])
    rows = json.loads(done.stdout)
    return {
        "configurations": len(rows),
        "spilling": [row["kernel"] for row in rows if row["spills"]],
        "most_registers": max(row["registers"] for row in rows),
    }


def about(clock: Any, dry: bool) -> dict[str, Any]:
    """The machine, its versions, and the bandwidth of a plain copy."""
    import torch

    from fastxai.bench.machine import machine

    found: dict[str, Any] = {"dry": dry, **machine()}
    found["gpu"] = torch.cuda.get_device_name(clock.device) if clock.real else "none (interpreter)"
    found["cuda"] = torch.version.cuda
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "from source"
    return found


def markdown(result: dict[str, Any]) -> str:
    """The result as tables."""
    machine = result["machine"]
    lines = [
        f"# {machine['gpu']}",
        "",
        ", ".join(f"{key} {value}" for key, value in machine.items() if key != "gpu"),
        "",
        "| part | outcome | figures |",
        "|---|---|---|",
    ]
    for name, record in result["parts"].items():
        figures = ", ".join(f"{key} {value}" for key, value in record["figures"].items())
        lines.append(f"| {name} | {record['outcome']} | {figures.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def run(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """One part; what it raises is its outcome."""
    start = time.perf_counter()
    try:
        figures = work()
        off = "error" in figures and not figures["error"] <= figures["allowed"]
        outcome = "wrong" if off else "ok"
    except Exception as error:
        where = traceback.format_exc(limit=-3)
        figures, outcome = (
            {"why": f"{type(error).__name__}: {error}"[:500], "where": where},
            "failed",
        )
    return {"outcome": outcome, "figures": figures, "took_s": round(time.perf_counter() - start, 2)}


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status is 1 if a part failed or was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--dry", action="store_true", help="tiny, in Triton's interpreter")
    parser.add_argument("--only", nargs="+", help="parts of names, e.g. barnes_hut 'umap of'")
    parser.add_argument("--name", help="of the result; default: the GPU's")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result")
    parser.add_argument("--minutes", type=float, default=60, help="begin no part after so many")
    parser.add_argument("--after", help=argparse.SUPPRESS)  # go on behind this part
    arguments = sys.argv[1:] if arguments is None else arguments
    given = parser.parse_args(arguments)
    if given.dry:
        os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
    elif os.environ.get("TRITON_INTERPRET") == "1":
        parser.error("TRITON_INTERPRET is set: unset it, or give --dry")
    import torch

    from fastxai.devices import choose_device

    from .timing import Clock

    sizes = DRY if given.dry else REAL
    device = choose_device("cuda")
    clock = Clock(device.torch, repeats=11)
    result: dict[str, Any] = {"machine": about(clock, given.dry), "parts": {}}
    result["machine"]["copy_gb_s"] = round(clock.measure_copy(sizes.copy) / 1e9, 1)
    name = given.name or (
        "dry" if given.dry else result["machine"]["gpu"].lower().replace(" ", "-")
    )
    given.out.mkdir(parents=True, exist_ok=True)
    file, behind = given.out / f"gpu-{name}.json", given.after
    if behind is not None:
        result = json.loads(file.read_text())
    begun = time.perf_counter()
    for part, work in parts(sizes, clock):
        if behind is not None:
            behind = None if part == behind else behind
            continue
        if given.only and not any(word in part for word in given.only):
            continue
        if time.perf_counter() - begun > 60 * given.minutes:
            print(f"{part}: no time left", flush=True)
            continue
        record = run(work)
        result["parts"][part] = record
        shown = {k: v for k, v in record["figures"].items() if k != "where"}
        print(f"{record['outcome']:6} {part:32} {record['took_s']:8.2f} s  {shown}", flush=True)
        _write(file, json.dumps(result, indent=1) + "\n")
        _write(file.with_suffix(".md"), markdown(result))
        if not clock.usable():
            left = given.minutes - (time.perf_counter() - begun) / 60
            _go_on([*arguments, "--minutes", f"{left:.2f}", "--after", part])
        if clock.real:
            torch.cuda.empty_cache()
    return int(any(record["outcome"] != "ok" for record in result["parts"].values()))


def _go_on(arguments: list[str]) -> None:
    """Become a process whose device is as new."""
    sys.stdout.flush()
    os.closerange(3, 1024)  # the driver's files among them
    os.execv(sys.executable, [sys.executable, "-m", "benchmarks.gpu", *arguments])


def _write(file: Path, text: str) -> None:
    from benchmarks.harness import write_whole

    write_whole(file, text)


if __name__ == "__main__":
    sys.exit(main())
