"""Banks that were killed or interrupted continue to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pyarrow")
import example_banks
from small_sets import digests, small_net

from fastxai import FastxaiWarning, InvalidInputError, StorageError

_HERE = Path(__file__).resolve().parent
_PATIENCE = 60  # seconds for what takes three
_FORWARDS_BEFORE = 2  # of one image: what runs, and how many features there are

# Which images can not be read decides whether raw files are moved or copied.
LOST = [pytest.param((), id="all readable"), pytest.param((0, 5), id="two lost")]
pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


class Killed(BaseException):
    """What ends a run in the middle."""


def parts(out: Path) -> int:
    return len(list(out.glob("table/part-*.parquet")))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_and_interrupted_it_continues_to_the_same_bytes(tmp_path: Path) -> None:
    out = tmp_path / "bank"
    for number, (sign, after) in enumerate(((signal.SIGKILL, 2), (signal.SIGINT, 1))):
        process = _begin(out, after=after + (_FORWARDS_BEFORE if number == 0 else 1))
        until = time.monotonic() + _PATIENCE
        while parts(out) < 2 + number:
            assert process.poll() is None and time.monotonic() < until, process.communicate()[1]
            time.sleep(0.01)
        process.send_signal(sign)
        process.communicate(timeout=_PATIENCE)
        assert process.returncode != 0
    with pytest.raises(InvalidInputError, match=r"not finished: 3 of 5 batches"):
        example_banks.fastxai.FeatureBank.open(out)
    example_banks.run(out)
    assert digests(out) == digests(example_banks.run(tmp_path / "whole").path)


def _begin(out: Path, after: int) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(_HERE.parent), str(_HERE.parent / "kernels"), str(_HERE)])
    return subprocess.Popen(
        [sys.executable, "-c", f"import example_banks; example_banks.stuck({str(out)!r})"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "FASTXAI_TEST_STUCK_AFTER": str(after)},
    )


@pytest.mark.parametrize("lost", LOST)
def test_ended_before_any_change_of_a_name_it_continues_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: tuple[int, ...]
) -> None:
    expected = digests(example_banks.run(tmp_path / "whole", lost=lost).path)
    replace, moments = os.replace, []

    def ended(at: int, source: Any, target: Any) -> None:
        moments.append(Path(target).name)
        if len(moments) == at:
            raise Killed
        replace(source, target)

    for at in range(1, 100):
        moments.clear()
        out = tmp_path / f"run{at}"
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", lambda a, b, at=at: ended(at, a, b))
            try:
                example_banks.run(out, lost=lost)
            except Killed:
                pass
        if len(moments) < at:
            break
        example_banks.run(out, lost=lost)
        assert digests(out) == expected, moments[-1]
    assert {"bank.json", "part-000003.parquet", "features.npy", "table.parquet"} <= set(moments)


@pytest.mark.parametrize("lost", LOST)
def test_an_error_of_the_model_leaves_what_was_done(tmp_path: Path, lost: tuple[int, ...]) -> None:
    net, calls = small_net(), []

    def hook(*_: Any) -> None:
        calls.append(1)
        if len(calls) == _FORWARDS_BEFORE + 4:
            raise KeyboardInterrupt

    handle = net.register_forward_pre_hook(hook)
    with pytest.raises(KeyboardInterrupt):
        example_banks.run(tmp_path / "bank", net, lost)
    handle.remove()
    assert parts(tmp_path / "bank") == 3
    again = example_banks.run(tmp_path / "bank", net, lost)
    whole = example_banks.run(tmp_path / "whole", lost=lost)
    assert digests(again.path) == digests(whole.path)


def test_rows_that_were_half_written_are_written_again(tmp_path: Path) -> None:
    net, calls = small_net(), []

    def hook(*_: Any) -> None:
        calls.append(1)
        if len(calls) == _FORWARDS_BEFORE + 3:
            raise KeyboardInterrupt

    handle = net.register_forward_pre_hook(hook)
    with pytest.raises(KeyboardInterrupt):
        example_banks.run(tmp_path / "bank", net)
    handle.remove()
    raw = np.load(tmp_path / "bank" / "table" / "features.npy", mmap_mode="r+")
    raw[5:] = 7
    raw.flush()
    again = example_banks.run(tmp_path / "bank", net)
    np.testing.assert_array_equal(again, example_banks.run(tmp_path / "whole"))


def test_a_full_disk_is_told_and_what_is_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastxai.examples import folder

    place, calls = folder._place, []

    def full(file: Path) -> Any:
        calls.append(file)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        return place(file)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "_place", full)
        with pytest.raises(StorageError, match="no space left"):
            example_banks.run(tmp_path / "bank")
    assert parts(tmp_path / "bank") == 2
    again = example_banks.run(tmp_path / "bank")
    assert digests(again.path) == digests(example_banks.run(tmp_path / "whole").path)


def test_all_lost_at_the_end_is_told(tmp_path: Path) -> None:
    net = small_net()
    with example_banks.torch.no_grad():
        net[-1].bias.fill_(float("nan"))
    with pytest.raises(InvalidInputError, match=r"holds no features: 10 of 10.*not finite"):
        example_banks.run(tmp_path / "bank", net)


def test_a_warning_tells_what_is_lost(tmp_path: Path) -> None:
    with pytest.warns(FastxaiWarning, match="2 of 10 images failed"):
        assert len(example_banks.run(tmp_path / "bank", lost=(0, 5))) == 8
