"""Each hot kernel under pytest-benchmark, beside the limit of the machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from fastxai.bench.harness import clean_environment, end

from ..harness import ROOT, Bench


def kernels(bench: Bench) -> dict[str, Any]:
    """Run ``benchmarks/kernels`` and collect its figures."""
    file = Path(bench.file("kernels.json"))
    command = [bench.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "benchmarks/kernels"]
    command += [f"--benchmark-json={file}", "--benchmark-min-rounds=3"]
    child = subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(bench.python), stdout=2, start_new_session=True
    )
    try:
        code = child.wait()
    finally:
        end(child)
    if not file.is_file() or not file.stat().st_size:
        raise RuntimeError(f"pytest ended with {code} and without figures")
    figures = []
    for one in json.loads(file.read_text())["benchmarks"]:
        info = one["extra_info"]
        seconds = one["stats"]["min"]
        figures.append({"kernel": one["name"].removeprefix("test_"), "seconds": seconds, **info})
    notes = [
        "Limit: what the bytes moved take at the measured copy bandwidth, or the operations at "
        "the measured GEMM rate, whichever is longer."
    ]
    if code:
        notes.append("Some kernel benchmarks failed.")
    return {"checks": [], "notes": notes, "kernels": figures}
