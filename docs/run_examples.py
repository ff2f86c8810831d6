"""Run the code of pages as a reader would: ``python docs/run_examples.py docs/PAGE.md ...``.

The ``python`` and ``sh`` blocks of a page run one after another, in one namespace and one
empty folder; an error ends the run and names page and line.  ``--images FOLDER`` copies the
pictures that a page shows and its blocks wrote.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_IMAGE = re.compile(r"!\[[^\]]*\]\((?:[^)]*/)?([\w.-]+\.png)\)")


class Block(NamedTuple):
    """A block of code, and the line of the page before its first."""

    language: str
    line: int
    code: str


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page that can be run."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield Block(found[1], text.count("\n", 0, found.start(2)), found[2])


def run_page(page: Path, folder: Path) -> None:
    """Run all blocks of a page in a folder."""
    before = Path.cwd()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.chdir(folder)
    try:
        for block in blocks(page):
            if block.language == "python":
                # Lines are counted as in the page, for tracebacks.
                exec(compile("\n" * block.line + block.code, str(page), "exec"), namespace)
                continue
            done = subprocess.run(["sh", "-e", "-c", block.code], env={**os.environ, "PATH": path})
            if done.returncode:
                where = f"{page}, line {block.line + 1}"
                raise SystemExit(f"{where}: the shell ended with {done.returncode}")
    finally:
        os.chdir(before)


def images(page: Path) -> list[str]:
    """File names of the pictures that a page shows."""
    return _IMAGE.findall(page.read_text(encoding="utf-8"))


def main() -> None:
    """Run the pages that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--images", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    os.environ.setdefault("MPLBACKEND", "Agg")
    for page in given.pages:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            run_page(page.resolve(), folder)
            for image in images(page) if given.images else []:
                if (folder / image).exists():
                    shutil.copy(folder / image, given.images / image)


if __name__ == "__main__":
    main()
