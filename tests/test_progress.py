"""Stages: timed, shown where they should be, silent otherwise."""

from __future__ import annotations

import pytest

from fastxai.progress import _duration, _Lines, open_progress, silenced


def test_silent_by_default_but_timed(capfd: pytest.CaptureFixture[str]) -> None:
    with open_progress(verbose=False) as progress:
        for _ in range(2):
            with progress.stage("layout", 10) as advance:
                advance(10)
        progress.say("unheard")
    assert list(progress.timings) == ["layout"]
    assert capfd.readouterr() == ("", "")


def test_a_file_gets_one_line_a_stage(capfd: pytest.CaptureFixture[str]) -> None:
    with open_progress(verbose=True) as progress, progress.stage("layout", 10) as advance:
        advance(10)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("layout: ")
    assert err.count("\n") == 1


def test_long_stages_say_how_far_they_are(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Lines, "every", -1.0)
    with open_progress(verbose=True) as progress, progress.stage("layout", 10) as advance:
        advance(4)
    assert "layout: 40%, about" in capfd.readouterr().err


def test_the_inner_run_shows_and_counts_where_the_outer_one_does(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with (
        open_progress(verbose=True) as outer,
        open_progress(verbose=False) as inner,
        inner.stage("neighbours"),
    ):
        pass
    assert "neighbours" in capfd.readouterr().err
    assert set(outer.timings) == set(inner.timings) == {"neighbours"}


def test_an_interrupted_stage_is_not_shown_as_done(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        open_progress(verbose=True) as progress,
        progress.stage("layout"),
    ):
        raise KeyboardInterrupt
    assert capfd.readouterr().err == ""


def test_notices_are_shown_even_without_progress(capfd: pytest.CaptureFixture[str]) -> None:
    with open_progress(verbose=False) as progress:
        progress.notice("compiling")
    assert capfd.readouterr().err == "compiling\n"


def test_a_unit_tells_how_many_a_second_without_those_that_were_done_before(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Lines, "every", -1.0)
    clock = iter(range(100))
    monkeypatch.setattr("fastxai.progress.time.perf_counter", lambda: float(next(clock)))
    with open_progress(verbose=True) as progress, progress.stage("explain", 100, "images") as done:
        done(40)
        done(20)
    said = capfd.readouterr().err.splitlines()[0]
    assert said == "explain: 60 of 100 images, 20 images/s, about 2 s left"


def test_what_runs_silenced_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        open_progress(verbose=True),
        silenced(),
        open_progress(verbose=True) as inner,
        inner.stage("neighbours"),
    ):
        inner.say("unheard")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "said"), [(7.4, "7 s"), (150, "2 min"), (9000, "2.5 h")])
def test_long_times_are_told_in_minutes_and_hours(seconds: float, said: str) -> None:
    assert _duration(seconds) == said
