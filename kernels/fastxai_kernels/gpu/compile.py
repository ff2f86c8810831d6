"""Build every kernel ahead of time, and say what each takes of a multiprocessor.

    python -m fastxai_kernels.gpu.compile --arch 80 90

No GPU is needed.  Registers, spills (bytes of local memory a thread) and shared memory are read
from the machine code with the ``cuobjdump`` that comes with Triton, the widest load from its
disassembly.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

_WIDTHS = {"": 4, ".U8": 1, ".S8": 1, ".U16": 2, ".S16": 2, ".64": 8, ".128": 16}


class Built(NamedTuple):
    """What the machine code of one configuration says.

    Attributes
    ----------
    kernel : str
        ``file.function``.
    constants : dict
    arch, warps, registers : int
        Registers of a thread.
    spills : int
        Bytes a thread keeps in local memory.
    shared : int
        Bytes of shared memory of a program.
    widest : int
        Bytes of the widest load from global memory, by one thread.
    """

    kernel: str
    constants: dict[str, Any]
    arch: int
    warps: int
    registers: int
    spills: int
    shared: int
    widest: int


def rooms() -> list[str]:
    """The modules of this package in which kernels may be declared."""
    here = Path(__file__).parent
    return sorted(
        file.stem for file in here.glob("*.py") if file.stem not in ("compile", "__init__")
    )


def load_kernels() -> dict[str, Any]:
    """Every kernel that is declared, by its name."""
    from importlib import import_module

    for room in rooms():
        import_module(f"{__package__}.{room}")
    from ._triton import KERNELS

    return KERNELS


def configurations(only: list[str] | None = None) -> Iterator[tuple[str, int]]:
    """Name and number of every configuration that ships."""
    for name, declared in sorted(load_kernels().items()):
        if not only or any(part in name for part in only):
            for i in range(len(declared.configurations)):
                yield name, i


def build(name: str, number: int, arch: int) -> Built:
    """Compile one configuration and read its machine code.

    Raises
    ------
    RuntimeError
        Under Triton's interpreter, which compiles nothing, or if the kernel does not compile.
    """
    if os.environ.get("TRITON_INTERPRET", "0") == "1":
        raise RuntimeError("TRITON_INTERPRET is set: kernels can not be compiled; unset it")
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = load_kernels()[name]
    chosen = kernel.configurations[number]
    constants = dict(chosen.constants)
    signature = {**kernel.types, **dict.fromkeys(constants, "constexpr")}
    pointers = [i for i, kind in enumerate(kernel.types.values()) if kind.startswith("*")]
    source = ASTSource(
        fn=kernel.function,
        signature=signature,
        constexprs=constants,
        attrs={(i,): [["tt.divisibility", 16]] for i in pointers},  # as torch allocates
    )
    options = {"num_warps": chosen.num_warps, "enable_fp_fusion": True}
    try:
        compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    except Exception as error:
        raise RuntimeError(f"{name} {constants} for sm_{arch}: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        usage, code = _ask(cubin, "--dump-resource-usage"), _ask(cubin, "-sass")
    registers, stack, local = (
        int(re.search(rf"{word}:(\d+)", usage).group(1))  # type: ignore[union-attr]
        for word in ("REG", "STACK", "LOCAL")
    )
    loads = re.findall(
        r"\bLDG(?:STS)?\.E(?:\.[A-Z_]+)*?(\.U8|\.S8|\.U16|\.S16|\.64|\.128)?\b", code
    )
    spilled = stack + local if re.search(r"\b(?:LDL|STL)\b", code) else 0
    return Built(
        name, constants, arch, chosen.num_warps, registers, spilled,
        int(compiled.metadata.shared), max((_WIDTHS[load] for load in loads), default=0),
    )  # fmt: skip


def _ask(cubin: Path, question: str) -> str:
    import triton

    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    done = subprocess.run([tool, question, cubin], capture_output=True, text=True, check=True)
    return done.stdout


def build_all(archs: list[int], only: list[str] | None = None, jobs: int = 0) -> list[Built]:
    """Compile every configuration for every architecture, in processes of their own."""
    work = [(*one, arch) for one in configurations(only) for arch in archs]
    with ProcessPoolExecutor(jobs or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(build, *zip(*work, strict=True))) if work else []


def table(rows: list[Built]) -> str:
    """Markdown: one line a configuration."""
    lines = [
        "| kernel | constants | sm | warps | registers | spills, B | shared, B | widest load, B |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        constants = ", ".join(f"{name}={value}" for name, value in row.constants.items())
        numbers = (row.arch, row.warps, row.registers, row.spills, row.shared, row.widest)
        lines.append(f"| {row.kernel} | {constants} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)


def main() -> int:
    """The command; its exit status is 1 if a kernel spills."""
    parser = argparse.ArgumentParser(
        prog="python -m fastxai_kernels.gpu.compile", description=__doc__
    )
    parser.add_argument("--arch", type=int, nargs="+", default=[80, 90], help="80 for sm_80, ...")
    parser.add_argument("--only", nargs="+", help="parts of names, e.g. knn umap_layout._walk")
    parser.add_argument("--jobs", type=int, default=0, help="processes; default one a core")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    rows = build_all(given.arch, given.only, given.jobs)
    print(json.dumps([row._asdict() for row in rows]) if given.json else table(rows))
    spilling = [row.kernel for row in rows if row.spills]
    if spilling:
        print(f"registers spill in {', '.join(sorted(set(spilling)))}", file=sys.stderr)
    return int(bool(spilling))


if __name__ == "__main__":
    raise SystemExit(main())
