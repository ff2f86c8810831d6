"""Compiled kernels: found again, never stale, and no folder or file can stand in the way.

Each test works on a small copy of the kernel package, in processes of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastxai_kernels.cpu import _jit

NOWHERE = "/proc/none" if os.path.isdir("/proc") else "/dev/null/none"  # not even root can write
KERNEL = """
from ._factor import scaled
from ._jit import array_in, array_out, f32, i64, kernel

@kernel(array_in(f32, 1), array_out(f32, 1), i64, i64)
def scale(x, out, start, stop):
    for i in range(start, stop):
        out[i] = scaled(x[i])
"""
FACTOR = """
from ._jit import helper

@helper
def scaled(x):
    return x * {factor}
"""
PROGRAM = """
import json
import numpy as np
from fastxai_kernels.cpu import _jit
from fastxai_kernels.cpu.scale import scale
out = np.zeros(3, np.float32)
scale(np.ones(3, np.float32), out, 0, 3)
print(json.dumps([float(out[0]), scale.from_cache, str(_jit.cache_folder())]))
"""


class Install:
    """A copy of the package with one kernel, and the environment its processes see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "lib" / "fastxai_kernels" / "cpu"
        self.package.mkdir(parents=True)
        source = Path(_jit.__file__).parent
        shutil.copy(source.parent / "__init__.py", self.package.parent)
        for name in ("_jit.py", "_threads.py", "_warm.py"):
            shutil.copy(source / name, self.package)
        (self.package / "__init__.py").touch()
        (self.package / "scale.py").write_text(KERNEL)
        self.edit_helper(2)
        self.home = folder / "home"
        self.home.mkdir()
        self.environment = {
            k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
        } | {
            "HOME": str(self.home),
            "PYTHONPATH": str(folder / "lib"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def edit_helper(self, factor: int) -> None:
        file = self.package / "_factor.py"
        times = (file.stat().st_atime, file.stat().st_mtime) if file.exists() else None
        file.write_text(FACTOR.format(factor=factor))
        if times:  # an upgrade that keeps the time stamps
            os.utime(file, times)

    def seal(self) -> None:
        """Make the package's own folder unusable as a cache (permissions do not stop root)."""
        (self.package / "__pycache__").touch()

    def run(self, program: str = PROGRAM, **environment: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def install(tmp_path: Path) -> Install:
    return Install(tmp_path)


def test_the_second_process_loads_what_the_first_compiled(install: Install) -> None:
    assert install.run()[:2] == [2.0, False]
    assert install.run()[:2] == [2.0, True]


def test_an_edited_helper_in_another_file_is_compiled_anew(install: Install) -> None:
    _, _, before = install.run()
    install.edit_helper(3)
    value, from_cache, after = install.run()
    assert (value, from_cache) == (3.0, False)
    assert after != before


def test_read_only_install_uses_the_home(install: Install) -> None:
    install.seal()
    value, _, folder = install.run()
    assert value == 2.0
    assert Path(folder).is_relative_to(install.home)


def test_without_a_home_the_package_keeps_them(install: Install) -> None:
    value, _, folder = install.run(HOME=NOWHERE)
    assert value == 2.0
    assert Path(folder).is_relative_to(install.package)


def test_nothing_writable_takes_a_temporary_folder_and_removes_it(
    install: Install, tmp_path: Path
) -> None:
    install.seal()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    value, _, folder = install.run(HOME=NOWHERE, TMPDIR=str(temporary))
    assert value == 2.0
    assert Path(folder).is_relative_to(temporary)
    assert list(temporary.iterdir()) == []


def test_numba_cache_dir_is_honoured(install: Install, tmp_path: Path) -> None:
    given = tmp_path / "given"
    _, _, folder = install.run(NUMBA_CACHE_DIR=str(given))
    assert Path(folder).is_relative_to(given)
    assert install.run(NUMBA_CACHE_DIR=str(given))[1]


def test_numba_cache_dir_that_can_not_be_written_is_passed_over(install: Install) -> None:
    value, _, folder = install.run(NUMBA_CACHE_DIR=NOWHERE)
    assert value == 2.0
    assert Path(folder).is_relative_to(install.home)


@pytest.mark.parametrize("ending", ["nbi", "nbc"], ids=["index", "code"])
@pytest.mark.parametrize("damage", [b"", b"garbage"], ids=["emptied", "garbage"])
def test_damaged_entries_are_compiled_anew(install: Install, ending: str, damage: bytes) -> None:
    _, _, folder = install.run()
    files = list(Path(folder).glob(f"*.{ending}"))
    assert files
    for file in files:
        file.write_bytes(damage)
    assert install.run()[:2] == [2.0, False]
    assert install.run()[:2] == [2.0, True]


WARM = """
import json
from fastxai_kernels.cpu import _warm
before, reports = _warm.is_compiled(), []
_warm.ensure_compiled(lambda *report: reports.append(report))
print(json.dumps([before, reports, _warm.is_compiled(), _warm.cached_names()]))
"""


def test_children_compile_everything_once(install: Install) -> None:
    assert install.run(WARM) == [False, [[0, 1], [1, 1]], True, ["scale.scale"]]
    assert install.run(WARM) == [True, [], True, ["scale.scale"]]
    assert install.run()[1]


def test_children_fill_the_temporary_folder(install: Install, tmp_path: Path) -> None:
    install.seal()
    warm = install.run(WARM, HOME=NOWHERE, TMPDIR=str(tmp_path))
    assert warm == [False, [[0, 1], [1, 1]], True, ["scale.scale"]]


def test_failing_children_are_no_error(install: Install) -> None:
    (install.package / "_warm.py").write_text(
        (install.package / "_warm.py").read_text().replace("def main(", "def nothing(")
    )
    program = WARM.replace("print", "from fastxai_kernels.cpu.scale import scale; print")
    before, reports, _, cached = install.run(program)
    assert (before, reports, cached) == (False, [[0, 1]], [])
    assert install.run()[0] == 2.0


INTERRUPTED = """
import json, os, signal, subprocess, threading
from fastxai_kernels.cpu import _warm
children = []
class Sleeper(subprocess.Popen):
    def __init__(self, command, **options):
        super().__init__(["sleep", "60"], **options)
        children.append(self)
_warm.subprocess.Popen = Sleeper
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    _warm.ensure_compiled()
    outcome = "went on"
except KeyboardInterrupt:
    outcome = "interrupted"
print(json.dumps([outcome, [child.returncode for child in children]]))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_kills_the_children(install: Install) -> None:
    assert install.run(INTERRUPTED, NUMBA_NUM_THREADS="1") == ["interrupted", [-9]]


FORKED = """
import json, os
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from fastxai_kernels.cpu.scale import scale
def call(_):
    out = np.zeros(3, np.float32)
    scale(np.ones(3, np.float32), out, 0, 3)
    return float(out.sum())
with ThreadPoolExecutor(8) as callers:
    values = set(callers.map(call, range(32)))
child = os.fork()
if child == 0:
    os._exit(int(call(0)))
print(json.dumps([sorted(values), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_first_calls_from_several_threads_and_after_fork(install: Install) -> None:
    assert install.run(FORKED) == [[6.0], 6]
