"""The benchmarks' own machinery: fresh processes, whole files, verdicts, tables."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("benchmarks.harness", reason="benchmarks are not part of the package")

from benchmarks import checks, report
from benchmarks.harness import Bench, ChildError, write_whole
from benchmarks.rows import ROWS
from benchmarks.run import _portable, chosen
from fastxai.bench.child import Stages

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bench(tmp_path):
    return Bench(sys.executable, sys.executable, work=tmp_path, out=tmp_path / "out", rows=50)


def test_a_measured_process_reports_its_stages_and_its_peak(bench):
    folder = bench.file("stars")
    os.mkdir(folder)
    run = bench.evaluator("write_stars", degrees=[5], folder=folder, seeds=1)
    assert run["wall"] >= run["stages"]["start"] > 0
    assert run["peak"] > 5e6
    assert os.listdir(folder) == ["star-5-0.npy"]


def test_a_process_that_fails_says_why(bench):
    with pytest.raises(ChildError, match="FileNotFoundError"):
        bench.evaluator("scaled_start", start="absent.npy", out=bench.file("out.npy"))


def test_what_several_rows_need_is_made_once(bench):
    made = []
    for _ in range(2):
        bench.once("thing", lambda: made.append(1))
    assert made == [1]


def test_a_result_is_replaced_only_by_a_whole_one(tmp_path):
    file = tmp_path / "row.json"
    write_whole(file, "old")
    with pytest.raises(TypeError):
        write_whole(file, None)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["row.json"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_the_child(tmp_path):
    command = [sys.executable, "-c", _WAITING, str(tmp_path)]
    parent = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    note = tmp_path / "child"
    for _ in range(300):
        if note.exists() and note.read_text():
            break
        time.sleep(0.05)
    parent.send_signal(signal.SIGINT)
    parent.wait(15)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


_WAITING = """
import subprocess, sys
from fastxai.bench.harness import end
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                         start_new_session=True)
try:
    open(sys.argv[1] + "/child", "w").write(str(child.pid))
    child.wait()
finally:
    end(child)
"""


CHECKS = {
    "faster": (checks.faster("t", 2.0, 30.0, 10), True, "+50%"),
    "not fast enough": (checks.faster("t", 4.0, 30.0, 10), False, "-25%"),
    "nothing to compare with": (checks.faster("t", 4.0, None, 10), None, None),
    "less memory": (checks.at_most_share("m", 5.0, 10.0, 0.6, "B"), True, "-17%"),
    "too much memory": (checks.at_most_share("m", 9.0, 10.0, 0.6, "B"), False, "+50%"),
    "as good but for the allowance": (checks.not_below("q", 0.786, 0.79, 0.005), True, "+0.0010"),
    "worse": (checks.not_below("q", 0.78, 0.79, 0.005), False, "-0.0050"),
    "by the median of ratios": (
        checks.in_turn(checks.faster, "t", [1.0, 2.0, 4.0], [3.0, 6.0, 8.0], 2),
        True,
        "+50%",
    ),
    "slower by the median of ratios": (
        checks.in_turn(checks.at_most_share, "t", [2.0, 2.2, 9.0], [2.0, 2.0, 2.0], 1.05),
        False,
        "+5%",
    ),
    "under a limit": (checks.at_most("p", 3.0, 4.0, "GiB"), True, "-25%"),
}


@pytest.mark.parametrize(("check", "met", "by"), CHECKS.values(), ids=CHECKS.keys())
def test_a_verdict(check, met, by):
    assert (check["met"], check["by"]) == (met, by)
    assert ("missed" in report.verdict(check)) == (met is False)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0123, "s", "12 ms"),
        (1.234, "s", "1.23 s"),
        (123.4, "s", "123.4 s"),
        (1.45e9, "B", "1.45 GB"),
        (0.7891, "", "0.789"),
        (None, "s", "–"),
    ],
)
def test_an_amount(value, unit, shown):
    assert report.amount(value, unit) == shown


def test_stages_add_up_and_the_rest_is_named():
    stages = Stages()
    for seconds in (1.0, 2.0):
        stages.add("layout", seconds)
    runs = [{"wall": 5.0, "stages": stages.times}]
    assert checks.stage_medians(runs) == {"layout": 3.0, "rest": 2.0}


def test_every_call_is_timed():
    result, seconds = Stages.repeat(lambda: threading.active_count(), 3)
    assert result >= 1
    assert len(seconds) == 3


def _result(trial=False):
    return {
        "row": "umap",
        "title": "UMAP",
        "trial": trial,
        "checks": [checks.faster("time", 10.0, 105.0, 10)],
        "notes": ["A note."],
        "date": "2026-01-01 00:00 UTC",
        "command": "python -m benchmarks",
        "machine": {"cpu": "a CPU", "cores": 2, "memory_gib": 24.0},
        "versions": {"peers": {"umap-learn": "0.5.12", "numba": "0.68.1"}},
        "stages": {"ours": {"layout": 3.0}, "umap-learn": {"layout": 35.0}},
    }


def test_the_table_shows_target_and_verdict(tmp_path):
    write_whole(tmp_path / "umap.json", json.dumps(_result()))
    text = report.write_report(tmp_path)
    assert "| UMAP: time | 10.0 s | 105.0 s | 10.5× | ≥ 10× | met (+5%) |" in text
    assert "| layout | 3.00 s | 35.0 s |" in text


def test_a_result_on_explanations_names_its_peers_and_shows_its_calls(tmp_path):
    peers = {"torch": "2", "captum": "0.9", "grad-cam": "1.5.7", "torchcam": "0.5"}
    shown = {"versions": {"peers": peers}, "times": {"grad-cam": [0.5, 0.05, 12.0]}}
    write_whole(tmp_path / "gradcam-vgg16.json", json.dumps({**_result(), **shown}))
    text = report.write_report(tmp_path)
    assert "torch 2, grad-cam 1.5.7, captum 0.9, torchcam 0.5" in text
    assert "both sides in one process, in turn" in text
    assert "| grad-cam | 0.50 s | 50 ms | 12.0 s |" in text


def test_a_compared_result_goes_before_one_of_ours_alone(tmp_path):
    write_whole(tmp_path / "umap.ours-only.json", json.dumps({**_result(), "title": "alone"}))
    assert [r["title"] for r in report.load(tmp_path)] == ["alone"]
    write_whole(tmp_path / "umap.json", json.dumps(_result()))
    assert [r["title"] for r in report.load(tmp_path)] == ["UMAP"]


def test_a_page_is_renewed_between_its_markers_only(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    assert report.insert(page, "new")
    assert page.read_text() == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    page.write_text("no markers")
    assert not report.insert(page, "new")
    assert page.read_text() == "no markers"


def test_which_rows_are_run():
    quick = {row.name for row in chosen(None, full=False)}
    full = {row.name for row in chosen(None, full=True)}
    assert {"crops", "words", "tsne"} <= full - quick
    assert [row.name for row in chosen(["layout"], full=False)] == ["layout"]
    assert sum(row.minutes[0] for row in ROWS if row.quick) < 30
    explained = chosen(None, full=False, explain=True)
    assert {row.name for row in explained} <= full - quick
    assert sum(row.minutes[0] for row in explained) <= 40


def test_the_recorded_command_names_no_folder():
    words = ["--only", "umap", "--work", "/somewhere", "--python=/x/python", "--full"]
    assert _portable(words) == ["--only", "umap", "--full"]
