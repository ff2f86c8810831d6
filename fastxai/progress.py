"""What is being done, how far it is, and how long it took.

Every stage of an estimator runs inside ``with progress.stage(name, total) as advance``.
Silent unless asked: bars on a terminal, one line a stage where stderr is a file.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

Advance = Callable[[float], None]
_current: ContextVar[Progress | None] = ContextVar("fastxai_progress", default=None)


class _Display(Protocol):
    """Where progress is shown."""

    def open(self, name: str, total: float | None, unit: str) -> Any: ...
    def advance(self, task: Any, amount: float) -> None: ...
    def close(self, task: Any, seconds: float) -> None: ...
    def say(self, text: str) -> None: ...
    def stop(self) -> None: ...


class _Silent:
    """Shows nothing."""

    def open(self, name: str, total: float | None, unit: str) -> None:
        return None

    def advance(self, task: Any, amount: float) -> None:
        pass

    def close(self, task: Any, seconds: float) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def stop(self) -> None:
        pass


class _Lines:
    """One line when a stage ends, and one every ten seconds while it lasts."""

    every = 10.0

    def open(self, name: str, total: float | None, unit: str) -> dict[str, Any]:
        now = time.perf_counter()
        task = {"name": name, "total": total, "unit": unit, "done": 0.0, "before": None}
        return {**task, "begun": now, "shown": now}

    def advance(self, task: dict[str, Any], amount: float) -> None:
        task["done"] += amount
        now = time.perf_counter()
        if task["before"] is None and task["unit"]:
            # What a run that continues finds done took no time, and says nothing of its speed.
            task["before"], task["begun"] = task["done"], now
        if task["total"] and 0 < task["done"] < task["total"] and now - task["shown"] > self.every:
            task["shown"] = now
            share, made = task["done"] / task["total"], task["done"] - (task["before"] or 0)
            if not made:
                return
            left = (now - task["begun"]) * (task["total"] - task["done"]) / made
            text = f"{task['name']}: {share:.0%}"
            if unit := task["unit"]:
                speed = made / (now - task["begun"])
                text = f"{task['name']}: {task['done']:,.0f} of {task['total']:,.0f} {unit}"
                text += f", {speed:.3g} {unit}/s"
            self.say(f"{text}, about {_duration(left)} left")

    def close(self, task: dict[str, Any], seconds: float) -> None:
        self.say(f"{task['name']}: {seconds:.1f} s")

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def stop(self) -> None:
        pass


class _Bars:
    """Bars on a terminal, with the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            ProgressColumn,
            TaskProgressColumn,
            TextColumn,
        )
        from rich.text import Text

        class Time(ProgressColumn):
            """Seconds left, and when done the seconds it took."""

            def render(self, task: Any) -> Text:
                if "seconds" in task.fields:
                    return Text(f"{task.fields['seconds']:.1f} s")
                if task.time_remaining is None:
                    return Text(f"{_duration(task.elapsed or 0)} so far")
                return Text(f"{_duration(task.time_remaining)} left")

        class Speed(ProgressColumn):
            """How many a second, of what is counted in a unit."""

            def render(self, task: Any) -> Text:
                unit = task.fields.get("unit")
                speed = task.finished_speed or task.speed
                return Text(f"{speed:.3g} {unit}/s" if unit and speed else "")

        self._bars = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=32),
            TaskProgressColumn(),
            Time(),
            Speed(),
            console=Console(stderr=True),
            refresh_per_second=8,
        )
        self._bars.start()

    def open(self, name: str, total: float | None, unit: str) -> Any:
        return self._bars.add_task(name, total=total, unit=unit)

    def advance(self, task: Any, amount: float) -> None:
        self._bars.advance(task, amount)

    def close(self, task: Any, seconds: float) -> None:
        total = next(t.total for t in self._bars.tasks if t.id == task)
        self._bars.update(task, total=total or 1, completed=total or 1, seconds=seconds)

    def say(self, text: str) -> None:
        self._bars.console.print(text, highlight=False)

    def stop(self) -> None:
        self._bars.stop()


class Progress:
    """The stages of one run.

    Attributes
    ----------
    timings : dict of str to float
        Seconds spent in each stage; a stage entered twice is added up.
    """

    def __init__(self, display: _Display | None = None, parent: Progress | None = None) -> None:
        self.timings: dict[str, float] = {}
        self._display: _Display = display or _Silent()
        self._parent = parent

    @contextmanager
    def stage(self, name: str, total: float | None = None, unit: str = "") -> Iterator[Advance]:
        """Run one stage; the block receives ``advance(amount)``, of ``total`` in all.

        With a ``unit``, "images", it is told how many of them a second are done; the first
        advance is what was done before and took no time.
        """
        task = self._display.open(name, total, unit)
        begun = time.perf_counter()

        def advance(amount: float = 1) -> None:
            self._display.advance(task, amount)

        yield advance
        # A stage that raised is not shown as done.
        seconds = time.perf_counter() - begun
        self._record(name, seconds)
        self._display.close(task, seconds)

    def say(self, text: str) -> None:
        """Show one line, if anything is shown at all."""
        self._display.say(text)

    def notice(self, text: str) -> None:
        """Show one line on stderr even where progress is not shown."""
        if isinstance(self._display, _Silent):
            print(text, file=sys.stderr, flush=True)
        else:
            self._display.say(text)

    def _record(self, name: str, seconds: float) -> None:
        self.timings[name] = self.timings.get(name, 0.0) + seconds
        if self._parent is not None:
            self._parent._record(name, seconds)


@contextmanager
def open_progress(verbose: bool) -> Iterator[Progress]:
    """Progress of one run, shown on stderr if ``verbose``.

    Inside another run (the command line around an estimator, UMAP around its neighbour
    search) the stages are shown where the outer one shows them, and count there too.
    """
    outer = _current.get()
    display: _Display
    if outer is not None:
        display = outer._display
    elif verbose:
        display = _Bars() if sys.stderr.isatty() else _Lines()
    else:
        display = _Silent()
    progress = Progress(display, outer)
    token = _current.set(progress)
    try:
        yield progress
    finally:
        _current.reset(token)
        if outer is None:
            display.stop()


@contextmanager
def silenced() -> Iterator[None]:
    """Whatever runs inside shows nothing, verbose or not."""
    token = _current.set(Progress())
    try:
        yield
    finally:
        _current.reset(token)


def _duration(seconds: float) -> str:
    """Seconds in words that can be read at a glance."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class _Part:
    """Shows the stages of one piece of work as one stage of a larger one."""

    def __init__(self, outer: _Display, advance: Advance, main: str) -> None:
        self._outer, self._advance, self._main = outer, advance, main

    def open(self, name: str, total: float | None, unit: str) -> float | None:
        return total if name == self._main else None

    def advance(self, task: float | None, amount: float) -> None:
        if task:
            self._advance(amount / task)

    def close(self, task: Any, seconds: float) -> None:
        pass

    def say(self, text: str) -> None:
        self._outer.say(text)

    def stop(self) -> None:
        pass


@contextmanager
def as_one_stage(progress: Progress, name: str, main: str) -> Iterator[None]:
    """All runs inside are one stage of ``progress``, as far along as their stage ``main`` is."""
    with progress.stage(name, 1.0) as advance:
        token = _current.set(Progress(_Part(progress._display, advance, main)))
        try:
            yield
        finally:
            _current.reset(token)
